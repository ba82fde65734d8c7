// What each endpoint does: from a request to its answer, at once or, for searches, through the batcher.
//
// Threads: the event loop's alone. `aside` is for what would hold the loop up.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/serve/batcher.h"
#include "tools/serve/http.h"
#include "tools/serve/log.h"
#include "tools/serve/metrics.h"
#include "tools/serve/result_cache.h"
#include "tools/serve/search_request.h"
#include "tools/serve/serve_options.h"
#include "tools/serve/served_index.h"
#include "tools/serve/url.h"

namespace simtile::tools::serve {

using Indexes = std::vector<std::unique_ptr<ServedIndex>>;

class Service {
 public:
  using Run = std::function<void(std::function<void()>)>;
  // `token`: empty where none is asked for. `loop` runs a function on the loop's thread, `aside` on another.
  Service(const ServeOptions& options, std::string token, const SharedMetrics& metrics, std::uint32_t worker,
          const Log& log, Run loop, Run aside);

  // The indexes are open and warm: from now on searches are answered.
  void begin_serving(std::shared_ptr<const Indexes> indexes);
  // New searches are turned away; what was taken on is finished.
  void begin_draining() noexcept { draining_ = true; }
  bool is_draining() const noexcept { return draining_; }
  // Requests that were taken on and not answered yet.
  std::uint64_t unanswered() const noexcept { return unanswered_; }
  // Whether a search was refused, for want of room, since this was last asked.
  bool has_refused() noexcept { return batcher_.has_refused(); }

  void handle(HttpRequest request, Respond respond);

 private:
  struct Call;
  Endpoint route(const Url& url) const;
  void answer(const std::shared_ptr<Call>& call);
  void search(const std::shared_ptr<Call>& call);
  void neighbours(const std::shared_ptr<Call>& call);
  void indexes(const std::shared_ptr<Call>& call);
  void ready(const std::shared_ptr<Call>& call);
  void metrics_page(const std::shared_ptr<Call>& call);
  const ServedIndex& index_named(const std::string& name) const;
  std::unique_ptr<Search> prepare(const std::shared_ptr<Call>& call, SearchRequest request,
                                  std::shared_ptr<const IndexVersion> version);
  bool is_authorized(const HttpRequest& request) const noexcept;

  const ServeOptions& options_;
  const std::string authorization_;  // the header's value that opens the door; empty: it stands open
  const SharedMetrics& all_metrics_;
  WorkerMetrics& metrics_;
  const Log& log_;
  Run loop_, aside_;
  std::vector<std::string> index_names_;
  std::shared_ptr<const Indexes> indexes_;
  SearchRequestParser parser_;
  ResultCache cache_;
  std::uint64_t unanswered_ = 0;
  bool draining_ = false;
  Batcher batcher_;
};

}  // namespace simtile::tools::serve
