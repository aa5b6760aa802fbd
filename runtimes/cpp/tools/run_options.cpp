#include "run_options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <limits>

#include "base/facts.h"
#include "base/files.h"
#include "ending.h"
#include "json/writer.h"

namespace {

constexpr std::size_t HELP_COLUMN = 26;

// An option that may be given several times; each takes the next word, whatever that is.
CLI::Option* repeated(CLI::App& app, const std::string& name, const std::string& kind, const std::string& help) {
  return app.add_option(name, CLI::callback_t([](const CLI::results_t&) { return true; }), help)
      ->type_name(kind)
      ->expected(1)
      ->allow_extra_args(false)
      ->take_all();
}

// An integer of a range.
CLI::Validator integer(long long low, long long high = std::numeric_limits<int>::max()) {
  const std::string range = "from " + std::to_string(low) + (high < std::numeric_limits<int>::max() ? " to " + std::to_string(high) : "");
  const auto fault = [=](std::string& text) {
    long long value = 0;
    const bool fits = CLI::detail::lexical_cast(text, value) && low <= value && value <= high;
    return fits ? std::string() : "expected an integer " + range + ", found " + fnet::quoted(text);
  };
  return {fault, range};
}

void check_use(const Options& options) {
  if (options.devices) {
    if (!options.bundle.empty() || !options.texts.empty() || !options.files.empty() || options.self_test)
      throw CLI::ExcludesError("--devices", "BUNDLE and all that asks it");
    return;
  }
  if (options.bundle.empty()) throw CLI::RequiredError("BUNDLE is required", CLI::ExitCodes::RequiredError);
  const bool asks = options.standard_input || !options.texts.empty() || !options.files.empty();
  if (!asks && !options.self_test)
    throw CLI::RequiredError("nothing to answer: expected --text, --file, - or --self-test", CLI::ExitCodes::RequiredError);
  if (options.self_test && (asks || !options.pairs.empty() || options.lines))
    throw CLI::ExcludesError("--self-test", "texts, --pair or --lines");
  if (options.line_format != fnet::PLAIN && !options.lines) throw CLI::RequiresError("--line-format", "--lines");
  if (options.line_format != fnet::PLAIN && !options.pairs.empty()) throw CLI::ExcludesError("--line-format", "--pair");
}

}  // namespace

