#include "tools/serve/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <new>
#include <string_view>

#include "simtile/memory.h"

namespace simtile::tools::serve {
namespace {

constexpr std::array<std::string_view, kEndpoints> kEndpointNames{
    "search", "neighbours", "indexes", "healthz", "readyz", "metrics", "openapi", "docs", "other"};
constexpr std::array<std::string_view, kSheds> kShedNames{"queue_requests", "queue_bytes", "deadline",
                                                          "draining",       "not_ready",   "connections"};

class Page {
 public:
  explicit Page(const SharedMetrics& metrics) : metrics_(&metrics) {}

  void head(std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(out(), "# HELP simtile_{} {}\n# TYPE simtile_{} {}\n", name, help, name, type);
  }
  void line(std::string_view name, std::uint32_t worker, std::string_view labels, std::uint64_t value) {
    fmt::format_to(out(), "simtile_{}{{worker=\"{}\"{}{}}} {}\n", name, worker, labels.empty() ? "" : ",", labels,
                   value);
  }
  // One value for each worker.
  template <typename Value>
  void each(std::string_view name, std::string_view type, std::string_view help, Value value) {
    head(name, type, help);
    for (std::uint32_t w = 0; w < metrics_->workers(); ++w) line(name, w, "", value(metrics_->worker(w)));
  }
  template <typename Of>
  void histogram(std::string_view name, std::string_view help, std::span<const double, 15> limits,
                 const std::vector<std::string>& labels, Of of) {
    head(name, "histogram", help);
    for (std::uint32_t w = 0; w < metrics_->workers(); ++w)
      for (std::size_t i = 0; i < labels.size(); ++i) lines(name, limits, w, labels[i], of(metrics_->worker(w), i));
  }

  std::string text;

 private:
  std::back_insert_iterator<std::string> out() { return std::back_inserter(text); }

  void lines(std::string_view name, std::span<const double, 15> limits, std::uint32_t worker, const std::string& labels,
             const Histogram& histogram) {
    std::uint64_t count = 0;
    const std::string separator = labels.empty() ? "" : "," + labels;
    for (std::size_t i = 0; i < histogram.buckets.size(); ++i) {
      count += get(histogram.buckets[i]);
      const std::string limit = i < limits.size() ? fmt::format("{}", limits[i]) : "+Inf";
      fmt::format_to(out(), "simtile_{}_bucket{{worker=\"{}\"{},le=\"{}\"}} {}\n", name, worker, separator, limit,
                     count);
    }
    fmt::format_to(out(), "simtile_{}_sum{{worker=\"{}\"{}}} {}\n", name, worker, separator,
                   static_cast<double>(get(histogram.sum_millionths)) / 1e6);
    fmt::format_to(out(), "simtile_{}_count{{worker=\"{}\"{}}} {}\n", name, worker, separator, count);
  }

