// A real server process on a port that the system picks, and a client that speaks HTTP to it.
#pragma once

#include <signal.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/run_tool.h"

namespace simtile::tests {

struct HttpAnswer {
  int status = 0;
  std::string body;
  std::map<std::string, std::string> headers;
  nlohmann::json json() const { return nlohmann::json::parse(body); }
};

// One connection, kept between requests.
class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(loop_) {
    socket_.connect({boost::asio::ip::address_v4::loopback(), port});
  }

  HttpAnswer ask(const std::string& method, const std::string& target, const std::string& body = "",
                 const std::map<std::string, std::string>& headers = {}) {
    send(method, target, body, headers);
    return receive();
  }
  HttpAnswer get(const std::string& target) { return ask("GET", target); }
  HttpAnswer post(const std::string& target, const nlohmann::json& body) { return ask("POST", target, body.dump()); }

  void send(const std::string& method, const std::string& target, const std::string& body = "",
            const std::map<std::string, std::string>& headers = {}) {
    std::string text = method + " " + target + " HTTP/1.1\r\nHost: test\r\n";
    for (const auto& [name, value] : headers) text += name + ": " + value + "\r\n";
    if (!body.empty() || method == "POST") text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    send_raw(text + "\r\n" + body);
  }
  void send_raw(const std::string& bytes) { boost::asio::write(socket_, boost::asio::buffer(bytes)); }

  // `header_alone`: as the answer to a HEAD comes.
  HttpAnswer receive(bool header_alone = false) {
    namespace http = boost::beast::http;
    http::response_parser<http::string_body> parser;
    parser.body_limit(std::uint64_t{1} << 30);
    parser.skip(header_alone);
    http::read(socket_, buffer_, parser);
    HttpAnswer answer{static_cast<int>(parser.get().result_int()), parser.get().body(), {}};
    for (const auto& field : parser.get()) {
      const auto name = field.name_string();
      const auto value = field.value();
      answer.headers[std::string(name.data(), name.size())] = std::string(value.data(), value.size());
    }
    return answer;
  }

  // True when the server has closed the connection without another byte.
  bool is_closed() {
    char byte = 0;
    boost::system::error_code error;
    boost::asio::read(socket_, boost::asio::buffer(&byte, 1), error);
    return static_cast<bool>(error);
  }

 private:
  boost::asio::io_context loop_;
  boost::asio::ip::tcp::socket socket_;
  boost::beast::flat_buffer buffer_;
};

// Ends with this object, and its workers with it.
class Server {
 public:
  // Waits until all workers are ready.
  explicit Server(std::vector<std::string> arguments, bool until_ready = true) {
    arguments.insert(arguments.begin(), "serve");
    arguments.insert(arguments.end(), {"--port", "0", "--log", "json"});
    const auto workers = std::find(arguments.begin(), arguments.end(), "--workers");
    const std::size_t ready = workers == arguments.end() ? 1 : std::stoul(workers[1]);
    tool_.emplace(std::move(arguments));
    port_ = wait_for("serving", 1)[0]["port"].get<std::uint16_t>();
    if (until_ready) wait_for("ready", ready);
  }
  pid_t pid() const { return tool_->pid(); }
  std::uint16_t port() const { return port_; }
  std::string url(const std::string& path) const { return "http://127.0.0.1:" + std::to_string(port_) + path; }

  // The log lines of that event, once there are so many.
  std::vector<nlohmann::json> wait_for(const std::string& event, std::size_t count) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    for (;;) {
      std::vector<nlohmann::json> found = lines(event);
      if (found.size() >= count) return found;
      if (std::chrono::steady_clock::now() > end) throw std::runtime_error("no '" + event + "' in: " + tool_->err());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  std::vector<nlohmann::json> lines(const std::string& event) const {
    std::vector<nlohmann::json> found;
    std::istringstream log(tool_->err());
    for (std::string line; std::getline(log, line);)
      if (nlohmann::json fact = nlohmann::json::parse(line, nullptr, false); fact.is_object() && fact["event"] == event)
        found.push_back(std::move(fact));
    return found;
  }

  // The processes of the workers that are ready, by their numbers.
  std::map<int, pid_t> workers() const {
    std::map<int, pid_t> pids;
    for (const nlohmann::json& line : lines("ready")) pids[line["worker"]] = line["pid"];
    return pids;
  }

  ToolResult stop(int signal = SIGTERM) {
    ::kill(pid(), signal);
    ToolResult result = tool_->wait();
    tool_.reset();
    return result;
  }

 private:
  std::optional<Tool> tool_;
  std::uint16_t port_ = 0;
};

}  // namespace simtile::tests
