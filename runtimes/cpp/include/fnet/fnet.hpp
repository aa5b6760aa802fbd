// Opens an fnet-export bundle and answers: text in, labels, spans, fillers or embeddings out.
//
//   auto fnet = fnet::Pipeline::open("bundle");
//   if (!fnet) { /* fnet.error().text */ }
//   auto answer = fnet->classify("some text");
//
// All text is UTF-8. Spans are half-open and count code points of the text, as the Python runtime's do. Nothing here throws, but
// json_from_answer and copies of answers where memory is at an end.
//
// ONNX Runtime's official builds send usage data to Microsoft from 1.29 on. Opening a bundle switches that off, but an event of its
// start comes before. ORT_DISABLE_TELEMETRY=1 in the environment, set before the first `open`, stops all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "fnet/result.hpp"

#if defined(__GNUC__)
#define FNET_API __attribute__((visibility("default")))
#else
#define FNET_API
#endif

namespace fnet {

// How to open a bundle.
struct Config {
  std::string runtime = "auto";  // the bundle's own engine where it has one, else ONNX Runtime; or its name, such as onnxruntime
  int threads = 0;               // cores that ONNX Runtime may use, 1 to 1024; 0 is all
  std::string library;           // file of the runtime's library; empty: $FNET_ONNXRUNTIME, $FNET_TENSORRT or $FNET_TENSORRT_RTX,
                                 // else what the loader finds by its name
  std::string provider = "cpu";  // of ONNX Runtime: cpu; or cuda, tensorrt or nv-tensorrt-rtx, which run model.onnx on a GPU (docs/gpu.md)
  bool allow_partial = false;    // let the CPU run the nodes that the provider does not take; else such a bundle does not open
  int device = 0;                // number of the GPU that TensorRT or a provider uses; the calling thread's CUDA device becomes this one
  int contexts = 2;              // TensorRT: callers that it runs at once, 1 to 64, each with GPU memory of its own; others wait
  bool cuda_graph = false;       // TensorRT: capture the run of each batch size and length as a CUDA graph, and launch that from then on
  bool rebuild = false;          // TensorRT: build the engine for this GPU from model.onnx, in minutes, and keep it in the user's cache for
                                 // the next time (docs/engines.md)
  std::size_t max_text_bytes = 33554432;  // longest text that is taken, in bytes of UTF-8, from 1; a longer one is an input error
};

// What is asked of answers. Every task takes `top_k` and `truncation`; an option of another task than the bundle's is an input error.
struct AnswerOptions {
  std::optional<int> top_k = {};              // how many fillers, spans or labels, from 1; none: 5 fillers or spans, and every label
  std::string truncation = "cut";             // cut: a text that does not fit is cut, and the answer says so; error: it is an input error
  std::string function_to_apply = {};         // sequence-classification: softmax, sigmoid or none; empty: as the checkpoint was trained
  std::optional<double> threshold = {};       // sequence-classification: `scores` lists only labels whose score is above this
  std::string aggregation_strategy = "none";  // token-classification: none labels tokens; simple, first, average, max find entities
  std::vector<std::string> targets = {};      // masked-lm and pretraining: the only words that may fill a [MASK], each of one token
  std::optional<int> stride = {};             // token-classification, question-answering: windows of a long text share so many tokens
  std::optional<int> max_answer_len = {};     // question-answering: the most tokens of an answer; none: 15
  bool handle_impossible_answer = false;      // question-answering: the answers include an empty one, with the score of [CLS]
  std::optional<double> null_threshold = {};  // question-answering: the same, and the empty answer is first only if its logits exceed
                                              // those of the best span by more than this; none: scores alone decide
  bool align_to_words = true;                 // question-answering: answers are whole words
  std::string pooling = {};                   // feature-extraction: pooler, cls, mean or max makes the pooled vector; empty: as the
                                              // checkpoint states, else pooler
  std::optional<bool> normalize = {};         // feature-extraction: the pooled vector gets length 1; none: as the checkpoint states
};

// A label and its score: a probability from 0 to 1, or the plain output of a regression.
struct LabelScore {
  std::string label;
  double score;
};

// In the answers below `truncated` tells that tokens of a text of the request did not fit and were cut.

// The best label of a text, its score, and all labels or those that are asked for, best first.
struct Classification {
  std::string label;
  double score;
  std::vector<LabelScore> scores;
  bool truncated = false;
};

// The label of one token, and the characters [start, end) of the text that it covers.
struct TokenLabel {
  std::string label;
  double score;
  std::string text;
  std::size_t start, end;
};

// A label, the mean score of its tokens or words, and the characters [start, end) of the text.
struct Entity {
  std::string label;
  double score;
  std::string text;
  std::size_t start, end;
};

// A span [start, end) of the context that answers the question; an empty text from 0 to 0 says that there is no answer. `score` is the
// score of transformers' pipeline: the probability of the start times the probability of the end, each of one window. `share` is the part
// of the span among all allowed spans of all windows (docs/run.md, Answers to questions).
struct Answer {
  std::string text;
  double score;
  std::size_t start, end;
  double share;
};

// A token for a [MASK], its probability, and the text with it in place of that [MASK].
struct Filler {
  std::string token;
  int32_t token_id;
  double score;
  std::string text;
};

// Whether the second text follows the first, and the probability that it does.
struct NextSentence {
  bool follows;
  double score;
  bool truncated = false;
};

// The best choice: its index, text and probability, and the probabilities of all, in the order given.
struct Choice {
  std::size_t index;
  std::string text;
  double score;
  std::vector<double> scores;
  bool truncated = false;
};

// One vector per token of the text (row-major [token, hidden], special tokens included, padding not), and the pooled one.
struct Embedding {
  std::size_t hidden;
  std::vector<float> tokens, pooled;
  bool truncated = false;
};

// The labels of the tokens of a text, in their order. Tokens that were cut have no label.
struct TokenLabels {
  std::vector<TokenLabel> tokens;
  bool truncated = false;
};

// The entities of a text, in their order. `O` is not an entity.
struct Entities {
  std::vector<Entity> entities;
  bool truncated = false;
};

// The fillers of every [MASK] of a text, in their order, best first. A [MASK] that was cut has no fillers.
struct Fillers {
  std::vector<std::vector<Filler>> masks;
  bool truncated = false;
};

using Answers = std::vector<Answer>;  // best first; nothing is cut of a question or its context

// Both answers of pre-training: fillers per [MASK] of the first text, and whether the second follows.
struct Pretraining {
  std::vector<std::vector<Filler>> fillers;
  NextSentence next_sentence;
  bool truncated = false;
};

// The answer of any task, in the order of the tasks in docs/bundle.md; then that of token-classification with an aggregation strategy.
using AnyAnswer = std::variant<Embedding, Pretraining, Fillers, NextSentence, Classification, Choice, TokenLabels, Answers, Entities>;

// One request: a text, and beside it nothing, the second text (what may follow, the context of a question) or the choices.
struct Request {
  std::string text;
  std::variant<std::monostate, std::string, std::vector<std::string>> second = {};
};

// How one output compared with its float64 references, of all lengths that golden.safetensors has: the worst of them. An output of another
// shape, or with NaN or infinite values, has infinite errors.
struct Check {
  std::string output;
  double max_abs;  // the largest absolute error, which `limit` bounds
  double max_rel;  // that error over the references' largest magnitude
  double cosine;   // the smallest over the last axis
  double limit;
  bool passed;
};

// An opened bundle that answers. Any number of threads may call it at once. A moved-from one may only be destroyed.
class FNET_API Pipeline {
 public:
  // Opens a bundle, every file of it checked first.
  static Result<Pipeline> open(const std::string& bundle, const Config& config = {});
  Pipeline(Pipeline&&) noexcept;
  Pipeline& operator=(Pipeline&&) noexcept;
  ~Pipeline();

