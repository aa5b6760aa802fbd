// fnet-run: answers from a bundle on the command line, with the options and the output of the Python one.
// Exit codes: 0 ok; 1 bad input or bundle; 2 usage; 3 the self-test failed; 4 the engine cannot be opened or run.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <optional>

#include "answer_text.h"
#include "error.h"
#include "files.h"
#include "fnet/fnet.hpp"
#include "python_str.h"

namespace {

constexpr int BAD_INPUT = 1, USAGE = 2, SELF_TEST_FAILED = 3, NO_ENGINE = 4;
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
                                  text.
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
  --version                       Show the version and exit.
  -h, --help                      Show this message and exit.
)";

struct Options {
  std::optional<std::string> bundle;
  bool standard_input = false, lines = false, as_json = false, self_test = false;
  std::vector<std::string> texts, files, pairs;
  int top_k = 5;
  fnet::Config config;
};

[[noreturn]] void usage(const std::string& fault) {
  std::cerr << "Usage: fnet-run [OPTIONS] BUNDLE [-]\nTry 'fnet-run --help' for help.\n\nError: " << fault << "\n";
  std::exit(USAGE);
}

[[noreturn]] void missing_value(const std::string& option) {
  std::cerr << "Error: Option '" << option << "' requires an argument.\n";
  std::exit(USAGE);
}

[[noreturn]] void fail(const fnet::Error& error) {
  const bool no_device = error.code == fnet::Code::no_device;
  std::cerr << "error: " << error.text << (no_device ? ". --runtime onnxruntime runs model.onnx on the CPU" : "") << "\n";
  std::exit(no_device || error.code == fnet::Code::session ? NO_ENGINE : BAD_INPUT);
}

int integer(const std::string& option, const std::string& value, int low, int high, const char* range) {
  char* end = nullptr;
  const long number = std::strtol(value.c_str(), &end, 10);
  if (value.empty() || *end) usage("Invalid value for '" + option + "': " + fnet::python::repr(value) + " is not a valid integer range.");
  if (number < low || number > high) usage("Invalid value for '" + option + "': " + value + " is not in the range " + range + ".");
  return static_cast<int>(number);
}

void take_argument(Options& options, const std::string& word) {
  if (!options.bundle) options.bundle = word;
  else if (options.standard_input) usage("Got unexpected extra argument (" + word + ")");
  else if (word != "-") usage("Invalid value for '[-]': " + fnet::python::repr(word) + " is not '-'.");
  else options.standard_input = true;
}

// Options that stand alone. False when the word is none.
bool take_flag(Options& options, const std::string& word) {
  if (word == "--lines") options.lines = true;
  else if (word == "--json") options.as_json = true;
  else if (word == "--self-test") options.self_test = true;
  else if (word == "-h" || word == "--help") std::cout << HELP, std::exit(0);
  else if (word == "--version") std::cout << "fnet-run, version " FNET_VERSION "\n", std::exit(0);
  else return false;
  return true;
}

void take_option(Options& options, const std::string& name, const std::string& value) {
  if (name == "--text") options.texts.push_back(value);
  else if (name == "--file") options.files.push_back(fnet::plain_path(value));
  else if (name == "--pair") options.pairs.push_back(value);
  else if (name == "--top-k") options.top_k = integer(name, value, 1, INT32_MAX, "x>=1");
  else if (name == "--threads") options.config.threads = integer(name, value, 1, MAX_THREADS, "1<=x<=1024");
  else if (std::count(std::begin(RUNTIMES), std::end(RUNTIMES), value)) options.config.runtime = value;
  else usage("Invalid value for '--runtime': " + fnet::python::repr(value) + " is not one of 'auto', 'onnxruntime', 'openvino', 'tensorrt', 'tensorrt-rtx'.");
}

