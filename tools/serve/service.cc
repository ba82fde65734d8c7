#include "tools/serve/service.h"

#include <algorithm>
#include <charconv>
#include <exception>
#include <utility>

#include "simtile/error.h"
#include "tools/serve/answers.h"
#include "tools/serve/documents.h"

namespace simtile::tools::serve {
namespace {

constexpr std::string_view kPlainText = "text/plain; charset=utf-8";

// The type itself, without parameters such as a charset.
std::string_view media_type(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (content_type.ends_with(' ')) content_type.remove_suffix(1);
  return content_type;
}

// As many as the server gives where the request does not say.
std::uint64_t wanted_top_k(const Url& url, const Limits& limits) {
  const auto parameters = parse_query(url.query);
  if (!parameters) throw bad_field("", "the target's query is not percent-encoded as it should be");
  std::uint64_t top_k = limits.top_k;
  for (const auto& [name, text] : *parameters) {
    if (name != "k") throw bad_field(name, "is no parameter here; there is k");
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), top_k);
    if (error != std::errc{} || end != text.data() + text.size() || top_k == 0)
      throw bad_field("k", "is not a whole number of 1 or more");
    if (top_k > limits.top_k) throw over_limit("top_k", limits.top_k, "k", "is " + text);
  }
  return top_k;
}

}  // namespace

// One request on its way, and how it is answered and counted.
struct Service::Call {
  HttpRequest request;
  Url url;
  Endpoint endpoint = Endpoint::kOther;
  Clock::time_point arrived;
  Respond respond;
};

Service::Service(const ServeOptions& options, std::string token, const SharedMetrics& metrics, std::uint32_t worker,
                 const Log& log, Run loop, Run aside)
    : options_(options),
      authorization_(token.empty() ? "" : "Bearer " + token),
      all_metrics_(metrics),
      metrics_(metrics.worker(worker)),
      log_(log),
      loop_(std::move(loop)),
      aside_(std::move(aside)),
      cache_(options.cache_bytes),
      batcher_(options.limits, metrics_, log, loop_) {
  for (const IndexOptions& index : options.indexes) index_names_.push_back(index.name);
}

void Service::begin_serving(std::shared_ptr<const Indexes> indexes) {
  indexes_ = std::move(indexes);
  set(metrics_.ready, 1);
}

void Service::handle(HttpRequest request, Respond respond) {
  auto call = std::make_shared<Call>();
  call->request = std::move(request);
  call->arrived = Clock::now();
  ++unanswered_;
  call->respond = [this, raw = call.get(), respond = std::move(respond)](HttpResponse response) {
    --unanswered_;
    if (draining_) response.close = true;
    const double seconds = std::chrono::duration<double>(Clock::now() - raw->arrived).count();
    count_response(metrics_, raw->endpoint, response.status, seconds);
    respond(std::move(response));
  };
  try {
    std::optional<Url> url = parse_target(call->request.target);
    if (!url) throw bad_field("", "the target is not a path, percent-encoded as it should be");
    call->url = std::move(*url);
    call->endpoint = route(call->url);
    answer(call);
  } catch (const Problem& problem) {
    call->respond(to_response(problem));
  } catch (const std::exception& error) {
    log_.error("request failed", {{"target", call->request.target}, {"error", error.what()}});
    call->respond(to_response({.status = 500, .code = "failed", .message = error.what()}));
  }
}

Endpoint Service::route(const Url& url) const {
  const std::vector<std::string>& s = url.segments;
  if (s.size() == 1) {
    if (s[0] == "healthz") return Endpoint::kHealth;
    if (s[0] == "readyz") return Endpoint::kReady;
    if (s[0] == "metrics") return Endpoint::kMetrics;
    if (s[0] == "openapi.json") return Endpoint::kOpenApi;
    if (s[0] == "docs" || s[0].empty()) return Endpoint::kDocs;
  }
  if (s.size() < 2 || s[0] != "v1" || s[1] != "indexes") return Endpoint::kOther;
  if (s.size() == 2) return Endpoint::kIndexes;
  if (s.size() == 4 && s[3] == "search") return Endpoint::kSearch;
  if (s.size() == 6 && s[3] == "items" && s[5] == "neighbours") return Endpoint::kNeighbours;
  return Endpoint::kOther;
}

