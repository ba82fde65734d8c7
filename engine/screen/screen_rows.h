// Windows of a screen file's rows, leased.
//
// Threads: window() may be called from several threads at once; a Window belongs to one thread at a time.
// Lifetime: the PageBudget must outlive the ScreenRows, and it its windows. Errors: as Lease.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/memory/lease.h"
#include "engine/screen/basis.h"
#include "engine/screen/screen_margin.h"
#include "engine/storage/screen_file.h"

namespace simtile::screen {

class ScreenRows {
 public:
  ScreenRows(const std::string& path, PageBudget& budget);
  ScreenRows(const ScreenRows&) = delete;
  ScreenRows& operator=(const ScreenRows&) = delete;

  class Window {
   public:
    void load(std::uint64_t first, std::uint64_t rows);
    void close();
    // A row's coordinates; the next row's lie prefix_dims() floats on.
    const float* prefix(std::uint64_t row_in_window) const noexcept;
    // The bound on what the first `dims` coordinates leave out; dims is a multiple of kScreenStep.
    float residual_norm(std::uint64_t row_in_window, std::uint64_t dims) const noexcept;
    double norm(std::uint64_t row_in_window) const noexcept;
    // ScreenMargin::slack_coordinate
    float slack_coordinate(double norm) const noexcept { return margin_->slack_coordinate(norm); }

   private:
    friend class ScreenRows;
    std::uint64_t prefix_dims_ = 0;
    const ScreenMargin* margin_ = nullptr;
    Lease prefixes_;
    Lease residuals_;
    Lease norms_;
  };

  Window window(std::uint64_t first_row, std::uint64_t rows);
  // Asks the kernel to read these rows soon.
  void prefetch(std::uint64_t first_row, std::uint64_t rows) noexcept;
  const storage::ScreenBody& body() const noexcept { return file_.body(); }
  std::uint64_t prefix_dims() const noexcept { return file_.body().prefix_dims; }
  const storage::ScreenFile& file() const noexcept { return file_; }
  const ScreenMargin& margin() const noexcept { return margin_; }
  // The directions that its coordinates are along.
  Basis load_basis(PageBudget& budget);
  std::uint64_t loaded_bytes() const noexcept;

 private:
  storage::ScreenFile file_;
  ScreenMargin margin_;
  std::shared_ptr<const std::vector<std::uint64_t>> checksums_;
  LeasedSection prefixes_;
  LeasedSection residuals_;
  LeasedSection norms_;
  LeasedSection basis_;
};

}  // namespace simtile::screen
