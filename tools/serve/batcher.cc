#include "tools/serve/batcher.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "tools/serve/answers.h"

namespace simtile::tools::serve {
namespace {

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

Problem too_late(const Search& search) {
  return {.status = 504,
          .code = "deadline",
          .message = "the request's time was over before its turn came",
          .limit = "timeout_ms",
          .limit_value = search.request.timeout_ms};
}

}  // namespace

Batcher::Batcher(const Limits& limits, WorkerMetrics& metrics, const Log& log, Post post)
    : limits_(limits),
      metrics_(metrics),
      log_(log),
      too_many_(to_response(
          too_busy("queue_requests", limits.queue_requests, "as many searches wait as may; try again later"))),
      too_large_(to_response(too_busy("queue_bytes", limits.queue_bytes,
                                      "the searches that wait hold as much as they may; try again later"))),
      post_(std::move(post)),
      thread_([this] { run(); }) {}

Batcher::~Batcher() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  arrived_.notify_one();
  thread_.join();
}

const HttpResponse* Batcher::refusal(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const bool too_many = waiting_.size() >= limits_.queue_requests;
  if (!too_many && bytes <= limits_.queue_bytes - std::min(waiting_bytes_, limits_.queue_bytes)) return nullptr;
  add(metrics_.shed[static_cast<std::size_t>(too_many ? Shed::kQueueRequests : Shed::kQueueBytes)]);
  has_refused_ = true;
  return too_many ? &too_many_ : &too_large_;
}

void Batcher::submit(std::unique_ptr<Search> search) {
  {
    const std::lock_guard lock(mutex_);
    waiting_bytes_ += search->bytes();
    waiting_.push_back(std::move(search));
    set(metrics_.queue_requests, waiting_.size());
    set(metrics_.queue_bytes, waiting_bytes_);
  }
  arrived_.notify_one();
}

void Batcher::run() {
  Batch batch;
  while (take(batch)) {
    auto answers = std::make_shared<std::vector<Answer>>();
    drop_late(batch, *answers);
    if (!batch.empty()) search(batch, *answers);
    batch.clear();
    post_([answers] {
      for (Answer& answer : *answers) answer.respond(std::move(answer.response));
    });
  }
}

// The search that has waited longest, and all others that its pass can serve, as far as they fit. False at the end.
bool Batcher::take(Batch& batch) {
  std::unique_lock lock(mutex_);
  const bool others_join = last_batch_ > 1 || !waiting_.empty();
  arrived_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
  if (others_join) let_others_join(lock);
  if (stop_) return false;
  std::uint64_t queries = 0;
  std::deque<std::unique_ptr<Search>> left;
  for (std::unique_ptr<Search>& search : waiting_) {
    const bool fits = batch.empty() || (search->version == batch.front()->version &&
                                        search->request.metric == batch.front()->request.metric &&
                                        queries + search->queries() <= limits_.pass_queries);
    if (!fits) {
      left.push_back(std::move(search));
      continue;
    }
    queries += search->queries();
    waiting_bytes_ -= search->bytes();
    batch.push_back(std::move(search));
  }
  waiting_.swap(left);
  last_batch_ = batch.size();
  set(metrics_.queue_requests, waiting_.size());
  set(metrics_.queue_bytes, waiting_bytes_);
  return true;
}

void Batcher::let_others_join(std::unique_lock<std::mutex>& lock) {
  constexpr double kShareOfAPass = 1.0 / 16.0, kLongestSeconds = 0.005;
  const std::chrono::duration<double> wait(std::min(last_pass_seconds_ * kShareOfAPass, kLongestSeconds));
  arrived_.wait_for(lock, wait, [this] { return stop_ || waiting_.size() >= limits_.pass_queries; });
}

void Batcher::drop_late(Batch& batch, std::vector<Answer>& answers) {
  const Clock::time_point now = Clock::now();
  std::erase_if(batch, [&](std::unique_ptr<Search>& search) {
    metrics_.queue_seconds.observe(kSecondsBuckets, seconds_between(search->arrived, now));
    if (now < search->deadline) return false;
    add(metrics_.shed[static_cast<std::size_t>(Shed::kDeadline)]);
    answers.push_back({std::move(search->respond), to_response(too_late(*search))});
    return true;
  });
}

void Batcher::search(const Batch& batch, std::vector<Answer>& answers) {
  std::optional<HttpResponse> failure = unless_it_fails(*batch.front(), [&] { pass(batch); });
  std::size_t first = 0;
  for (const std::unique_ptr<Search>& search : batch) {
    HttpResponse response;
    const auto describe = [&] {
      response.body = search_answer(search->index, *search->version, search->request, results_, first);
    };
    if (failure)
      response = *failure;
    else if (std::optional<HttpResponse> own = unless_it_fails(*search, describe))
      response = std::move(*own);
    answers.push_back({std::move(search->respond), std::move(response)});
    first += search->queries();
  }
}

// Reading an index fails when its file was damaged or written to.
std::optional<HttpResponse> Batcher::unless_it_fails(const Search& search, const std::function<void()>& work) const {
  try {
    work();
    return std::nullopt;
  } catch (const std::exception& error) {
    log_.error("search failed", {{"index", search.index}, {"error", error.what()}});
    return to_response({.status = 500, .code = "index_unreadable", .message = error.what()});
  }
}

void Batcher::pass(const Batch& batch) {
  const IndexVersion& version = *batch.front()->version;
  const std::size_t columns = static_cast<std::size_t>(version.info.columns);
  queries_.clear();
  for (const std::unique_ptr<Search>& search : batch) {
    const std::span<const std::uint64_t> excluded(search->excluded_rows);
    std::size_t begin = 0;
    for (std::size_t q = 0; q < search->queries(); ++q) {
      const std::size_t end = search->excluded_ends[q];
      queries_.push_back({std::span(search->request.vectors).subspan(q * columns, columns), search->request.top_k,
                          search->request.min_score, excluded.subspan(begin, end - begin)});
      begin = end;
    }
  }
  const Clock::time_point start = Clock::now();
  version.base.search(queries_, batch.front()->request.metric, results_);
  last_pass_seconds_ = seconds_between(start, Clock::now());
  metrics_.pass_seconds.observe(kSecondsBuckets, last_pass_seconds_);
  metrics_.pass_queries.observe(kQueriesBuckets, static_cast<double>(queries_.size()));
  add(metrics_.rows_scanned, version.info.rows);
  add(metrics_.bytes_scanned, version.info.rows * version.info.row_stride_bytes);
}

}  // namespace simtile::tools::serve
