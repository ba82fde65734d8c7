/* The main job from C: import, join, neighbours, search; errors, versions of structs, stopping and going on.
 * Runs in the folder given as its argument and ends with 0 when all is as simtile.h says. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "simtile/simtile.h"

static int failures = 0;

#define EXPECT(condition)                                                                                    \
  do {                                                                                                       \
    if (!(condition)) {                                                                                      \
      fprintf(stderr, "%s:%d: %s (last error: %s)\n", __FILE__, __LINE__, #condition, simtile_last_error()); \
      ++failures;                                                                                            \
    }                                                                                                        \
  } while (0)

enum { ROWS = 2000, COLUMNS = 16, TOP_K = 5 };
static const uint64_t BUDGET_BYTES = (uint64_t)1 << 30;
static float points[ROWS][COLUMNS];

static void make_points(void) {
  uint32_t state = 1;
  for (int row = 0; row < ROWS; ++row)
    for (int column = 0; column < COLUMNS; ++column) {
      state = state * 1664525u + 1013904223u;
      points[row][column] = (float)(state >> 8) / (float)(1 << 24) - 0.5f;
    }
}

static void write_fvecs(const char* path) {
  FILE* file = fopen(path, "wb");
  const int32_t columns = COLUMNS;
  EXPECT(file != NULL);
  for (int row = 0; row < ROWS; ++row) {
    EXPECT(fwrite(&columns, sizeof columns, 1, file) == 1);
    EXPECT(fwrite(points[row], sizeof points[row], 1, file) == 1);
  }
  EXPECT(fclose(file) == 0);
}

static simtile_job_options job_options(void) {
  simtile_job_options options;
  simtile_job_options_init(&options, sizeof options);
  options.top_k = TOP_K;
  options.budget_bytes = BUDGET_BYTES;
  options.metric = SIMTILE_INNER_PRODUCT;
  return options;
}

static float product(int a, int b) {
  float sum = 0.0f;
  for (int column = 0; column < COLUMNS; ++column) sum = fmaf(points[a][column], points[b][column], sum);
  return sum;
}

/* The best other row by the definition in job.h. */
static uint64_t best_neighbour(int row) {
  int best = row == 0 ? 1 : 0;
  for (int other = 0; other < ROWS; ++other)
    if (other != row && product(row, other) > product(row, best)) best = other;
  return (uint64_t)best;
}

static void test_import_and_matrix(void) {
  simtile_import_summary summary = {.size = sizeof summary};
  simtile_matrix_info info = {.size = sizeof info};
  simtile_matrix* matrix = NULL;
  float row[COLUMNS];
  char id[8];
  size_t length = 0;
  uint64_t found = 0;
  write_fvecs("points.fvecs");
  EXPECT(simtile_import("points.fvecs", "points.emb", NULL, &summary) == SIMTILE_OK);
  EXPECT(summary.rows == ROWS && summary.columns == COLUMNS && summary.element_type == SIMTILE_F32);
  EXPECT(simtile_verify("points.emb") == SIMTILE_OK);
  EXPECT(simtile_matrix_open("points.emb", &matrix) == SIMTILE_OK);
  EXPECT(simtile_matrix_get_info(matrix, &info) == SIMTILE_OK && info.rows == ROWS && info.columns == COLUMNS);
  EXPECT(simtile_matrix_read_row(matrix, 7, row) == SIMTILE_OK && memcmp(row, points[7], sizeof row) == 0);
  EXPECT(simtile_matrix_id(matrix, 1234, id, sizeof id, &length) == SIMTILE_OK);
  EXPECT(strcmp(id, "1234") == 0 && length == 4);
  EXPECT(simtile_matrix_id(matrix, 1234, id, 3, &length) == SIMTILE_OK && strcmp(id, "12") == 0 && length == 4);
  EXPECT(simtile_matrix_find(matrix, "17", &found) == SIMTILE_OK && found == 17);
  EXPECT(simtile_matrix_find(matrix, "no such", &found) == SIMTILE_OK && found == SIMTILE_NO_ROW);
  EXPECT(simtile_matrix_read_row(matrix, ROWS, row) == SIMTILE_INVALID_ARGUMENT);
  EXPECT(strstr(simtile_last_error(), "points.emb") != NULL);
  simtile_matrix_close(matrix);
}