  // A Hugging Face task name, such as sequence-classification.
  const std::string& task() const;
  // The most tokens that a text has: a longer text is cut. A bundle for texts of one length pads every text to it.
  std::size_t sequence_length() const;
  // How many rows are answered together: a batch, or several batches where each text has its own length. A request is one row, or has a
  // row for each choice, each window of its context or a few masks. A longer list is answered in such parts.
  std::size_t rows_at_once() const;
  // Which nodes the provider left to the CPU, if `Config::allow_partial` lets it; else empty.
  std::string note() const;
  // Whether any number of labels may be right: each one whose score is above 0.5.
  bool multi_label() const;

  // Answers requests of the bundle's own task.
  Result<std::vector<AnyAnswer>> answer_all(const std::vector<Request>& requests, const AnswerOptions& options = {}) const;
  // The same, but an input error stands in place of an answer that cannot be given; one of all where no text could be answered with
  // what stands beside it.
  Result<std::vector<Result<AnyAnswer>>> answer_each(const std::vector<Request>& requests, const AnswerOptions& options = {}) const;

  // One request each; an input error when the bundle is for another task.
  Result<Classification> classify(const std::string& text, const std::optional<std::string>& pair = {},
                                  const AnswerOptions& options = {}) const;
  Result<TokenLabels> classify_tokens(const std::string& text, const AnswerOptions& options = {}) const;
  Result<Entities> find_entities(const std::string& text, const AnswerOptions& options) const;
  Result<Answers> answer(const std::string& question, const std::string& context, const AnswerOptions& options = {}) const;
  Result<Fillers> fill_mask(const std::string& text, const AnswerOptions& options = {}) const;
  Result<Embedding> embed(const std::string& text, const std::optional<std::string>& pair = {}, const AnswerOptions& options = {}) const;
  Result<NextSentence> next_sentence(const std::string& text, const std::string& second) const;
  Result<Choice> choose(const std::string& text, const std::vector<std::string>& choices) const;
  Result<Pretraining> pretraining(const std::string& text, const std::string& second, const AnswerOptions& options = {}) const;

  // Lists of texts at once, which is faster; an input error stands for all of them.
  Result<std::vector<Classification>> classify_all(const std::vector<std::string>& texts, const AnswerOptions& options = {}) const;
  Result<std::vector<TokenLabels>> classify_tokens_all(const std::vector<std::string>& texts, const AnswerOptions& options = {}) const;
  Result<std::vector<Fillers>> fill_mask_all(const std::vector<std::string>& texts, const AnswerOptions& options = {}) const;
  Result<std::vector<Embedding>> embed_all(const std::vector<std::string>& texts, const AnswerOptions& options = {}) const;

  // Runs golden.safetensors and compares with its float64 references.
  Result<std::vector<Check>> self_test() const;

 private:
  struct Parts;
  explicit Pipeline(std::unique_ptr<const Parts> parts);
  Result<std::vector<AnyAnswer>> answered(const char* wanted, const std::vector<Request>& requests,
                                          const AnswerOptions& options = {}) const;

  std::unique_ptr<const Parts> parts_;
};

// A text of words, with a space between two. An input error for a word that is empty or holds white space.
FNET_API Result<std::string> text_from_words(const std::vector<std::string>& words);

// An answer as `fnet-run --json` prints it, without the line feed.
FNET_API std::string json_from_answer(const AnyAnswer& answer);

}  // namespace fnet
