// The command line's contract (docs/cli.md): what each verb prints and writes, and how it ends when it cannot.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "simtile/matrix.h"
#include "simtile/neighbours.h"
#include "tests/run_tool.h"

namespace simtile {
namespace {

using nlohmann::json;
using storage::IdKind;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::StartsWith;
using tests::run_tool;
using tests::TempFolder;
using tests::ToolResult;

// One line of error, and nothing on standard output.
void expect_failure(const ToolResult& result, int exit_code, const std::string& words) {
  SCOPED_TRACE(words);
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, StartsWith("simtile: error: "));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_THAT(result.err, HasSubstr(words));
}

ToolResult expect_success(const ToolResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

class Cli : public testing::Test {
 protected:
  // 300 rows with string ids and 200 with u64 ids, 3 columns each, and the neighbours of a join and a search.
  Cli() {
    tests::write_dense(a_, 300, 3, ElementType::kF32, IdKind::kString);
    tests::write_dense(b_, 200, 3, ElementType::kF32, IdKind::kU64);
  }
  void join() { expect_success(run_tool({"join", a_, "--top-k", "4", "-o", knn_, "--progress", "none"})); }

  const TempFolder folder_;
  const std::string a_ = folder_ / "a.emb";
  const std::string b_ = folder_ / "b.emb";
  const std::string knn_ = folder_ / "a.knn";
};

TEST_F(Cli, VersionAndHelp) {
  EXPECT_THAT(expect_success(run_tool({"--version"})).out,
              ContainsRegex("^simtile [0-9]+\\.[0-9]+\\.[0-9]+\ncommit [0-9a-z+]+\ninstruction sets: scalar.*; auto is "
                            "(scalar|avx2|avx512)\n$"));
  const std::string help = expect_success(run_tool({"--help"})).out;
  for (const char* verb :
       {"import", "generate", "info", "verify", "screen", "plan", "join", "search", "neighbors", "export"}) {
    EXPECT_THAT(help, HasSubstr(verb));
    const std::string verb_help = expect_success(run_tool({verb, "--help"})).out;
    EXPECT_THAT(verb_help, HasSubstr("Usage: simtile " + std::string(verb)));
    EXPECT_THAT(verb_help, HasSubstr("--budget"));
    EXPECT_THAT(verb_help, HasSubstr("--threads"));
  }
}

TEST_F(Cli, WrongUsageIsExitCode2WithAHint) {
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& words) {
    expect_failure(run_tool(arguments), 2, words);
  };
  refused({}, "see 'simtile --help'");
  refused({"frobnicate"}, "no verb 'frobnicate'");
  refused({"join", a_, "-o", knn_, "--frob"}, "'--frob'; see 'simtile join --help'");
  refused({"join", "--frob"}, "'--frob'");
  refused({"join", "-o", knn_}, "give a matrix file, or --field NAME=FILE");
  refused({"join", a_}, "--output is required");
  refused({"join", a_, b_, "-o", knn_}, b_);
  refused({"join", a_, "-o", knn_, "--top-k", "0"}, "--top-k: '0'");
  refused({"join", a_, "-o", knn_, "--top-k", "-1"}, "'-1'");
  refused({"join", a_, "-o", knn_, "--top-k", "ten"}, "'ten'");
  refused({"join", a_, "-o", knn_, "--top-k", "99999999999999999999"}, "whole number");
  refused({"join", a_, "-o", knn_, "--metric", "manhattan"}, "cosine, ip, l2");
  refused({"join", a_, "-o", knn_, "--isa", "mmx"}, "avx512");
  refused({"join", a_, "-o", knn_, "--min-score", "nan"}, "'nan'");
  refused({"join", a_, "-o", knn_, "--threads", "0"}, "--threads");
  refused({"join", a_, "-o", knn_, "--budget", "lots"}, "512MiB");
  refused({"join", a_, "-o", knn_, "--budget", "-2GiB"}, "'-2GiB' is not a size of 0 or more");
  refused({"join", a_, "-o", knn_, "--progress", "loud"}, "auto, bar, plain, none");
  refused({"join", a_, "-o", knn_, "--checkpoint-seconds", "-1"}, "--checkpoint-seconds");
  refused({"search", a_, "-o", knn_}, "give the base's matrix file and the queries'");
  refused({"plan", "search", a_}, "'search' and two");
  refused({"generate", folder_ / "g.emb", "--rows", "0", "--dims", "3"}, "--rows");
  refused({"generate", folder_ / "g.emb", "--dims", "3"}, "--rows is required");
  EXPECT_FALSE(std::filesystem::exists(knn_));
}

TEST_F(Cli, InputsThatCannotBeUsed) {
  expect_failure(run_tool({"neighbors", a_, "--row", "0"}), 3, "run a join or a search first");
  const std::string none = folder_ / "none.emb";
  tests::write_dense(folder_ / "wide.emb", 5, 4);
  tests::write_bytes(folder_ / "text.emb", std::string(10000, 'x'));
  std::string bytes = tests::read_bytes(a_);
  tests::write_bytes(folder_ / "cut.emb", bytes.substr(0, bytes.size() - 1));
  for (const char* verb : {"join", "plan"}) {
    expect_failure(run_tool({verb, none, "-o", knn_}), 1, none);
    expect_failure(run_tool({verb, folder_ / "text.emb", "-o", knn_}), 3, "magic");
    expect_failure(run_tool({verb, folder_ / "cut.emb", "-o", knn_}), 3, "cut.emb");
  }
  expect_failure(run_tool({"search", a_, folder_ / "wide.emb", "-o", knn_}), 2, "columns");
  expect_failure(run_tool({"search", a_, none, "-o", knn_}), 1, none);
  for (const char* verb : {"info", "verify"}) {
    expect_failure(run_tool({verb, none}), 1, none);
    expect_failure(run_tool({verb, folder_.path()}), 1, "directory");
    expect_failure(run_tool({verb, folder_ / "text.emb"}), 3, "magic");
    expect_failure(run_tool({verb, folder_ / "cut.emb"}), 3, "cut short");
  }
  expect_failure(run_tool({"neighbors", a_, "--row", "0"}), 3, "neighbours file");
  expect_failure(run_tool({"import", folder_ / "none.npy", folder_ / "x.emb"}), 1, "none.npy");
  EXPECT_FALSE(std::filesystem::exists(knn_));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "x.emb"));
}

