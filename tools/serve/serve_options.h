// What `simtile serve` is told: every limit by name, with its unit and its default.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "simtile/open.h"

namespace simtile::tools::serve {

struct IndexOptions {
  std::string name;
  std::string base_path;        // .emb
  std::string neighbours_path;  // .knn; empty: none
};

struct Limits {
  std::uint64_t body_bytes = 8 << 20;          // of a request
  std::uint64_t top_k = 1000;                  // of a search
  std::uint64_t batch_queries = 1024;          // of a request
  std::uint64_t excluded_ids = 10'000;         // of a request
  std::uint64_t json_depth = 8;                // of a request
  std::uint64_t answer_bytes = 64 << 20;       // of a search's answer, estimated before it is searched for
  std::uint64_t queue_requests = 1024;         // searches that wait, for each worker
  std::uint64_t queue_bytes = 64 << 20;        // what they hold
  std::uint64_t pass_queries = 512;            // searched for in one pass over a base
  std::uint64_t incoming_bytes = 256 << 20;    // bodies that arrive, on all connections of a worker
  std::uint64_t outgoing_bytes = 256 << 20;    // answers on their way: beyond it no search is taken on
  std::uint64_t connections = 4096;            // for each worker
  std::uint64_t header_timeout_ms = 5'000;     // from a request's first byte to the end of its header
  std::uint64_t body_timeout_ms = 20'000;      // from there to the end of its body
  std::uint64_t write_timeout_ms = 20'000;     // for an answer to be taken
  std::uint64_t idle_timeout_ms = 60'000;      // between requests
  std::uint64_t default_timeout_ms = 10'000;   // a search's deadline where the request gives none
  std::uint64_t largest_timeout_ms = 120'000;  // that a request may ask for
};

struct ServeOptions {
  std::vector<IndexOptions> indexes;
  std::string address = "127.0.0.1";
  std::uint16_t port = 2727;  // 0: one that the system picks
  bool tcp = true;
  std::string unix_socket_path;  // empty: none
  std::uint32_t workers = 1;
  std::uint32_t threads = 0;  // that compute, in each worker; 0: the processors, shared among the workers
  OpenOptions open;
  Limits limits;
  std::uint64_t cache_bytes = 0;  // of results, for each worker; 0: no cache
  std::uint64_t watch_ms = 1000;  // between looks at whether a file was replaced; 0: on SIGHUP alone
  std::uint64_t drain_ms = 30'000;
  std::string token_path;
  bool json_logs = false;
};

}  // namespace simtile::tools::serve
