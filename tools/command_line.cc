#include "tools/command_line.h"

#include <fmt/format.h>

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
    {"merge", "Put the shards of a join or search together to its neighbours file", declare_merge},
    {"neighbors", "Show one row's neighbours from a neighbours file (.knn)", declare_neighbors},
    {"export", "Write a neighbours file as csv, ndjson, npy, ivecs or sqlite", declare_export},
    {"report", "Draw how a job went: one HTML page from its report", declare_report},
    {"serve", "Answer searches and look-ups over HTTP, from files that all workers share", declare_serve},
};

std::string footer() {
  std::string text = "Exit codes:";
  for (const ExitCode& code : kExitCodes)
    text += fmt::format("{} {} {}", code.value == 0 ? "" : ",", code.value, code.meaning);
  return text +
         ".\nEnvironment: SIMTILE_BUDGET and SIMTILE_THREADS stand in for --budget and --threads.\nManual: man "
         "simtile, man simtile-VERB.";
}

}  // namespace

CommandLine make_command_line(const std::string& version) {
  CommandLine line;
  line.app = std::make_unique<CLI::App>("Exact nearest neighbours of matrices larger than memory.", "simtile");
  line.app->set_version_flag("--version", version, "Print version, commit and instruction sets, and exit");
  line.app->require_subcommand(1);
  line.app->footer(footer());
  line.app->get_formatter()->column_width(34);
  for (const Verb& verb : kVerbs) {
    CLI::App* sub = line.app->add_subcommand(verb.name, verb.summary);
    line.actions.emplace_back(sub, verb.declare(*sub));
  }
  return line;
}

}  // namespace simtile::tools