void Service::answer(const std::shared_ptr<Call>& call) {
  const Endpoint endpoint = call->endpoint;
  if (endpoint == Endpoint::kOther) throw not_found("there is nothing at this path; see /docs");
  const std::string& method = call->request.method;
  // The answer to a HEAD is that to a GET; the connection leaves its body out.
  if (endpoint == Endpoint::kSearch ? method != "POST" : method != "GET" && method != "HEAD") {
    const std::string_view allowed = endpoint == Endpoint::kSearch ? "POST" : "GET, HEAD";
    HttpResponse response = to_response(
        {.status = 405, .code = "wrong_method", .message = "this path takes " + std::string(allowed) + " alone"});
    response.allow = allowed;
    call->respond(std::move(response));
    return;
  }
  // Whoever watches over the service needs no token.
  if (endpoint == Endpoint::kHealth) return call->respond({.body = "ok\n", .content_type = kPlainText});
  if (endpoint == Endpoint::kReady) return ready(call);
  if (!is_authorized(call->request))
    throw Problem{.status = 401, .code = "unauthorized", .message = "send the token: Authorization: Bearer TOKEN"};
  switch (endpoint) {
    case Endpoint::kSearch: return search(call);
    case Endpoint::kNeighbours: return neighbours(call);
    case Endpoint::kIndexes: return indexes(call);
    case Endpoint::kMetrics: return metrics_page(call);
    case Endpoint::kOpenApi: return call->respond({.body = std::string(openapi_json())});
    default: return call->respond({.body = std::string(docs_html()), .content_type = "text/html; charset=utf-8"});
  }
}

// In a time that does not depend on where the two differ.
bool Service::is_authorized(const HttpRequest& request) const noexcept {
  if (authorization_.empty()) return true;
  if (request.authorization.size() != authorization_.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < authorization_.size(); ++i)
    difference |= static_cast<unsigned char>(request.authorization[i] ^ authorization_[i]);
  return difference == 0;
}

const ServedIndex& Service::index_named(const std::string& name) const {
  if (std::find(index_names_.begin(), index_names_.end(), name) == index_names_.end())
    throw not_found("there is no index of that name; GET /v1/indexes lists them");
  const auto turn_away = [this](Shed why, const char* code, const char* message) -> Problem {
    add(metrics_.shed[static_cast<std::size_t>(why)]);
    return unavailable(code, message);
  };
  if (draining_) throw turn_away(Shed::kDraining, "draining", "the server is shutting down; ask another one");
  if (indexes_ == nullptr) throw turn_away(Shed::kNotReady, "not_ready", "the index is not open yet; try again later");
  for (const std::unique_ptr<ServedIndex>& index : *indexes_)
    if (index->name() == name) return *index;
  throw not_found("there is no index of that name");
}

void Service::search(const std::shared_ptr<Call>& call) {
  const ServedIndex& index = index_named(call->url.segments[2]);
  // Before the body is looked at: what is turned away should cost little.
  if (const HttpResponse* full = batcher_.refusal(call->request.body.size())) return call->respond(*full);
  std::shared_ptr<const IndexVersion> version = index.version();
  const std::string_view type = media_type(call->request.content_type);
  std::variant<SearchRequest, Problem> parsed;
  if (type == "application/octet-stream")
    parsed = parser_.parse_binary(call->request.body, call->url.query, version->info.columns, options_.limits);
  else if (type == "application/json" || type.empty() || type == "application/x-www-form-urlencoded")  // curl's -d
    parsed = parser_.parse_json(call->request.body, version->info.columns, options_.limits);
  else
    throw Problem{.status = 415,
                  .code = "unknown_media_type",
                  .message = "send application/json, or application/octet-stream with little-endian f32",
                  .field = "Content-Type"};
  if (auto* problem = std::get_if<Problem>(&parsed)) throw std::move(*problem);
  auto& request = std::get<SearchRequest>(parsed);
  call->request.body = {};  // or it would be held as long as the search waits

  std::optional<CacheKey> key;
  if (cache_.is_on()) {
    key = cache_key(index.name(), *version, request);
    if (std::optional<std::string> known = cache_.find(*key)) {
      add(metrics_.cache_hits);
      return call->respond({.body = std::move(*known)});
    }
    add(metrics_.cache_misses);
  }
  std::unique_ptr<Search> search = prepare(call, std::move(request), std::move(version));
  search->index = index.name();
  search->respond = [this, call, key](HttpResponse response) {
    if (key && response.status == 200) {
      cache_.keep(*key, response.body);
      set(metrics_.cache_bytes, cache_.used_bytes());
    }
    call->respond(std::move(response));
  };
  batcher_.submit(std::move(search));
}