  const SharedMetrics* metrics_;
};

void write_responses(Page& page, const SharedMetrics& metrics) {
  page.head("http_responses_total", "counter", "Answers by endpoint and status.");
  for (std::uint32_t w = 0; w < metrics.workers(); ++w)
    for (std::size_t e = 0; e < kEndpoints; ++e)
      for (std::size_t s = 0; s <= kStatuses.size(); ++s) {
        const std::uint64_t count = get(metrics.worker(w).responses[e][s]);
        const std::string status = s < kStatuses.size() ? std::to_string(kStatuses[s]) : "other";
        if (count != 0)
          page.line("http_responses_total", w, fmt::format("endpoint=\"{}\",status=\"{}\"", kEndpointNames[e], status),
                    count);
      }
}

void write_sheds(Page& page, const SharedMetrics& metrics) {
  page.head("shed_total", "counter", "Requests and connections turned away, by the limit that did it.");
  for (std::uint32_t w = 0; w < metrics.workers(); ++w)
    for (std::size_t s = 0; s < kSheds; ++s)
      page.line("shed_total", w, fmt::format("reason=\"{}\"", kShedNames[s]), get(metrics.worker(w).shed[s]));
}

void write_generations(Page& page, const SharedMetrics& metrics, const std::vector<std::string>& names) {
  page.head("index_generation", "gauge", "Times that the file was opened, by index and kind of file; 0: not open.");
  for (std::uint32_t w = 0; w < metrics.workers(); ++w)
    for (std::size_t i = 0; i < names.size(); ++i) {
      page.line("index_generation", w, fmt::format("index=\"{}\",file=\"base\"", names[i]),
                get(metrics.worker(w).index_generation[i]));
      page.line("index_generation", w, fmt::format("index=\"{}\",file=\"neighbours\"", names[i]),
                get(metrics.worker(w).neighbours_generation[i]));
    }
}

void write_memory(Page& page, const SharedMetrics& metrics) {
  struct Figure {
    const char* name;
    const char* help;
    std::uint64_t MemoryOfProcess::*value;
  };
  constexpr Figure kFigures[] = {
      {"memory_rss_anon_bytes", "Resident heap, stacks and buffers.", &MemoryOfProcess::rss_anon_bytes},
      {"memory_rss_file_bytes", "Resident pages of mapped files, shared ones in full.",
       &MemoryOfProcess::rss_file_bytes},
      {"memory_pss_bytes", "Proportional set size: shared pages by their share.", &MemoryOfProcess::pss_bytes},
      {"memory_page_tables_bytes", "Page tables.", &MemoryOfProcess::page_table_bytes},
  };
  std::vector<MemoryOfProcess> memory(metrics.workers());
  for (std::uint32_t w = 0; w < metrics.workers(); ++w)
    if (const pid_t pid = metrics.worker(w).pid; pid != 0)
      memory[w] = memory_of_process(pid).value_or(MemoryOfProcess{});
  for (const Figure& figure : kFigures) {
    page.head(figure.name, "gauge", figure.help);
    for (std::uint32_t w = 0; w < metrics.workers(); ++w) page.line(figure.name, w, "", memory[w].*figure.value);
  }
}

}  // namespace

void Histogram::observe(std::span<const double, 15> limits, double value) noexcept {
  const auto bucket = std::lower_bound(limits.begin(), limits.end(), value) - limits.begin();
  add(buckets[static_cast<std::size_t>(bucket)]);
  add(sum_millionths, static_cast<std::uint64_t>(value * 1e6));
}

void count_response(WorkerMetrics& metrics, Endpoint endpoint, unsigned status, double seconds) noexcept {
  const auto at = static_cast<std::size_t>(std::find(kStatuses.begin(), kStatuses.end(), status) - kStatuses.begin());
  add(metrics.responses[static_cast<std::size_t>(endpoint)][at]);
  metrics.request_seconds[static_cast<std::size_t>(endpoint)].observe(kSecondsBuckets, seconds);
}

SharedMetrics::SharedMetrics(std::uint32_t workers)
    : memory_(os::Mapping::anonymous_shared(workers * sizeof(WorkerMetrics))), workers_(workers) {
  slots_ = reinterpret_cast<WorkerMetrics*>(memory_.data());
  for (std::uint32_t w = 0; w < workers; ++w) new (slots_ + w) WorkerMetrics();
}

std::string to_prometheus(const SharedMetrics& metrics, const std::vector<std::string>& index_names) {
  Page page(metrics);
  std::vector<std::string> endpoints;
  for (const std::string_view name : kEndpointNames) endpoints.push_back(fmt::format("endpoint=\"{}\"", name));
  page.each("worker_up", "gauge", "1 while the worker's process lives.",
            [](const WorkerMetrics& m) -> std::uint64_t { return m.pid != 0; });
  page.each("worker_ready", "gauge", "1 once its indexes are open and warm.",
            [](const auto& m) { return get(m.ready); });
  page.each("worker_restarts_total", "counter", "Times that its process died and was started again.",
            [](const auto& m) { return get(m.restarts); });
  write_responses(page, metrics);
  page.histogram("request_seconds", "From a request's last byte to its answer.", kSecondsBuckets, endpoints,
                 [](const auto& m, std::size_t e) -> const Histogram& { return m.request_seconds[e]; });
  page.histogram("queue_seconds", "A search's wait before its pass.", kSecondsBuckets, {""},
                 [](const auto& m, std::size_t) -> const Histogram& { return m.queue_seconds; });
  page.histogram("pass_seconds", "One pass over a base.", kSecondsBuckets, {""},
                 [](const auto& m, std::size_t) -> const Histogram& { return m.pass_seconds; });
  page.histogram("pass_queries", "Queries that shared a pass.", kQueriesBuckets, {""},
                 [](const auto& m, std::size_t) -> const Histogram& { return m.pass_queries; });
  write_sheds(page, metrics);
  const auto each = [&page](const char* name, const char* type, const char* help, Counter WorkerMetrics::*value) {
    page.each(name, type, help, [value](const WorkerMetrics& m) { return get(m.*value); });
  };
  each("rows_scanned_total", "counter", "Rows of bases that passes have read.", &WorkerMetrics::rows_scanned);
  each("bytes_scanned_total", "counter", "Bytes of bases that passes have read.", &WorkerMetrics::bytes_scanned);
  each("cache_hits_total", "counter", "Searches answered from the result cache.", &WorkerMetrics::cache_hits);
  each("cache_misses_total", "counter", "Searches that it did not hold.", &WorkerMetrics::cache_misses);
  each("cache_bytes", "gauge", "Bytes of answers that it holds.", &WorkerMetrics::cache_bytes);
  each("connections", "gauge", "Open connections.", &WorkerMetrics::connections);
  each("queue_requests", "gauge", "Searches that wait or run.", &WorkerMetrics::queue_requests);
  each("queue_bytes", "gauge", "Bytes that they hold.", &WorkerMetrics::queue_bytes);
  each("reloads_total", "counter", "Replaced files swapped in.", &WorkerMetrics::reloads);
  each("reload_failures_total", "counter", "Replaced files that could not be opened; the old ones stay.",
       &WorkerMetrics::reload_failures);
  write_generations(page, metrics, index_names);
  write_memory(page, metrics);
  return std::move(page.text);
}

}  // namespace simtile::tools::serve