// Nobody writes to it: to open it would take for ever.
TEST_F(Cli, APipeIsNoInput) {
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  expect_failure(run_tool({"join", folder_ / "pipe", "-o", knn_}), 2, "is a pipe");
  expect_failure(run_tool({"import", folder_ / "pipe", folder_ / "x.emb", "--format", "npy"}), 2, "is a pipe");
}

TEST_F(Cli, OutputsThatCannotBeWritten) {
  expect_failure(run_tool({"join", a_, "-o", folder_.path()}), 2, "folder");
  expect_failure(run_tool({"join", a_, "-o", a_}), 2, "is the input");
  expect_failure(run_tool({"join", a_, "-o", "/dev/null"}), 2, "device");
  expect_failure(run_tool({"join", a_, "-o", ""}), 2, "no name");
  expect_failure(run_tool({"join", a_, "-o", folder_ / "none/a.knn"}), 1, "none/a.knn");
  expect_failure(run_tool({"join", a_, "-o", knn_, "--report", folder_.path()}), 2, "folder");
  EXPECT_FALSE(std::filesystem::exists(knn_));
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--help"}, {"--version"}, {"info", a_}, {"verify", a_}, {"plan", a_}})
    expect_failure(run_tool(arguments, {}, "/dev/full"), 1, "standard output");
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kUncertainMebibytes = 4;
#else
constexpr std::uint64_t kUncertainMebibytes = 0;
#endif

TEST_F(Cli, ABudgetTooSmallSaysWhatWorks) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"join", a_, "-o", knn_}, {"search", a_, b_, "-o", knn_}, {"plan", "join", a_}}) {
    std::vector<std::string> with_budget = arguments;
    with_budget.insert(with_budget.end(), {"--budget", "1MiB", "--progress", "none"});
    const ToolResult result = run_tool(with_budget);
    expect_failure(result, 4, "--budget ");
    const std::size_t at = result.err.find("--budget ") + std::strlen("--budget ");
    // "<count>MiB". A sanitized process's own size varies by more than the half mebibyte that this has room for.
    with_budget[arguments.size() + 1] =
        std::to_string(std::stoull(result.err.substr(at)) + kUncertainMebibytes) + "MiB";
    EXPECT_EQ(run_tool(with_budget).exit_code, 0) << with_budget[arguments.size() + 1];
  }
  expect_failure(run_tool({"join", a_, "-o", knn_, "--budget", "0"}), 4, "--budget ");
  for (const char* verb : {"info", "verify"}) {
    expect_failure(run_tool({verb, a_, "--budget", "31MiB"}), 4, "32.0 MiB");
    expect_success(run_tool({verb, a_, "--budget", "32MiB"}));
  }
}

