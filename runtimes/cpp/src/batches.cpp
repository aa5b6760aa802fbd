// Requests to answers: encoded, run in batches, read.
#include <algorithm>
#include <cstring>
#include <optional>

#include "bundle.h"

namespace fnet {
namespace {

Result<Asked> asked_from_request(const TaskPipeline& task, const Model& model, const Request& request, std::size_t top_k) {
  auto text = text_from_utf8(request.text);
  if (!text) return text.error();
  Asked asked{*std::move(text), {}, {}, top_k};
  if (const auto* second = std::get_if<std::string>(&request.second)) {
    auto decoded = text_from_utf8(*second);
    if (!decoded) return decoded.error();
    asked.second = *std::move(decoded);
  } else if (const auto* choices = std::get_if<std::vector<std::string>>(&request.second)) {
    Texts texts;
    for (const auto& one : *choices) {
      auto decoded = text_from_utf8(one);
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
    if (task.choices) array.shape = {asked.size(), rows / asked.size(), width};
  }
  return inputs;
}

// A session error unless every output has the axes that its task reads.
std::optional<Error> outputs_fault(const TaskPipeline& task, const Model& model, const Asked& asked, const Outputs& outputs) {
  const auto& first = asked.encodings[0];
  for (const auto& [name, axes] : task.outputs) {
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
    if (!fits) return session_error(std::string(name) + ": the graph's output has other axes than " + model.manifest.task + " has");
  }
  return std::nullopt;
}

Result<std::vector<AnyAnswer>> answers_from_asked(const TaskPipeline& task, const Model& model, const Session& session,
                                                  const std::vector<Asked>& asked) {
  const auto outputs = run_in_batches(session, inputs_from_asked(task, model, asked));
  if (!outputs) return outputs.error();
  if (const auto fault = outputs_fault(task, model, asked[0], *outputs)) return *fault;
  std::vector<AnyAnswer> answers;
  std::size_t start = 0;
  for (const Asked& one : asked) {
    const std::size_t rows = task.choices ? 1 : one.encodings.size();
    Outputs own;
    for (const auto& [name, array] : *outputs) {
      const std::size_t width = array.row_size();
      const auto at = [&, &values = array.values](std::size_t i) { return values.begin() + static_cast<std::ptrdiff_t>(i * width); };
      Floats& part = own[name] = {array.shape, {at(start), at(start + rows)}};
      part.shape[0] = rows;
    }
    auto answer = task.answer(model, one, own);
    if (!answer) return answer.error();
    answers.push_back(*std::move(answer));
    start += rows;
  }
  return answers;
}

}  // namespace

Result<std::vector<AnyAnswer>> answers_from_requests(const Bundle& bundle, const std::vector<Request>& requests, std::size_t top_k) {
  const auto& [model, task, session, golden] = bundle;
  std::vector<Asked> asked;
  for (const Request& request : requests) {
    auto one = asked_from_request(*task, model, request, top_k);
    if (!one) return one.error();
    asked.push_back(*std::move(one));
  }
  std::vector<AnyAnswer> answers;
  std::vector<Asked> waiting;
  for (std::size_t i = 0; i < asked.size();) {
    std::size_t rows = 0;
    for (; i < asked.size() && rows < static_cast<std::size_t>(session->batch().max); ++i) {
      const std::size_t own = asked[i].encodings.size();
      if (task->choices && !waiting.empty() && waiting[0].encodings.size() != own) break;
      rows += task->choices ? 1 : own;
      waiting.push_back(std::move(asked[i]));
    }
    auto found = answers_from_asked(*task, model, *session, waiting);
    if (!found) return found.error();
    std::move(found->begin(), found->end(), std::back_inserter(answers));
    waiting.clear();
  }
  return answers;
}

}  // namespace fnet
