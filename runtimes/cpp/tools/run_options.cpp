#include "run_options.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <map>

#include "base/files.h"
#include "base/python_str.h"
#include "close_matches.h"
#include "ending.h"

namespace {

constexpr int MAX_THREADS = 1024;
constexpr const char* RUNTIMES[] = {"auto", "onnxruntime", "openvino", "tensorrt", "tensorrt-rtx"};
constexpr const char* HELP = R"(Usage: fnet-run [OPTIONS] BUNDLE [-]

  Answer texts with BUNDLE, the folder that fnet-export wrote; - reads
  standard input as one text.

Options:
  --text TEXT                     A text to answer; may be given several
                                  times.
  --file PATH                     A UTF-8 file that holds one text.
  --pair TEXT                     The second text, context, or (several times)
                                  the choices, for every text.
  --lines                         Take each line of the file or of - as one
                                  text; answer it as it comes.
  --top-k INTEGER RANGE           Fillers or answers to return.  [default: 5;
                                  x>=1]
  --json                          Print one JSON value a line.
  --self-test                     Run golden.safetensors and compare with its
                                  float64 references.
  --runtime [auto|onnxruntime|openvino|tensorrt|tensorrt-rtx]
                                  auto is the bundle's own engine.  [default:
                                  auto]
  --threads INTEGER RANGE         Cores that ONNX Runtime or OpenVINO may use.
                                  [default: all]  [1<=x<=1024]
  --max-text-bytes INTEGER RANGE  Longest text that is taken, in bytes of
                                  UTF-8.  [default: 33554432; x>=1]
  --version                       Show the version and exit.
  -h, --help                      Show this message and exit.)";

struct Option {
  const char* name;
  bool takes_value, is_repeated;
};
constexpr Option OPTIONS[] = {{"--text", true, true}, {"--file", true, true}, {"--pair", true, true}, {"--lines", false, false},
                              {"--top-k", true, false}, {"--json", false, false}, {"--self-test", false, false},
                              {"--runtime", true, false}, {"--threads", true, false}, {"--max-text-bytes", true, false},
                              {"--version", false, false}, {"--help", false, false}};

[[noreturn]] void usage(const std::string& fault) {
  std::cerr << "Usage: fnet-run [OPTIONS] BUNDLE [-]\nTry 'fnet-run --help' for help.\n\nError: " << fault << "\n";
  std::exit(USAGE);
}

[[noreturn]] void misused(const std::string& option, const std::string& fault) {
  std::cerr << "Error: Option '" << option << "' " << fault << "\n";
  std::exit(USAGE);
}

[[noreturn]] void invalid(const std::string& name, const std::string& fault) { usage("Invalid value for '" + name + "': " + fault + "."); }

[[noreturn]] void no_such_option(const std::string& option, const std::vector<std::string>& close) {
  std::string names;
  for (const std::string& name : close) names += (names.empty() ? "" : ", ") + fnet::python::repr(name);
  std::string hint;
  if (close.size() == 1) hint = " Did you mean " + names + "?";
  if (close.size() > 1) hint = " (Did you mean one of: " + names + "?)";
  usage("No such option " + fnet::python::repr(option) + "." + hint);
}

// An int as Python spells one, in ASCII: white space around it, a sign, and underscores between digits.
std::string digits_from_text(const std::string& text) {
  constexpr const char* SPACE = " \t\n\r\f\v\x1c\x1d\x1e\x1f";
  const std::size_t begin = text.find_first_not_of(SPACE), end = text.find_last_not_of(SPACE);
  if (begin == text.npos) return "";
  std::string sign, digits;
  std::size_t i = begin;
  if (text[i] == '-' || text[i] == '+') sign = text[i++] == '-' ? "-" : "";
  for (bool after_digit = false; i <= end; ++i) {
    const bool is_digit = text[i] >= '0' && text[i] <= '9';
    if (!is_digit && !(text[i] == '_' && after_digit && i < end)) return "";
    if (is_digit && (digits != "0")) digits += text[i];
    else if (is_digit) digits = text[i];
    after_digit = is_digit;
  }
  return digits.empty() || digits == "0" ? digits : sign + digits;
}

long long integer(const std::string& option, const std::string& value, int low, long long high, const char* range) {
  const std::string digits = digits_from_text(value);
  if (digits.empty()) invalid(option, fnet::python::repr(value) + " is not a valid integer range");
  const long long number = std::strtoll(digits.c_str(), nullptr, 10);  // the nearest to a larger one
  if (number < low || (number > high && high < INT32_MAX)) invalid(option, digits + " is not in the range " + range);
  return std::min(number, high);
}