TEST_F(Cli, TheEnvironmentStandsInForFlags) {
  expect_failure(run_tool({"info", a_}, {"SIMTILE_BUDGET=1MiB"}), 4, "32.0 MiB");
  expect_success(run_tool({"info", a_, "--budget", "64MiB"}, {"SIMTILE_BUDGET=1MiB"}));
  expect_failure(run_tool({"info", a_}, {"SIMTILE_THREADS=many"}), 2, "many");
  const json plan = json::parse(expect_success(run_tool({"plan", a_, "--json"}, {"SIMTILE_THREADS=1"})).out);
  EXPECT_EQ(plan["threads"], 1);
}

TEST_F(Cli, InfoSaysWhatAFileHolds) {
  const json matrix = json::parse(expect_success(run_tool({"info", a_, "--json"})).out);
  EXPECT_EQ(matrix["kind"], "matrix");
  EXPECT_EQ(matrix["rows"], 300);
  EXPECT_EQ(matrix["columns"], 3);
  EXPECT_EQ(matrix["element_type"], "f32");
  EXPECT_EQ(matrix["ids"], "string");
  EXPECT_EQ(matrix["payload_offset"], 4096);
  EXPECT_EQ(matrix["file_bytes"], std::filesystem::file_size(a_));
  EXPECT_THAT(expect_success(run_tool({"info", a_})).out, ContainsRegex("rows +300\n"));
  join();
  const json neighbours = json::parse(expect_success(run_tool({"info", knn_, "--json"})).out);
  EXPECT_EQ(neighbours["kind"], "neighbours");
  EXPECT_EQ(neighbours["top_k"], 4);
  EXPECT_EQ(neighbours["metric"], "cosine");
  EXPECT_EQ(neighbours["self_join"], true);
  EXPECT_EQ(neighbours["min_score"], nullptr);
  EXPECT_EQ(neighbours["query_identity"], matrix["identity"]);
  EXPECT_THAT(expect_success(run_tool({"info", knn_})).out, ContainsRegex("top k +4\n"));
}

TEST_F(Cli, VerifyNamesTheDamagedBlock) {
  EXPECT_THAT(expect_success(run_tool({"verify", a_})).out, ContainsRegex("^OK .* matrix file, [0-9]+ blocks, "));
  std::string bytes = tests::read_bytes(a_);
  bytes[5000] = static_cast<char>(bytes[5000] ^ 1);
  tests::write_bytes(a_, bytes);
  expect_failure(run_tool({"verify", a_}), 3, "block 0 (rows");
}

TEST_F(Cli, JoinWritesNeighboursAndAReport) {
  const ToolResult result = expect_success(
      run_tool({"join", a_, "--top-k", "4", "-o", knn_, "--threads", "1", "--report", folder_ / "r.json"}));
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("300 rows in "));
  for (const std::string& line : lines_of(result.err)) {
    if (!line.starts_with("progress ")) continue;
    EXPECT_THAT(line, ContainsRegex("^progress [0-9]+/300 rows \\([0-9]+\\.[0-9]%\\) [0-9]+\\.[0-9] [kM]?row/s eta "
                                    "[0-9][0-9]+:[0-9][0-9]:[0-9][0-9]$"));
  }
  EXPECT_EQ(Neighbours(knn_).info().rows, 300u);
  EXPECT_FALSE(std::filesystem::exists(knn_ + ".work"));
  const json report = json::parse(tests::read_bytes(folder_ / "r.json"));
  for (const char* key : {"schema",
                          "version",
                          "command",
                          "rows",
                          "query_rows",
                          "dims",
                          "metric",
                          "top_k",
                          "threads",
                          "isa",
                          "budget_bytes",
                          "peak_rss_bytes",
                          "seconds",
                          "pairs_total",
                          "pairs_scored",
                          "flops",
                          "bytes_read",
                          "bytes_spilled",
                          "tiles_total",
                          "tiles_resumed",
                          "output_xxh3",
                          "seconds_compute",
                          "seconds_io_wait",
                          "seconds_merge",
                          "peak_rss_anon_bytes",
                          "peak_rss_file_bytes"})
    EXPECT_TRUE(report.contains(key)) << key;
  EXPECT_EQ(report["command"], "join");
  EXPECT_EQ(report["rows"], 300);
  EXPECT_EQ(report["threads"], 1);
  EXPECT_EQ(report["pairs_total"], 300 * 299);
  EXPECT_GT(report["peak_rss_bytes"], 1u << 20);
  EXPECT_LE(report["peak_rss_bytes"], report["budget_bytes"]);
  EXPECT_THAT(report["output_xxh3"].get<std::string>(), ContainsRegex("^[0-9a-f]{16}$"));
}

