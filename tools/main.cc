// The command line tool: a table of verbs, and the one place where errors become a line and an exit code.
#include <algorithm>
#include <csignal>
#include <exception>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "simtile/error.h"
#include "tools/output.h"
#include "tools/verb.h"

namespace simtile::tools {
namespace {

constexpr Verb kVerbs[] = {
    {"import", "Bring a foreign file into a matrix file (.emb)", declare_import},
    {"generate", "Make a synthetic matrix file, the same from the same options", declare_generate},
    {"info", "Say what a matrix or neighbours file holds", declare_info},
    {"verify", "Read a whole file and check every checksum", declare_verify},
    {"screen", "Make a matrix's screen file: bounds that let joins and searches skip work", declare_screen},
    {"plan", "Say what a join or search would do and need; do no work", declare_plan},
    {"join", "Find every row's most similar rows in the same matrix", declare_join},
    {"search", "Find every query row's most similar rows in another matrix", declare_search},
    {"neighbors", "Show one row's neighbours from a neighbours file (.knn)", declare_neighbors},
    {"export", "Write a neighbours file as csv, ndjson, npy or ivecs", declare_export},
    {"serve", "Answer searches and look-ups over HTTP, from files that all workers share", declare_serve},
};

constexpr char kFooter[] =
    "Exit codes: 0 done, 1 the work failed (I/O, disk full), 2 wrong usage, 3 the input is corrupt, 4 the budget is "
    "too\n"
    "small, 130 interrupted. Environment: SIMTILE_BUDGET and SIMTILE_THREADS stand in for --budget and --threads.";

int fail(ErrorCode code, std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  print_to_stderr("simtile: error: " + message + "\n");
  return static_cast<int>(code);
}

// What was wrong with the command line. A word that nothing took is named first: it often is why something is missing.
std::string explain(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  const std::vector<std::string> unknown = app.remaining(true);
  std::string what = error.what();
  if (!unknown.empty())
    what = (chosen.empty() ? "there is no verb '" : "nothing takes '") + unknown.front() + "'";
  else if (chosen.empty())
    what = "name a verb";
  return what + "; see 'simtile " + (chosen.empty() ? "" : chosen.front()->get_name() + " ") + "--help'";
}

int run(int argc, char** argv) {
  CLI::App app("Exact nearest neighbours of matrices larger than memory.", "simtile");
  app.set_version_flag("--version", "simtile " SIMTILE_VERSION, "Print the version and exit");
  app.require_subcommand(1);
  app.footer(kFooter);
  app.get_formatter()->column_width(34);
  std::vector<std::pair<CLI::App*, Action>> actions;
  for (const Verb& verb : kVerbs) {
    CLI::App* sub = app.add_subcommand(verb.name, verb.summary);
    actions.emplace_back(sub, verb.declare(*sub));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForVersion& version) {
    print_line(version.what());
    return 0;
  } catch (const CLI::CallForHelp&) {
    print(app.help());
    return 0;
  } catch (const CLI::ParseError& error) {
    return fail(ErrorCode::kInvalidArgument, explain(app, error));
  }
  for (const auto& [sub, action] : actions)
    if (sub->parsed()) action();
  return 0;
}

}  // namespace
}  // namespace simtile::tools

int main(int argc, char** argv) {
  using simtile::ErrorCode;
  std::signal(SIGPIPE, SIG_IGN);  // a write to a closed pipe then says so, and output.cc knows what to do
  try {
    return simtile::tools::run(argc, argv);
  } catch (const simtile::tools::ReaderGone&) {
    return 0;  // as with `| head`: the reader has all that it wants
  } catch (const simtile::Error& error) {
    return simtile::tools::fail(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return simtile::tools::fail(ErrorCode::kIo, "out of memory; give a smaller --budget or fewer --threads");
  } catch (const std::exception& error) {
    return simtile::tools::fail(ErrorCode::kIo, std::string("unexpected: ") + error.what());
  }
}
