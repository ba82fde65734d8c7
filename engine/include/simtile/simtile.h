/* simtile for C, and for any language that can call C: libsimtile.so exports what is declared here, and nothing else.
 *
 * Errors: every function that can fail returns a simtile_status; anything but SIMTILE_OK leaves a one-line message for
 * the calling thread in simtile_last_error(). Nothing throws, prints or exits.
 * Structs: options and results begin with `size`, the sizeof that the caller was compiled with, so that a program and
 * a library of different ages understand each other. Options: call the struct's init function, then set fields; one
 * that this library does not know must be zero. Results: set `size` first; as much is filled in as fits.
 * Handles: opaque; each has a close function, which takes NULL too. Using one after that is undefined.
 * Threads: handles may be used from several threads at once, unless said otherwise; a handle must not be closed while
 * a call on it runs.
 * Strings: UTF-8 or any bytes without NUL; paths are the system's. Rows are numbered from 0. Sizes are in bytes.
 * Fork: a child may use the handles that its parent opened; it must not go on with a call that ran at the fork. Where
 * the parent had searched or run a job before, the child's searches and jobs run on one thread.
 */
#ifndef SIMTILE_SIMTILE_H
#define SIMTILE_SIMTILE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SIMTILE_API __attribute__((visibility("default")))

/* What went wrong, in the classes that a caller can act on. The first five are the tool's exit codes. */
typedef enum simtile_status {
  SIMTILE_OK = 0,
  SIMTILE_IO = 1,               /* the system refused: missing file, permission, disk full */
  SIMTILE_INVALID_ARGUMENT = 2, /* the caller asked for something that makes no sense */
  SIMTILE_CORRUPT = 3,          /* the input is damaged, or not what it says it is */
  SIMTILE_BUDGET_TOO_SMALL = 4, /* the message names the smallest budget that works */
  SIMTILE_OUT_OF_MEMORY = 5,
  SIMTILE_UNEXPECTED = 6,   /* a defect of simtile: please report it with the message */
  SIMTILE_INTERRUPTED = 130 /* stopped on request: call again to go on */
} simtile_status;

/* In fields these are uint32_t. 0 stands for the default where a field says so. */
enum { SIMTILE_F32 = 1, SIMTILE_F16 = 2, SIMTILE_BF16 = 3, SIMTILE_I8 = 4, SIMTILE_U8 = 5 };
enum { SIMTILE_COSINE = 1, SIMTILE_INNER_PRODUCT = 2, SIMTILE_L2 = 3 }; /* l2: the squared distance, ascending */
enum { SIMTILE_ISA_AUTO = 0, SIMTILE_ISA_SCALAR = 1, SIMTILE_ISA_AVX2 = 2, SIMTILE_ISA_AVX512 = 3 };
enum { SIMTILE_SCREEN_AUTO = 0, SIMTILE_SCREEN_ON = 1, SIMTILE_SCREEN_OFF = 2 };

/* Stands where a row has fewer than top_k neighbours; its score is NaN. */
#define SIMTILE_NO_ROW UINT64_MAX

/* The library's version, for example "0.1.0". */
SIMTILE_API const char* simtile_version(void);
/* The widest instruction set that this processor and this build have: "avx512", "avx2" or "scalar". */
SIMTILE_API const char* simtile_instruction_set(void);
/* The message of the calling thread's last failure; "" before the first. Valid until the thread's next failure. */
SIMTILE_API const char* simtile_last_error(void);

/* ---- Progress and stopping ------------------------------------------------------------------------------------- */

typedef struct simtile_progress {
  size_t size;
  uint64_t rows_done, rows_total; /* rows_total: 0 when it is not known */
  double seconds;                 /* since the call began; 0 for imports */
  double fraction_done;           /* of the work, 0 to 1; 0 when rows_total is 0 */
  double fraction_resumed;        /* of the work: what an earlier, interrupted call had done */
} simtile_progress;

/* Called now and then, from one thread at a time, which may be any. Return 0 to go on; anything else stops the job at
 * the next tile, as simtile_stop_request() on its stop handle does (imports go on). It must not throw or jump out. */
typedef int (*simtile_progress_fn)(const simtile_progress* progress, void* context);

/* Asks jobs to stop, from any thread, or from a signal handler. */
typedef struct simtile_stop simtile_stop;
SIMTILE_API simtile_status simtile_stop_new(simtile_stop** stop);
/* Async-signal-safe. Jobs that hold it end with SIMTILE_INTERRUPTED at their next tile. */
SIMTILE_API void simtile_stop_request(simtile_stop* stop);
SIMTILE_API void simtile_stop_close(simtile_stop* stop);

/* ---- Making matrix files --------------------------------------------------------------------------------------- */

