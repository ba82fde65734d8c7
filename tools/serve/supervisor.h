// The process that the operator started: it opens the sockets, starts the workers, starts those again that die, and
// passes signals on. It answers nothing itself and maps nothing.
#pragma once

#include "tools/serve/serve_options.h"

namespace simtile::tools::serve {

// Serves until SIGTERM or SIGINT, then drains; gives the exit code. SIGHUP: the workers look for replaced files.
// Throws simtile::Error for what is wrong before any worker runs.
int run_supervisor(const ServeOptions& options);

}  // namespace simtile::tools::serve
