// `simtile serve`: files over HTTP, until it is told to stop.
#include <memory>

#include "engine/base/names.h"
#include "simtile/byte_size.h"
#include "simtile/error.h"
#include "tools/options.h"
#include "tools/serve/metrics.h"
#include "tools/serve/supervisor.h"
#include "tools/verb.h"

namespace simtile::tools {
namespace {

using serve::IndexOptions;
using serve::ServeOptions;

IndexOptions parse_index(const std::string& text) {
  const auto refuse = [&](const std::string& why) -> IndexOptions {
    throw Error(ErrorCode::kInvalidArgument, "'" + text + "' " + why + "; write NAME=BASE.emb[,neighbours=FILE.knn]");
  };
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) return refuse("names no index");
  // Clients take "." and ".." out of a path before they send it.
  const std::string name = text.substr(0, equals);
  if (!is_plain_name(name) || name == "." || name == "..")
    return refuse("has a name that is not of letters, digits, '_', '-' and '.' alone");
  IndexOptions index{name, text.substr(equals + 1), {}};
  const std::string key = ",neighbours=";
  if (const std::size_t at = index.base_path.find(key); at != std::string::npos) {
    index.neighbours_path = index.base_path.substr(at + key.size());
    index.base_path.resize(at);
    if (index.neighbours_path.empty()) return refuse("names no neighbours file");
  }
  if (index.base_path.empty()) return refuse("names no matrix file");
  return index;
}

OpenMode parse_open_mode(const std::string& word) {
  if (word == "fast") return OpenMode::kFast;
  if (word == "verify-on-touch") return OpenMode::kVerifyOnTouch;
  if (word == "full") return OpenMode::kFull;
  throw Error(ErrorCode::kInvalidArgument, "'" + word + "' is none of fast, verify-on-touch and full");
}

Warm parse_warm(const std::string& word) {
  if (word == "none") return Warm::kNone;
  if (word == "header") return Warm::kHeader;
  if (word == "full") return Warm::kFull;
  throw Error(ErrorCode::kInvalidArgument, "'" + word + "' is none of none, header and full");
}

void add_size(CLI::App& app, const char* name, std::uint64_t* bytes, const char* description) {
  add_parsed(app, name, "SIZE", description, [bytes](const std::string& text) { *bytes = parse_byte_size(text); });
}

struct ServeArguments {
  ServeOptions options;
  std::uint64_t workers = 1, threads = 0, port = 2727;
  bool no_tcp = false;
};

void add_where(CLI::App& app, ServeArguments* arguments) {
  ServeOptions& options = arguments->options;
  app.add_option("--index", "An index: its name, its matrix file and, for ready answers, its neighbours file")
      ->required()
      ->type_name("NAME=BASE.emb[,neighbours=FILE.knn]")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->each([&options](const std::string& text) {
        try {
          options.indexes.push_back(parse_index(text));
        } catch (const Error& error) {
          throw CLI::ValidationError("--index", error.what());
        }
      });
  add_count(app, "--workers", &arguments->workers, 1, "Worker processes (default: 1)");
  add_count(app, "--threads", &arguments->threads, 0,
            "Threads that search, in each worker (default: the processors, shared among the workers)");
  app.add_option("--address", options.address, "The IP address to listen on; 0.0.0.0 for all")
      ->type_name("ADDRESS")
      ->capture_default_str();
  add_count(app, "--port", &arguments->port, 0, "The port; 0: one that the system picks (default: 2727)");
  app.add_flag("--no-tcp", arguments->no_tcp, "Listen on the Unix socket alone");
  app.add_option("--unix-socket", options.unix_socket_path, "Listen on this Unix socket too")->type_name("PATH");
  app.add_option("--token-file", options.token_path,
                 "Ask for a bearer token, the file's first line, on all but /healthz and /readyz")
      ->type_name("FILE");
}

void add_memory(CLI::App& app, ServeOptions& options) {
  add_parsed(app, "--open", "fast|verify-on-touch|full",
             "Checksums: fast, verify-on-touch (default) or full (before the first answer)",
             [&options](const std::string& word) { options.open.mode = parse_open_mode(word); });
  add_parsed(app, "--warm", "none|header|full", "Bring in before the first answer: none (default), header or full",
             [&options](const std::string& word) { options.open.warm = parse_warm(word); });
  add_size(app, "--warm-rate", &options.open.warm_bytes_per_second,
           "Bytes a second for --warm full (default: no limit)");
  app.add_flag("--lock", options.open.lock, "Pin the files in memory (mlock)");
  add_size(app, "--cache", &options.cache_bytes, "Cache of results, in each worker (default: none)");
}

void add_limits(CLI::App& app, serve::Limits& limits) {
  add_size(app, "--max-body", &limits.body_bytes, "Longest body of a request (default: 8MiB)");
  add_count(app, "--max-k", &limits.top_k, 1, "Most neighbours that a query or a look-up gets (default: 1000)");
  add_count(app, "--max-batch", &limits.batch_queries, 1, "Most queries in a request (default: 1024)");
  add_count(app, "--queue-requests", &limits.queue_requests, 1, "Searches that may wait in a worker (default: 1024)");
  add_size(app, "--queue-bytes", &limits.queue_bytes, "What they may hold (default: 64MiB)");
  add_count(app, "--pass-queries", &limits.pass_queries, 1, "Queries that share a pass over the base (default: 512)");
  add_count(app, "--max-connections", &limits.connections, 1, "Connections to a worker (default: 4096)");
  add_count(app, "--timeout-ms", &limits.default_timeout_ms, 1, "A search's deadline unless it says (default: 10000)");
  add_count(app, "--header-timeout-ms", &limits.header_timeout_ms, 1, "For a request's header (default: 5000)");
  add_count(app, "--body-timeout-ms", &limits.body_timeout_ms, 1, "For a request's body (default: 20000)");
  add_count(app, "--write-timeout-ms", &limits.write_timeout_ms, 1, "For an answer to be taken (default: 20000)");
}

void finish(ServeArguments& arguments) {
  ServeOptions& options = arguments.options;
  const auto refuse = [](const std::string& why) {
    throw Error(ErrorCode::kInvalidArgument, why + "; see 'simtile serve --help'");
  };
  if (arguments.workers > 1024 || arguments.threads > 1024) refuse("at most 1024 workers, of 1024 threads");
  if (arguments.port > 65535) refuse("--port is at most 65535");
  options.workers = static_cast<std::uint32_t>(arguments.workers);
  options.threads = static_cast<std::uint32_t>(arguments.threads);
  options.port = static_cast<std::uint16_t>(arguments.port);
  options.tcp = !arguments.no_tcp;
  if (!options.tcp && options.unix_socket_path.empty()) refuse("--no-tcp needs --unix-socket");
  if (options.indexes.size() > serve::kMostIndexes)
    refuse("at most " + std::to_string(serve::kMostIndexes) + " indexes");
  for (std::size_t i = 0; i < options.indexes.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (options.indexes[i].name == options.indexes[j].name)
        refuse("two indexes are named '" + options.indexes[i].name + "'");
}

}  // namespace

Action declare_serve(CLI::App& app) {
  const auto arguments = std::make_shared<ServeArguments>();
  ServeOptions& options = arguments->options;
  add_where(app, arguments.get());
  add_memory(app, options);
  add_limits(app, options.limits);
  add_count(app, "--watch-ms", &options.watch_ms, 0,
            "Look so often for replaced files; 0: on SIGHUP alone (default: 1000)");
  add_count(app, "--drain-ms", &options.drain_ms, 0, "Longest wait for answers under way at SIGTERM (default: 30000)");
  add_parsed(app, "--log", "text|json", "text (default) or json", [&options](const std::string& word) {
    if (word != "text" && word != "json")
      throw Error(ErrorCode::kInvalidArgument, "'" + word + "' is neither text nor json");
    options.json_logs = word == "json";
  });
  return [arguments] {
    finish(*arguments);
    if (serve::run_supervisor(arguments->options) != 0)
      throw Error(ErrorCode::kIo, "a worker did not end in good order; see the log above");
  };
}

}  // namespace simtile::tools
