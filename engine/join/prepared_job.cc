#include "engine/join/prepared_job.h"

#include <sched.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "engine/base/checked.h"
#include "engine/join/job_fields.h"
#include "engine/memory/process_memory.h"
#include "engine/plan/memory_model.h"
#include "engine/plan/sample.h"
#include "engine/plan/shard.h"
#include "simtile/error.h"

namespace simtile::join {
namespace {

// What a job takes beside what the plan counts: code and data pages that its code paths touch for the first time,
// thread stacks, the heap's own overhead, the output's write buffers.
constexpr std::uint64_t kUncountedBytes = std::uint64_t{5} << 20;
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
  if (options.shard && (options.shard->number == 0 || options.shard->number > options.shard->count ||
                        options.shard->count > kMostShards))
    throw Error(ErrorCode::kInvalidArgument, "there is no shard " + std::to_string(options.shard->number) + " of " +
                                                 std::to_string(options.shard->count) +
                                                 "; shards are numbered from 1, and there are at most 256");
  if (options.shard && wants_all_pairs(options))
    throw Error(ErrorCode::kInvalidArgument,
                "all pairs above a minimum score are not found by shards; give --top-k as well, or run the job whole");
  if (options.shard && options.pairs == PairScoring::kTwice)
    throw Error(ErrorCode::kInvalidArgument, "shards score each pair once; leave out 'twice', or run the job whole");
  if (options.threads > 1024)
    throw Error(ErrorCode::kInvalidArgument, std::to_string(options.threads) + " threads are more than 1024");
}

void check_pair_scoring(const JobOptions& options, const plan::Shapes& shapes) {
  if (options.pairs == PairScoring::kTwice && (!shapes.self_join || shapes.all_pairs))
    throw Error(ErrorCode::kInvalidArgument,
                "only the pairs of a self-join for the best K can be scored twice; leave out 'twice'");
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

std::uint64_t checksum_table_bytes(Side& side) {
  std::uint64_t bytes = 0;
  for (std::size_t f = 0; f <= side.more_fields.size(); ++f)
    bytes += side.field(f).matrix.container().header().block_count * (sizeof(std::uint64_t) + 1);
  return bytes;
}

// What takes a score field by field.
bool goes_by_fields(const std::vector<JobField>& fields, const storage::MatrixFile& first, const JobOptions& options) {
  const bool weighted = fields.size() > 1 || fields.front().weight != 1.0f;
  if (weighted && options.metric == Metric::kL2)
    throw Error(ErrorCode::kInvalidArgument, "a weighted sum of fields takes --metric cosine or ip, not l2");
  return weighted || (first.is_sparse() && options.metric != Metric::kL2);
}

void add_fields(const std::vector<JobField>& fields, Side& base, Side& queries, Metric metric, plan::Shapes& shapes) {
  shapes.dims = 0;
  shapes.base = shapes.query = {};
  for (std::size_t f = 0; f < fields.size(); ++f) {
    const storage::MatrixFile& matrix = base.field(f).matrix;
    plan::FieldShape shape;
    shape.dims = matrix.columns();
    shape.sparse = matrix.is_sparse();
    shape.weight = fields[f].weight;
    shape.base = row_shape(matrix, metric);
    shape.query = &base == &queries ? shape.base : row_shape(queries.field(f).matrix, metric);
    shapes.dims += shape.dims;
    shapes.sparse = shapes.sparse || shape.sparse;
    shapes.base += shape.base;
    shapes.query += shape.query;
    shapes.fields.push_back(shape);
  }
}

plan::Shapes make_shapes(const std::vector<JobField>& fields, Side& base, Side* queries, const JobOptions& options,
                         const kernels::TileKernel& kernel) {
  Side& query_side = queries != nullptr ? *queries : base;
  plan::Shapes shapes;
  shapes.query_rows = query_side.matrix.rows();
  shapes.base_rows = base.matrix.rows();
  shapes.dims = base.matrix.columns();
  shapes.self_join = queries == nullptr;
  // A minimum score lets little through that could be spilled.
  if (shapes.self_join)
    shapes.pairs = options.pairs == PairScoring::kAuto && options.min_score ? PairScoring::kOnce : options.pairs;
  shapes.top_k = options.top_k;
  shapes.all_pairs = wants_all_pairs(options);
  shapes.threads = options.threads != 0 ? options.threads : available_processors();
  shapes.sparse = base.matrix.is_sparse();
  const bool by_fields = goes_by_fields(fields, base.matrix, options);
  shapes.few_queries = !shapes.self_join && !shapes.sparse && !by_fields && shapes.query_rows <= plan::kFewQueries;
  shapes.query_width = shapes.few_queries ? kernel.row_query_width : kernel.query_width;
  shapes.base_width = shapes.few_queries ? kernels::kRowsAtOnce : kernel.base_width;
  shapes.base = row_shape(base.matrix, options.metric);
  shapes.query = queries != nullptr ? row_shape(queries->matrix, options.metric) : shapes.base;
  if (by_fields) add_fields(fields, base, query_side, options.metric, shapes);
  // Of one matrix of weight 1, a sum divided by that is the sum.
  shapes.renormalize = options.renormalize && (fields.size() > 1 || fields.front().weight != 1.0f);
  shapes.fixed_bytes = process_bytes(shapes.threads) +
                       (shapes.all_pairs ? shapes.base_rows : shapes.top_k) * kBytesPerNeighbour +
                       checksum_table_bytes(base) + (queries != nullptr ? checksum_table_bytes(*queries) : 0);
  if (options.shard) shapes.part = plan::part_of(shapes, *options.shard);
  return shapes;
}

std::uint64_t job_identity(const std::vector<storage::FieldEntry>& fields, bool self_join, const plan::Shapes& shapes,
                           const JobOptions& options) {
  const std::uint64_t parts[] = {XXH3_64bits(fields.data(), fields.size() * sizeof fields.front()),
                                 self_join ? 0u : 1u,
                                 shapes.renormalize ? 1u : 0u,
                                 options.top_k,
                                 static_cast<std::uint64_t>(options.metric),
                                 options.min_score ? 1u : 0u,
                                 options.min_score ? std::bit_cast<std::uint32_t>(*options.min_score) : 0u};
  return XXH3_64bits(parts, sizeof parts);
}

storage::FieldEntry field_entry(const JobField& field, const storage::MatrixFile& base,
                                const storage::MatrixFile& queries) {
  storage::FieldEntry entry{};
  field.name.copy(entry.name, storage::kMostFieldNameBytes);
  entry.weight = field.weight;
  entry.columns = base.columns();
  entry.query_identity = queries.identity();
  entry.base_identity = base.identity();
  return entry;
}

void open_sides(const std::vector<JobField>& fields, std::optional<Side>& base, std::optional<Side>& queries) {
  open_side(fields, &JobField::base_path, base);
  if (!fields.front().queries_path.empty()) open_side(fields, &JobField::queries_path, queries);
  for (std::size_t f = 0; f < fields.size(); ++f)
    check_sides(base->field(f).matrix, queries ? &queries->field(f).matrix : nullptr);
}

// A sum of bounds is a bound where no weight turns it round: a fused multiply-add ascends with each of its operands,
// and so does its rounding.
bool may_look_first(const plan::Shapes& shapes) {
  constexpr std::uint64_t kFewestDims = 16;
  const bool few_queries = !shapes.self_join && shapes.query_rows <= plan::kFewQueries;
  if (few_queries || shapes.product_dims() < kFewestDims) return false;
  if (!shapes.by_fields()) return !shapes.sparse;
  return std::all_of(shapes.fields.begin(), shapes.fields.end(),
                     [](const plan::FieldShape& field) { return field.weight > 0.0f; });
}

void round_rows(const kernels::ScreenKernel& first, plan::Shapes& shapes) {
  shapes.look_speedup = first.speedup;
  const auto floats_of_row = [&](std::uint64_t dims) {
    return first.floats_of_row(static_cast<std::uint32_t>(dims + 1));
  };
  if (!shapes.by_fields()) {
    shapes.rounded_floats = floats_of_row(shapes.dims);
    return;
  }
  for (plan::FieldShape& field : shapes.fields) {
    if (field.sparse) continue;
    field.rounded_floats = floats_of_row(field.dims);
    shapes.rounded_floats += field.rounded_floats;
  }
}

}  // namespace

std::uint32_t available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::uint32_t>(std::max(1, CPU_COUNT(&set)));
}