Options options_from_words(const std::vector<std::string>& words) {
  const std::string with_value[] = {"--text", "--file", "--pair", "--top-k", "--runtime", "--threads"};
  Options options;
  bool only_arguments = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (only_arguments || word.size() < 2 || word[0] != '-') take_argument(options, word);
    else if (word == "--") only_arguments = true;
    else if (!take_flag(options, word)) {
      const auto equals = word.find('=');
      const std::string name = word.substr(0, equals);
      if (!std::count(std::begin(with_value), std::end(with_value), name)) usage("No such option '" + name + "'.");
      if (equals == word.npos && i + 1 == words.size()) missing_value(name);
      take_option(options, name, equals == word.npos ? words[++i] : word.substr(equals + 1));
    }
  }
  const bool asks = options.standard_input || !options.texts.empty() || !options.files.empty();
  if (!options.bundle) usage("Missing argument 'BUNDLE'.");
  if (!asks && !options.self_test) usage("nothing to do: expected --text, --file, - or --self-test");
  if (options.self_test && (asks || !options.pairs.empty() || options.lines)) usage("--self-test runs alone");
  return options;
}

// Adds a file's text: whole, or cut at line feeds alone, so that answers keep the numbers of the lines.
void add_texts(std::vector<std::string>& asked, std::string data, const std::string& name, bool lines) {
  fnet::python::Utf8Fault fault{};
  fnet::python::from_utf8(data, &fault);
  if (fault.byte != data.npos)
    fail(fnet::input_error(name + ": not UTF-8 (byte " + std::to_string(fault.byte) + "); convert it first, with iconv for example"));
  if (!lines) {
    asked.push_back(std::move(data));
    return;
  }
  if (data.empty()) return;
  if (data.back() == '\n') data.pop_back();
  for (std::size_t start = 0, end = 0; end != data.npos; start = end + 1) {
    end = data.find('\n', start);
    std::string line = data.substr(start, end == data.npos ? end : end - start);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    asked.push_back(std::move(line));
  }
}

std::vector<std::string> texts_from_options(const Options& options) {
  std::vector<std::string> asked = options.texts;
  for (const std::string& path : options.files) {
    auto data = fnet::bytes_from_file(path);
    if (const auto* fault = std::get_if<fnet::SystemFault>(&data))
      fail(fnet::input_error(path + ": cannot be read (" + fault->text() + ")"));
    add_texts(asked, std::get<std::string>(std::move(data)), path, options.lines);
  }
  if (options.standard_input)
    add_texts(asked, {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()}, "-", options.lines);
  return asked;
}

int self_test(const fnet::Pipeline& pipeline, bool as_json) {
  const auto checks = pipeline.self_test();
  if (!checks) fail(checks.error());
  std::cout << (as_json ? fnet::json_from_checks(*checks) : fnet::text_from_checks(*checks)) << "\n";
  const bool passed = std::all_of(checks->begin(), checks->end(), [](const fnet::Check& check) { return check.passed; });
  return passed ? 0 : SELF_TEST_FAILED;
}

}  // namespace

int main(int count, char** words) {
  setenv("ORT_DISABLE_TELEMETRY", "1", 0);  // see fnet.hpp
  const Options options = options_from_words({words + 1, words + count});
  const auto pipeline = fnet::Pipeline::open(*options.bundle, options.config);
  if (!pipeline) fail(pipeline.error());
  if (options.self_test) return self_test(*pipeline, options.as_json);
  std::vector<fnet::Request> requests;
  for (std::string& text : texts_from_options(options)) requests.push_back({std::move(text)});
  const bool choices = pipeline->task() == "multiple-choice";
  if (options.pairs.size() > 1 && !choices)
    fail(fnet::input_error("--pair: expected once; several are choices, of multiple-choice only"));
  for (fnet::Request& request : requests) {
    if (!options.pairs.empty() && choices) request.second = options.pairs;
    else if (!options.pairs.empty()) request.second = options.pairs[0];
  }
  const auto answers = pipeline->answer_all(requests, options.top_k);
  if (!answers) fail(answers.error());
  for (const auto& answer : *answers)
    std::cout << (options.as_json ? fnet::json_from_answer(answer) : fnet::text_from_answer(answer)) << "\n";
  return 0;
}
