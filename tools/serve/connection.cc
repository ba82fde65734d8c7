#include "tools/serve/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/serve/problem.h"

namespace simtile::tools::serve {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

using Protocol = asio::generic::stream_protocol;
using Socket = asio::basic_stream_socket<Protocol, asio::io_context::executor_type>;

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kHeaderBytes = 16 * 1024;

std::string text(beast::string_view view) { return std::string(view.data(), view.size()); }

// What is wrong with bytes that are no request, or one that is too long.
Problem problem_of(const error_code& error, const Limits& limits) {
  if (error == http::error::body_limit)
    return over_limit("body_bytes", limits.body_bytes, "body", "is longer than the server takes");
  if (error == http::error::header_limit)
    return {.status = 431,
            .code = "over_limit",
            .message = "the header is longer than the server takes",
            .limit = "header_bytes",
            .limit_value = kHeaderBytes};
  return {.code = "bad_http", .message = "the request is not HTTP/1.1: " + error.message()};
}

Problem too_slow(const char* limit, std::uint64_t value) {
  return {.status = 408,
          .code = "too_slow",
          .message = "the request did not arrive in time",
          .limit = limit,
          .limit_value = value};
}

}  // namespace

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Connections& all, Socket socket) : all_(all), limits_(all.limits_), socket_(std::move(socket)) {}

  void wait_for_request(std::uint64_t timeout_ms) {
    begin(Step::kWaiting, timeout_ms);
    parser_.emplace();
    parser_->header_limit(kHeaderBytes);
    parser_->body_limit(limits_.body_bytes);
    if (buffer_.size() > 0) return read_header();  // sent ahead
    socket_.async_read_some(buffer_.prepare(4096), [self = shared_from_this()](error_code error, std::size_t bytes) {
      if (error) return self->close();
      self->buffer_.commit(bytes);
      self->read_header();
    });
  }

  bool is_waiting() const noexcept { return step_ == Step::kWaiting; }
  bool is_late(Clock::time_point now) const noexcept { return now >= deadline_; }

  // A request that does not arrive is given up with an answer that says so; other steps end the connection.
  void give_up() {
    deadline_ = Clock::time_point::max();
    if (step_ != Step::kHeader && step_ != Step::kBody) return close();
    gave_up_ = true;
    error_code ignored;
    socket_.cancel(ignored);
  }

  void close() {
    if (closed_) return;
    closed_ = true;
    hold_incoming(0);
    hold_outgoing(0);
    error_code ignored;
    socket_.shutdown(asio::socket_base::shutdown_both, ignored);
    socket_.close(ignored);
    all_.forget(shared_from_this());
  }

 private:
  enum class Step { kWaiting, kHeader, kBody, kAnswering, kWriting, kEnding };

  void begin(Step step, std::uint64_t timeout_ms) {
    step_ = step;
    deadline_ = Clock::now() + std::chrono::milliseconds(timeout_ms);
  }

  // What this connection holds of what all may.
  void hold_incoming(std::uint64_t bytes) noexcept {
    all_.incoming_bytes_ += bytes - std::exchange(incoming_bytes_, bytes);
  }
  void hold_outgoing(std::uint64_t bytes) noexcept {
    all_.outgoing_bytes_ += bytes - std::exchange(outgoing_bytes_, bytes);
  }

  void read_header() {
    begin(Step::kHeader, limits_.header_timeout_ms);
    http::async_read_header(socket_, buffer_, *parser_,
                            [self = shared_from_this()](error_code error, std::size_t) { self->on_header(error); });
  }

  void on_header(const error_code& error) {
    if (gave_up_) return refuse(too_slow("header_timeout_ms", limits_.header_timeout_ms));
    if (error == http::error::end_of_stream || error == asio::error::connection_reset) return close();
    if (error) return refuse(problem_of(error, limits_));
    // A body of unknown length may become as long as any.
    const auto length = parser_->content_length();
    const std::uint64_t bytes = length ? *length : parser_->chunked() ? limits_.body_bytes : 0;
    if (all_.incoming_bytes_ + bytes > limits_.incoming_bytes)
      return refuse(too_busy("incoming_bytes", limits_.incoming_bytes, "too much arrives at once; try again later"));
    hold_incoming(bytes);
    const auto& header = parser_->get();
    if (const auto expect = header[http::field::expect]; !expect.empty()) {
      if (!beast::iequals(expect, "100-continue"))
        return refuse(
            {.status = 417, .code = "bad_http", .message = "the server knows no such Expect", .field = "Expect"});
      return write_continue();
    }
    read_body();
  }

  void write_continue() {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(socket_, asio::buffer(kContinue), [self = shared_from_this()](error_code error, std::size_t) {
      if (error) return self->close();
      self->read_body();
    });
  }

  void read_body() {
    begin(Step::kBody, limits_.body_timeout_ms);
    http::async_read(socket_, buffer_, *parser_,
                     [self = shared_from_this()](error_code error, std::size_t) { self->on_request(error); });
  }

  void on_request(const error_code& error) {
    if (gave_up_) return refuse(too_slow("body_timeout_ms", limits_.body_timeout_ms));
    if (error == asio::error::connection_reset) return close();
    if (error) return refuse(problem_of(error, limits_));
    step_ = Step::kAnswering;
    deadline_ = Clock::time_point::max();  // the answer has one of its own
    auto& message = parser_->get();
    keep_alive_ = message.keep_alive();
    HttpRequest request{text(message.method_string()), text(message.target()), text(message[http::field::content_type]),
                        text(message[http::field::authorization]), std::move(message.body())};
    if (request.method == "POST" && all_.outgoing_bytes_ > limits_.outgoing_bytes)
      return write(to_response(too_busy("outgoing_bytes", limits_.outgoing_bytes,
                                        "clients are slow to take their answers; try again later")));
    all_.handler_(std::move(request),
                  [self = shared_from_this()](HttpResponse response) { self->write(std::move(response)); });
    hold_incoming(0);  // it is parsed; what is left of it waits in a queue of its own
  }

  // Nothing more can be made of what the client sends.
  void refuse(const Problem& problem) {
    count_response(all_.metrics_, Endpoint::kOther, problem.status, 0.0);
    HttpResponse response = to_response(problem);
    response.close = true;
    write(std::move(response));
  }

  void write(HttpResponse response) {
    if (closed_) return;
    if (response.close) keep_alive_ = false;
    answer_ = {};
    answer_.version(11);
    answer_.result(response.status);
    answer_.set(http::field::server, "simtile");
    answer_.set(http::field::content_type,
                beast::string_view(response.content_type.data(), response.content_type.size()));
    if (!response.allow.empty())
      answer_.set(http::field::allow, beast::string_view(response.allow.data(), response.allow.size()));
    if (response.retry_after_seconds != 0)
      answer_.set(http::field::retry_after, std::to_string(response.retry_after_seconds));
    if (response.status == 401) answer_.set(http::field::www_authenticate, "Bearer");
    answer_.body() = std::move(response.body);
    answer_.keep_alive(keep_alive_);
    answer_.prepare_payload();
    hold_incoming(0);
    hold_outgoing(answer_.body().size());
    begin(Step::kWriting, limits_.write_timeout_ms);
    const auto on_written = [self = shared_from_this()](error_code error, std::size_t) { self->on_written(error); };
    if (parser_->get().method() != http::verb::head) return http::async_write(socket_, answer_, on_written);
    head_.emplace(answer_);
    http::async_write_header(socket_, *head_, on_written);
  }

  void on_written(const error_code& error) {
    if (error) return close();
    hold_outgoing(0);
    head_.reset();
    answer_.body() = {};
    if (!keep_alive_) return end();
    wait_for_request(limits_.idle_timeout_ms);
  }

  // Closes without cutting off an answer that is still on its way: what the client goes on sending is read, for a
  // little while, because closing with unread bytes resets the connection.
  void end() {
    constexpr std::uint64_t kLingerMs = 1000;
    error_code ignored;
    socket_.shutdown(asio::socket_base::shutdown_send, ignored);
    begin(Step::kEnding, kLingerMs);
    linger();
  }

  void linger() {
    buffer_.clear();
    socket_.async_read_some(buffer_.prepare(4096), [self = shared_from_this()](error_code error, std::size_t) {
      if (error) return self->close();
      self->linger();
    });
  }

  Connections& all_;
  const Limits& limits_;
  Socket socket_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> answer_;
  std::optional<http::response_serializer<http::string_body>> head_;  // of an answer that goes without its body
  std::uint64_t incoming_bytes_ = 0, outgoing_bytes_ = 0;
  bool keep_alive_ = true;
  Step step_ = Step::kWaiting;
  Clock::time_point deadline_;
  bool gave_up_ = false;
  bool closed_ = false;
};

