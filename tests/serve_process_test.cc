// The server's processes: restarts, hot swaps, draining, sockets, and memory that is paid once.
#include <gmock/gmock.h>

#include <atomic>
#include <numeric>

#include "simtile/memory.h"
#include "tests/job_oracle.h"
#include "tests/serve_harness.h"

namespace simtile::tests {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const std::string kSearch = "/v1/indexes/items/search";

// Rows of one value: an answer tells which file it is from.
void write_generation(const std::string& path, float value) {
  write_matrix(path + ".new", {500, 8, std::vector<float>(500 * 8, value)});
  std::filesystem::rename(path + ".new", path);
}

const json kRequest{{"vectors", json::array({std::vector<float>(8, 1.0f)})}, {"k", 1}, {"metric", "ip"}};

TEST(ServeProcess, SwapsFilesInWithoutAFailedRequest) {
  const TempFolder folder;
  write_generation(folder / "items.emb", 1.0f);
  const Server server({"--index", "items=" + (folder / "items.emb"), "--workers", "2", "--watch-ms", "0"});
  std::atomic<bool> stop{false};
  std::atomic<int> failed{0}, asked{0}, torn{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      Client client(server.port());
      while (!stop) {
        const HttpAnswer answer = client.post(kSearch, kRequest);
        ++asked;
        if (answer.status != 200) {
          ++failed;
          continue;
        }
        // The score belongs to the generation that the answer names: file g holds the value g.
        const json body = answer.json();
        torn += body["results"][0]["neighbours"][0]["score"].get<float>() != 8.0f * body["generation"].get<float>();
      }
    });
  for (std::size_t generation = 2; generation <= 6; ++generation) {
    write_generation(folder / "items.emb", static_cast<float>(generation));
    ::kill(server.pid(), SIGHUP);
    server.wait_for("swapped in", 2 * (generation - 1));
    const int seen = asked;
    while (asked < seen + 8) std::this_thread::yield();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(Client(server.port()).post(kSearch, kRequest).json()["generation"], 6);
}

TEST(ServeProcess, KeepsTheOldFileWhenTheNewOneIsNoGood) {
  const TempFolder folder;
  write_generation(folder / "items.emb", 1.0f);
  const Server server({"--index", "items=" + (folder / "items.emb"), "--watch-ms", "20"});
  write_bytes(folder / "bad", "no matrix");
  std::filesystem::rename(folder / "bad", folder / "items.emb");
  server.wait_for("cannot swap in", 1);
  Client client(server.port());
  EXPECT_EQ(client.post(kSearch, kRequest).json()["generation"], 1);
  write_generation(folder / "items.emb", 2.0f);
  server.wait_for("swapped in", 1);
  EXPECT_EQ(client.post(kSearch, kRequest).json()["generation"], 2);
}

TEST(ServeProcess, SaysThatAFileWasCutAndGoesOnWithTheNextOne) {
  const TempFolder folder;
  write_generation(folder / "items.emb", 1.0f);
  const Server server({"--index", "items=" + (folder / "items.emb"), "--watch-ms", "0"});
  std::filesystem::resize_file(folder / "items.emb", 4096);
  Client client(server.port());
  const HttpAnswer answer = client.post(kSearch, kRequest);
  EXPECT_EQ(answer.status, 500);
  EXPECT_THAT(answer.body, HasSubstr("cut to 4096 bytes"));
  EXPECT_EQ(client.get("/healthz").status, 200);
  write_generation(folder / "items.emb", 2.0f);
  ::kill(server.pid(), SIGHUP);
  server.wait_for("swapped in", 1);
  EXPECT_EQ(client.post(kSearch, kRequest).status, 200);
}

TEST(ServeProcess, StartsAWorkerThatDiesAgain) {
  const TempFolder folder;
  write_generation(folder / "items.emb", 1.0f);
  const Server server({"--index", "items=" + (folder / "items.emb"), "--workers", "2"});
  ::kill(server.workers().at(0), SIGKILL);
  server.wait_for("ready", 3);
  EXPECT_EQ(server.lines("worker died, starting it again").size(), 1u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Client(server.port()).post(kSearch, kRequest).status, 200);
  EXPECT_THAT(Client(server.port()).get("/metrics").body, HasSubstr("simtile_worker_restarts_total{worker=\"0\"} 1\n"));
}

// What can only be found out by a worker is no reason to start it again for ever.
TEST(ServeProcess, EndsWhenAWorkerDiesBeforeItWasEverReady) {
  const TempFolder folder;
  write_generation(folder / "items.emb", 1.0f);
  std::string bytes = read_bytes(folder / "items.emb");
  bytes[4096] ^= 1;  // the first row: beyond what opening looks at, unless it is to look at all
  write_bytes(folder / "items.emb", bytes);
  const ToolResult result = run_tool(
      {"serve", "--index", "items=" + (folder / "items.emb"), "--port", "0", "--workers", "2", "--open", "full"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("worker died before it was ready"));
}

TEST(ServeProcess, DrainsAtTheEnd) {
  const TempFolder folder;
  write_matrix(folder / "items.emb", random_matrix(40'000, 128, 1));
  Server server({"--index", "items=" + (folder / "items.emb"), "--workers", "2", "--pass-queries", "1"});
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  std::vector<int> rows(60);  // each takes several times as long, and must not meet its deadline
#else
  std::vector<int> rows(500);
#endif
  std::iota(rows.begin(), rows.end(), 0);
  const json request{{"ids", rows}, {"k", 1}};
  std::vector<std::unique_ptr<Client>> busy;
  for (int i = 0; i < 20; ++i) {
    busy.push_back(std::make_unique<Client>(server.port()));
    busy.back()->send("POST", kSearch, request.dump());
  }
  Client idle(server.port());
  EXPECT_EQ(idle.get("/readyz").status, 200);
  // What a worker has read is answered; what it has not, is refused.
  ::kill(server.pid(), SIGTERM);
  server.wait_for("draining", 2);
  idle.send("POST", kSearch, request.dump());
  const HttpAnswer refused = idle.receive();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.headers.at("Connection"), "close");
  int answered = 0;
  for (auto& client : busy) {
    const int status = client->receive().status;
    EXPECT_TRUE(status == 200 || status == 503) << status;
    answered += status == 200;
  }
  EXPECT_GE(answered, 1);
  EXPECT_EQ(server.stop().exit_code, 0);
}

TEST(ServeProcess, ListensOnAUnixSocket) {
  const TempFolder folder;
  write_generation(folder / "items.emb", 1.0f);
  const std::string path = folder / "socket";
  Server server({"--index", "items=" + (folder / "items.emb"), "--unix-socket", path});
  boost::asio::io_context loop;
  boost::asio::local::stream_protocol::socket socket(loop);
  socket.connect(path);
  boost::asio::write(socket, boost::asio::buffer(std::string("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")));
  std::string answer;
  boost::system::error_code end;
  boost::asio::read(socket, boost::asio::dynamic_buffer(answer), end);
  EXPECT_THAT(answer, HasSubstr("200 OK"));
  EXPECT_EQ(server.stop(SIGINT).exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(ServeProcess, InfoSaysWhatMemoryAProcessAndAFileTake) {
  const TempFolder folder;
  write_dense(folder / "items.emb", 20'000, 64);
  const Server server({"--index", "items=" + (folder / "items.emb"), "--warm", "full"});
  const auto facts = [](const std::string& what) {
    const ToolResult result = run_tool({"info", "--memory", what, "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out);
  };
  const json process = facts(std::to_string(server.workers().at(0)));
  const std::uint64_t file_bytes = std::filesystem::file_size(folder / "items.emb");
  EXPECT_GE(process["rss_file_bytes"].get<std::uint64_t>(), file_bytes);
  EXPECT_GT(process["page_table_bytes"], 0);
  EXPECT_EQ(facts(folder / "items.emb")["file_bytes"], file_bytes);
  EXPECT_GE(facts(folder / "items.emb")["cached_bytes"].get<std::uint64_t>(), file_bytes);
  EXPECT_EQ(run_tool({"info", "--memory", "999999999"}).exit_code, 2);
  EXPECT_EQ(run_tool({"info", "--memory", folder / "none"}).exit_code, 1);
}

// A sanitizer's shadow memory is counted with the process.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(ServeProcess, WorkersPayForAFileOnce) {
  const TempFolder folder;
  const ToolResult made = run_tool({"generate", folder / "items.emb", "--rows", "500000", "--dims", "128"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const std::uint64_t file_bytes = std::filesystem::file_size(folder / "items.emb");
  const Server server(
      {"--index", "items=" + (folder / "items.emb"), "--workers", "4", "--warm", "full", "--open", "fast"});
  std::uint64_t pss = 0, rss = 0;
  for (const auto& [number, pid] : server.workers()) {
    const auto memory = memory_of_process(pid);
    ASSERT_TRUE(memory);
    EXPECT_GE(memory->rss_file_bytes, file_bytes) << "not all of the file is mapped in worker " << number;
    EXPECT_GE(memory->page_table_bytes, file_bytes / 512 * 9 / 10);
    pss += memory->pss_bytes;
    rss += memory->rss_bytes;
  }
  EXPECT_LE(pss, file_bytes * 102 / 100 + 4 * (std::uint64_t{12} << 20));
  EXPECT_GE(rss, 4 * file_bytes);
}
#endif

}  // namespace
}  // namespace simtile::tests
