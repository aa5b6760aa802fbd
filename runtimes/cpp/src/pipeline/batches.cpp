// Requests to answers: encoded, run in batches, read.
#include <algorithm>
#include <cstring>
#include <optional>

#include "pipeline/open.h"
#include "pipeline/options.h"

namespace fnet {
namespace {

Result<std::u32string> text_from_caller(const Model& model, const std::string& bytes) {
  if (bytes.size() <= model.max_text_bytes) return text_from_utf8(bytes);
  return input_error("expected a text of at most " + std::to_string(model.max_text_bytes) + " bytes of UTF-8, found " +
                     std::to_string(bytes.size()) + "; max_text_bytes (fnet-run: --max-text-bytes) sets the bound");
}

Result<Asked> asked_from_request(const TaskPipeline& task, const Model& model, const Request& request, const AnswerOptions& options) {
  auto text = text_from_caller(model, request.text);
  if (!text) return text.error();
  Asked asked{*std::move(text), {}, {}, &options};
  if (const auto* second = std::get_if<std::string>(&request.second)) {
    auto decoded = text_from_caller(model, *second);
    if (!decoded) return decoded.error();
    asked.second = *std::move(decoded);
  } else if (const auto* choices = std::get_if<std::vector<std::string>>(&request.second)) {
    Texts texts;
    for (const auto& one : *choices) {
      auto decoded = text_from_caller(model, one);
      if (!decoded) return decoded.error();
      texts.push_back(*std::move(decoded));
    }
    asked.second = std::move(texts);
  }
  auto encodings = task.encode(model, asked);
  if (!encodings) return encodings.error();
  if (!std::holds_alternative<std::monostate>(asked.second) && model.token_types < 2) {
    return input_error(model.manifest.task + ": expected one text, because the model has one token type (type_vocab_size 1) and " +
                       "a second text has another; found a pair");
  }
  asked.encodings = *std::move(encodings);
  if (options.truncation == REFUSE && asked.truncated()) {
    return input_error("expected a text of at most " + std::to_string(model.manifest.sequence_length) +
                       " tokens, with [CLS] and [SEP]; found a longer one. Shorten it, or set truncation to cut");
  }
  return asked;
}

const std::vector<int64_t>& values_of(const Encoding& encoding, const std::string& name) {
  if (name == POSITIONS) return encoding.masked_lm_positions;
  if (name == ATTENTION_MASK) return encoding.attention_mask;
  return name == "token_type_ids" ? encoding.token_type_ids : encoding.input_ids;
}

// The row of model inputs of an encoding, with a batch axis of 1.
Inputs row_from_encoding(const TaskPipeline& task, const Model& model, const Encoding& encoding) {
  Inputs row;
  for (const TensorInfo& tensor : model.manifest.inputs) {
    const auto& values = values_of(encoding, tensor.name);
    Ids& array = row[tensor.name] = {{1, values.size()}, values};
    if (task.facts.choices) array.shape.insert(array.shape.begin(), 1);
  }
  return row;
}

// A session error unless every output has the axes that its task reads.
std::optional<Error> outputs_fault(const TaskPipeline& task, const Model& model, const Encoding& encoding, const Outputs& outputs) {
  for (const auto& [name, axes] : task.outputs()) {
    const auto output = outputs.find(name);
    const auto* shape = output == outputs.end() ? nullptr : &output->second.shape;
    bool fits = shape && shape->size() == std::strlen(axes);
    for (std::size_t i = 0; fits && i < shape->size(); ++i) {
      const std::size_t found = (*shape)[i], tokens = encoding.input_ids.size(), positions = encoding.masked_lm_positions.size();
      fits = axes[i] == 's'   ? found == tokens
             : axes[i] == 'p' ? found == (positions ? positions : tokens)
             : axes[i] == 'c' ? found == 1
             : axes[i] == 'l' ? found == model.manifest.labels.size()
                              : found > 0;
    }
    if (!fits)
      return session_error(std::string(name) + ": expected the axes of " + model.manifest.task + "; the graph's output has other axes");
  }
  return std::nullopt;
}

using EachAnswer = std::vector<Result<AnyAnswer>>;

// A request whose rows are run, and its answer when the last of them is done.
struct Running {
  Rows outputs;
  std::size_t done = 0;
  std::optional<Result<AnyAnswer>> answer;
};

// Runs the rows of requests, and answers each request when its last row is done, so that few outputs are in memory.
Result<EachAnswer> answers_of_rows(const Bundle& bundle, const std::vector<Asked>& asked) {
  const auto& [model, task, session, golden] = bundle;
  std::vector<Running> running(asked.size());
  std::vector<std::pair<std::size_t, std::size_t>> places;  // the request of each row, and which of its rows this is
  std::vector<Inputs> rows;
  for (std::size_t request = 0; request < asked.size(); ++request) {
    running[request].outputs.resize(asked[request].encodings.size());
    for (std::size_t index = 0; index < asked[request].encodings.size(); ++index) {
      places.emplace_back(request, index);
      rows.push_back(row_from_encoding(*task, model, asked[request].encodings[index]));
    }
  }
  const auto take = [&, &m = model, t = task](std::size_t number, Outputs outputs) -> std::optional<Error> {
    const auto [request, index] = places[number];
    if (auto fault = outputs_fault(*t, m, asked[request].encodings[index], outputs)) return fault;
    Running& one = running[request];
    one.outputs[index] = std::move(outputs);
    if (++one.done < one.outputs.size()) return std::nullopt;
    one.answer = t->answer(m, asked[request], one.outputs);
    one.outputs.clear();
    return std::nullopt;
  };
  if (const auto fault = run_rows(*session, rows, take)) return *fault;
  EachAnswer answers;
  for (Running& one : running) answers.push_back(*std::move(one.answer));
  return answers;
}

// Answers requests in their order, as many at once as fill a batch, and more where their lengths differ. An input error may stand for an
// answer; with `first_error` it ends all.
Result<EachAnswer> answers_from_asked(const Bundle& bundle, std::vector<Asked> asked, bool first_error) {
  EachAnswer answers;
  std::vector<Asked> waiting;
  for (std::size_t i = 0; i < asked.size();) {
    for (std::size_t rows = 0; i < asked.size() && rows < bundle.rows_at_once(); ++i) {
      rows += asked[i].encodings.size();
      waiting.push_back(std::move(asked[i]));
    }
    auto found = answers_of_rows(bundle, waiting);
    if (!found) return found.error();
    for (auto& answer : *found) {
      if (first_error && !answer) return answer.error();
      answers.push_back(std::move(answer));
    }
    waiting.clear();
  }
  return answers;
}

}  // namespace

Result<std::vector<AnyAnswer>> answers_from_requests(const Bundle& bundle, const std::vector<Request>& requests,
                                                     const AnswerOptions& options) {
  if (const auto fault = options_fault(options, bundle.task->facts, bundle.model.tokenizer)) return *fault;
  std::vector<Asked> asked;
  for (const Request& request : requests) {
    auto one = asked_from_request(*bundle.task, bundle.model, request, options);
    if (!one) return one.error();
    asked.push_back(*std::move(one));
  }
  auto found = answers_from_asked(bundle, std::move(asked), true);
  if (!found) return found.error();
  std::vector<AnyAnswer> answers;
  for (auto& answer : *found) answers.push_back(*std::move(answer));
  return answers;
}

Result<EachAnswer> each_answer_from_requests(const Bundle& bundle, const std::vector<Request>& requests, const AnswerOptions& options) {
  if (const auto fault = options_fault(options, bundle.task->facts, bundle.model.tokenizer)) return *fault;
  AnswerOptions cut = options;  // a pair that is too long is an error of each text, not of all
  cut.truncation = CUT;
  std::vector<Asked> asked;
  std::vector<std::optional<Error>> faults;
  for (const Request& request : requests) {
    auto one = asked_from_request(*bundle.task, bundle.model, request, options);
    faults.push_back(one ? std::nullopt : std::make_optional(one.error()));
    if (one) {
      asked.push_back(*std::move(one));
      continue;
    }
    const auto without_text = asked_from_request(*bundle.task, bundle.model, {"a", request.second}, cut);
    if (!without_text) return without_text.error();
  }
  auto found = answers_from_asked(bundle, std::move(asked), false);
  if (!found) return found.error();
  EachAnswer answers;
  auto next = found->begin();
  for (const auto& fault : faults) answers.push_back(fault ? Result<AnyAnswer>(*fault) : *next++);
  return answers;
}

}  // namespace fnet
