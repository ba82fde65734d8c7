// simtile_pages FOLDER: writes the man pages and the completions for bash, zsh and fish.
#include "tools/pages.h"

#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "tools/command_line.h"

namespace simtile::tools {
namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

OptionFacts facts_of(const CLI::Option& option) {
  OptionFacts facts;
  facts.is_argument = option.get_positional();
  if (facts.is_argument) {
    facts.names = {option.get_single_name()};
  } else {
    for (const std::string& name : option.get_snames()) facts.names.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) facts.names.push_back("--" + name);
  }
  if (option.get_type_size() != 0) facts.value = option.get_type_name();
  facts.description = option.get_description();
  facts.environment = option.get_envname();
  if (!facts.is_argument && facts.value.find('|') != std::string::npos) facts.choices = split(facts.value, '|');
  facts.is_required = option.get_required();
  return facts;
}

std::vector<OptionFacts> options_of(const CLI::App& app) {
  std::vector<OptionFacts> arguments, others;
  for (const CLI::Option* option : app.get_options())
    (option->get_positional() ? arguments : others).push_back(facts_of(*option));
  arguments.insert(arguments.end(), others.begin(), others.end());
  return arguments;
}

ToolFacts tool_facts() {
  const CommandLine line = make_command_line(SIMTILE_VERSION);
  ToolFacts tool{SIMTILE_VERSION, line.app->get_description(), options_of(*line.app), {}};
  for (const auto& [verb, action] : line.actions)
    tool.verbs.push_back({verb->get_name(), verb->get_description(), options_of(*verb)});
  return tool;
}

void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  if (!(file << text).flush()) throw std::runtime_error("cannot write " + path.string());
}

void write_pages(const std::filesystem::path& folder) {
  const ToolFacts tool = tool_facts();
  write(folder / "man1" / "simtile.1", man_page(tool));
  for (const VerbFacts& verb : tool.verbs)
    write(folder / "man1" / ("simtile-" + verb.name + ".1"), man_page(tool, verb));
  write(folder / "simtile.bash", bash_completion(tool));
  write(folder / "_simtile", zsh_completion(tool));
  write(folder / "simtile.fish", fish_completion(tool));
}

}  // namespace
}  // namespace simtile::tools

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: simtile_pages FOLDER\n", stderr);
    return 2;
  }
  try {
    simtile::tools::write_pages(argv[1]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "simtile_pages: %s\n", error.what());
    return 1;
  }
}
