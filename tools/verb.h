// A verb of the command line: declares its options on its own CLI::App and gives back what to do once they are parsed.
//
// Actions throw simtile::Error; main.cc alone turns errors into a line on standard error and an exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace simtile::tools {

using Action = std::function<void()>;

struct Verb {
  const char* name;
  const char* summary;
  Action (*declare)(CLI::App& app);
};

Action declare_import(CLI::App& app);
Action declare_generate(CLI::App& app);
Action declare_info(CLI::App& app);
Action declare_verify(CLI::App& app);
Action declare_screen(CLI::App& app);
Action declare_plan(CLI::App& app);
Action declare_join(CLI::App& app);
Action declare_search(CLI::App& app);
Action declare_merge(CLI::App& app);
Action declare_neighbors(CLI::App& app);
Action declare_export(CLI::App& app);
Action declare_report(CLI::App& app);
Action declare_serve(CLI::App& app);

}  // namespace simtile::tools
