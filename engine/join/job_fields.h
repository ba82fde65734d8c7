// The matrices of a job, field by field: which of them count, and that they go together.
//
// Threads: one at a time. Errors: Error(kInvalidArgument) says which field, and which row, does not fit the others.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/join/side.h"
#include "simtile/job.h"

namespace simtile::join {

// The fields that make the answer: a plain job's matrices are one field of weight 1 without a name, and fields of
// weight 0 are left out. Throws Error(kInvalidArgument) for names, weights and files that make no sense.
std::vector<JobField> fields_in_use(const JobInput& input, const JobOptions& options);

// The job's matrix files, and where their screen files would be.
std::vector<std::string> files_read(const JobInput& input);

// Throws Error(kInvalidArgument) when the output can be no file, or is one of files_read().
void check_output(const std::string& output_path, const JobInput& input);

// Opens every field's base, or queries, as one Side: the first field's, with the others in more_fields. Throws unless
// they have as many rows, and the same ids where they have any.
void open_side(const std::vector<JobField>& fields, std::string JobField::*path, std::optional<Side>& side);

// The first of a side's matrices that has ids; the first of all when none has.
const storage::MatrixFile& matrix_with_ids(Side& side) noexcept;

}  // namespace simtile::join