Options options_from_line(int count, char** words) {
  Options options;
  fnet::Config& config = options.config;
  std::string source;
  CLI::App app("Answers texts with BUNDLE, the folder that fnet-export wrote. With - it reads one text from standard input.", "fnet-run");
  app.get_formatter()->column_width(HELP_COLUMN);
  app.set_version_flag("--version", "fnet-run " FNET_VERSION);
  app.add_option("BUNDLE", options.bundle, "The bundle's folder")->type_name("");
  app.add_option("INPUT", source, "- reads standard input")->type_name("")->check(CLI::IsMember({"-"}));
  const auto* texts = repeated(app, "--text", "TEXT", "A text to answer. May be given several times");
  const auto* files = repeated(app, "--file", "PATH", "A UTF-8 file that holds one text");
  const auto* pairs = repeated(app, "--pair", "TEXT", "The second text, the context, or one of several choices, for every text");
  app.add_flag("--lines", options.lines, "Take each line of the file or of - as one text, and answer it as it comes");
  app.add_option("--line-format", options.line_format, "What each line holds")
      ->capture_default_str()
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(fnet::LINE_FORMATS), std::end(fnet::LINE_FORMATS))));
  fnet::AnswerOptions& answers = options.answers;
  app.add_option("--top-k", answers.top_k, "How many fillers, answers or labels; 5 by default, and every label")
      ->type_name("NUMBER")
      ->check(integer(1));
  app.add_option("--truncation", answers.truncation, "What happens to a text that does not fit in the sequence length")
      ->capture_default_str()
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(fnet::TRUNCATIONS), std::end(fnet::TRUNCATIONS))));
  app.add_option("--function-to-apply", answers.function_to_apply, "What makes scores of labels; as trained by default")
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(fnet::FUNCTIONS_TO_APPLY), std::end(fnet::FUNCTIONS_TO_APPLY))));
  app.add_option("--aggregation-strategy", answers.aggregation_strategy, "Print entities instead of tokens")
      ->capture_default_str()
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(fnet::AGGREGATION_STRATEGIES), std::end(fnet::AGGREGATION_STRATEGIES))));
  app.add_option("--stride", answers.stride, "Read long texts in windows that share so many tokens")
      ->type_name("NUMBER")
      ->check(integer(0));
  const auto* targets = repeated(app, "--targets", "WORD", "Fill a [MASK] only with this word. May be given several times");
  app.add_option("--max-answer-len", answers.max_answer_len, "The most tokens of an answer; 15 by default")
      ->type_name("NUMBER")
      ->check(integer(1));
  app.add_flag("--handle-impossible-answer", answers.handle_impossible_answer, "Print an empty answer to a question too");
  app.add_option("--null-threshold", answers.null_threshold, "Print the empty answer first only if its logits are higher by this")
      ->type_name("NUMBER");
  app.add_flag("!--no-align-to-words", answers.align_to_words, "Print answers that need not be whole words");
  app.add_option("--pooling", answers.pooling, "Makes one vector of a text; as trained by default, else pooler")
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(fnet::POOLINGS), std::end(fnet::POOLINGS))));
  app.add_flag_callback(
      "--normalize", [&] { answers.normalize = true; }, "Give that vector length 1; as trained by default, else not");
  app.add_flag_callback(
      "--no-normalize", [&] { answers.normalize = false; }, "Leave that vector as it is");
  app.add_option("--threshold", answers.threshold, "Print only labels whose score is above this")->type_name("NUMBER");
  app.add_flag("--json", options.as_json, "Print one JSON value per line");
  app.add_flag("--self-test", options.self_test, "Run golden.safetensors and compare the outputs with its float64 references");
  app.add_option("--runtime", config.runtime, "Which engine to open; auto is the bundle's own")
      ->capture_default_str()
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(fnet::RUNTIMES), std::end(fnet::RUNTIMES))));
  std::vector<std::string> providers;
  for (const fnet::ProviderFacts& provider : fnet::PROVIDERS) providers.emplace_back(provider.name);
  app.add_option("--provider", config.provider, "Run model.onnx on a GPU, by this provider of ONNX Runtime")
      ->capture_default_str()
      ->check(CLI::IsMember(providers));
  app.add_flag("--allow-partial", config.allow_partial, "Let the CPU run the nodes that the provider does not take");
  app.add_flag("--rebuild", config.rebuild, "Build the TensorRT engine for this GPU, and keep it in the user's cache");
  app.add_flag("--devices", options.devices, "List the providers, GPUs and engines of this host, and what the others lack");
  app.add_option("--library", config.library, "The file of the engine's library, such as libonnxruntime.so")->type_name("FILE");
  app.add_option("--threads", config.threads, "Cores that ONNX Runtime may use; all by default")
      ->type_name("NUMBER")
      ->check(integer(1, fnet::MAX_THREADS));
  app.add_option("--device", config.device, "The number of the GPU that TensorRT or a provider uses")
      ->type_name("NUMBER")
      ->capture_default_str()
      ->check(integer(0));
  app.add_option("--contexts", config.contexts, "How many batches TensorRT runs at once")
      ->type_name("NUMBER")
      ->capture_default_str()
      ->check(integer(1, fnet::MAX_CONTEXTS));
  app.add_flag("--cuda-graph", config.cuda_graph, "Capture each batch size and length as a CUDA graph, and launch that from then on");
  app.add_option("--max-text-bytes", config.max_text_bytes, "The longest text that is taken, in bytes of UTF-8")
      ->type_name("NUMBER")
      ->capture_default_str()
      ->check(integer(1, std::numeric_limits<long long>::max()));
  app.add_flag("--quiet", options.quiet, "Show no progress, and do not say which texts were cut");
  for (CLI::Option* option : app.get_options()) {
    if (option->get_expected_max() == 0) option->disable_flag_override();  // a flag takes no value
  }
  try {
    app.parse(count, words);
    options.texts = texts->results();
    options.pairs = pairs->results();
    answers.targets = targets->results();
    for (const std::string& file : files->results()) options.files.push_back(fnet::plain_path(file));
    options.standard_input = !source.empty();
    check_use(options);
  } catch (const CLI::CallForHelp&) {
    write_line(app.help());
    std::exit(0);
  } catch (const CLI::CallForVersion& version) {
    write_line(version.what());
    std::exit(0);
  } catch (const CLI::ParseError& error) {
    std::cerr << "error: " << error.what() << "\nfnet-run --help lists the options.\n";
    std::exit(USAGE);
  }
  return options;
}
