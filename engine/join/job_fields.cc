#include "engine/join/job_fields.h"

#include <algorithm>
#include <cmath>

#include "engine/base/names.h"
#include "engine/storage/container_writer.h"
#include "engine/storage/id_table.h"
#include "engine/storage/neighbours_layout.h"
#include "simtile/error.h"
#include "simtile/screen.h"

namespace simtile::join {
namespace {

using storage::IdKind;
using storage::MatrixFile;
using storage::SectionKind;

// A sum is renormalised by a table of every set of fields.
constexpr std::size_t kMostRenormalizedFields = 16;

[[noreturn]] void refuse(const std::string& why) { throw Error(ErrorCode::kInvalidArgument, why); }

void check_name(const std::string& name) {
  if (!is_plain_name(name) || name.size() > storage::kMostFieldNameBytes)
    refuse("'" + name + "' cannot name a field; use 1 to " + std::to_string(storage::kMostFieldNameBytes) +
           " letters, digits, '_', '-' or '.'");
}

void check_fields(const std::vector<JobField>& fields, const JobOptions& options) {
  for (std::size_t f = 0; f < fields.size(); ++f) {
    const JobField& field = fields[f];
    check_name(field.name);
    for (std::size_t earlier = 0; earlier < f; ++earlier)
      if (fields[earlier].name == field.name)
        refuse("two fields are named '" + field.name + "'; give each its own name");
    if (!std::isfinite(field.weight)) refuse("the weight of field '" + field.name + "' is not a finite 32-bit number");
    if (options.renormalize && field.weight < 0.0f)
      refuse("the weight of field '" + field.name +
             "' is negative, which cannot be renormalised; give weights above 0");
    if (field.queries_path.empty() != fields.front().queries_path.empty())
      refuse("field '" + (field.queries_path.empty() ? field.name : fields.front().name) +
             "' has no queries, but another field has; give a query file for each field or for none");
  }
}

bool hold_the_same(const MatrixFile& a, const MatrixFile& b, SectionKind kind) {
  const storage::SectionEntry* in_a = a.section(kind);
  const storage::SectionEntry* in_b = b.section(kind);
  if (in_a == nullptr || in_b == nullptr) return in_a == in_b;
  if (in_a->bytes != in_b->bytes) return false;
  const std::vector<std::uint64_t> hashes_a = a.container().load_checksums();
  const std::vector<std::uint64_t> hashes_b = b.container().load_checksums();
  return std::equal(
      hashes_a.begin() + static_cast<std::ptrdiff_t>(in_a->first_block),
      hashes_a.begin() + static_cast<std::ptrdiff_t>(in_a->first_block + storage::ContainerFile::block_count(*in_a)),
      hashes_b.begin() + static_cast<std::ptrdiff_t>(in_b->first_block));
}

[[noreturn]] void refuse_ids(std::uint64_t row, const std::string& in_a, const std::string& in_b, const MatrixFile& a,
                             const MatrixFile& b) {
  refuse("row " + std::to_string(row) + " is '" + in_a + "' in '" + a.path() + "' but '" + in_b + "' in '" + b.path() +
         "'; fields must have the same rows in the same order");
}

// Sections of equal hashes hold equal ids; otherwise the ids are read until two differ.
void check_ids(const MatrixFile& a, const MatrixFile& b) {
  if (a.id_kind() == b.id_kind() && hold_the_same(a, b, SectionKind::kIds) &&
      hold_the_same(a, b, SectionKind::kIdOffsets))
    return;
  const auto ids_of = [](const MatrixFile& matrix) {
    return storage::IdTable({&matrix.container(), nullptr, true}, matrix.id_kind(), storage::kRowIds, matrix.rows());
  };
  const storage::IdTable ids_a = ids_of(a);
  const storage::IdTable ids_b = ids_of(b);
  for (std::uint64_t row = 0; row < a.rows(); ++row) {
    const std::string id_a = ids_a.id(row);
    const std::string id_b = ids_b.id(row);
    if (id_a != id_b) refuse_ids(row, id_a, id_b, a, b);
  }
}

}  // namespace

std::vector<std::string> files_read(const JobInput& input) {
  std::vector<std::string> paths;
  const auto add = [&](const std::string& matrix_path) {
    if (!matrix_path.empty()) paths.insert(paths.end(), {matrix_path, default_screen_path(matrix_path)});
  };
  add(input.base_path);
  add(input.queries_path);
  for (const JobField& field : input.fields) {
    add(field.base_path);
    add(field.queries_path);
  }
  return paths;
}

void check_output(const std::string& output_path, const JobInput& input) {
  if (output_path.empty()) refuse("the output has no name");
  storage::check_output_path(output_path, files_read(input));
}

std::vector<JobField> fields_in_use(const JobInput& input, const JobOptions& options) {
  if (input.fields.empty()) return {{"", input.base_path, input.queries_path, 1.0f}};
  if (!input.base_path.empty() || !input.queries_path.empty()) refuse("give matrix files or fields, not both");
  check_fields(input.fields, options);
  std::vector<JobField> used;
  for (const JobField& field : input.fields)
    if (field.weight != 0.0f) used.push_back(field);
  if (used.empty()) refuse("every field has weight 0; give one of them another weight");
  if (options.renormalize && used.size() > kMostRenormalizedFields)
    refuse("--renormalize takes at most " + std::to_string(kMostRenormalizedFields) + " fields");
  return used;
}

void open_side(const std::vector<JobField>& fields, std::string JobField::*path, std::optional<Side>& side) {
  side.emplace(MatrixFile::open(fields.front().*path));
  const MatrixFile* with_ids = &side->matrix;
  for (std::size_t f = 1; f < fields.size(); ++f) {
    side->more_fields.push_back(std::make_unique<Side>(MatrixFile::open(fields[f].*path)));
    const MatrixFile& matrix = side->more_fields.back()->matrix;
    if (matrix.rows() != side->matrix.rows())
      refuse("'" + matrix.path() + "' has " + std::to_string(matrix.rows()) + " rows, but '" + side->matrix.path() +
             "' has " + std::to_string(side->matrix.rows()) + ": row " +
             std::to_string(std::min(matrix.rows(), side->matrix.rows())) + " is in one of them alone");
    if (matrix.id_kind() == IdKind::kNone) continue;
    if (with_ids->id_kind() == IdKind::kNone)
      with_ids = &matrix;
    else
      check_ids(*with_ids, matrix);
  }
}

const MatrixFile& matrix_with_ids(Side& side) noexcept {
  for (std::size_t f = 0; f <= side.more_fields.size(); ++f)
    if (side.field(f).matrix.id_kind() != IdKind::kNone) return side.field(f).matrix;
  return side.matrix;
}

}  // namespace simtile::join