TEST_F(Cli, ShardsAndMergeMakeTheFileOfOneJoin) {
  join();
  const std::string out = folder_ / "shared.knn";
  const std::vector<std::string> merge = {"merge", "join", a_, "-k", "4", "-o", out};
  const auto shard = [&](const std::string& which) {
    return run_tool({"join", a_, "-k", "4", "-o", out, "--shard", which, "--report", folder_ / "r.json"});
  };
  for (const char* wrong : {"0/2", "3/2", "1", "1/", "/2", "1/2/3", "a/b", "1/257", "-1/2"})
    expect_failure(shard(wrong), 2, "shard");
  expect_failure(run_tool(merge), 1, "there are no shards");
  EXPECT_THAT(expect_success(shard("2/2")).err, HasSubstr("shard 2/2 in"));
  EXPECT_EQ(json::parse(tests::read_bytes(folder_ / "r.json"))["shard"], "2/2");
  expect_failure(run_tool(merge), 1, "1 of 2 missing");
  EXPECT_THAT(expect_success(shard("2/2")).err, HasSubstr("was done before"));
  expect_success(run_tool({"report", folder_ / "r.json", "-o", folder_ / "r.html"}));
  expect_success(shard("1/2"));
  expect_failure(run_tool({"merge", a_, "-k", "5", "-o", out}), 2, "another job");
  EXPECT_FALSE(std::filesystem::exists(out));
  EXPECT_THAT(expect_success(run_tool(merge)).err, HasSubstr("of 2 shards"));
  EXPECT_EQ(tests::read_bytes(out), tests::read_bytes(knn_));
  EXPECT_FALSE(std::filesystem::exists(out + ".work"));
  EXPECT_THAT(expect_success(run_tool(merge)).err, HasSubstr("is the answer already"));
}

TEST_F(Cli, MergeTakesFieldsAndRefusesJoinsByThreshold) {
  const std::string out = folder_ / "shared.knn";
  const auto job = [&](const std::string& verb, const std::string& to, const std::vector<std::string>& more) {
    std::vector<std::string> words = {verb, "--field", "x=" + a_ + ":0.5", "--field", "y=" + a_ + ":2", "-k", "4",
                                      "-o", to};
    words.insert(words.end(), more.begin(), more.end());
    return run_tool(words);
  };
  expect_success(job("join", knn_, {}));
  expect_success(job("join", out, {"--shard", "1/2"}));
  expect_success(job("join", out, {"--shard", "2/2"}));
  expect_success(job("merge", out, {}));
  EXPECT_EQ(tests::read_bytes(out), tests::read_bytes(knn_));
  expect_failure(run_tool({"merge", "-o", out}), 2, "simtile merge --help");
  expect_failure(run_tool({"join", a_, "--min-score", "0.5", "-o", out, "--shard", "1/2"}), 2, "--top-k");
  expect_failure(run_tool({"merge", a_, "--min-score", "0.5", "-o", out}), 2, "--top-k");
}

