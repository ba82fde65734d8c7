// Completions for bash, zsh and fish: verbs, options, and for values the choices, files or folders.
#include <fmt/format.h>

#include "tools/pages.h"

namespace simtile::tools {
namespace {

std::string joined(const std::vector<std::string>& words, const std::string& separator) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

std::vector<std::string> option_names(const std::vector<OptionFacts>& options) {
  std::vector<std::string> names;
  for (const OptionFacts& option : options)
    if (!option.is_argument) names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

std::vector<std::string> verb_names(const ToolFacts& tool) {
  std::vector<std::string> names;
  for (const VerbFacts& verb : tool.verbs) names.push_back(verb.name);
  return names;
}

// Within single quotes of a shell.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  }
  return out + "'";
}

// What _arguments reads between brackets, and what _describe reads behind a colon.
std::string described(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string bash_completion(const ToolFacts& tool) {
  std::string values, options;
  for (const VerbFacts& verb : tool.verbs) {
    options += fmt::format("      {}) words={} ;;\n", verb.name, quoted(joined(option_names(verb.options), " ")));
    for (const OptionFacts& option : verb.options) {
      if (option.is_argument || option.value.empty()) continue;
      std::vector<std::string> patterns;
      for (const std::string& name : option.names) patterns.push_back(verb.name + ":" + name);
      std::string reply = "return";  // nothing to offer but what the user knows
      if (!option.choices.empty())
        reply =
            fmt::format("COMPREPLY=($(compgen -W {} -- \"$current\")); return", quoted(joined(option.choices, " ")));
      else if (option.takes_folder())
        reply = "compopt -o filenames; COMPREPLY=($(compgen -d -- \"$current\")); return";
      else if (option.takes_file())
        reply = "compopt -o filenames; COMPREPLY=($(compgen -f -- \"$current\")); return";
      values += fmt::format("    {}) {} ;;\n", joined(patterns, "|"), reply);
    }
  }
  return fmt::format(R"(# bash completion for simtile; made by simtile_pages from the tool's own options
_simtile() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} verb=${{COMP_WORDS[1]}} words=
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W {} -- "$current"))
    return
  fi
  case $verb:$previous in
{}  esac
  if [[ $current == -* ]]; then
    case $verb in
{}    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  else
    compopt -o filenames
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}}
complete -F _simtile simtile
)",
                     quoted(joined(verb_names(tool), " ") + " " + joined(option_names(tool.options), " ")), values,
                     options);
}

std::string zsh_completion(const ToolFacts& tool) {
  const auto argument = [&](const OptionFacts& option) {
    if (!option.choices.empty()) return ":value:(" + joined(option.choices, " ") + ")";
    if (option.takes_folder()) return std::string(":folder:_files -/");
    if (option.takes_file() || option.is_argument) return std::string(":file:_files");
    return option.value.empty() ? std::string() : ":" + option.value + ":";
  };
  std::string verbs, cases;
  for (const VerbFacts& verb : tool.verbs) {
    verbs += fmt::format("    {}\n", quoted(verb.name + ":" + described(verb.summary)));
    cases += fmt::format("    {})\n      _arguments", verb.name);
    for (const OptionFacts& option : verb.options) {
      if (option.is_argument) continue;
      for (const std::string& name : option.names)
        cases += " \\\n        " + quoted(name + "[" + described(option.description) + "]" + argument(option));
    }
    cases += " \\\n        '*:file:_files'\n      ;;\n";
  }
  return fmt::format(R"(#compdef simtile
# zsh completion for simtile; made by simtile_pages from the tool's own options
_simtile() {{
  local -a verbs
  verbs=(
{}  )
  if ((CURRENT == 2)); then
    _describe verb verbs
    return
  fi
  shift words
  ((CURRENT--))
  case $words[1] in
{}  esac
}}
_simtile "$@"
)",
                     verbs, cases);
}

std::string fish_completion(const ToolFacts& tool) {
  std::string text = "# fish completion for simtile; made by simtile_pages from the tool's own options\n";
  for (const OptionFacts& option : tool.options)
    text += fmt::format("complete -c simtile -n __fish_use_subcommand -l {} -d {}\n", option.names.back().substr(2),
                        quoted(option.description));
  for (const VerbFacts& verb : tool.verbs) {
    text +=
        fmt::format("complete -c simtile -n __fish_use_subcommand -f -a {} -d {}\n", verb.name, quoted(verb.summary));
    for (const OptionFacts& option : verb.options) {
      if (option.is_argument) continue;
      text += fmt::format("complete -c simtile -n '__fish_seen_subcommand_from {}'", verb.name);
      for (const std::string& name : option.names)
        text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (!option.choices.empty())
        text += " -x -a " + quoted(joined(option.choices, " "));
      else if (option.takes_folder())
        text += " -x -a '(__fish_complete_directories)'";
      else if (!option.value.empty())
        text += option.takes_file() ? " -r -F" : " -x";
      text += " -d " + quoted(option.description) + "\n";
    }
  }
  return text;
}

}  // namespace simtile::tools
