// The server, as its clients see it: answers, what is wrong with requests, limits.
#include <gmock/gmock.h>

#include <numeric>

#include "simtile/searcher.h"
#include "tests/job_oracle.h"
#include "tests/serve_harness.h"

namespace simtile::tests {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const std::string kSearch = "/v1/indexes/items/search";

class Serve : public testing::Test {
 protected:
  static constexpr std::uint64_t kRows = 400, kColumns = 8;

  Serve() {
    write_dense(items_, kRows, kColumns, ElementType::kF32, storage::IdKind::kString);
    write_neighbours(knn_, items_, "", 5);
  }
  std::vector<std::string> index() const { return {"--index", "items=" + items_ + ",neighbours=" + knn_}; }
  std::vector<std::string> with(std::vector<std::string> options) const {
    for (const std::string& word : index()) options.push_back(word);
    return options;
  }

  static std::vector<float> query(unsigned seed, std::uint64_t count = 1) {
    return random_matrix(count, kColumns, seed).values;
  }
  static json vectors(const std::vector<float>& values) {
    json rows = json::array();
    for (std::size_t at = 0; at < values.size(); at += kColumns)
      rows.push_back(std::vector<float>(values.begin() + static_cast<long>(at),
                                        values.begin() + static_cast<long>(at + kColumns)));
    return rows;
  }
  static std::string bytes(const std::vector<float>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
  }

  // An answer's results as the library gives them for these queries.
  void expect_results(const HttpAnswer& answer, const std::vector<float>& queries, const SearchOptions& options) const {
    ASSERT_EQ(answer.status, 200) << answer.body;
    const Searcher searcher(items_);
    const SearchResults expected = searcher.search(queries, options);
    const json results = answer.json()["results"];
    ASSERT_EQ(results.size(), expected.queries());
    for (std::size_t q = 0; q < results.size(); ++q) {
      const json& neighbours = results[q]["neighbours"];
      ASSERT_EQ(neighbours.size(), expected[q].size());
      for (std::size_t i = 0; i < neighbours.size(); ++i) {
        EXPECT_EQ(neighbours[i]["row"], expected[q][i].row);
        EXPECT_EQ(neighbours[i]["id"], string_id(expected[q][i].row));
        EXPECT_EQ(neighbours[i]["score"].get<float>(), expected[q][i].score);
      }
    }
  }