TEST_F(Cli, SearchKeepsWhatIsGoodEnough) {
  expect_success(run_tool({"search", b_, a_, "--metric", "l2", "--min-score", "0", "-o", knn_, "--progress", "none"}));
  const Neighbours neighbours(knn_);
  EXPECT_EQ(neighbours.info().rows, 300u);
  EXPECT_EQ(neighbours.info().base_rows, 200u);
  EXPECT_EQ(neighbours.info().metric, Metric::kL2);
  EXPECT_EQ(neighbours.info().min_score, 0.0f);
  ASSERT_EQ(neighbours.row(7).size(), 4u);  // the values repeat every 50 rows
  EXPECT_EQ(neighbours.row(7)[1].row, 57u);
  EXPECT_EQ(neighbours.row(7)[1].score, 0.0f);
}

TEST_F(Cli, PlanTakesTheArgumentsOfJoinAndSearch) {
  const auto plan = [](std::vector<std::string> arguments) {
    arguments.push_back("--json");
    return json::parse(expect_success(run_tool(arguments)).out);
  };
  for (const json& planned : {plan({"plan", "join", a_, "-k", "3", "-o", knn_}), plan({"plan", a_, "--top-k", "3"})}) {
    EXPECT_EQ(planned["command"], "join");
    EXPECT_EQ(planned["base_rows"], 300);
    EXPECT_EQ(planned["top_k"], 3);
    EXPECT_GT(planned["smallest_budget_bytes"], 0);
    EXPECT_GT(planned["flops_per_second"], 0);
    EXPECT_GT(planned["estimated_seconds"], 0);
    EXPECT_FALSE(planned["spills"]);
  }
  for (const json& planned : {plan({"plan", "search", a_, b_}), plan({"plan", a_, b_})}) {
    EXPECT_EQ(planned["command"], "search");
    EXPECT_EQ(planned["base_rows"], 300);
    EXPECT_EQ(planned["query_rows"], 200);
  }
  // Of all pairs that are good enough nobody knows how many there are.
  const json all_pairs = plan({"plan", "join", a_, "--min-score", "0.5"});
  for (const char* key : {"spills", "bytes_spilled", "output_bytes"}) EXPECT_TRUE(all_pairs[key].is_null()) << key;
  EXPECT_THAT(expect_success(run_tool({"plan", a_, "--min-score", "0.5"})).out, ContainsRegex("spills +not known"));
  EXPECT_THAT(expect_success(run_tool({"plan", a_})).out, ContainsRegex("smallest budget +[0-9.]+ MiB"));
  EXPECT_FALSE(std::filesystem::exists(knn_));
}

TEST_F(Cli, NeighborsShowsARow) {
  join();
  const Neighbours neighbours(knn_);
  const std::vector<Neighbour> expected = neighbours.row(7);
  for (const std::vector<std::string>& which : {std::vector<std::string>{"--row", "7"}, {"--id", "id-7"}}) {
    std::vector<std::string> arguments{"neighbors", knn_, which[0], which[1]};
    const std::vector<std::string> table = lines_of(expect_success(run_tool(arguments)).out);
    ASSERT_EQ(table.size(), 5u);
    EXPECT_THAT(table[0], ContainsRegex("rank +id +row +score"));
    EXPECT_THAT(table[1], ContainsRegex("^ +1 +id-" + std::to_string(expected[0].row) + " +" +
                                        std::to_string(expected[0].row) + " +"));
    arguments.push_back("--json");
    const json row = json::parse(expect_success(run_tool(arguments)).out);
    EXPECT_EQ(row["row"], 7);
    EXPECT_EQ(row["id"], "id-7");
    ASSERT_EQ(row["neighbors"].size(), 4u);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(row["neighbors"][i]["rank"], i + 1);
      EXPECT_EQ(row["neighbors"][i]["row"], expected[i].row);
      EXPECT_EQ(row["neighbors"][i]["id"], tests::string_id(expected[i].row));
      EXPECT_EQ(row["neighbors"][i]["score"].get<float>(), expected[i].score);
    }
  }
  expect_failure(run_tool({"neighbors", knn_, "--row", "300"}), 2, "no row 300");
  expect_failure(run_tool({"neighbors", knn_, "--id", "nobody"}), 2, "'nobody'");
  expect_failure(run_tool({"neighbors", knn_}), 2, "--row or --id");
  expect_failure(run_tool({"neighbors", knn_, "--row", "1", "--id", "id-1"}), 2, "excludes");
}

