// Requests to answers: encoded, run in batches, read.
#include <algorithm>
#include <cstring>
#include <optional>

#include "pipeline/open.h"

namespace fnet {
namespace {

Result<std::u32string> text_from_caller(const Model& model, const std::string& bytes) {
  if (bytes.size() <= model.max_text_bytes) return text_from_utf8(bytes);
  return input_error("expected a text of at most " + std::to_string(model.max_text_bytes) + " bytes of UTF-8, found " +
                     std::to_string(bytes.size()) + "; max_text_bytes (fnet-run: --max-text-bytes) sets the bound");
}

Result<Asked> asked_from_request(const TaskPipeline& task, const Model& model, const Request& request, std::size_t top_k) {
  auto text = text_from_caller(model, request.text);
  if (!text) return text.error();
  Asked asked{*std::move(text), {}, {}, top_k};
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
  return asked;
}

const std::vector<int64_t>& values_of(const Encoding& encoding, const std::string& name) {
  if (name == POSITIONS) return encoding.masked_lm_positions;
  if (name == ATTENTION_MASK) return encoding.attention_mask;
  return name == "token_type_ids" ? encoding.token_type_ids : encoding.input_ids;
}

// The rows of several requests as one batch.
Inputs inputs_from_asked(const TaskPipeline& task, const Model& model, const std::vector<Asked>& asked) {
  Inputs inputs;
  for (const TensorInfo& tensor : model.manifest.inputs) {
    Ids& array = inputs[tensor.name];
    std::size_t rows = 0, width = 0;
    for (const Asked& one : asked) {
      for (const Encoding& encoding : one.encodings) {
        const auto& values = values_of(encoding, tensor.name);
        array.values.insert(array.values.end(), values.begin(), values.end());
        width = values.size(), ++rows;
      }
    }
    array.shape = {rows, width};
    if (task.facts.choices) array.shape = {asked.size(), rows / asked.size(), width};
  }
  return inputs;
}

// A session error unless every output has the axes that its task reads.
std::optional<Error> outputs_fault(const TaskPipeline& task, const Model& model, const Asked& asked, const Outputs& outputs) {
  const auto& first = asked.encodings[0];
  for (const auto& [name, axes] : task.outputs()) {
    const auto output = outputs.find(name);
    const auto* shape = output == outputs.end() ? nullptr : &output->second.shape;
    bool fits = shape && shape->size() == std::strlen(axes);
    for (std::size_t i = 0; fits && i < shape->size(); ++i) {
      const std::size_t found = (*shape)[i], tokens = first.input_ids.size(), positions = first.masked_lm_positions.size();
      fits = axes[i] == 's'   ? found == tokens
             : axes[i] == 'p' ? found == (positions ? positions : tokens)
             : axes[i] == 'c' ? found == asked.encodings.size()
             : axes[i] == 'l' ? found == model.manifest.labels.size()
                              : found > 0;
    }
    if (!fits)
      return session_error(std::string(name) + ": expected the axes of " + model.manifest.task + "; the graph's output has other axes");
  }
  return std::nullopt;
}

using EachAnswer = std::vector<Result<AnyAnswer>>;

Result<EachAnswer> answers_of_batch(const TaskPipeline& task, const Model& model, const Session& session, const std::vector<Asked>& asked) {
  const auto outputs = run_in_batches(session, inputs_from_asked(task, model, asked));
  if (!outputs) return outputs.error();
  if (const auto fault = outputs_fault(task, model, asked[0], *outputs)) return *fault;
  EachAnswer answers;
  std::size_t start = 0;
  for (const Asked& one : asked) {
    const std::size_t rows = task.facts.choices ? 1 : one.encodings.size();
    Outputs own;
    for (const auto& [name, array] : *outputs) {
      const std::size_t width = array.row_size();
      const auto at = [&, &values = array.values](std::size_t i) { return values.begin() + static_cast<std::ptrdiff_t>(i * width); };
      Floats& part = own[name] = {array.shape, {at(start), at(start + rows)}};
      part.shape[0] = rows;
    }
    answers.push_back(task.answer(model, one, own));
    start += rows;
  }
  return answers;
}

// Answers requests, as many rows at once as the session takes. An input error may stand for an answer; with `first_error` it ends all.
Result<EachAnswer> answers_from_asked(const Bundle& bundle, std::vector<Asked> asked, bool first_error) {
  const auto& [model, task, session, golden] = bundle;
  EachAnswer answers;
  std::vector<Asked> waiting;
  for (std::size_t i = 0; i < asked.size();) {
    std::size_t rows = 0;
    for (; i < asked.size() && rows < static_cast<std::size_t>(session->batch().max); ++i) {
      const std::size_t own = asked[i].encodings.size();
      if (task->facts.choices && !waiting.empty() && waiting[0].encodings.size() != own) break;
      rows += task->facts.choices ? 1 : own;
      waiting.push_back(std::move(asked[i]));
    }
    auto found = answers_of_batch(*task, model, *session, waiting);
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

Result<std::vector<AnyAnswer>> answers_from_requests(const Bundle& bundle, const std::vector<Request>& requests, std::size_t top_k) {
  std::vector<Asked> asked;
  for (const Request& request : requests) {
    auto one = asked_from_request(*bundle.task, bundle.model, request, top_k);
    if (!one) return one.error();
    asked.push_back(*std::move(one));
  }
  auto found = answers_from_asked(bundle, std::move(asked), true);
  if (!found) return found.error();
  std::vector<AnyAnswer> answers;
  for (auto& answer : *found) answers.push_back(*std::move(answer));
  return answers;
}

Result<EachAnswer> each_answer_from_requests(const Bundle& bundle, const std::vector<Request>& requests, std::size_t top_k) {
  std::vector<Asked> asked;
  std::vector<std::optional<Error>> faults;
  for (const Request& request : requests) {
    auto one = asked_from_request(*bundle.task, bundle.model, request, top_k);
    faults.push_back(one ? std::nullopt : std::make_optional(one.error()));
    if (one) {
      asked.push_back(*std::move(one));
      continue;
    }
    const auto without_text = asked_from_request(*bundle.task, bundle.model, {"", request.second}, top_k);
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