static void test_write_matrix(void) {
  static float wide[10][COLUMNS + 3];
  static const char* ids[10] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
  simtile_write_options options;
  simtile_matrix* matrix = NULL;
  float row[COLUMNS];
  uint64_t found = 0;
  for (int i = 0; i < 10; ++i) memcpy(wide[i], points[i], sizeof points[i]);
  simtile_write_options_init(&options, sizeof options);
  options.string_ids = ids;
  EXPECT(simtile_write_matrix("ten.emb", wide[0], 10, COLUMNS, COLUMNS + 3, &options) == SIMTILE_OK);
  EXPECT(simtile_matrix_open("ten.emb", &matrix) == SIMTILE_OK);
  EXPECT(simtile_matrix_find(matrix, "d", &found) == SIMTILE_OK && found == 3);
  EXPECT(simtile_matrix_read_row(matrix, 9, row) == SIMTILE_OK && memcmp(row, points[9], sizeof row) == 0);
  simtile_matrix_close(matrix);
  ids[4] = NULL;
  EXPECT(simtile_write_matrix("ten.emb", wide[0], 10, COLUMNS, COLUMNS + 3, &options) == SIMTILE_INVALID_ARGUMENT);
  EXPECT(strstr(simtile_last_error(), "row 4") != NULL && simtile_verify("ten.emb") == SIMTILE_OK);
  ids[4] = "";
  EXPECT(simtile_write_matrix("ten.emb", wide[0], 10, COLUMNS, COLUMNS + 3, &options) == SIMTILE_CORRUPT);
  wide[2][1] = NAN;
  EXPECT(simtile_write_matrix("ten.emb", wide[0], 10, COLUMNS, COLUMNS + 3, NULL) == SIMTILE_CORRUPT);
  EXPECT(strstr(simtile_last_error(), "row 2, column 1") != NULL);
  EXPECT(simtile_write_matrix("ten.emb", wide[0], 10, COLUMNS, COLUMNS - 1, NULL) == SIMTILE_INVALID_ARGUMENT);
}

static void test_join_and_neighbours(void) {
  const simtile_job_options options = job_options();
  simtile_job_report report = {.size = sizeof report};
  simtile_neighbours_info info = {.size = sizeof info};
  simtile_neighbours* neighbours = NULL;
  uint64_t rows[3 * TOP_K];
  float scores[3 * TOP_K];
  uint64_t found = 0;
  char id[8];
  EXPECT(simtile_join("points.emb", "points.knn", &options, &report) == SIMTILE_OK);
  EXPECT(report.query_rows == ROWS && report.pairs_total == (uint64_t)ROWS * (ROWS - 1) && report.output_xxh3 != 0);
  EXPECT(report.peak_rss_bytes > 0 && report.peak_rss_bytes <= BUDGET_BYTES);
  EXPECT(simtile_neighbours_open("points.knn", &neighbours) == SIMTILE_OK);
  EXPECT(simtile_neighbours_get_info(neighbours, &info) == SIMTILE_OK);
  EXPECT(info.rows == ROWS && info.top_k == TOP_K && info.metric == SIMTILE_INNER_PRODUCT && info.is_self_join == 1);
  EXPECT(simtile_neighbours_read(neighbours, 40, 3, rows, scores) == SIMTILE_OK);
  for (int i = 0; i < 3; ++i) {
    EXPECT(rows[i * TOP_K] == best_neighbour(40 + i));
    EXPECT(scores[i * TOP_K] == product(40 + i, (int)rows[i * TOP_K]));
    EXPECT(scores[i * TOP_K] >= scores[i * TOP_K + 1]);
  }
  EXPECT(simtile_neighbours_query_id(neighbours, 3, id, sizeof id, NULL) == SIMTILE_OK && strcmp(id, "3") == 0);
  EXPECT(simtile_neighbours_base_id(neighbours, 3, id, sizeof id, NULL) == SIMTILE_OK && strcmp(id, "3") == 0);
  EXPECT(simtile_neighbours_find(neighbours, "99", &found) == SIMTILE_OK && found == 99);
  EXPECT(simtile_neighbours_read(neighbours, ROWS - 1, 2, rows, scores) == SIMTILE_INVALID_ARGUMENT);
  simtile_neighbours_close(neighbours);
}