Connections::Connections(asio::io_context& loop, const Limits& limits, WorkerMetrics& metrics, Handler handler)
    : loop_(loop), sweep_timer_(loop), limits_(limits), metrics_(metrics), handler_(std::move(handler)) {
  sweep();
}

Connections::~Connections() = default;

// One timer for all: a deadline costs no more than the time it is compared with.
void Connections::sweep() {
  constexpr std::chrono::milliseconds kPeriod(100);
  for_each([now = Clock::now()](Connection& connection) {
    if (connection.is_late(now)) connection.give_up();
  });
  sweep_timer_.expires_after(kPeriod);
  sweep_timer_.async_wait([this](error_code error) {
    if (!error) sweep();
  });
}

// `use` may close connections.
template <typename Use>
void Connections::for_each(Use use) {
  const std::vector<std::shared_ptr<Connection>> open(open_.begin(), open_.end());
  for (const std::shared_ptr<Connection>& connection : open) use(*connection);
}

void Connections::take(int fd) {
  if (open_.size() >= limits_.connections) {
    add(metrics_.shed[static_cast<std::size_t>(Shed::kConnections)]);
    ::close(fd);
    return;
  }
  int family = 0;
  socklen_t length = sizeof family;
  ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length);
  const int on = 1;
  if (family != AF_UNIX) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  Socket socket(loop_);
  error_code error;
  socket.assign(Protocol(family, family == AF_UNIX ? 0 : IPPROTO_TCP), fd, error);
  if (error) {
    ::close(fd);
    return;
  }
  auto connection = std::make_shared<Connection>(*this, std::move(socket));
  open_.insert(connection);
  set(metrics_.connections, open_.size());
  connection->wait_for_request(limits_.header_timeout_ms);
}

void Connections::close_idle() {
  for_each([](Connection& connection) {
    if (connection.is_waiting()) connection.close();
  });
}

void Connections::forget(const std::shared_ptr<Connection>& connection) {
  open_.erase(connection);
  set(metrics_.connections, open_.size());
}

}  // namespace simtile::tools::serve
