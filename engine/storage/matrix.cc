#include "simtile/matrix.h"

#include <utility>

#include "engine/storage/matrix_generation.h"
#include "simtile/error.h"

namespace simtile {

using storage::Generations;
using storage::MatrixGeneration;

Matrix::Matrix(const std::string& path, const OpenOptions& options)
    : state_(std::make_unique<State>(
          State{std::make_unique<Generations<MatrixGeneration>>(std::make_shared<MatrixGeneration>(path, options)),
                options})) {}
Matrix::Matrix(std::unique_ptr<State> state) : state_(std::move(state)) {}
Matrix::Matrix(Matrix&&) noexcept = default;
Matrix& Matrix::operator=(Matrix&&) noexcept = default;
Matrix::~Matrix() = default;

MatrixInfo Matrix::info() const { return state_->generations->current()->info(); }
std::uint64_t Matrix::rows() const { return state_->generations->current()->info().rows; }
std::uint64_t Matrix::columns() const { return state_->generations->current()->info().columns; }

std::vector<float> Matrix::row(std::uint64_t row) const {
  const auto generation = state_->generations->current();
  generation->check_row(row);
  std::vector<float> values(static_cast<std::size_t>(generation->info().columns));
  generation->read_row(row, values);
  generation->check_intact();
  return values;
}

void Matrix::read_row(std::uint64_t row, std::span<float> values) const {
  const auto generation = state_->generations->current();
  generation->check_row(row);
  if (const std::uint64_t columns = generation->info().columns; values.size() != columns)
    throw Error(ErrorCode::kInvalidArgument, "a row of '" + generation->file().path() + "' has " +
                                                 std::to_string(columns) + " values, but there is room for " +
                                                 std::to_string(values.size()));
  generation->read_row(row, values);
  generation->check_intact();
}

std::string Matrix::id(std::uint64_t row) const {
  const auto generation = state_->generations->current();
  generation->check_row(row);
  std::string id = generation->ids().id(row);
  generation->check_intact();
  return id;
}

std::optional<std::uint64_t> Matrix::find(std::string_view id) const {
  const auto generation = state_->generations->current();
  const std::optional<std::uint64_t> row = generation->ids().find(id);
  generation->check_intact();
  return row;
}

std::span<const std::byte> Matrix::mapped_rows() const {
  const auto generation = state_->generations->current();
  if (generation->mapped() == nullptr || generation->info().sparse) return {};
  const storage::SectionEntry& rows = *generation->file().section(storage::SectionKind::kRows);
  return {generation->mapped()->data(rows), static_cast<std::size_t>(rows.bytes)};
}

bool Matrix::reload() {
  return state_->generations->reload([this](const MatrixGeneration& old) {
    return std::make_shared<const MatrixGeneration>(old.file().path(), state_->options);
  });
}

std::uint64_t Matrix::generation() const { return state_->generations->number(); }

Matrix Matrix::snapshot() const {
  return Matrix(std::make_unique<State>(State{state_->generations->snapshot(), state_->options}));
}

}  // namespace simtile
