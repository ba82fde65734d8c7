// serve_load   asks a server on 127.0.0.1 the same kind of question again and again, and prints a JSON object of what
// came back: bench/serve runs it, and reads that.
//
// With --rate, requests are due at moments that do not depend on the answers (exponential gaps), and a latency runs
// from the moment that its request was due: a server that stalls is charged for everyone who would have asked
// meanwhile. With
// --rate 0 each client asks again as soon as it has its answer.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xxhash.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::uint16_t port = 0;
  std::string index = "items";
  std::uint32_t clients = 1;
  double rate = 0.0;
  double seconds = 10.0;
  std::uint64_t requests = 0;  // 0: as many as fit in `seconds`
  std::uint64_t lookup_rows = 0;
  std::uint64_t dims = 0;
  std::uint32_t bodies = 64;
  std::uint32_t batch = 1;
  std::uint32_t top_k = 10;
  std::string metric = "ip";
  bool json = false;
  bool reconnect = false;  // go on when a connection breaks
  unsigned seed = 1;
};

// The distinct requests that clients choose from.
std::vector<std::string> make_requests(const Options& options) {
  std::mt19937 random(options.seed);
  std::normal_distribution<float> normal;
  std::vector<std::string> requests;
  const std::string head = " HTTP/1.1\r\nHost: bench\r\n";
  for (std::uint32_t i = 0; i < options.bodies; ++i) {
    if (options.lookup_rows != 0) {
      requests.push_back("GET /v1/indexes/" + options.index + "/items/" +
                         std::to_string(random() % options.lookup_rows) +
                         "/neighbours?k=" + std::to_string(options.top_k) + head + "\r\n");
      continue;
    }
    std::vector<float> values(options.dims * options.batch);
    for (float& value : values) value = normal(random);
    std::string path = "POST /v1/indexes/" + options.index + "/search";
    std::string body, type;
    if (options.json) {
      nlohmann::json request{{"k", options.top_k}, {"metric", options.metric}};
      for (std::uint32_t q = 0; q < options.batch; ++q)
        request["vectors"].push_back(std::vector<float>(values.begin() + static_cast<long>(q * options.dims),
                                                        values.begin() + static_cast<long>((q + 1) * options.dims)));
      body = request.dump();
      type = "application/json";
    } else {
      path += "?k=" + std::to_string(options.top_k) + "&metric=" + options.metric;
      body.assign(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
      type = "application/octet-stream";
    }
    requests.push_back(path + head + "Content-Type: " + type + "\r\nContent-Length: " + std::to_string(body.size()) +
                       "\r\n\r\n" + body);
  }
  return requests;
}

struct Client {
  int fd = -1;
  bool busy = false;
  bool wants_to_send = false;
  std::uint32_t request = 0;
  std::size_t sent = 0;
  std::string received;
  Clock::time_point due;
};

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options),
        requests_(make_requests(options)),
        clients_(options.clients),
        answers_(requests_.size()),
        random_(options.seed + 1),
        epoll_(::epoll_create1(0)) {
    for (std::uint32_t c = 0; c < options.clients; ++c) connect(c);
  }

  nlohmann::json run() {
    start_ = Clock::now();
    const auto end =
        start_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.seconds));
    next_due_ = start_;
    const auto may_ask = [&] { return (options_.requests == 0 || asked_ < options_.requests) && Clock::now() < end; };
    if (options_.rate == 0.0)
      for (std::uint32_t c = 0; c < clients_.size() && may_ask(); ++c) ask(c, Clock::now());
    epoll_event events[256];
    const auto give_up = end + std::chrono::seconds(30);
    for (;;) {
      if (options_.rate > 0.0) hand_out(end);
      if (!may_ask() && busy_ == 0 && (options_.rate == 0.0 || waiting_.empty())) break;
      if (Clock::now() > give_up) break;
      const int count = ::epoll_wait(epoll_, events, 256, options_.rate > 0.0 ? 1 : 100);
      for (int i = 0; i < count; ++i) {
        const std::uint32_t c = events[i].data.u32;
        if ((events[i].events & EPOLLOUT) != 0) send_more(c);
        if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && receive(c) && options_.rate == 0.0 &&
            may_ask())
          ask(c, Clock::now());
      }
      if (options_.rate == 0.0 && options_.reconnect)
        for (std::uint32_t c = 0; c < clients_.size(); ++c)
          if (!clients_[c].busy && may_ask()) ask(c, Clock::now());
    }
    return report();
  }

 private:
  void connect(std::uint32_t c) {
    Client& client = clients_[c];
    client.wants_to_send = false;
    client.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(options_.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int tries = 0; ::connect(client.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0; ++tries) {
      if (tries == 200) {
        std::perror("serve_load: cannot connect");
        std::exit(1);
      }
      ::usleep(10'000);
    }
    ::fcntl(client.fd, F_SETFL, O_NONBLOCK);
    const int on = 1;
    ::setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
  }

  void watch(std::uint32_t c, int operation, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.u32 = c;
    ::epoll_ctl(epoll_, operation, clients_[c].fd, &event);
  }

  // Open loop: what is due waits for a client that is free.
  void hand_out(Clock::time_point end) {
    std::exponential_distribution<double> gap(options_.rate);
    for (const auto now = Clock::now(); next_due_ <= now && next_due_ < end;) {
      waiting_.push_back(next_due_);
      next_due_ += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(gap(random_)));
    }
    for (std::uint32_t tried = 0; !waiting_.empty() && busy_ < clients_.size() && tried < clients_.size(); ++tried) {
      next_client_ = (next_client_ + 1) % static_cast<std::uint32_t>(clients_.size());
      if (clients_[next_client_].busy) continue;
      const Clock::time_point due = waiting_.front();
      waiting_.pop_front();
      ask(next_client_, due);
    }
  }

  void ask(std::uint32_t c, Clock::time_point due) {
    Client& client = clients_[c];
    client.busy = true;
    client.request = static_cast<std::uint32_t>(random_() % requests_.size());
    client.sent = 0;
    client.received.clear();
    client.due = due;
    ++busy_;
    ++asked_;
    send_more(c);
  }

  void send_more(std::uint32_t c) {
    Client& client = clients_[c];
    const std::string& request = requests_[client.request];
    while (client.busy && client.sent < request.size()) {
      const ssize_t moved = ::send(client.fd, request.data() + client.sent, request.size() - client.sent, MSG_NOSIGNAL);
      if (moved < 0 && errno == EAGAIN) {
        client.wants_to_send = true;
        return watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
      }
      if (moved <= 0) return broken(c);
      client.sent += static_cast<std::size_t>(moved);
    }
    if (std::exchange(client.wants_to_send, false)) watch(c, EPOLL_CTL_MOD, EPOLLIN);
  }

  // True when an answer was complete.
  bool receive(std::uint32_t c) {
    Client& client = clients_[c];
    char piece[65536];
    const ssize_t moved = ::recv(client.fd, piece, sizeof piece, 0);
    if (moved < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (moved <= 0) {
      broken(c);
      return false;
    }
    client.received.append(piece, static_cast<std::size_t>(moved));
    const std::size_t head = client.received.find("\r\n\r\n");
    if (head == std::string::npos) return false;
    const std::size_t length_at = client.received.find("Content-Length: ");
    std::size_t length = 0;
    if (length_at < head)
      std::from_chars(client.received.data() + length_at + 16, client.received.data() + head, length);
    if (client.received.size() < head + 4 + length) return false;
    take_answer(client, head);
    const bool closes = client.received.find("Connection: close") < head;
    client.busy = false;
    --busy_;
    if (closes) {
      ::close(client.fd);
      connect(c);
    }
    return true;
  }

  void take_answer(const Client& client, std::size_t head) {
    const int status = std::stoi(client.received.substr(9, 3));
    const double latency = std::chrono::duration<double>(Clock::now() - client.due).count();
    latencies_[status].push_back(latency);
    if (status != 200) return;
    // The generation differs from worker to worker.
    std::string body = client.received.substr(head + 4);
    if (const std::size_t at = body.find("\"generation\":"); at != std::string::npos)
      body.erase(at, body.find(',', at) - at);
    answers_[client.request].insert(XXH3_64bits(body.data(), body.size()));
  }

  void broken(std::uint32_t c) {
    Client& client = clients_[c];
    if (client.busy) {
      client.busy = false;
      --busy_;
      ++broken_;
    }
    ::close(client.fd);
    if (!options_.reconnect && broken_ > 0) {
      std::fprintf(stderr, "serve_load: a connection broke\n");
      std::exit(1);
    }
    connect(c);
  }

  static nlohmann::json percentiles(std::vector<double>& latencies) {
    std::sort(latencies.begin(), latencies.end());
    const auto at = [&](double share) {
      return latencies[std::min(latencies.size() - 1,
                                static_cast<std::size_t>(share * static_cast<double>(latencies.size())))];
    };
    return {
        {"count", latencies.size()}, {"p50", at(0.5)}, {"p90", at(0.9)}, {"p99", at(0.99)}, {"max", latencies.back()}};
  }

  nlohmann::json report() {
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    nlohmann::json statuses, answers = nlohmann::json::array();
    for (auto& [status, latencies] : latencies_) statuses[std::to_string(status)] = percentiles(latencies);
    for (const auto& of_request : answers_) answers.push_back(of_request);
    const double cpu = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
    return {{"seconds", seconds}, {"cpu_seconds", cpu},   {"asked", asked_},   {"unanswered", busy_},
            {"broken", broken_},  {"statuses", statuses}, {"answers", answers}};
  }

  const Options& options_;
  const std::vector<std::string> requests_;
  std::vector<Client> clients_;
  std::vector<std::set<std::uint64_t>> answers_;
  std::mt19937 random_;
  int epoll_;
  Clock::time_point start_, next_due_;
  std::deque<Clock::time_point> waiting_;
  std::map<int, std::vector<double>> latencies_;
  std::uint64_t asked_ = 0, busy_ = 0, broken_ = 0;
  std::uint32_t next_client_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Asks a simtile server again and again, and prints what came back.", "serve_load");
  app.add_option("--port", options.port)->required();
  app.add_option("--index", options.index);
  app.add_option("--clients", options.clients, "Connections, one request at a time on each");
  app.add_option("--rate", options.rate, "Requests due a second; 0: as fast as the answers come");
  app.add_option("--seconds", options.seconds);
  app.add_option("--requests", options.requests, "Stop after so many");
  app.add_option("--lookup-rows", options.lookup_rows, "Look neighbours up, of rows below this");
  app.add_option("--dims", options.dims, "Search, for vectors of so many columns");
  app.add_option("--bodies", options.bodies, "Distinct requests");
  app.add_option("--batch", options.batch, "Queries in each");
  app.add_option("-k", options.top_k);
  app.add_option("--metric", options.metric);
  app.add_flag("--json", options.json, "Vectors as JSON instead of binary");
  app.add_flag("--reconnect", options.reconnect, "Count broken connections and go on");
  app.add_option("--seed", options.seed);
  CLI11_PARSE(app, argc, argv);
  std::puts(Load(options).run().dump().c_str());
  return 0;
}
