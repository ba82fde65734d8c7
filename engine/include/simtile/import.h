// Brings foreign files into matrix files, and makes synthetic ones, streaming in bounded memory whatever their size.
//
// Threads: each call is independent; calls that write different files may run at once.
// Errors (simtile::Error): kCorrupt when the input is damaged, is not what it says, or holds NaN or infinity (with row
// and column); kInvalidArgument for options that make no sense; kIo when the system refuses. The destination appears
// whole or not at all, and an older file of that name stays until then.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "simtile/types.h"

namespace simtile {

struct ImportOptions {
  // "auto" goes by the file's name and first bytes. Others: npy npz fvecs bvecs ivecs fbin f16bin u8bin i8bin mtx
  // safetensors glove hdf5 text.
  std::string format = "auto";
  // Element type of the matrix file; when absent, the nearest to the source's own (f32 for f64 and integers of 32
  // bits).
  std::optional<ElementType> element_type;
  // A file with one id a line, as many as rows; replaces ids that the source itself has. They are kept as u64 when
  // every one of them is a decimal number below 2^64 without leading zeros, else all are strings.
  std::string ids_path;
  // Member of an .npz, tensor of a .safetensors, dataset of an .hdf5; when empty, the only matrix or the usual name.
  std::string dataset;
  // Scale each row to Euclidean norm one (a zero row stays zero).
  bool normalize = false;
  // Text alone (docs/text.md): 0 makes a sparse matrix of hashed TF-IDF with `text_hash_columns` columns; otherwise a
  // dense one with this many columns, by signed hashing.
  std::uint64_t text_dims = 0;
  std::uint64_t text_hash_columns = std::uint64_t{1} << 20;
  // Called now and then with the rows written so far and the rows in all (0 when not known beforehand).
  std::function<void(std::uint64_t rows_done, std::uint64_t rows_total)> progress{};
};

struct ImportSummary {
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  std::uint64_t nonzeros = 0;  // sparse only
  std::string format;          // the format that was read
  ElementType element_type = ElementType::kF32;
  bool sparse = false;
  bool has_ids = false;
};

// Reads `source_path` ("-" is standard input for text) and publishes a matrix file at `destination_path`.
ImportSummary import_matrix(const std::string& source_path, const std::string& destination_path,
                            const ImportOptions& options);

struct GenerateOptions {
  enum class Kind { kGaussian, kClustered, kSparse };
  Kind kind = Kind::kGaussian;
  std::uint64_t rows = 0;
  std::uint64_t dims = 0;
  std::uint64_t seed = 1;
  // u8 takes 128 + 32 times the value, rounded and clamped; sparse ones are f32.
  ElementType element_type = ElementType::kF32;
  // Clustered: rows lie around this many centres (0: about the square root of rows), at `cluster_spread` times the
  // distance between centres.
  std::uint64_t clusters = 0;
  double cluster_spread = 0.3;
  // Sparse: about this many non-zeros a row, their columns drawn by a Zipf law with this exponent (0 to 8);
  // column 0 is the most frequent.
  double nonzeros_per_row = 40.0;
  double zipf_exponent = 1.0;
  std::function<void(std::uint64_t rows_done, std::uint64_t rows_total)> progress{};
};

// Makes the same matrix from the same options on every machine: row i depends on the options and i alone.
ImportSummary generate_matrix(const std::string& destination_path, const GenerateOptions& options);

}  // namespace simtile
