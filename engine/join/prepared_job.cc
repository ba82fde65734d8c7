#include "engine/join/prepared_job.h"

#include <sched.h>
#include <xxhash.h>

#include <bit>
#include <cmath>

#include "engine/base/checked.h"
#include "engine/memory/process_memory.h"
#include "simtile/error.h"

namespace simtile::join {
namespace {

// What a job takes beside what the plan counts: code and data pages that its code paths touch for the first time,
// thread stacks, the heap's own overhead, the output's write buffers.
constexpr std::uint64_t kUncountedBytes = std::uint64_t{10} << 20;
constexpr std::uint64_t kBytesPerThread = std::uint64_t{384} << 10;
// What the output's writer holds of one row: its neighbours, and their rows and scores apart.
constexpr std::uint64_t kBytesPerNeighbour = sizeof(Neighbour) + sizeof(std::uint64_t) + sizeof(float);
constexpr std::uint64_t kMostNeighbours = std::uint64_t{1} << 31;
// A stripe's postings have a start for each column.
constexpr std::uint64_t kMostSparseColumns = std::uint64_t{1} << 26;

void check_options(const JobOptions& options) {
  if (options.min_score && std::isnan(*options.min_score))
    throw Error(ErrorCode::kInvalidArgument, "the minimum score is not a number; give a number or leave it out");
  if (options.top_k > kMostNeighbours)
    throw Error(ErrorCode::kInvalidArgument, "top-k " + std::to_string(options.top_k) + " is more than " +
                                                 std::to_string(kMostNeighbours) + "; ask for fewer neighbours");
  if (options.threads > 1024)
    throw Error(ErrorCode::kInvalidArgument, std::to_string(options.threads) + " threads are more than 1024");
}

void check_sides(const storage::MatrixFile& base, const storage::MatrixFile* queries) {
  if (base.is_sparse() && base.columns() > kMostSparseColumns)
    throw Error(ErrorCode::kInvalidArgument, "'" + base.path() + "' has " + std::to_string(base.columns()) +
                                                 " columns; a sparse job takes at most 67108864: hash them to fewer");
  if (queries == nullptr) return;
  if (base.columns() != queries->columns())
    throw Error(ErrorCode::kInvalidArgument, "'" + queries->path() + "' has " + std::to_string(queries->columns()) +
                                                 " columns, but '" + base.path() + "' has " +
                                                 std::to_string(base.columns()) + "; both sides need the same");
  if (base.is_sparse() != queries->is_sparse())
    throw Error(ErrorCode::kInvalidArgument, "one of '" + base.path() + "' and '" + queries->path() +
                                                 "' is sparse and the other dense; import both alike");
}

std::uint64_t checksum_table_bytes(const storage::MatrixFile& matrix) {
  return matrix.container().header().block_count * (sizeof(std::uint64_t) + 1);
}

plan::Shapes make_shapes(const storage::MatrixFile& base, const storage::MatrixFile* queries, const JobOptions& options,
                         const kernels::TileKernel& kernel) {
  const storage::MatrixFile& query_matrix = queries != nullptr ? *queries : base;
  plan::Shapes shapes;
  shapes.query_rows = query_matrix.rows();
  shapes.base_rows = base.rows();
  shapes.dims = base.columns();
  shapes.self_join = queries == nullptr;
  shapes.top_k = options.top_k;
  shapes.threads = options.threads != 0 ? options.threads : available_processors();
  shapes.few_queries = !shapes.self_join && !base.is_sparse() && shapes.query_rows <= plan::kFewQueries;
  shapes.query_width = shapes.few_queries ? kernel.row_query_width : kernel.query_width;
  shapes.base_width = shapes.few_queries ? kernels::kRowsAtOnce : kernel.base_width;
  shapes.base = row_shape(base);
  shapes.query = queries != nullptr ? row_shape(query_matrix) : shapes.base;
  shapes.sparse = base.is_sparse();
  shapes.fixed_bytes = process_bytes(shapes.threads) + shapes.top_k * kBytesPerNeighbour + checksum_table_bytes(base) +
                       (queries != nullptr ? checksum_table_bytes(*queries) : 0);
  return shapes;
}

std::uint64_t job_identity(const storage::MatrixFile& base, const storage::MatrixFile* queries,
                           const JobOptions& options) {
  const std::uint64_t parts[] = {base.identity(),
                                 queries != nullptr ? queries->identity() : 0,
                                 queries != nullptr ? 1u : 0u,
                                 options.top_k,
                                 static_cast<std::uint64_t>(options.metric),
                                 options.min_score ? 1u : 0u,
                                 options.min_score ? std::bit_cast<std::uint32_t>(*options.min_score) : 0u};
  return XXH3_64bits(parts, sizeof parts);
}

}  // namespace

std::uint32_t available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::uint32_t>(std::max(1, CPU_COUNT(&set)));
}