std::uint64_t process_bytes(std::uint32_t threads) {
  const std::uint64_t process = round_up(read_process_memory().rss_bytes, plan::kProcessStepBytes);
  return std::max(process, plan::kLeastProcessBytes) + kUncountedBytes + threads * kBytesPerThread;
}

PreparedJob::PreparedJob(const JobInput& input, const JobOptions& options) {
  check_options(options);
  fields = fields_in_use(input, options);
  open_sides(fields, base, queries);
  kernel = &kernels::select_kernel(options.isa);
  screen_kernel = &kernels::select_look_kernel(options.isa);
  shapes = make_shapes(fields, *base, queries ? &*queries : nullptr, options, *kernel);
  check_pair_scoring(options, shapes);
  budget_bytes = options.budget_bytes != 0 ? options.budget_bytes : default_budget_bytes();
  shapes.sample = plan::choose_sample(shapes);
  plan = plan::make_plan(shapes, budget_bytes);
  plan_first_look();
  plan_sample();
  for (std::size_t f = 0; f < fields.size(); ++f)
    field_entries_.push_back(field_entry(fields[f], base->field(f).matrix, query_side()->field(f).matrix));
  identity_ = job_identity(field_entries_, shapes.self_join, shapes, options);
}

// The smallest budget that works is that of the simplest plan, which was the first.
void PreparedJob::make_plan_anew() {
  const std::uint64_t smallest = plan.smallest_bytes;
  plan = plan::make_plan(shapes, budget_bytes);
  plan.smallest_bytes = smallest;
}

