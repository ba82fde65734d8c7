// Man pages, in the macros of man(7).
#include <fmt/format.h>

#include "tools/command_line.h"
#include "tools/pages.h"

namespace simtile::tools {
namespace {

// Text that roff takes as it is: a backslash or a leading dot or quote would be a command, a bare '-' a hyphen.
std::string plain(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if (c == '\'')
      out += "\\(aq";
    else
      out += c;
  }
  return out.starts_with('.') ? "\\&" + out : out;
}

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

std::string header(const ToolFacts& tool, const std::string& name) {
  return fmt::format(".TH {} 1 \"\" \"simtile {}\" \"simtile manual\"\n", plain(upper(name)), tool.version);
}

std::string bold(const std::string& text) { return "\\fB" + plain(text) + "\\fR"; }
std::string italic(const std::string& text) { return "\\fI" + plain(text) + "\\fR"; }

std::string synopsis(const OptionFacts& option) {
  if (option.is_argument) return italic(option.value.find(' ') != std::string::npos ? option.value : option.names[0]);
  return bold(option.names.back()) + (option.value.empty() ? "" : " " + italic(option.value));
}

std::string entry(const OptionFacts& option) {
  std::string tag;
  if (option.is_argument) {
    tag = italic(option.names[0]);
  } else {
    for (const std::string& name : option.names) tag += (tag.empty() ? "" : ", ") + bold(name);
    if (!option.value.empty()) tag += " " + italic(option.value);
  }
  std::string text = ".TP\n" + tag + "\n" + plain(option.description) + ".";
  if (!option.environment.empty()) text += " Environment: " + bold(option.environment) + ".";
  return text + "\n";
}

std::string ending(const std::string& see_also) {
  std::string text = ".SH \"EXIT STATUS\"\n";
  for (const ExitCode& code : kExitCodes) text += fmt::format(".TP\n.B {}\n{}.\n", code.value, plain(code.meaning));
  return text + ".SH \"SEE ALSO\"\n" + see_also;
}

}  // namespace

std::string man_page(const ToolFacts& tool) {
  std::string text = header(tool, "simtile");
  text += ".SH NAME\nsimtile \\- exact nearest neighbours of matrices larger than memory\n";
  text += ".SH SYNOPSIS\n.B simtile\n" + italic("VERB") + " [" + italic("arguments") + "]\n";
  text +=
      ".SH DESCRIPTION\nFinds, for every row of an embedding matrix, the K most similar rows, exactly, within a page "
      "budget\nthat bounds the whole process. An interrupted job takes up where it stopped when the same command is "
      "run again.\n.SH VERBS\n";
  for (const VerbFacts& verb : tool.verbs)
    text += ".TP\n" + bold(verb.name) + "\n" + plain(verb.summary) + ". See " + bold("simtile-" + verb.name) + "(1).\n";
  text += ".SH OPTIONS\n";
  for (const OptionFacts& option : tool.options) text += entry(option);
  std::string see_also;
  for (const VerbFacts& verb : tool.verbs)
    see_also += (see_also.empty() ? "" : ",\n") + bold("simtile-" + verb.name) + "(1)";
  return text + ending(see_also + "\n");
}

std::string man_page(const ToolFacts& tool, const VerbFacts& verb) {
  std::string text = header(tool, "simtile-" + verb.name);
  text += ".SH NAME\nsimtile\\-" + plain(verb.name) + " \\- " + plain(verb.summary) + "\n";
  text += ".SH SYNOPSIS\n.B simtile " + plain(verb.name) + "\n";
  for (const OptionFacts& option : verb.options)
    if (option.is_required) text += synopsis(option) + "\n";
  text += "[" + italic("options") + "]\n.SH DESCRIPTION\n" + plain(verb.summary) + ".\n";
  std::string arguments, options;
  for (const OptionFacts& option : verb.options) (option.is_argument ? arguments : options) += entry(option);
  if (!arguments.empty()) text += ".SH ARGUMENTS\n" + arguments;
  text += ".SH OPTIONS\n" + options;
  return text + ending(bold("simtile") + "(1)\n");
}

}  // namespace simtile::tools
