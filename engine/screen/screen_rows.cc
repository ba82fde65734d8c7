#include "engine/screen/screen_rows.h"

#include <cstring>

#include "simtile/error.h"

namespace simtile::screen {

using storage::kScreenStep;
using storage::SectionKind;

ScreenRows::ScreenRows(const std::string& path, PageBudget& budget)
    : file_(storage::ScreenFile::open(path)),
      margin_(file_.body().columns, file_.body().prefix_dims, file_.body().basis_error),
      checksums_(std::make_shared<const std::vector<std::uint64_t>>(file_.container().load_checksums())),
      prefixes_(file_.container(), file_.section(SectionKind::kRowPrefixes), checksums_, budget),
      residuals_(file_.container(), file_.section(SectionKind::kResidualNorms), checksums_, budget),
      norms_(file_.container(), file_.section(SectionKind::kRowNorms), checksums_, budget),
      basis_(file_.container(), file_.section(SectionKind::kBasis), checksums_, budget) {}

Basis ScreenRows::load_basis(PageBudget& budget) {
  Basis basis;
  basis.columns = file_.body().columns;
  basis.prefix_dims = prefix_dims();
  basis.error = file_.body().basis_error;
  const std::uint64_t bytes = basis.prefix_dims * basis.columns * sizeof(float);
  basis.directions = BudgetedMemory(budget, bytes);
  Lease lease = basis_.lease(0, bytes);
  lease.load(0, bytes);
  std::memcpy(basis.directions.as<std::byte>(), lease.data(), bytes);
  lease.close();
  if (basis.xxh3() != file_.body().basis_xxh3)
    throw Error(ErrorCode::kCorrupt, "'" + file_.container().path() +
                                         "' names other directions than it holds; make it again with 'simtile screen'");
  return basis;
}

ScreenRows::Window ScreenRows::window(std::uint64_t first_row, std::uint64_t rows) {
  Window window;
  window.prefix_dims_ = prefix_dims();
  window.margin_ = &margin_;
  const std::uint64_t prefix_bytes = prefix_dims() * sizeof(float);
  const std::uint64_t residual_bytes = file_.steps() * sizeof(float);
  window.prefixes_ = prefixes_.lease(first_row * prefix_bytes, rows * prefix_bytes);
  window.residuals_ = residuals_.lease(first_row * residual_bytes, rows * residual_bytes);
  window.norms_ = norms_.lease(first_row * sizeof(double), rows * sizeof(double));
  return window;
}

void ScreenRows::prefetch(std::uint64_t first_row, std::uint64_t rows) noexcept {
  const std::uint64_t prefix_bytes = prefix_dims() * sizeof(float);
  const std::uint64_t residual_bytes = file_.steps() * sizeof(float);
  prefixes_.prefetch(first_row * prefix_bytes, rows * prefix_bytes);
  residuals_.prefetch(first_row * residual_bytes, rows * residual_bytes);
  norms_.prefetch(first_row * sizeof(double), rows * sizeof(double));
}

void ScreenRows::Window::load(std::uint64_t first, std::uint64_t rows) {
  const std::uint64_t prefix_bytes = prefix_dims_ * sizeof(float);
  const std::uint64_t residual_bytes = prefix_dims_ / kScreenStep * sizeof(float);
  prefixes_.load(first * prefix_bytes, rows * prefix_bytes);
  residuals_.load(first * residual_bytes, rows * residual_bytes);
  norms_.load(first * sizeof(double), rows * sizeof(double));
}

void ScreenRows::Window::close() {
  prefixes_.close();
  residuals_.close();
  norms_.close();
}

const float* ScreenRows::Window::prefix(std::uint64_t row_in_window) const noexcept {
  return reinterpret_cast<const float*>(prefixes_.data()) + row_in_window * prefix_dims_;
}

float ScreenRows::Window::residual_norm(std::uint64_t row_in_window, std::uint64_t dims) const noexcept {
  return reinterpret_cast<const float*>(residuals_.data())[(row_in_window * prefix_dims_ + dims) / kScreenStep - 1];
}

double ScreenRows::Window::norm(std::uint64_t row_in_window) const noexcept {
  return reinterpret_cast<const double*>(norms_.data())[row_in_window];
}

std::uint64_t ScreenRows::loaded_bytes() const noexcept {
  return prefixes_.loaded_bytes() + residuals_.loaded_bytes() + norms_.loaded_bytes();
}

}  // namespace simtile::screen