TEST_F(Cli, GenerateIsTheSameFromTheSameOptions) {
  const std::vector<std::string> options{"--rows", "100", "--dims", "8", "--kind", "clustered", "--seed", "5"};
  for (const char* name : {"x.emb", "y.emb"}) {
    std::vector<std::string> arguments{"generate", folder_ / name};
    arguments.insert(arguments.end(), options.begin(), options.end());
    EXPECT_THAT(expect_success(run_tool(arguments)).out, HasSubstr("100 rows x 8 columns of f32"));
  }
  EXPECT_EQ(tests::read_bytes(folder_ / "x.emb"), tests::read_bytes(folder_ / "y.emb"));
}

TEST_F(Cli, ImportSaysWhatItRead) {
  std::string fvecs;
  for (int row = 0; row < 3; ++row) {
    const std::int32_t dims = 2;
    const float values[2] = {3.0f, static_cast<float>(row)};
    fvecs.append(reinterpret_cast<const char*>(&dims), 4).append(reinterpret_cast<const char*>(values), 8);
  }
  tests::write_bytes(folder_ / "x.fvecs", fvecs);
  tests::write_bytes(folder_ / "ids", "one\ntwo\nthree\n");
  const ToolResult result = expect_success(
      run_tool({"import", folder_ / "x.fvecs", folder_ / "x.emb", "--ids", folder_ / "ids", "--dtype", "f16"}));
  EXPECT_THAT(result.out, HasSubstr("3 rows x 2 columns of f16, string ids, from fvecs"));
  EXPECT_EQ(lines_of(result.out).size(), 1u);
  EXPECT_EQ(Matrix(folder_ / "x.emb").find("three"), 2u);
  expect_failure(run_tool({"import", folder_ / "x.fvecs", folder_ / "x.fvecs"}), 2, "is the input");
  tests::write_bytes(folder_ / "ids", "one\n");
  EXPECT_NE(run_tool({"import", folder_ / "x.fvecs", folder_ / "z.emb", "--ids", folder_ / "ids"}).exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "z.emb"));
}

