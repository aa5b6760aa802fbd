// One entry of the table of tasks says how a task makes model inputs of a request, and an answer of its outputs.
#pragma once

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "engine/session.h"
#include "fnet/fnet.hpp"
#include "tokenizer/tokenizer.h"

namespace fnet {

inline constexpr const char *MULTI_LABEL = "multi_label_classification", *REGRESSION = "regression";

// An opened bundle without its engine.
struct Model {
  Manifest manifest;
  Tokenizer tokenizer;
  std::string problem_type;      // of config.json; empty where it has none
  int64_t token_types;           // of config.json, its type_vocab_size
  std::string pooling = POOLER;  // of config.json: one of POOLINGS
  bool normalize = false;        // of config.json: whether a pooled vector has length 1
  std::size_t max_text_bytes = Config{}.max_text_bytes;
};

using Texts = std::vector<std::u32string>;

// One request on its way: the texts, the model inputs made of them, and what is asked of the answer (which outlives it).
struct Asked {
  std::u32string text;
  std::variant<std::monostate, std::u32string, Texts> second;
  std::vector<Encoding> encodings;
  const AnswerOptions* options;

  // Whether tokens of a text did not fit and were cut.
  bool truncated() const {
    return std::any_of(encodings.begin(), encodings.end(), [](const Encoding& encoding) { return encoding.truncated; });
  }
};

using Rows = std::vector<Outputs>;  // the outputs of a request: those of each of its rows, with a batch axis of 1

struct TaskPipeline {
  const TaskFacts& facts;
  // The outputs that the task reads.
  std::vector<OutputAxes> outputs() const { return {facts.outputs, facts.outputs + (facts.outputs[1].name ? 2 : 1)}; }

  Result<std::vector<Encoding>> (*encode)(const Model&, const Asked&);
  Result<AnyAnswer> (*answer)(const Model&, const Asked&, const Rows&);
};

// Null for a task that is not known.
const TaskPipeline* task_from_name(const std::string& name);
std::vector<std::string> task_names();

// ---- how requests are encoded (encodings.cpp)
Result<std::vector<Encoding>> encode_single(const Model&, const Asked&);
Result<std::vector<Encoding>> encode_single_or_pair(const Model&, const Asked&);
Result<std::vector<Encoding>> encode_token_windows(const Model&, const Asked&);
Result<std::vector<Encoding>> encode_masked(const Model&, const Asked&);
Result<std::vector<Encoding>> encode_pair(const Model&, const Asked&);
Result<std::vector<Encoding>> encode_choices(const Model&, const Asked&);
Result<std::vector<Encoding>> encode_windows(const Model&, const Asked&);
// Positions of the masks in the first text.
std::vector<std::size_t> masks_from_encoding(const Model&, const Encoding&);

// How many tokens of a context two neighbouring windows share, of windows with `room` tokens of it.
std::size_t context_overlap(const Model&, const AnswerOptions&, std::size_t room);

// ---- how outputs are read (outputs.cpp, pooling.cpp, answer_spans.cpp)
Result<AnyAnswer> embedding(const Model&, const Asked&, const Rows&);
Result<AnyAnswer> pretraining_answer(const Model&, const Asked&, const Rows&);
Result<AnyAnswer> masked_lm(const Model&, const Asked&, const Rows&);
Result<AnyAnswer> follows(const Model&, const Asked&, const Rows&);
Result<AnyAnswer> classification(const Model&, const Asked&, const Rows&);
Result<AnyAnswer> choice(const Model&, const Asked&, const Rows&);
Result<AnyAnswer> token_labels(const Model&, const Asked&, const Rows&);
Result<AnyAnswer> answer_spans(const Model&, const Asked&, const Rows&);

}  // namespace fnet