  const TempFolder folder_;
  const std::string items_ = folder_ / "items.emb", knn_ = folder_ / "items.knn";
};

TEST_F(Serve, SearchesForVectorsInEveryForm) {
  const Server server(index());
  Client client(server.port());
  const std::vector<float> queries = query(1, 3);
  expect_results(client.post(kSearch, {{"vectors", vectors(queries)}}), queries, {});
  const SearchOptions options{.top_k = 7, .metric = Metric::kL2, .min_score = 9000.5f};
  expect_results(
      client.post(kSearch, {{"vectors", vectors(queries)}, {"k", 7}, {"metric", "l2"}, {"min_score", 9000.5}}), queries,
      options);
  expect_results(client.ask("POST", kSearch + "?k=7&metric=l2&min_score=9000.5", bytes(queries),
                            {{"Content-Type", "application/octet-stream"}}),
                 queries, options);
  // 1, -2 and zeros as little-endian f32.
  expect_results(client.post(kSearch, {{"vectors_base64", "AACAPwAAAMAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}),
                 {1, -2, 0, 0, 0, 0, 0, 0}, {});
}

TEST_F(Serve, SearchesForRowsByTheirIds) {
  const Server server(index());
  Client client(server.port());
  const Matrix items(items_);
  std::vector<float> queries = items.row(3);
  const std::vector<float> other = items.row(17);
  queries.insert(queries.end(), other.begin(), other.end());
  const std::vector<std::uint64_t> excluded{9};
  expect_results(
      client.post(kSearch, {{"ids", {"id-3", "id-17"}}, {"exclude_self", false}, {"exclude_ids", {"id-9", "x"}}}),
      queries, {.exclude_rows = excluded});
  const json results = client.post(kSearch, {{"ids", {"id-3"}}, {"include_vectors", true}}).json()["results"];
  for (const json& neighbour : results[0]["neighbours"]) {
    EXPECT_NE(neighbour["row"], 3);
    EXPECT_EQ(neighbour["vector"].get<std::vector<float>>(), items.row(neighbour["row"]));
  }
}

TEST_F(Serve, LooksNeighboursUp) {
  const Server server(index());
  Client client(server.port());
  const json answer = client.get("/v1/indexes/items/items/id%2D7/neighbours").json();
  EXPECT_EQ(answer["row"], 7);
  ASSERT_EQ(answer["neighbours"].size(), 5u);
  EXPECT_EQ(answer["neighbours"][0]["id"], "id-8");
  EXPECT_EQ(client.get("/v1/indexes/items/items/id-7/neighbours?k=2").json()["neighbours"].size(), 2u);
  EXPECT_EQ(client.get("/v1/indexes/items/items/id-x/neighbours").status, 404);
  EXPECT_EQ(client.get("/v1/indexes/items/items/id-7/neighbours?k=0").json()["error"]["field"], "k");
  EXPECT_EQ(client.get("/v1/indexes").json()["indexes"][0]["neighbours"]["top_k"], 5);
}

TEST_F(Serve, LooksNoMoreNeighboursUpThanTheLimit) {
  const Server server(with({"--max-k", "3"}));
  Client client(server.port());
  const std::string path = "/v1/indexes/items/items/id-7/neighbours";
  EXPECT_EQ(client.get(path).json()["neighbours"].size(), 3u);
  EXPECT_EQ(client.get(path + "?k=3").json()["neighbours"].size(), 3u);
  const HttpAnswer over = client.get(path + "?k=4");
  EXPECT_EQ(over.status, 413);
  EXPECT_EQ(over.json()["error"]["limit"]["name"], "top_k");
}

// An answer's bytes after its header would be taken for the next answer.
TEST_F(Serve, HeadIsAGetWithoutTheBody) {
  const Server server(index());
  Client client(server.port());
  const auto head = [&](const std::string& target) {
    client.send("HEAD", target);
    return client.receive(true);
  };
  for (const std::string target : {"/healthz", "/v1/indexes", "/v1/indexes/items/items/id-7/neighbours", "/nothing",
                                   "/v1/indexes/items/items/id-7/neighbours?k=0"}) {
    const HttpAnswer with_body = client.get(target);
    const HttpAnswer without = head(target);
    EXPECT_EQ(without.status, with_body.status) << target;
    EXPECT_EQ(without.body, "");
    EXPECT_EQ(without.headers.at("Content-Length"), std::to_string(with_body.body.size())) << target;
  }
  EXPECT_EQ(head(kSearch).status, 405);
  EXPECT_EQ(client.get("/healthz").body, "ok\n");
  EXPECT_EQ(client.ask("DELETE", "/healthz").headers["Allow"], "GET, HEAD");
}

// Many at once, of all metrics and sizes: each gets the bits that it gets alone.
TEST_F(Serve, BatchedAnswersAreThoseOfRequestsAlone) {
  const Server server(with({"--workers", "2"}));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 6; ++t)
    threads.emplace_back([&, t] {
      const Searcher alone(items_, {.threads = 1});
      Client client(server.port());
      for (unsigned i = 0; i < 20; ++i) {
        const std::vector<float> queries = query(t * 100 + i, 1 + (t * i) % 70);
        const Metric metric = i % 3 == 0 ? Metric::kL2 : i % 3 == 1 ? Metric::kCosine : Metric::kInnerProduct;
        const json answer =
            client.post(kSearch, {{"vectors", vectors(queries)}, {"k", 1 + t}, {"metric", to_string(metric)}}).json();
        const SearchResults expected = alone.search(queries, {.top_k = 1 + t, .metric = metric});
        for (std::size_t q = 0; q < expected.queries(); ++q)
          for (std::size_t n = 0; n <= t; ++n)
            wrong += answer["results"][q]["neighbours"][n]["row"] != expected[q][n].row ||
                     answer["results"][q]["neighbours"][n]["score"].get<float>() != expected[q][n].score;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(Serve, NamesTheFieldThatIsWrong) {
  const Server server(with({"--max-k", "100", "--max-batch", "4", "--max-body", "100KiB"}));
  struct Case {
    std::string body;
    int status;
    std::string field;
  };
  const std::vector<Case> cases{
      {"", 400, "body"},
      {"{\"k\":", 400, "body"},
      {"[1]", 400, "body"},
      {"{\"vectors\":[[1,2,3,4,5,6,7,NaN]]}", 400, "body"},
      {std::string(50, '[') + std::string(50, ']'), 413, "body"},
      {"{}", 400, "vectors"},
      {"{\"vectors\":[]}", 400, "vectors"},
      {"{\"vectors\":7}", 400, "vectors"},
      {"{\"vectors\":[[1,2,3,4,5,6,7]]}", 400, "vectors[0]"},
      {"{\"vectors\":[[1,2,3,4,5,6,7,8,9]]}", 400, "vectors[0]"},
      {"{\"vectors\":[[1,2,3,4,5,6,7,\"8\"]]}", 400, "vectors[0][7]"},
      {"{\"vectors\":[[1,2,3,4,5,6,7,8],[1,2,3,4,5,1e39,7,8]]}", 400, "vectors[1][5]"},
      {"{\"ids\":[\"id-1\",\"nobody\"]}", 404, "ids[1]"},
      {"{\"ids\":[1.5]}", 400, "ids[0]"},
      {"{\"ids\":[\"id-1\"],\"vectors\":[[1,2,3,4,5,6,7,8]]}", 400, "vectors"},
      {"{\"ids\":[\"id-1\"],\"ids\":[\"id-1\"]}", 400, "ids"},
      {"{\"ids\":[1,2,3,4,5]}", 413, "ids"},
      {"{\"ids\":[\"id-1\"],\"k\":0}", 400, "k"},
      {"{\"ids\":[\"id-1\"],\"k\":-1}", 400, "k"},
      {"{\"ids\":[\"id-1\"],\"k\":2.5}", 400, "k"},
      {"{\"ids\":[\"id-1\"],\"k\":101}", 413, "k"},
      {"{\"ids\":[\"id-1\"],\"metric\":\"dot\"}", 400, "metric"},
      {"{\"ids\":[\"id-1\"],\"min_score\":\"high\"}", 400, "min_score"},
      {"{\"ids\":[\"id-1\"],\"include_vectors\":1}", 400, "include_vectors"},
      {"{\"ids\":[\"id-1\"],\"exclude_ids\":7}", 400, "exclude_ids"},
      {"{\"ids\":[\"id-1\"],\"timeout_ms\":1e9}", 400, "timeout_ms"},
      {"{\"ids\":[\"id-1\"],\"timeout_ms\":1000000000}", 413, "timeout_ms"},
      {"{\"ids\":[\"id-1\"],\"limit\":7}", 400, "limit"},
      {"{\"vectors_base64\":\"AAAA\"}", 400, "vectors_base64"},
      {"{\"vectors_base64\":\"A*==\"}", 400, "vectors_base64"},
      {"{\"vectors_base64\":\"AADAfwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}", 400, "vectors_base64"},
  };
  Client client(server.port());
  for (const Case& c : cases) {
    const HttpAnswer answer = client.ask("POST", kSearch, c.body);
    EXPECT_EQ(answer.status, c.status) << c.body << "\n" << answer.body;
    EXPECT_EQ(answer.json()["error"].value("field", ""), c.field) << c.body << "\n" << answer.body;
    EXPECT_EQ(answer.json()["error"].contains("limit"), c.status == 413) << c.body;
  }
  const std::map<std::string, std::string> binary{{"Content-Type", "application/octet-stream"}};
  EXPECT_EQ(client.ask("POST", kSearch, "123", binary).json()["error"]["field"], "body");
  EXPECT_EQ(client.ask("POST", kSearch, bytes({1, 2, 3, 4, 5, 6, 7, NAN}), binary).json()["error"]["field"], "body");
  EXPECT_EQ(client.ask("POST", kSearch + "?k=many", bytes(query(1)), binary).json()["error"]["field"], "k");
  EXPECT_EQ(client.ask("POST", kSearch + "?k=%zz", bytes(query(1)), binary).status, 400);
  EXPECT_EQ(client.ask("POST", kSearch, "<a/>", {{"Content-Type", "text/xml"}}).status, 415);
  EXPECT_EQ(client.ask("POST", "/v1/indexes/others/search", "{}").status, 404);
  EXPECT_EQ(client.ask("GET", kSearch).status, 405);
  EXPECT_EQ(client.ask("GET", kSearch).headers["Allow"], "POST");
  EXPECT_EQ(client.get("/nothing").status, 404);
  EXPECT_EQ(client.get("/healthz").body, "ok\n");
  const HttpAnswer large = client.ask("POST", kSearch, std::string(200'000, ' '));
  EXPECT_EQ(large.status, 413);
  EXPECT_EQ(large.json()["error"]["limit"]["name"], "body_bytes");
}

TEST_F(Serve, RefusesWhatIsNoHttp) {
  const Server server(with({"--header-timeout-ms", "300", "--body-timeout-ms", "1500"}));
  const auto status = [&](const std::string& sent) {
    Client client(server.port());
    client.send_raw(sent);
    const HttpAnswer answer = client.receive();
    EXPECT_TRUE(client.is_closed()) << sent.substr(0, 40);
    return answer.status;
  };
  EXPECT_EQ(status("nonsense\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), 400);
  EXPECT_EQ(status("GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\n\r\n"), 431);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nExpect: miracles\r\n\r\n"), 417);
  EXPECT_EQ(status("GET / HTT"), 408);
  EXPECT_EQ(status("POST " + kSearch + " HTTP/1.1\r\nContent-Length: 10\r\n\r\n{"), 408);
  Client silent(server.port());
  EXPECT_TRUE(silent.is_closed());
  Client polite(server.port());
  polite.send_raw("POST " + kSearch + " HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 16\r\n\r\n");
  EXPECT_EQ(polite.receive().status, 100);
  polite.send_raw("{\"ids\":[\"id-1\"]}");
  EXPECT_EQ(polite.receive().status, 200);
}

TEST_F(Serve, AsksForItsToken) {
  write_bytes(folder_ / "token", "secret\n");
  const Server server(with({"--token-file", folder_ / "token"}));
  Client client(server.port());
  EXPECT_EQ(client.get("/v1/indexes").status, 401);
  EXPECT_EQ(client.ask("GET", "/v1/indexes", "", {{"Authorization", "Bearer secreT"}}).status, 401);
  EXPECT_EQ(client.ask("GET", "/v1/indexes", "", {{"Authorization", "Bearer secret"}}).status, 200);
  EXPECT_EQ(client.get("/metrics").status, 401);
  EXPECT_EQ(client.get("/readyz").status, 200);
}

TEST_F(Serve, AnswersFromTheCacheUntilTheFileIsReplaced) {
  const Server server(with({"--cache", "1MiB", "--watch-ms", "20"}));
  Client client(server.port());
  const json request{{"vectors", vectors(query(5))}};
  const std::string first = client.post(kSearch, request).body;
  EXPECT_EQ(client.post(kSearch, request).body, first);
  EXPECT_THAT(client.get("/metrics").body, HasSubstr("simtile_cache_hits_total{worker=\"0\"} 1\n"));
  write_dense(folder_ / "new.emb", 300, kColumns, ElementType::kF32, storage::IdKind::kString);
  std::filesystem::rename(folder_ / "new.emb", items_);
  server.wait_for("swapped in", 1);
  EXPECT_EQ(client.post(kSearch, request).json()["generation"], 2);
}

TEST_F(Serve, ShedsWhatItHasNoRoomFor) {
  // A search that takes a while, so that a queue forms.
  write_matrix(folder_ / "big.emb", random_matrix(30'000, 256, 3));
  const Server server({"--index", "big=" + (folder_ / "big.emb"), "--queue-requests", "2", "--pass-queries", "1",
                       "--max-connections", "20", "--open", "fast"});
  const std::string search = "/v1/indexes/big/search";
  std::vector<int> rows(200);
  std::iota(rows.begin(), rows.end(), 0);
  const json request{{"ids", rows}, {"k", 1}};
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 18; ++i) clients.push_back(std::make_unique<Client>(server.port()));
  for (auto& client : clients) client->send("POST", search, request.dump());
  EXPECT_EQ(Client(server.port()).get("/healthz").status, 200);
  std::map<int, int> statuses;
  for (auto& client : clients) {
    const HttpAnswer answer = client->receive();
    ++statuses[answer.status];
    if (answer.status != 429) continue;
    EXPECT_EQ(answer.headers.at("Retry-After"), "1");
    EXPECT_EQ(answer.json()["error"]["limit"]["name"], "queue_requests");
  }
  EXPECT_GE(statuses[200], 2);
  EXPECT_GE(statuses[429], 1);
  EXPECT_EQ(statuses[200] + statuses[429], 18);

  // One that must wait longer than it can, behind others.
  clients[0]->send("POST", search, request.dump());
  clients[1]->send("POST", search, request.dump());
  json late = request;
  late["timeout_ms"] = 1;
  const HttpAnswer answer = clients[2]->post(search, late);
  EXPECT_TRUE(answer.status == 504 || answer.status == 429 || answer.status == 200) << answer.status;
  for (int i = 0; i < 2; ++i) clients[static_cast<std::size_t>(i)]->receive();

  std::vector<std::unique_ptr<Client>> more;
  for (int i = 0; i < 10; ++i) more.push_back(std::make_unique<Client>(server.port()));
  EXPECT_TRUE(more.back()->is_closed());
  EXPECT_THAT(clients[0]->get("/metrics").body, HasSubstr("simtile_shed_total{worker=\"0\",reason=\"connections\"}"));
}

// Bodies are announced before they are sent: the room that all may take is given out then.
TEST_F(Serve, RefusesMoreBodiesAtOnceThanItHasRoomFor) {
  const Server server(with({"--max-body", "100MiB"}));
  const std::string announced = "POST " + kSearch + " HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n{";
  Client first(server.port()), second(server.port()), third(server.port());
  first.send_raw(announced);
  second.send_raw(announced);
  Client(server.port()).get("/healthz");  // the loop has seen the two
  third.send_raw(announced);
  const HttpAnswer refused = third.receive();
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.json()["error"]["limit"]["name"], "incoming_bytes");
  EXPECT_EQ(Client(server.port()).post(kSearch, {{"ids", {"id-1"}}}).status, 200);
}

TEST_F(Serve, SaysAtOnceWhatIsWrongWithItsArguments) {
  EXPECT_EQ(run_tool({"serve"}).exit_code, 2);
  EXPECT_EQ(run_tool({"serve", "--index", "items"}).exit_code, 2);
  for (const std::string name : {"a b", "a/b", "\"", "..", "\n"})
    EXPECT_EQ(run_tool({"serve", "--port", "0", "--index", name + "=" + items_}).exit_code, 2) << name;
  EXPECT_EQ(run_tool({"serve", "--index", "items=" + (folder_ / "none.emb")}).exit_code, 1);
  const ToolResult no_token =
      run_tool({"serve", "--port", "0", "--index", "items=" + items_, "--token-file", folder_ / "none"});
  EXPECT_EQ(no_token.exit_code, 2);
  EXPECT_THAT(no_token.err, HasSubstr("cannot be read"));
  EXPECT_EQ(run_tool({"serve", "--index", "items=" + knn_}).exit_code, 3);
  EXPECT_EQ(run_tool({"serve", "--index", "a=" + items_, "--index", "a=" + items_}).exit_code, 2);
  EXPECT_EQ(run_tool({"serve", "--index", "a=" + items_, "--address", "nowhere"}).exit_code, 2);
  const Server server(index());
  const ToolResult second = run_tool({"serve", "--index", "a=" + items_, "--port", std::to_string(server.port())});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.err, HasSubstr("Address already in use"));
  write_dense(folder_ / "other.emb", 3, kColumns);
  EXPECT_THAT(run_tool({"serve", "--index", "a=" + (folder_ / "other.emb") + ",neighbours=" + knn_}).err,
              HasSubstr("was not made from"));
}

}  // namespace
}  // namespace simtile::tests
