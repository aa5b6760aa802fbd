#include "fnet/fnet.hpp"

#include <algorithm>
#include <exception>
#include <new>

#include "pipeline/open.h"
#include "pipeline/self_test.h"

namespace fnet {

struct Pipeline::Parts : Bundle {};

namespace {

// Whatever is thrown below as an error.
template <class Work>
auto guarded(Work work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return session_error("out of memory");  // short enough to need none
  } catch (const std::exception& error) {
    return session_error(std::string("fnet_runtime failed: ") + error.what());
  } catch (const Error& error) {  // a reader's, which should have ended there
    return error;
  }
}

Request request(const std::string& text, const std::optional<std::string>& pair) { return pair ? Request{text, *pair} : Request{text}; }

std::vector<Request> requests(const std::vector<std::string>& texts) {
  std::vector<Request> made;
  for (const std::string& text : texts) made.push_back({text});
  return made;
}

Error strategy_error(const std::string& expected, const AnswerOptions& options) {
  return input_error("aggregation_strategy: expected " + expected + "; found " + options.aggregation_strategy);
}

template <class T>
Result<std::vector<T>> all_of(Result<std::vector<AnyAnswer>> answers) {
  if (!answers) return answers.error();
  std::vector<T> found;
  for (AnyAnswer& answer : *answers) found.push_back(std::get<T>(std::move(answer)));
  return found;
}

template <class T>
Result<T> one_of(Result<std::vector<AnyAnswer>> answers) {
  if (!answers) return answers.error();
  return std::get<T>(std::move((*answers)[0]));
}

}  // namespace

Pipeline::Pipeline(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Pipeline::Pipeline(Pipeline&&) noexcept = default;
Pipeline& Pipeline::operator=(Pipeline&&) noexcept = default;
Pipeline::~Pipeline() = default;

Result<Pipeline> Pipeline::open(const std::string& bundle, const Config& config) {
  return guarded([&]() -> Result<Pipeline> {
    auto opened = bundle_from_folder(plain_path(bundle), config);
    if (!opened) return opened.error();
    return Pipeline(std::unique_ptr<const Parts>(new Parts{*std::move(opened)}));
  });
}

const std::string& Pipeline::task() const { return parts_->model.manifest.task; }
std::size_t Pipeline::sequence_length() const { return static_cast<std::size_t>(parts_->model.manifest.sequence_length); }
std::size_t Pipeline::rows_at_once() const { return parts_->rows_at_once(); }
std::string Pipeline::note() const { return parts_->session->note(); }
bool Pipeline::multi_label() const { return parts_->model.problem_type == MULTI_LABEL; }

Result<std::vector<AnyAnswer>> Pipeline::answer_all(const std::vector<Request>& requests, const AnswerOptions& options) const {
  return guarded([&] { return answers_from_requests(*parts_, requests, options); });
}

Result<std::vector<Result<AnyAnswer>>> Pipeline::answer_each(const std::vector<Request>& requests, const AnswerOptions& options) const {
  return guarded([&] { return each_answer_from_requests(*parts_, requests, options); });
}

Result<std::vector<AnyAnswer>> Pipeline::answered(const char* wanted, const std::vector<Request>& requests,
                                                  const AnswerOptions& options) const {
  if (task() != wanted) return input_error(std::string("expected a bundle for ") + wanted + "; found a bundle for " + task());
  return answer_all(requests, options);
}

Result<Classification> Pipeline::classify(const std::string& text, const std::optional<std::string>& pair,
                                          const AnswerOptions& options) const {
  return guarded([&] { return one_of<Classification>(answered(SEQUENCE_CLASSIFICATION, {request(text, pair)}, options)); });
}
Result<TokenLabels> Pipeline::classify_tokens(const std::string& text, const AnswerOptions& options) const {
  if (options.aggregation_strategy != NO_AGGREGATION) return strategy_error("none, because find_entities finds entities", options);
  return guarded([&] { return one_of<TokenLabels>(answered(TOKEN_CLASSIFICATION, {{text}}, options)); });
}
Result<Entities> Pipeline::find_entities(const std::string& text, const AnswerOptions& options) const {
  if (options.aggregation_strategy == NO_AGGREGATION)
    return strategy_error("simple, first, average or max, because classify_tokens labels tokens", options);
  return guarded([&] { return one_of<Entities>(answered(TOKEN_CLASSIFICATION, {{text}}, options)); });
}
Result<Answers> Pipeline::answer(const std::string& question, const std::string& context, const AnswerOptions& options) const {
  return guarded([&] { return one_of<Answers>(answered(QUESTION_ANSWERING, {{question, context}}, options)); });
}
Result<Fillers> Pipeline::fill_mask(const std::string& text, const AnswerOptions& options) const {
  return guarded([&] { return one_of<Fillers>(answered(MASKED_LM, {{text}}, options)); });
}
Result<Embedding> Pipeline::embed(const std::string& text, const std::optional<std::string>& pair, const AnswerOptions& options) const {
  return guarded([&] { return one_of<Embedding>(answered(FEATURE_EXTRACTION, {request(text, pair)}, options)); });
}
Result<NextSentence> Pipeline::next_sentence(const std::string& text, const std::string& second) const {
  return guarded([&] { return one_of<NextSentence>(answered(NEXT_SENTENCE_PREDICTION, {{text, second}})); });
}
Result<Choice> Pipeline::choose(const std::string& text, const std::vector<std::string>& choices) const {
  return guarded([&] { return one_of<Choice>(answered(MULTIPLE_CHOICE, {{text, choices}})); });
}
Result<Pretraining> Pipeline::pretraining(const std::string& text, const std::string& second, const AnswerOptions& options) const {
  return guarded([&] { return one_of<Pretraining>(answered(PRETRAINING, {{text, second}}, options)); });
}
Result<std::vector<Classification>> Pipeline::classify_all(const std::vector<std::string>& texts, const AnswerOptions& options) const {
  return guarded([&] { return all_of<Classification>(answered(SEQUENCE_CLASSIFICATION, requests(texts), options)); });
}
Result<std::vector<TokenLabels>> Pipeline::classify_tokens_all(const std::vector<std::string>& texts, const AnswerOptions& options) const {
  if (options.aggregation_strategy != NO_AGGREGATION) return strategy_error("none, because find_entities finds entities", options);
  return guarded([&] { return all_of<TokenLabels>(answered(TOKEN_CLASSIFICATION, requests(texts), options)); });
}
Result<std::vector<Fillers>> Pipeline::fill_mask_all(const std::vector<std::string>& texts, const AnswerOptions& options) const {
  return guarded([&] { return all_of<Fillers>(answered(MASKED_LM, requests(texts), options)); });
}
Result<std::vector<Embedding>> Pipeline::embed_all(const std::vector<std::string>& texts, const AnswerOptions& options) const {
  return guarded([&] { return all_of<Embedding>(answered(FEATURE_EXTRACTION, requests(texts), options)); });
}

Result<std::vector<Check>> Pipeline::self_test() const {
  return guarded([&]() -> Result<std::vector<Check>> {
    const auto golden = golden_from_file(parts_->golden);
    if (!golden) return golden.error();
    return checks_from_session(*parts_->session, *golden);
  });
}

}  // namespace fnet
