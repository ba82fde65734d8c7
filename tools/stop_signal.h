// SIGINT and SIGTERM as a flag, for verbs that can stop in good order. A second SIGINT ends the process at once; more
// SIGTERMs change nothing.
#pragma once

#include <atomic>
#include <string>

namespace simtile::tools {

// Installs the handlers and gives the flag that they set.
const std::atomic<bool>& stop_on_signals();
bool is_stopped() noexcept;
// Throws Error(kInterrupted) once the flag is set; `what_next` says what to do.
void throw_if_stopped(const std::string& what_next);

}  // namespace simtile::tools