// Looks up what the request names by id.
std::unique_ptr<Search> Service::prepare(const std::shared_ptr<Call>& call, SearchRequest request,
                                         std::shared_ptr<const IndexVersion> version) {
  auto search = std::make_unique<Search>();
  const Matrix& rows = version->rows;
  const auto columns = static_cast<std::size_t>(version->info.columns);
  std::vector<std::uint64_t> excluded;  // by all queries
  for (const std::string& id : request.exclude_ids)
    if (const auto row = rows.find(id)) excluded.push_back(*row);
  if (!request.ids.empty()) request.vectors.resize(request.ids.size() * columns);
  const std::uint64_t queries = request.queries(columns);
  if (excluded.size() * queries > options_.limits.queue_bytes / sizeof(std::uint64_t))
    throw over_limit("queue_bytes", options_.limits.queue_bytes, "exclude_ids",
                     "are too many for so many queries; send fewer of either at once");
  for (std::uint64_t q = 0; q < queries; ++q) {
    search->excluded_rows.insert(search->excluded_rows.end(), excluded.begin(), excluded.end());
    if (!request.ids.empty()) {
      const auto row = rows.find(request.ids[q]);
      if (!row) {
        Problem problem = not_found("the index has no row of that id");
        problem.field = "ids[" + std::to_string(q) + "]";
        throw problem;
      }
      rows.read_row(*row, std::span(request.vectors).subspan(q * columns, columns));
      if (request.exclude_self) search->excluded_rows.push_back(*row);
    }
    search->excluded_ends.push_back(search->excluded_rows.size());
  }
  search->arrived = call->arrived;
  search->deadline = call->arrived + std::chrono::milliseconds(request.timeout_ms);
  search->version = std::move(version);
  search->request = std::move(request);
  return search;
}

void Service::neighbours(const std::shared_ptr<Call>& call) {
  const ServedIndex& index = index_named(call->url.segments[2]);
  const std::shared_ptr<const IndexVersion> version = index.version();
  if (!version->neighbours) throw not_found("this index has no neighbours file; POST to its search instead");
  const std::uint64_t top_k = wanted_top_k(call->url, options_.limits);
  const auto row = version->neighbours->find(call->url.segments[4]);
  if (!row) throw not_found("the neighbours file has no row of that id");
  call->respond({.body = neighbours_answer(index.name(), *version, *row, top_k)});
}

void Service::indexes(const std::shared_ptr<Call>& call) {
  std::string body = "{\"indexes\":[";
  if (indexes_ != nullptr)
    for (const std::unique_ptr<ServedIndex>& index : *indexes_) {
      if (body.back() != '[') body += ',';
      body += index_description(index->name(), *index->version());
    }
  call->respond({.body = body + "]}\n"});
}

void Service::ready(const std::shared_ptr<Call>& call) {
  if (draining_) throw unavailable("draining", "the server is shutting down");
  if (indexes_ == nullptr) throw unavailable("not_ready", "the indexes are not open and warm yet");
  call->respond({.body = "ready\n", .content_type = kPlainText});
}

void Service::metrics_page(const std::shared_ptr<Call>& call) {
  aside_([this, call] {
    std::string page = to_prometheus(all_metrics_, index_names_);
    loop_([call, page = std::move(page)]() mutable {
      call->respond({.body = std::move(page), .content_type = "text/plain; version=0.0.4; charset=utf-8"});
    });
  });
}

}  // namespace simtile::tools::serve
