// A stripe's query rows, made ready once to meet every tile: dense rows as panels (kernels/tile_kernel.h), sparse rows
// as they are stored (l2), several fields as field_stripe.h says.
//
// Threads: pack() from one thread; afterwards read by all.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/join/field_stripe.h"
#include "engine/join/rounded_rows.h"
#include "engine/join/screen_panels.h"
#include "engine/join/side.h"
#include "engine/kernels/tile_kernel.h"
#include "engine/memory/lease.h"
#include "engine/plan/tile_plan.h"
#include "engine/screen/few_query_look.h"

namespace simtile::join {

class Stripe {
 public:
  Stripe(PageBudget& budget, const plan::Shapes& shapes, const plan::TilePlan& plan, const kernels::TileKernel& kernel,
         const kernels::ScreenKernel& screen_kernel, Metric metric);

  // Packs query rows [begin, end) over whatever was packed before.
  void pack(Side& queries, std::uint64_t begin, std::uint64_t end);

  std::uint64_t begin() const noexcept { return begin_; }
  std::uint64_t end() const noexcept { return end_; }
  std::uint64_t rows() const noexcept { return end_ - begin_; }

  // Dense: the panel that starts with row begin() + panel * query_width.
  const float* panel(std::uint64_t panel) const noexcept { return panels_.as<float>() + panel * panel_floats_; }

  // Screened: the panels of the screen, and each row's kept coordinates (scaled) and its values as the definition takes
  // them; rows counted from begin().
  const ScreenPanels& screen() const noexcept { return screen_; }
  const float* coordinates() const noexcept { return coordinates_.as<float>(); }
  // Where a row stands in the panels.
  std::uint32_t place_of(std::uint64_t stripe_row) const noexcept { return places_.as<std::uint32_t>()[stripe_row]; }
  const float* row(std::uint64_t stripe_row) const noexcept { return rows_.as<float>() + stripe_row * dims_; }

  // Few queries: their first look at base rows.
  const screen::FewQueryLook& few_query_look() const noexcept { return *few_query_look_; }

  // With a first look (Shapes::rounded_floats): all that is made of the rows.
  const RoundedRows& rounded() const noexcept { return *rounded_; }

  // Dense, l2: the squared norm of a row counted from begin().
  double squared_norm(std::uint64_t stripe_row) const noexcept {
    if (rounded_) return rounded_->squared_norms()[stripe_row];
    return screened_.in_use() ? screen_.squared_norms()[stripe_row] : norms_.as<double>()[stripe_row];
  }

  // A job by fields.
  const FieldStripe& fields() const noexcept { return *fields_; }

  // Sparse, l2: a row counted from begin(), as stored.
  SparseRow sparse_row(std::uint64_t stripe_row) const noexcept;

 private:
  void pack_dense(Side& queries);
  void pack_screened(Side& queries);
  void pack_rounded(Side& queries);
  void pack_sparse_rows(Side& queries);

  Metric metric_;
  plan::ScreenShape screened_;
  std::uint32_t panel_width_;
  kernels::PackPanel pack_panel_;
  std::uint64_t dims_;
  std::uint64_t rows_at_once_;
  std::uint64_t panel_floats_ = 0;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
  BudgetedMemory panels_;
  BudgetedMemory scratch_;  // one panel's rows, decoded
  BudgetedMemory norms_;    // squared, for l2
  ScreenPanels screen_;
  BudgetedMemory coordinates_;
  BudgetedMemory places_;
  BudgetedMemory rows_;          // of few queries, too
  BudgetedMemory integer_rows_;  // of few queries
  std::optional<screen::FewQueryLook> few_query_look_;
  std::optional<RoundedRows> rounded_;
  BudgetedMemory values_;  // sparse
  BudgetedMemory columns_;
  BudgetedMemory ends_;
  std::optional<FieldStripe> fields_;
};

// Packs rows [first, first + rows) of a window into panels of the given width, one after the other. `scratch` holds
// width x dims floats.
void pack_panels(const DenseRows::Window& window, std::uint64_t first, std::uint64_t rows, std::uint32_t width,
                 std::uint64_t dims, kernels::PackPanel pack, float* scratch, float* panels);

// The squared norms of a panel's rows.
void panel_norms(const float* panel, std::uint32_t width, std::uint64_t dims, double* norms) noexcept;

}  // namespace simtile::join