// A first look holds rows and panels of two kinds: not where so few rows would be left to a stripe that making base
// rows ready took back what it gains.
void PreparedJob::plan_first_look() {
  const kernels::ScreenKernel& first = *screen_kernel;
  if (first.looseness == 0.0 || !may_look_first(shapes)) return;
  const plan::TilePlan without = plan;
  const plan::Shapes shapes_without = shapes;
  round_rows(first, shapes);
  shapes.query_width = first.query_width;
  shapes.base_width = first.base_width;
  shapes.sample = plan::choose_sample(shapes);
  try {
    make_plan_anew();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kBudgetTooSmall) throw;
    plan.stripe_rows = 0;
  }
  if (plan.stripe_rows >= 512 || plan.stripe_rows >= without.stripe_rows / 2) return;
  shapes = shapes_without;
  plan = without;
}

// The plan was made as if there were room for the sample it was made for.
void PreparedJob::plan_sample() {
  if (take_sample(shapes.sample)) return;
  shapes.sample = {};
  make_plan_anew();
}

// The search takes the place of the pipeline that comes after it, and more where that is too little.
bool PreparedJob::take_sample(const plan::Sample& sample) {
  shapes.sample = sample;
  sample_plan_.reset();
  if (!sample.in_use()) return true;
  const std::uint64_t lasting = plan::lasting_bytes(shapes, plan);
  for (const std::uint64_t limit : {plan.planned_bytes, budget_bytes}) try {
      sample_plan_ = plan::plan_sample_search(sample_search(0), limit - lasting);
      plan.planned_bytes = std::max(plan.planned_bytes, lasting + sample_plan_->planned_bytes);
      return true;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kBudgetTooSmall) throw;
    }
  return false;
}

plan::Shapes PreparedJob::sample_search(std::uint64_t first_row) const {
  plan::Shapes plain = shapes;
  if (plain.screen.in_use()) {
    plain.screen = {};
    plain.query_width = kernel->query_width;
    plain.base_width = kernel->base_width;
  }
  return plan::sample_search(plain, first_row);
}

void PreparedJob::take_pair_scoring(PairScoring pairs) {
  shapes.pairs = pairs;
  make_plan_anew();
  plan_sample();
}

