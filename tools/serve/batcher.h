// The searches that wait, and the thread that answers them: those of the same index and metric share one pass over the
// base. While a pass runs, more arrive; so the busier the service, the more queries share a pass. Those that were
// answered tend to ask again at once: when others were waiting, the next pass gives them a moment to join it, a small
// part of what a pass takes.
//
// Threads: refusal(), has_refused() and submit() from the event loop's thread; answers come through `post`, on that
// thread too.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tools/serve/log.h"
#include "tools/serve/metrics.h"
#include "tools/serve/search_request.h"
#include "tools/serve/served_index.h"

namespace simtile::tools::serve {

using Clock = std::chrono::steady_clock;

struct Search {
  std::string index;
  std::shared_ptr<const IndexVersion> version;
  SearchRequest request;  // vectors filled in
  // For each query, where in excluded_rows its own end.
  std::vector<std::uint64_t> excluded_rows;
  std::vector<std::size_t> excluded_ends;
  Clock::time_point arrived, deadline;
  Respond respond;

  std::uint64_t queries() const noexcept { return excluded_ends.size(); }
  std::uint64_t bytes() const noexcept {
    return request.vectors.size() * sizeof(float) + excluded_rows.size() * sizeof(std::uint64_t) + sizeof(Search);
  }
};

class Batcher {
 public:
  // `post` runs a function on the event loop's thread.
  using Post = std::function<void(std::function<void()>)>;
  Batcher(const Limits& limits, WorkerMetrics& metrics, const Log& log, Post post);
  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;
  // Searches that still wait are never answered.
  ~Batcher();

  // The answer to another search of so many bytes when there is no room for it, which counts as shed; null: there is.
  // Made beforehand: a server that has too much to do should refuse cheaply.
  const HttpResponse* refusal(std::uint64_t bytes);
  // Whether any was refused since this was last asked.
  bool has_refused() noexcept { return std::exchange(has_refused_, false); }
  void submit(std::unique_ptr<Search> search);

 private:
  using Batch = std::vector<std::unique_ptr<Search>>;
  struct Answer {
    Respond respond;
    HttpResponse response;
  };

  void run();
  bool take(Batch& batch);
  void let_others_join(std::unique_lock<std::mutex>& lock);
  void drop_late(Batch& batch, std::vector<Answer>& answers);
  void search(const Batch& batch, std::vector<Answer>& answers);
  std::optional<HttpResponse> unless_it_fails(const Search& search, const std::function<void()>& work) const;
  void pass(const Batch& batch);

  const Limits& limits_;
  WorkerMetrics& metrics_;
  const Log& log_;
  const HttpResponse too_many_, too_large_;
  Post post_;
  bool has_refused_ = false;  // of the loop's thread

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable arrived_;
  std::deque<std::unique_ptr<Search>> waiting_;
  std::uint64_t waiting_bytes_ = 0;
  bool stop_ = false;

  // Of the thread alone.
  std::size_t last_batch_ = 0;
  double last_pass_seconds_ = 0.0;
  std::vector<SearchQuery> queries_;
  SearchResults results_;
  std::thread thread_;
};

}  // namespace simtile::tools::serve
