// What Matrix and Searcher keep open of one version of a matrix file.
//
// Threads: const methods may be called from several threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "engine/storage/generations.h"
#include "engine/storage/id_table.h"
#include "engine/storage/mapped_container.h"
#include "engine/storage/matrix_file.h"
#include "engine/storage/shared_section.h"
#include "simtile/matrix.h"

namespace simtile::storage {

class MatrixGeneration {
 public:
  MatrixGeneration(const std::string& path, const OpenOptions& options);
  MatrixGeneration(const MatrixGeneration&) = delete;
  MatrixGeneration& operator=(const MatrixGeneration&) = delete;

  const ContainerFile& container() const noexcept { return file_.container(); }
  const MatrixFile& file() const noexcept { return file_; }
  const MatrixInfo& info() const noexcept { return info_; }
  const IdTable& ids() const noexcept { return *ids_; }
  // Null when the file is streamed.
  const MappedContainer* mapped() const noexcept { return mapped_ ? &*mapped_ : nullptr; }

  void check_row(std::uint64_t row) const;
  // values.size() == columns; the row exists.
  void read_row(std::uint64_t row, std::span<float> values) const;
  // Once something was read: throws when it may not have been the file's.
  void check_intact() const {
    if (mapped_) mapped_->check_intact();
  }

 private:
  void read_dense(std::uint64_t row, std::span<float> values) const;
  void read_csr(std::uint64_t row, std::span<float> values) const;
  void scatter(std::uint64_t row, std::uint64_t first, std::uint64_t count, std::uint64_t& least_column,
               std::span<float> values) const;
  [[noreturn]] void refuse(std::uint64_t row, const std::string& why) const;

  const MatrixFile file_;
  const MatrixInfo info_;
  std::optional<MappedContainer> mapped_;
  std::optional<IdTable> ids_;
  std::optional<SharedSection> rows_, scales_;              // dense
  std::optional<SharedSection> starts_, columns_, values_;  // sparse
};

}  // namespace simtile::storage

struct simtile::Matrix::State {
  std::unique_ptr<storage::Generations<storage::MatrixGeneration>> generations;
  OpenOptions options;
};