bool PreparedJob::is_plain() const noexcept { return fields.size() == 1 && fields.front().weight == 1.0f; }

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
      (shapes.all_pairs ? storage::kNeighboursAllPairs : 0u) | (shapes.self_join ? storage::kNeighboursSelfJoin : 0u) |
      (options.min_score ? storage::kNeighboursMinScore : 0u) | (is_plain() ? 0u : storage::kNeighboursFields) |
      (shapes.renormalize ? storage::kNeighboursRenormalized : 0u);
  body.min_score = options.min_score.value_or(0.0f);
  return body;
}

JobPlan PreparedJob::describe(const JobOptions& options) const {
  const plan::Work work = plan::work_of(shapes, plan);
  JobPlan out;
  out.query_rows = shapes.query_rows;
  out.base_rows = shapes.base_rows;
  out.dims = shapes.dims;
  out.top_k = shapes.top_k;
  out.all_pairs = shapes.all_pairs;
  out.metric = options.metric;
  out.self_join = shapes.self_join;
  out.sparse = shapes.sparse;
  if (!is_plain()) out.fields = fields;
  out.renormalize = shapes.renormalize;
  out.product_dims = shapes.product_dims();
  out.threads = shapes.threads;
  out.isa = kernel->isa;
  out.budget_bytes = budget_bytes;
  out.smallest_budget_bytes = plan.smallest_bytes;
  out.planned_peak_bytes = plan.planned_bytes;
  out.stripe_rows = plan.stripe_rows;
  out.tile_columns = plan.tile_columns;
  out.stripes_total = work.stripes;
  out.tiles_total = work.tiles;
  out.spills = plan::spills(shapes, plan);
  out.pairs_total = work.pairs_total;
  out.pairs_scored = work.pairs_scored;
  out.shard = options.shard;
  out.flops = 2.0 * static_cast<double>(work.pairs_scored) * static_cast<double>(shapes.product_dims());
  out.bytes_read = work.bytes_read;
  out.bytes_spilled = work.bytes_spilled;
  if (shapes.sample.in_use()) {
    const plan::Shapes search = sample_search(0);
    out.sample_rows = shapes.sample.rows;
    out.bytes_read += shapes.sample.rows * shapes.base.bytes_read() + plan::work_of(search, *sample_plan_).bytes_read;
  }
  if (shapes.plans_a_look()) out.first_look_isa = screen_kernel->name;
  out.screened = shapes.screen.in_use();
  if (out.screened) out.screen_isa = screen_kernel->name;
  out.screen_first_dims = shapes.screen.first_dims;
  out.screen_next_dims = shapes.screen.next_dims;
  out.output_bytes = checked_multiply(shapes.query_rows, shapes.top_k * (sizeof(std::uint64_t) + sizeof(float)),
                                      ErrorCode::kInvalidArgument, "the output");
  return out;
}

bool PreparedJob::is_answered_by(const storage::NeighboursFile& file, const JobOptions& options) const {
  const auto bits = [](std::optional<float> score) {
    return score ? std::optional(std::bit_cast<std::uint32_t>(*score)) : std::nullopt;
  };
  if (file.is_self_join() != shapes.self_join || file.top_k() != options.top_k || file.metric() != options.metric ||
      file.is_renormalized() != shapes.renormalize || bits(file.min_score()) != bits(options.min_score))
    return false;
  if (is_plain())
    return !file.has_fields() && file.base_identity() == field_entries_.front().base_identity &&
           file.query_identity() == field_entries_.front().query_identity;
  const std::vector<storage::FieldEntry> stored = file.load_fields();
  return stored.size() == field_entries_.size() &&
         std::memcmp(stored.data(), field_entries_.data(), stored.size() * sizeof(storage::FieldEntry)) == 0;
}

std::string work_path(const JobOptions& options, const std::string& output_path) {
  return options.work_dir.empty() ? output_path + ".work" : options.work_dir;
}

std::uint64_t smallest_budget_bytes(const JobInput& input, const JobOptions& options) {
  const std::vector<JobField> fields = fields_in_use(input, options);
  std::optional<Side> base;
  std::optional<Side> queries;
  open_sides(fields, base, queries);
  const kernels::TileKernel& kernel = kernels::select_kernel(options.isa);
  return plan::announced_budget(
      plan::smallest_budget(make_shapes(fields, *base, queries ? &*queries : nullptr, options, kernel)));
}

}  // namespace simtile::join
