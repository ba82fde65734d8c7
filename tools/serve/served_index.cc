#include "tools/serve/served_index.h"

namespace simtile::tools::serve {
namespace {

SearcherOptions searcher_options(const ServeOptions& options, std::uint32_t threads) {
  return {options.open.mode, options.open.warm, options.open.warm_bytes_per_second, options.open.lock, threads};
}

std::optional<Neighbours> open_neighbours(const IndexOptions& index, const ServeOptions& options) {
  if (index.neighbours_path.empty()) return std::nullopt;
  return Neighbours(index.neighbours_path, options.open);
}

}  // namespace

IndexVersion::IndexVersion(const Searcher& searcher, const std::optional<Neighbours>& of_rows)
    : base(searcher.snapshot()), rows(base.matrix()), info(base.info()), generation(base.generation()) {
  if (!of_rows) return;
  neighbours.emplace(of_rows->snapshot());
  neighbours_info = neighbours->info();
  neighbours_generation = neighbours->generation();
}

ServedIndex::ServedIndex(const IndexOptions& index, const ServeOptions& options, std::uint32_t threads)
    : name_(index.name),
      searcher_(index.base_path, searcher_options(options, threads)),
      neighbours_(open_neighbours(index, options)),
      version_(std::make_shared<const IndexVersion>(searcher_, neighbours_)) {}

std::shared_ptr<const IndexVersion> ServedIndex::version() const {
  const std::lock_guard lock(mutex_);
  return version_;
}

bool ServedIndex::reload() {
  const auto swap_in = [this] {
    auto next = std::make_shared<const IndexVersion>(searcher_, neighbours_);
    const std::lock_guard lock(mutex_);
    version_ = std::move(next);
  };
  // The two files are replaced one after the other: what is good is taken even when the other one is not.
  const bool base_replaced = searcher_.reload();
  if (base_replaced) swap_in();
  const bool neighbours_replaced = neighbours_ && neighbours_->reload();
  if (neighbours_replaced) swap_in();
  return base_replaced || neighbours_replaced;
}

}  // namespace simtile::tools::serve
