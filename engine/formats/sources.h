// The foreign formats: one function each that opens a file as rows. Each is in a file of its own name.
//
// All check what the file says about itself against its size before they allocate anything. Errors: Error(kIo) when
// the file cannot be read, Error(kCorrupt) when it is not what it says, Error(kInvalidArgument) for a dataset that it
// does not have.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/formats/row_source.h"
#include "simtile/import.h"

namespace simtile::formats {

struct SourceRequest {
  std::string path;
  const ImportOptions& options;
  std::string spool_beside;  // spools are made in this file's folder
};

using OpenSource = std::unique_ptr<RowSource>(const SourceRequest& request);

OpenSource open_npy;            // npy.cc
OpenSource open_npz;            // npz.cc: a dense member, or scipy's CSR matrix
OpenSource open_fvecs;          // vecs.cc
OpenSource open_bvecs;          // vecs.cc
OpenSource open_ivecs;          // vecs.cc
OpenSource open_fbin;           // bin.cc
OpenSource open_f16bin;         // bin.cc
OpenSource open_u8bin;          // bin.cc
OpenSource open_i8bin;          // bin.cc
OpenSource open_matrix_market;  // matrix_market.cc
OpenSource open_safetensors;    // safetensors.cc
OpenSource open_word_vectors;   // word_vectors.cc: GloVe and word2vec text
OpenSource open_hdf5;           // hdf5.cc, or hdf5_missing.cc when built without libhdf5
OpenSource open_text;           // text.cc: hashed TF-IDF of one document a line

// Which of several candidates to read: the one the user named, or the only one. `kind` names them in messages
// ("dataset", "tensor"). Error(kInvalidArgument) for a name that is not there, or when the choice is open;
// Error(kCorrupt) when there are none.
std::string choose_dataset(const std::vector<std::string>& candidates, const std::string& wanted,
                           const std::string& path, const std::string& kind);

}  // namespace simtile::formats
