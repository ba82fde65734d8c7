// Pages about the command line, made from the same declarations as --help: what simtile_pages writes.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace simtile::tools {

// One option or argument, as declared.
struct OptionFacts {
  std::vector<std::string> names;    // "-o", "--output"; of an argument its one name
  std::string value;                 // "FILE"; empty for flags
  std::string description;           // one sentence, without a full stop
  std::string environment;           // the variable that stands in for it, or empty
  std::vector<std::string> choices;  // when `value` is "a|b|c"
  bool is_argument = false;          // known by its place
  bool is_required = false;

  bool takes_file() const { return value == "FILE" || value == "SRC" || value == "DST"; }
  bool takes_folder() const { return value == "DIR"; }
};

struct VerbFacts {
  std::string name;
  std::string summary;
  std::vector<OptionFacts> options;  // arguments first
};

struct ToolFacts {
  std::string version;
  std::string summary;
  std::vector<OptionFacts> options;  // --help, --version
  std::vector<VerbFacts> verbs;
};

// The pages of section 1: of the tool, and of a verb.
std::string man_page(const ToolFacts& tool);
std::string man_page(const ToolFacts& tool, const VerbFacts& verb);

std::string bash_completion(const ToolFacts& tool);
std::string zsh_completion(const ToolFacts& tool);
std::string fish_completion(const ToolFacts& tool);

}  // namespace simtile::tools