/* All pairs from a score on: any number a row, which the rectangle of a top K has no room for. */
static void test_all_pairs(void) {
  simtile_job_options options = job_options();
  simtile_neighbours_info info = {.size = sizeof info};
  simtile_neighbours* neighbours = NULL;
  static uint64_t rows[ROWS];
  static float scores[ROWS];
  uint64_t count = 0, expected = 0, cut = 0;
  options.top_k = 0;
  EXPECT(simtile_join("points.emb", "pairs.knn", &options, NULL) == SIMTILE_INVALID_ARGUMENT);
  options.has_min_score = 1;
  options.min_score = 0.5f;
  EXPECT(simtile_join("points.emb", "pairs.knn", &options, NULL) == SIMTILE_OK);
  EXPECT(simtile_neighbours_open("pairs.knn", &neighbours) == SIMTILE_OK);
  EXPECT(simtile_neighbours_get_info(neighbours, &info) == SIMTILE_OK && info.rows == ROWS && info.top_k == 0);
  for (int other = 0; other < ROWS; ++other) expected += other != 40 && product(40, other) >= options.min_score;
  EXPECT(simtile_neighbours_row(neighbours, 40, NULL, NULL, 0, &count) == SIMTILE_OK);
  EXPECT(count == expected && count > 1 && count <= info.base_rows);
  EXPECT(simtile_neighbours_row(neighbours, 40, rows, scores, ROWS, &count) == SIMTILE_OK && count == expected);
  EXPECT(rows[0] == best_neighbour(40) && scores[0] == product(40, (int)rows[0]));
  for (uint64_t i = 1; i < count; ++i) EXPECT(scores[i] <= scores[i - 1] && scores[i] == product(40, (int)rows[i]));
  rows[1] = 77;
  EXPECT(simtile_neighbours_row(neighbours, 40, rows, scores, 1, &cut) == SIMTILE_OK && cut == count && rows[1] == 77);
  EXPECT(simtile_neighbours_row(neighbours, 40, NULL, NULL, 1, &cut) == SIMTILE_INVALID_ARGUMENT);
  EXPECT(simtile_neighbours_row(neighbours, 40, rows, scores, 1, NULL) == SIMTILE_INVALID_ARGUMENT);
  EXPECT(simtile_neighbours_row(neighbours, ROWS, rows, scores, 1, &cut) == SIMTILE_INVALID_ARGUMENT);
  EXPECT(simtile_neighbours_row(NULL, 0, rows, scores, 1, &cut) == SIMTILE_INVALID_ARGUMENT);
  EXPECT(simtile_neighbours_read(neighbours, 40, 1, rows, scores) == SIMTILE_INVALID_ARGUMENT);
  simtile_neighbours_close(neighbours);
  EXPECT(simtile_neighbours_open("points.knn", &neighbours) == SIMTILE_OK);
  EXPECT(simtile_neighbours_row(neighbours, 40, rows, scores, ROWS, &count) == SIMTILE_OK && count == TOP_K);
  EXPECT(rows[0] == best_neighbour(40));
  simtile_neighbours_close(neighbours);
}

static void test_search(void) {
  const simtile_job_options options = job_options();
  simtile_neighbours* neighbours = NULL;
  uint64_t rows[10 * TOP_K];
  float scores[10 * TOP_K];
  EXPECT(simtile_write_matrix("queries.emb", points[0], 10, COLUMNS, COLUMNS, NULL) == SIMTILE_OK);
  EXPECT(simtile_search("points.emb", "queries.emb", "found.knn", &options, NULL) == SIMTILE_OK);
  EXPECT(simtile_neighbours_open("found.knn", &neighbours) == SIMTILE_OK);
  EXPECT(simtile_neighbours_read(neighbours, 0, 10, rows, scores) == SIMTILE_OK);
  for (int i = 0; i < 10; ++i) {
    const uint64_t best = best_neighbour(i);
    const int itself_is_best = product(i, i) > product(i, (int)best);
    EXPECT(rows[i * TOP_K] == (itself_is_best ? (uint64_t)i : best));
  }
  simtile_neighbours_close(neighbours);
}

