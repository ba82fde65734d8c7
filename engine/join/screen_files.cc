// The public face of screen files: simtile/screen.h.
#include "engine/join/prepared_job.h"
#include "engine/memory/process_memory.h"
#include "engine/screen/screen_builder.h"
#include "engine/storage/container_writer.h"
#include "engine/storage/screen_file.h"
#include "simtile/error.h"
#include "simtile/screen.h"

namespace simtile {
namespace {

ScreenInfo info_of(const storage::ScreenFile& file) {
  const storage::ScreenBody& body = file.body();
  return {body.rows,
          body.columns,
          body.prefix_dims,
          body.smallest_norm,
          body.largest_norm,
          body.matrix_identity,
          file.container().header().file_bytes,
          file.container().identity()};
}

}  // namespace

std::string default_screen_path(const std::string& matrix_path) { return matrix_path + ".screen"; }

ScreenInfo read_screen_info(const std::string& screen_path) { return info_of(storage::ScreenFile::open(screen_path)); }

ScreenInfo build_screen(const std::string& matrix_path, const ScreenOptions& options) {
  const std::string path = options.output_path.empty() ? default_screen_path(matrix_path) : options.output_path;
  storage::check_output_path(path, {matrix_path});
  join::Side side(storage::MatrixFile::open(matrix_path));
  const storage::MatrixFile& matrix = side.matrix;
  if (matrix.is_sparse() || matrix.columns() < screen::kFewestColumns || matrix.rows() < screen::kFewestRows)
    throw Error(ErrorCode::kInvalidArgument, "'" + matrix_path +
                                                 "' can have no screen: that takes dense rows, at least " +
                                                 std::to_string(screen::kFewestRows) + " of them, of at least " +
                                                 std::to_string(screen::kFewestColumns) + " columns");
  const kernels::TileKernel& kernel = kernels::select_kernel(options.isa);
  const std::uint32_t threads = options.threads != 0 ? options.threads : join::available_processors();
  PageBudget budget(options.budget_bytes != 0 ? options.budget_bytes : default_budget_bytes());
  budget.charge(join::process_bytes(threads));
  side.open_rows(budget, false);
  const screen::Basis basis =
      screen::find_basis(budget, kernel, *side.dense, matrix.rows(), matrix.columns(), {threads, options.stop});
  screen::BuildOptions build;
  build.threads = threads;
  build.stop = options.stop;
  if (!screen::build_screen(budget, kernel, matrix, *side.dense, basis, path, build))
    throw Error(ErrorCode::kInvalidArgument,
                "'" + matrix_path + "' can have no screen: it has rows shorter than 1e-12 or longer than 1e15");
  return read_screen_info(path);
}

}  // namespace simtile