const Option* known_option(const std::string& name) {
  const auto found = std::find_if(std::begin(OPTIONS), std::end(OPTIONS), [&](const Option& option) { return name == option.name; });
  return found == std::end(OPTIONS) ? nullptr : found;
}

struct Words {
  std::vector<std::pair<std::string, std::string>> options;  // name and value, in their order
  std::vector<std::string> arguments;
};

// Takes an option and its value off the words.
void take_option(const std::vector<std::string>& words, std::size_t& i, Words& taken) {
  const std::string& word = words[i];
  const auto equals = word.find('=');
  const std::string name = word.substr(0, equals);
  if (const Option* option = known_option(name)) {
    if (!option->takes_value && equals != word.npos) misused(name, "does not take a value.");
    if (!option->takes_value) taken.options.emplace_back(name, "");
    else if (equals != word.npos) taken.options.emplace_back(name, word.substr(equals + 1));
    else if (i + 1 < words.size()) taken.options.emplace_back(name, words[++i]);
    else misused(name, "requires an argument.");
  } else if (word.compare(0, 2, "--") == 0) {
    std::vector<std::string> names;
    for (const Option& known : OPTIONS) names.emplace_back(known.name);
    no_such_option(name, close_matches(name, names));
  } else {
    fnet::python::Utf8Fault fault{};
    for (const char32_t letter : fnet::python::from_utf8(word.substr(1), &fault)) {
      if (letter != U'h') no_such_option(fnet::python::to_utf8({U'-', letter}), {});
      taken.options.emplace_back("--help", "");
    }
  }
}

Words words_from_line(const std::vector<std::string>& line) {
  Words taken;
  bool only_arguments = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (only_arguments || line[i].size() < 2 || line[i][0] != '-') taken.arguments.push_back(line[i]);
    else if (line[i] == "--") only_arguments = true;
    else take_option(line, i, taken);
  }
  return taken;
}

void set_option(Options& options, const std::string& name, const std::string& value) {
  if (name == "--text") options.texts.push_back(value);
  else if (name == "--file") options.files.push_back(fnet::plain_path(value));
  else if (name == "--pair") options.pairs.push_back(value);
  else if (name == "--lines") options.lines = true;
  else if (name == "--json") options.as_json = true;
  else if (name == "--self-test") options.self_test = true;
  else if (name == "--top-k") options.top_k = static_cast<int>(integer(name, value, 1, INT32_MAX, "x>=1"));
  else if (name == "--threads") options.config.threads = static_cast<int>(integer(name, value, 1, MAX_THREADS, "1<=x<=1024"));
  else if (name == "--max-text-bytes")
    options.config.max_text_bytes = static_cast<std::size_t>(integer(name, value, 1, INT64_MAX, "x>=1"));
  else if (std::count(std::begin(RUNTIMES), std::end(RUNTIMES), value)) options.config.runtime = value;
  else invalid(name, fnet::python::repr(value) + " is not one of 'auto', 'onnxruntime', 'openvino', 'tensorrt', 'tensorrt-rtx'");
}

}  // namespace

Options options_from_line(const std::vector<std::string>& line) {
  const Words words = words_from_line(line);
  Options options;
  for (const auto& [name, value] : words.options) {
    if (name == "--help") write_line(HELP), std::exit(0);
    if (name == "--version") write_line("fnet-run, version " FNET_VERSION), std::exit(0);
  }
  std::map<std::string, std::string> last;  // of an option that is given twice the last value counts, at the place of the first
  for (const auto& [name, value] : words.options) last[name] = value;
  for (const auto& [name, value] : words.options) set_option(options, name, known_option(name)->is_repeated ? value : last[name]);
  if (words.arguments.empty()) usage("Missing argument 'BUNDLE'.");
  options.bundle = words.arguments[0];
  options.standard_input = words.arguments.size() > 1;
  if (options.standard_input && words.arguments[1] != "-") invalid("[-]", fnet::python::repr(words.arguments[1]) + " is not '-'");
  std::string extra;
  for (std::size_t i = 2; i < words.arguments.size(); ++i) extra += (i > 2 ? " " : "") + words.arguments[i];
  const std::string plural = words.arguments.size() > 3 ? "s" : "";
  if (words.arguments.size() > 2) usage("Got unexpected extra argument" + plural + " (" + extra + ")");
  const bool asks = options.standard_input || !options.texts.empty() || !options.files.empty();
  if (!asks && !options.self_test) usage("nothing to do: expected --text, --file, - or --self-test");
  if (options.self_test && (asks || !options.pairs.empty() || options.lines)) usage("--self-test runs alone");
  return options;
}
