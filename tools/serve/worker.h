// One worker process: an event loop that accepts and answers, a thread that searches, and one for what takes long
// (opening files, looking for replaced ones, metrics).
#pragma once

#include <csignal>
#include <cstdint>
#include <string>

#include "tools/serve/log.h"
#include "tools/serve/metrics.h"
#include "tools/serve/serve_options.h"

namespace simtile::tools::serve {

struct WorkerTask {
  const ServeOptions* options;
  const SharedMetrics* metrics;
  std::uint32_t number;
  std::string token;        // that requests must bring; empty: none
  int tcp_port = -1;        // to listen on, beside the other workers (SO_REUSEPORT); -1: none
  int unix_listener = -1;   // that all workers share; -1: none
  bool is_restart = false;  // others answer meanwhile: it listens once it is ready
  sigset_t signals{};       // to block, once the worker's handlers are there
};

// Runs until SIGTERM and gives the process's exit code. SIGHUP: looks for replaced files at once.
int run_worker(const WorkerTask& task, const Log& log);

}  // namespace simtile::tools::serve