static void test_searcher(void) {
  simtile_query_options options;
  simtile_searcher* searcher = NULL;
  uint64_t rows[2 * TOP_K];
  float scores[2 * TOP_K];
  const uint64_t excluded[1] = {40};
  simtile_searcher* missing = NULL;
  int swapped = 1;
  simtile_query_options_init(&options, sizeof options);
  options.top_k = TOP_K;
  options.metric = SIMTILE_INNER_PRODUCT;
  options.exclude_rows = excluded;
  options.exclude_count = 1;
  EXPECT(simtile_searcher_open("points.emb", 1, &searcher) == SIMTILE_OK);
  EXPECT(simtile_searcher_search(searcher, points[40], 1, &options, rows, scores) == SIMTILE_OK);
  EXPECT(rows[0] == best_neighbour(40) && scores[0] == product(40, (int)rows[0]));
  EXPECT(simtile_searcher_search(searcher, points[40], 2, &options, rows, scores) == SIMTILE_OK);
  EXPECT(rows[0] == best_neighbour(40));
  options.has_min_score = 1;
  options.min_score = 1e6f;
  EXPECT(simtile_searcher_search(searcher, points[40], 1, &options, rows, scores) == SIMTILE_OK);
  EXPECT(rows[0] == SIMTILE_NO_ROW && isnan(scores[0]));
  EXPECT(simtile_searcher_reload(searcher, &swapped) == SIMTILE_OK && swapped == 0);
  EXPECT(simtile_searcher_search(searcher, NULL, 1, NULL, rows, scores) == SIMTILE_INVALID_ARGUMENT);
  options.exclude_rows = NULL;
  EXPECT(simtile_searcher_search(searcher, points[40], 1, &options, rows, scores) == SIMTILE_INVALID_ARGUMENT);
  EXPECT(simtile_searcher_search(searcher, points[40], 1, NULL, NULL, scores) == SIMTILE_INVALID_ARGUMENT);
  simtile_searcher_close(searcher);
  EXPECT(simtile_searcher_open("missing.emb", 0, &missing) == SIMTILE_IO && missing == NULL);
}

static void test_errors(void) {
  simtile_job_options options = job_options();
  simtile_matrix* matrix = NULL;
  EXPECT(simtile_matrix_open("missing.emb", &matrix) == SIMTILE_IO);
  EXPECT(matrix == NULL && strstr(simtile_last_error(), "missing.emb") != NULL);
  EXPECT(simtile_matrix_open("points.fvecs", &matrix) == SIMTILE_CORRUPT);
  EXPECT(simtile_matrix_open(NULL, &matrix) == SIMTILE_INVALID_ARGUMENT);
  EXPECT(simtile_matrix_get_info(NULL, NULL) == SIMTILE_INVALID_ARGUMENT);
  options.budget_bytes = 1;
  EXPECT(simtile_join("points.emb", "points.knn", &options, NULL) == SIMTILE_BUDGET_TOO_SMALL);
  options = job_options();
  options.metric = 9;
  EXPECT(simtile_join("points.emb", "points.knn", &options, NULL) == SIMTILE_INVALID_ARGUMENT);
  EXPECT(simtile_verify("points.fvecs") == SIMTILE_CORRUPT);
}