std::uint64_t process_bytes(std::uint32_t threads) {
  return read_process_memory().rss_bytes + kUncountedBytes + threads * kBytesPerThread;
}

PreparedJob::PreparedJob(const JobInput& input, const JobOptions& options) {
  check_options(options);
  base.emplace(storage::MatrixFile::open(input.base_path));
  if (!input.queries_path.empty()) queries.emplace(storage::MatrixFile::open(input.queries_path));
  const storage::MatrixFile* query_matrix = queries ? &queries->matrix : nullptr;
  check_sides(base->matrix, query_matrix);
  kernel = &kernels::select_kernel(options.isa);
  screen_kernel = &kernels::select_screen_kernel(options.isa);
  shapes = make_shapes(base->matrix, query_matrix, options, *kernel);
  budget_bytes = options.budget_bytes != 0 ? options.budget_bytes : default_budget_bytes();
  plan = plan::make_plan(shapes, budget_bytes);
  identity_ = job_identity(base->matrix, query_matrix, options);
}

void PreparedJob::open_rows(PageBudget& budget, Metric metric) {
  budget.charge(shapes.fixed_bytes);
  base->open_rows(budget, metric == Metric::kCosine);
  if (queries) queries->open_rows(budget, metric == Metric::kCosine);
}

storage::NeighboursBody PreparedJob::neighbours_body(const JobOptions& options) const {
  storage::NeighboursBody body{};
  body.rows = shapes.query_rows;
  body.top_k = shapes.top_k;
  body.columns = shapes.dims;
  body.metric = static_cast<std::uint32_t>(options.metric);
  body.flags =
      (shapes.self_join ? storage::kNeighboursSelfJoin : 0u) | (options.min_score ? storage::kNeighboursMinScore : 0u);
  body.min_score = options.min_score.value_or(0.0f);
  return body;
}

JobPlan PreparedJob::describe(const JobOptions& options) const {
  const plan::Work work = plan::remaining_work(shapes, plan);
  JobPlan out;
  out.query_rows = shapes.query_rows;
  out.base_rows = shapes.base_rows;
  out.dims = shapes.dims;
  out.top_k = shapes.top_k;
  out.metric = options.metric;
  out.self_join = shapes.self_join;
  out.sparse = shapes.sparse;
  out.threads = shapes.threads;
  out.isa = kernel->isa;
  out.budget_bytes = budget_bytes;
  out.smallest_budget_bytes = plan.smallest_bytes;
  out.planned_peak_bytes = plan.planned_bytes;
  out.stripe_rows = plan.stripe_rows;
  out.tile_columns = plan.tile_columns;
  out.stripes_total = work.stripes;
  out.tiles_total = work.tiles;
  out.spills = !plan.resident && shapes.self_join;
  out.pairs_total = work.pairs_total;
  out.pairs_scored = work.pairs_scored;
  out.flops = 2.0 * static_cast<double>(work.pairs_scored) * static_cast<double>(shapes.dims);
  out.bytes_read = work.bytes_read;
  out.bytes_spilled = work.bytes_spilled;
  out.screened = shapes.screen.in_use();
  if (out.screened) out.screen_isa = screen_kernel->name;
  out.screen_first_dims = shapes.screen.first_dims;
  out.screen_next_dims = shapes.screen.next_dims;
  out.output_bytes = checked_multiply(shapes.query_rows, shapes.top_k * (sizeof(std::uint64_t) + sizeof(float)),
                                      ErrorCode::kInvalidArgument, "the output");
  return out;
}

std::uint64_t smallest_budget_bytes(const JobInput& input, const JobOptions& options) {
  const storage::MatrixFile base = storage::MatrixFile::open(input.base_path);
  std::optional<storage::MatrixFile> queries;
  if (!input.queries_path.empty()) queries = storage::MatrixFile::open(input.queries_path);
  const kernels::TileKernel& kernel = kernels::select_kernel(options.isa);
  return plan::announced_budget(
      plan::smallest_budget(make_shapes(base, queries ? &*queries : nullptr, options, kernel)));
}

}  // namespace simtile::join