typedef struct simtile_import_options {
  size_t size;
  const char* format;    /* NULL: by the file's name and first bytes; or npy, npz, fvecs, ... as `simtile import` */
  const char* ids_path;  /* NULL, or a file with one id a line */
  const char* dataset;   /* NULL, or the name of a member, tensor or dataset */
  uint32_t element_type; /* 0: the nearest to the source's own */
  uint32_t normalize;    /* not 0: scale each row to norm one */
  uint64_t text_dims;    /* text alone: 0 makes a sparse matrix of TF-IDF, else dense columns */
  simtile_progress_fn progress; /* NULL: none */
  void* progress_context;
} simtile_import_options;

typedef struct simtile_import_summary {
  size_t size;
  uint64_t rows, columns, nonzeros; /* nonzeros: sparse only */
  uint32_t element_type, is_sparse, has_ids;
} simtile_import_summary;

SIMTILE_API void simtile_import_options_init(simtile_import_options* options, size_t size);
/* Brings a foreign file into a matrix file, in bounded memory. `options` and `summary` may be NULL. */
SIMTILE_API simtile_status simtile_import(const char* source_path, const char* matrix_path,
                                          const simtile_import_options* options, simtile_import_summary* summary);

typedef struct simtile_write_options {
  size_t size;
  uint32_t element_type;         /* 0: f32 */
  uint32_t normalize;            /* not 0: scale each row to norm one */
  const uint64_t* u64_ids;       /* NULL, or one for each row */
  const char* const* string_ids; /* NULL, or one for each row; not both */
} simtile_write_options;

SIMTILE_API void simtile_write_options_init(simtile_write_options* options, size_t size);
/* Writes rows x columns values from memory; row r begins at values + r * row_stride, row_stride >= columns (both in
 * floats). NaN, infinity and an empty id are SIMTILE_CORRUPT. `options` may be NULL. */
SIMTILE_API simtile_status simtile_write_matrix(const char* matrix_path, const float* values, uint64_t rows,
                                                uint64_t columns, uint64_t row_stride,
                                                const simtile_write_options* options);

/* Reads a matrix or neighbours file whole and checks every checksum. */
SIMTILE_API simtile_status simtile_verify(const char* path);

/* ---- The main job ---------------------------------------------------------------------------------------------- */

typedef struct simtile_job_options {
  size_t size;
  uint64_t top_k;         /* 10; or 0 with has_min_score: all pairs that are good enough */
  uint64_t budget_bytes;  /* 0: half of what the process may use; bounds the whole process */
  uint32_t metric;        /* SIMTILE_COSINE */
  uint32_t threads;       /* 0: one for each processor that the process may use */
  uint32_t isa;           /* SIMTILE_ISA_AUTO; never changes the answer */
  uint32_t screen;        /* SIMTILE_SCREEN_AUTO; never changes the answer */
  uint32_t has_min_score; /* not 0: keep only pairs at least as good as min_score (l2: at most this distance) */
  float min_score;
  uint32_t fresh;               /* not 0: forget what an interrupted job left */
  const char* work_dir;         /* NULL: the output's name and ".work" */
  double checkpoint_seconds;    /* 1.0: least time between checkpoints */
  simtile_progress_fn progress; /* NULL: none */
  void* progress_context;
  simtile_stop* stop; /* NULL: none */
} simtile_job_options;

typedef struct simtile_job_report {
  size_t size;
  uint64_t query_rows, base_rows, columns;
  uint64_t pairs_total, pairs_scored, bytes_read, bytes_spilled;
  uint64_t budget_bytes, smallest_budget_bytes, peak_rss_bytes;
  uint64_t tiles_total, tiles_resumed;
  uint64_t output_xxh3; /* of the output file's bytes */
  double seconds, flops;
} simtile_job_report;

SIMTILE_API void simtile_job_options_init(simtile_job_options* options, size_t size);
/* Every row's top K (or all that are good enough) among the other rows of the matrix, as a neighbours file. The file
 * appears whole or not at all. A job that was interrupted or killed goes on when it is called again. `options` and
 * `report` may be NULL. */
SIMTILE_API simtile_status simtile_join(const char* matrix_path, const char* neighbours_path,
                                        const simtile_job_options* options, simtile_job_report* report);
/* Every query row's top K among the base's rows; else as simtile_join. */
SIMTILE_API simtile_status simtile_search(const char* base_path, const char* queries_path, const char* neighbours_path,
                                          const simtile_job_options* options, simtile_job_report* report);

/* ---- Reading ---------------------------------------------------------------------------------------------------
 * Each block of a file that a call touches is checked against its checksum first. A file that is replaced (renamed
 * over) is read on in its old version until it is opened again. */

typedef struct simtile_matrix simtile_matrix;
typedef struct simtile_matrix_info {
  size_t size;
  uint64_t rows, columns, nonzeros, file_bytes;
  uint64_t identity; /* differs whenever the content does */
  uint32_t element_type, is_sparse, is_normalized;
} simtile_matrix_info;