/* A program of an older or a newer header. */
static void test_struct_versions(void) {
  struct {
    simtile_job_options known;
    uint64_t of_the_future;
  } longer;
  simtile_job_report report = {.size = offsetof(simtile_job_report, columns)};
  simtile_job_options options = job_options();
  report.columns = 77;
  EXPECT(simtile_join("points.emb", "points.knn", &options, &report) == SIMTILE_OK);
  EXPECT(report.base_rows == ROWS && report.columns == 77); /* nothing beyond the caller's size */
  options.size = offsetof(simtile_job_options, work_dir);
  options.work_dir = "/nonexistent/ignored"; /* beyond the size: not looked at */
  EXPECT(simtile_join("points.emb", "points.knn", &options, NULL) == SIMTILE_OK);
  simtile_job_options_init(&longer.known, sizeof longer);
  EXPECT(longer.known.size == sizeof longer && longer.of_the_future == 0 && longer.known.top_k == 10);
  longer.known.budget_bytes = BUDGET_BYTES;
  EXPECT(simtile_join("points.emb", "points.knn", &longer.known, NULL) == SIMTILE_OK);
  longer.of_the_future = 1;
  EXPECT(simtile_join("points.emb", "points.knn", &longer.known, NULL) == SIMTILE_INVALID_ARGUMENT);
  options.size = 0;
  EXPECT(simtile_join("points.emb", "points.knn", &options, NULL) == SIMTILE_INVALID_ARGUMENT);
}

struct Watched {
  int calls;
  int stop_at;
};

static int watch(const simtile_progress* progress, void* context) {
  struct Watched* watched = context;
  EXPECT(progress->size >= sizeof *progress && progress->rows_total == ROWS);
  return ++watched->calls == watched->stop_at;
}

static void test_stop_and_go_on(void) {
  simtile_job_options options = job_options();
  simtile_job_report whole = {.size = sizeof whole}, resumed = {.size = sizeof resumed};
  struct Watched watched = {0, 0};
  simtile_stop* stop = NULL;
  EXPECT(simtile_join("points.emb", "whole.knn", &options, &whole) == SIMTILE_OK);
  options.progress = watch;
  options.progress_context = &watched;
  options.checkpoint_seconds = 0.0;
  options.threads = 1;
  EXPECT(simtile_join("points.emb", "stopped.knn", &options, NULL) == SIMTILE_OK);
  EXPECT(watched.calls > 2 && remove("stopped.knn") == 0);
  watched.stop_at = watched.calls / 2 + 1;
  watched.calls = 0;
  EXPECT(simtile_join("points.emb", "stopped.knn", &options, NULL) == SIMTILE_INTERRUPTED);
  EXPECT(access("stopped.knn", F_OK) != 0);
  EXPECT(simtile_stop_new(&stop) == SIMTILE_OK);
  options.stop = stop;
  options.progress = NULL;
  simtile_stop_request(stop);
  EXPECT(simtile_join("points.emb", "stopped.knn", &options, NULL) == SIMTILE_INTERRUPTED);
  options.stop = NULL;
  EXPECT(simtile_join("points.emb", "stopped.knn", &options, &resumed) == SIMTILE_OK);
  EXPECT(resumed.output_xxh3 == whole.output_xxh3 && resumed.tiles_resumed > 0);
  simtile_stop_close(stop);
}

static void* fail_elsewhere(void* unused) {
  simtile_matrix* matrix = NULL;
  EXPECT(simtile_last_error()[0] == '\0');
  EXPECT(simtile_matrix_open("elsewhere.emb", &matrix) == SIMTILE_IO);
  return unused;
}

static void test_message_of_each_thread(void) {
  pthread_t thread;
  simtile_matrix* matrix = NULL;
  EXPECT(simtile_matrix_open("here.emb", &matrix) == SIMTILE_IO);
  EXPECT(pthread_create(&thread, NULL, fail_elsewhere, NULL) == 0 && pthread_join(thread, NULL) == 0);
  EXPECT(strstr(simtile_last_error(), "here.emb") != NULL && strstr(simtile_last_error(), "elsewhere") == NULL);
}

int main(int argc, char** argv) {
  if (argc != 2 || chdir(argv[1]) != 0) {
    fprintf(stderr, "usage: c_api_test FOLDER\n");
    return 2;
  }
  make_points();
  EXPECT(strlen(simtile_version()) >= 5 && strlen(simtile_instruction_set()) >= 4);
  test_import_and_matrix();
  test_write_matrix();
  test_join_and_neighbours();
  test_all_pairs();
  test_search();
  test_searcher();
  test_errors();
  test_struct_versions();
  test_stop_and_go_on();
  test_message_of_each_thread();
  return failures == 0 ? 0 : 1;
}