TEST_F(Cli, AnInterruptedJoinSaysHowToGoOn) {
  expect_success(run_tool({"generate", folder_ / "g.emb", "--rows", "60000", "--dims", "512", "--progress", "none"}));
  tests::Tool tool({"join", folder_ / "g.emb", "-o", knn_, "--isa", "scalar", "--threads", "1", "--progress", "none"});
  // Its work folder shows that the job has begun; it needs minutes at this speed.
  for (int tries = 0; tries < 3000 && !std::filesystem::exists(knn_ + ".work"); ++tries) ::usleep(10'000);
  ASSERT_TRUE(std::filesystem::exists(knn_ + ".work"));
  ASSERT_EQ(::kill(tool.pid(), SIGTERM), 0);
  expect_failure(tool.wait(), 130, "run the same command again");
  EXPECT_FALSE(std::filesystem::exists(knn_));
}

// What a slip of the command line must not destroy.
TEST(CliSafety, NoOutputMayBeAnInputOrAnotherOutput) {
  const tests::TempFolder folder;
  tests::write_dense(folder / "a.emb", 20, 4);
  tests::write_bytes(folder / "a.csv", "not read");
  tests::write_bytes(folder / "ids.txt", "x\n");
  const std::string before = tests::read_bytes(folder / "a.emb");
  const std::string knn = folder / "o.knn";
  EXPECT_EQ(run_tool({"join", folder / "a.emb", "-o", knn, "--report", folder / "a.emb"}).exit_code, 2);
  EXPECT_EQ(run_tool({"search", folder / "a.emb", folder / "a.emb", "-o", knn, "--report", folder / "a.emb"}).exit_code,
            2);
  EXPECT_EQ(run_tool({"join", folder / "a.emb", "-o", knn, "--report", knn}).exit_code, 2);
  EXPECT_EQ(run_tool({"join", folder / "a.emb", "-o", knn, "--report", folder / "./o.knn"}).exit_code, 2);
  std::filesystem::create_directory_symlink(folder.path(), folder / "here");
  EXPECT_EQ(run_tool({"join", folder / "a.emb", "-o", knn, "--report", folder / "here/o.knn"}).exit_code, 2);
  std::filesystem::copy_file(folder / "a.emb", folder / "a.emb.screen");
  EXPECT_EQ(run_tool({"join", folder / "a.emb", "-o", folder / "a.emb.screen"}).exit_code, 2);
  EXPECT_EQ(run_tool({"join", folder / "a.emb", "-o", knn, "--report", folder / "a.emb.screen"}).exit_code, 2);
  EXPECT_EQ(tests::read_bytes(folder / "a.emb.screen"), before);
  EXPECT_EQ(run_tool({"import", folder / "a.csv", folder / "ids.txt", "--ids", folder / "ids.txt"}).exit_code, 2);
  EXPECT_EQ(tests::read_bytes(folder / "a.emb"), before);
  EXPECT_EQ(tests::read_bytes(folder / "ids.txt"), "x\n");
}

// a.emb as two fields of half its weight is a.emb; a colon in a file's name stays one.
TEST_F(Cli, FieldsAreAWeightedSum) {
  std::filesystem::copy_file(a_, folder_ / "a:b.emb");
  join();
  expect_success(run_tool({"join", "--field", "x=" + a_ + ":0.5", "--field", "y=" + (folder_ / "a:b.emb") + ":.5", "-k",
                           "4", "-o", folder_ / "f.knn", "--report", folder_ / "r.json", "--progress", "none"}));
  const Neighbours fields(folder_ / "f.knn");
  for (std::uint64_t row = 0; row < 300; row += 7) {
    const std::vector<Neighbour> plain = Neighbours(knn_).row(row);
    const std::vector<Neighbour> found = fields.row(row);
    ASSERT_EQ(found.size(), 4u);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(found[i].score, plain[i].score);
  }
  EXPECT_EQ(json::parse(tests::read_bytes(folder_ / "r.json"))["fields"], "x:0.5 y:0.5");
  EXPECT_EQ(json::parse(run_tool({"info", folder_ / "f.knn", "--json"}).out)["fields"], "x:0.5 y:0.5");
  expect_success(run_tool({"verify", folder_ / "f.knn"}));
}

TEST_F(Cli, SearchAndPlanTakeFields) {
  const std::vector<std::string> fields{"--field",       "x=" + a_ + ":0.5", "--field",       "y=" + a_,
                                        "--query-field", "y=" + b_,          "--query-field", "x=" + b_};
  const auto with_fields = [&](std::vector<std::string> words, const std::vector<std::string>& more) {
    words.insert(words.end(), fields.begin(), fields.end());
    words.insert(words.end(), more.begin(), more.end());
    return run_tool(words);
  };
  expect_success(with_fields({"search"}, {"-o", knn_, "--progress", "none"}));
  EXPECT_EQ(Neighbours(knn_).info().rows, 200u);
  const json plan = json::parse(with_fields({"plan", "search"}, {"--json"}).out);
  EXPECT_EQ(plan["command"], "search");
  EXPECT_EQ(plan["fields"], "x:0.5 y:1");
  expect_failure(with_fields({"plan", "join"}, {}), 2, "--field");
  expect_failure(with_fields({"search", a_}, {"-o", knn_}), 2, "not both");
  expect_failure(run_tool({"search", "--field", "x=" + a_, "-o", knn_}), 2, "--query-field");
  expect_failure(run_tool({"join", "--field", a_, "-o", knn_}), 2, "is no field");
  expect_failure(run_tool({"join", "--field", "x=" + a_, "--field", "y=" + b_, "-o", knn_}), 2, "row 200");
  expect_failure(run_tool({"search", "--field", "x=" + a_, "--query-field", "z=" + b_, "-o", knn_}), 2,
                 "names no field");
}

TEST_F(Cli, MinScoreWithoutTopKIsAllPairs) {
  expect_success(run_tool({"join", a_, "--min-score", "0.9", "-o", knn_, "--progress", "none"}));
  EXPECT_EQ(Neighbours(knn_).info().top_k, 0u);
  const json info = json::parse(run_tool({"info", knn_, "--json"}).out);
  EXPECT_EQ(info["all_pairs"], true);
  expect_success(run_tool({"verify", knn_}));
  expect_success(run_tool({"neighbors", knn_, "--row", "3"}));
  expect_success(run_tool({"join", a_, "--min-score", "0.9", "-k", "3", "-o", knn_, "--progress", "none"}));
  EXPECT_EQ(Neighbours(knn_).info().top_k, 3u);
}

}  // namespace
}  // namespace simtile