SIMTILE_API simtile_status simtile_matrix_open(const char* path, simtile_matrix** matrix);
SIMTILE_API void simtile_matrix_close(simtile_matrix* matrix);
SIMTILE_API simtile_status simtile_matrix_get_info(const simtile_matrix* matrix, simtile_matrix_info* info);
/* Decodes one row to `columns` floats. */
SIMTILE_API simtile_status simtile_matrix_read_row(const simtile_matrix* matrix, uint64_t row, float* values);
/* Writes the row's id (its number where there are no ids) and a NUL to buffer[0..capacity), cut if it must be;
 * *length gets the id's whole length. `length` may be NULL. */
SIMTILE_API simtile_status simtile_matrix_id(const simtile_matrix* matrix, uint64_t row, char* buffer, size_t capacity,
                                             size_t* length);
/* The first row with this id, or SIMTILE_NO_ROW. */
SIMTILE_API simtile_status simtile_matrix_find(const simtile_matrix* matrix, const char* id, uint64_t* row);

typedef struct simtile_neighbours simtile_neighbours;
typedef struct simtile_neighbours_info {
  size_t size;
  uint64_t rows, top_k, base_rows, columns, file_bytes; /* top_k: 0 of all pairs, any number a row */
  uint64_t identity;
  uint32_t metric, is_self_join;
} simtile_neighbours_info;

SIMTILE_API simtile_status simtile_neighbours_open(const char* path, simtile_neighbours** neighbours);
SIMTILE_API void simtile_neighbours_close(simtile_neighbours* neighbours);
SIMTILE_API simtile_status simtile_neighbours_get_info(const simtile_neighbours* neighbours,
                                                       simtile_neighbours_info* info);
/* Copies `count` rows, best first: count x top_k base rows and scores, SIMTILE_NO_ROW and NaN where there are fewer.
 * Of a top K; all pairs (top_k is 0) are SIMTILE_INVALID_ARGUMENT: simtile_neighbours_row() reads those. */
SIMTILE_API simtile_status simtile_neighbours_read(const simtile_neighbours* neighbours, uint64_t first_row,
                                                   uint64_t count, uint64_t* rows, float* scores);
/* One row's neighbours, best first, of a top K and of all pairs alike: *count gets how many there are, without unused
 * places; the first `capacity` of them are copied. With a capacity of 0 rows and scores may be NULL, which asks for the
 * count alone. No row has more than base_rows. */
SIMTILE_API simtile_status simtile_neighbours_row(const simtile_neighbours* neighbours, uint64_t row, uint64_t* rows,
                                                  float* scores, uint64_t capacity, uint64_t* count);
/* As simtile_matrix_id: of a query row, and of a base row. */
SIMTILE_API simtile_status simtile_neighbours_query_id(const simtile_neighbours* neighbours, uint64_t row, char* buffer,
                                                       size_t capacity, size_t* length);
SIMTILE_API simtile_status simtile_neighbours_base_id(const simtile_neighbours* neighbours, uint64_t row, char* buffer,
                                                      size_t capacity, size_t* length);
/* The first query row with this id, or SIMTILE_NO_ROW. */
SIMTILE_API simtile_status simtile_neighbours_find(const simtile_neighbours* neighbours, const char* id, uint64_t* row);

/* Searches of a dense matrix for vectors in memory, again and again. Each reads the whole base once for all of its
 * queries. The same bits as simtile_search(). */
typedef struct simtile_searcher simtile_searcher;
typedef struct simtile_query_options {
  size_t size;
  uint64_t top_k;         /* 10; at least 1 */
  uint32_t metric;        /* SIMTILE_COSINE */
  uint32_t has_min_score; /* not 0: keep only rows at least as good as min_score (l2: at most this distance) */
  float min_score;
  const uint64_t* exclude_rows; /* NULL, or rows that are never in the answer */
  uint64_t exclude_count;
} simtile_query_options;

SIMTILE_API void simtile_query_options_init(simtile_query_options* options, size_t size);
/* `threads`: for each search; 0: one for each processor that the process may use. */
SIMTILE_API simtile_status simtile_searcher_open(const char* matrix_path, uint32_t threads,
                                                 simtile_searcher** searcher);
SIMTILE_API void simtile_searcher_close(simtile_searcher* searcher);
/* `count` queries of the base's columns, one after the other. rows and scores have room for count x top_k; best first,
 * SIMTILE_NO_ROW and NaN where there are fewer. `options` may be NULL. */
SIMTILE_API simtile_status simtile_searcher_search(const simtile_searcher* searcher, const float* queries,
                                                   uint64_t count, const simtile_query_options* options, uint64_t* rows,
                                                   float* scores);
/* Takes the file that the path names now, if it is another one; *swapped (may be NULL) says whether it was. Searches
 * under way finish on the one that they began with. */
SIMTILE_API simtile_status simtile_searcher_reload(simtile_searcher* searcher, int* swapped);

#ifdef __cplusplus
}
#endif

#endif
