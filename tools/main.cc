// The command line tool: what runs the verb, and the one place where errors become a line and an exit code.
#include <algorithm>
#include <csignal>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "simtile/error.h"
#include "tools/command_line.h"
#include "tools/output.h"
#include "tools/version.h"

namespace simtile::tools {
namespace {

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
  const CommandLine line = make_command_line(version_text());
  CLI::App& app = *line.app;
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
  for (const auto& [sub, action] : line.actions)
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
