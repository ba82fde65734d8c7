// One index that a worker serves: a matrix to search, and perhaps the neighbours file that was made from it.
//
// Threads: all methods may be called from several threads at once. What snapshot() gives stays whole whatever reload()
// does meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "simtile/neighbours.h"
#include "simtile/searcher.h"
#include "tools/serve/serve_options.h"

namespace simtile::tools::serve {

// One version of the files. Immutable; all that an answer needs comes from one of these.
struct IndexVersion {
  IndexVersion(const Searcher& searcher, const std::optional<Neighbours>& neighbours);

  Searcher base;
  Matrix rows;  // of the base
  MatrixInfo info;
  std::uint64_t generation;
  std::optional<Neighbours> neighbours;
  std::optional<NeighboursInfo> neighbours_info;
  std::uint64_t neighbours_generation = 0;
};

class ServedIndex {
 public:
  // Opens the files, and warms and locks them as the options say. Throws what Searcher and Neighbours throw.
  ServedIndex(const IndexOptions& index, const ServeOptions& options, std::uint32_t threads);

  const std::string& name() const noexcept { return name_; }
  std::shared_ptr<const IndexVersion> version() const;

  // Swaps replaced files in, and says whether any was. Throws when one cannot be opened; it stays as it was.
  bool reload();

 private:
  std::string name_;
  Searcher searcher_;
  std::optional<Neighbours> neighbours_;
  mutable std::mutex mutex_;  // guards version_
  std::shared_ptr<const IndexVersion> version_;
};

}  // namespace simtile::tools::serve
