// How the spans of a context that answer a question are found: fnet_runtime/pipeline/answer_spans.py has the same steps.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "pipeline/options.h"
#include "pipeline/scores.h"
#include "pipeline/spans.h"
#include "pipeline/tasks.h"

namespace fnet {
namespace {

constexpr double INFINITE = std::numeric_limits<double>::infinity();

// Words that may answer: their characters, the sum of the scores of their spans, and the places of these in the table of all spans.
struct Candidate {
  Span span;
  double score;
  std::vector<std::size_t> places;
};

// The tokens of a context in one window: the first and the last but one in the row, and how many tokens of the context come before them.
struct Window {
  const Encoding& encoding;
  const float *starts, *ends;
  std::size_t begin, end, first;

  // Whether the row begins with an added special token, which stands for "no answer".
  bool special() const { return encoding.segments[0] == -1; }
  std::size_t size() const { return end - begin; }
  // The probability of no answer, then those of the tokens of the context.
  std::vector<double> probabilities(const float* logits) const {
    std::vector<double> wide;
    if (special()) wide.push_back(static_cast<double>(logits[0]));
    for (std::size_t i = begin; i < end; ++i) wide.push_back(static_cast<double>(logits[i]));
    auto scores = softmax(wide.data(), wide.size());
    if (!special()) scores.insert(scores.begin(), 0.0);
    return scores;
  }
};

// The scores of no answer: the lowest of any window.
struct NoAnswer {
  double score = INFINITE, logits = INFINITE;
};

double higher(double a, double b) { return std::isnan(a) || a >= b ? a : b; }
double lower(double a, double b) { return b < a ? b : a; }

class Finder {
 public:
  Finder(const Model& model, const Asked& asked, const Rows& rows) : model_(model), asked_(asked), options_(*asked.options) {
    std::size_t first = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Encoding& encoding = asked.encodings[i];
      const auto at = std::find(encoding.segments.begin(), encoding.segments.end(), 1);
      const auto begin = static_cast<std::size_t>(at - encoding.segments.begin());
      std::size_t end = begin;
      while (end < encoding.segments.size() && encoding.segments[end] == 1) ++end;
      windows_.push_back({encoding, rows[i].at("start_logits").values.data(), rows[i].at("end_logits").values.data(), begin, end, first});
      width_ = std::max(width_, end - begin);
      first += end - begin;
      if (i + 1 < rows.size()) first -= context_overlap(model, options_, end - begin);
    }
    width_ = std::min(width_, static_cast<std::size_t>(options_.max_answer_len.value_or(DEFAULT_ANSWER_TOKENS)));
    logits_.assign(first * width_, -INFINITE);
  }

  Answers answers() {
    for (const Window& window : windows_) {
      if (window.special() || window.size() > 0) read(window);
    }
    const bool with_empty = with_empty_answer(options_);
    if (candidates_.empty() && !with_empty) return {};
    const double best = logits_.empty() ? -INFINITE : logits_[greatest(logits_)];
    if (with_empty) logits_.push_back(no_answer_.logits);
    const auto shares = softmax(logits_.data(), logits_.size());
    Answers found = ranked_answers(shares);
    if (with_empty) {
      const Answer empty{"", no_answer_.score, 0, 0, shares.back()};
      const auto place = place_of_empty(empty, found, no_answer_.logits - best);
      found.insert(found.begin() + static_cast<std::ptrdiff_t>(place), empty);
    }
    found.resize(std::min(found.size(), count_from_options(options_)));
    return found;
  }

 private:
  // Enters the sums of logits of the spans of a window, and collects its best spans.
  void read(const Window& window) {
    const auto starts = window.probabilities(window.starts), ends = window.probabilities(window.ends);
    no_answer_.score = lower(no_answer_.score, starts[0] * ends[0]);
    no_answer_.logits = lower(no_answer_.logits, static_cast<double>(window.starts[0]) + static_cast<double>(window.ends[0]));
    std::vector<double> scores;
    std::vector<std::pair<std::size_t, std::size_t>> spans;
    for (std::size_t i = 0; i < window.size(); ++i) {
      for (std::size_t j = i; j < std::min(i + width_, window.size()); ++j) {
        double& sum = logits_[(window.first + i) * width_ + j - i];
        sum = higher(sum, static_cast<double>(window.starts[window.begin + i]) + static_cast<double>(window.ends[window.begin + j]));
        scores.push_back(starts[i + 1] * ends[j + 1]);
        spans.emplace_back(i, j);
      }
    }
    std::vector<Word> words;
    if (options_.align_to_words) {
      const auto id = [&](std::size_t i) { return window.encoding.input_ids.begin() + static_cast<std::ptrdiff_t>(i); };
      words = words_from_ids(model_.tokenizer, {id(window.begin), id(window.end)});
    }
    const std::size_t answers = count_from_options(options_);
    for (const std::size_t best : ranked(scores, options_.align_to_words ? 2 * answers + MORE_CANDIDATES : answers)) {
      const auto [i, j] = spans[best];
      const std::size_t begin = words.empty() ? i : words[i].first, end = words.empty() ? j : words[j].last;
      const auto& places = window.encoding.spans;
      collect({places[window.begin + begin].begin, places[window.begin + end].end}, scores[best], (window.first + i) * width_ + j - i);
    }
  }

  // The same words, in any case, are one candidate: the first one found.
  void collect(Span span, double score, std::size_t place) {
    const auto [at, is_new] = numbers_.emplace(lowered(context(), span), candidates_.size());
    if (is_new) candidates_.push_back({span, 0, {}});
    Candidate& candidate = candidates_[at->second];
    candidate.score += score;
    candidate.places.push_back(place);
  }

  Answers ranked_answers(const std::vector<double>& shares) const {
    Answers answers;
    std::vector<double> scores;
    for (const Candidate& candidate : candidates_) {
      const Span span = trimmed(context(), candidate.span);
      if (span.begin >= span.end) continue;  // a piece of white space only
      double share = shares[candidate.places[0]];
      for (const std::size_t place : candidate.places) share = higher(share, shares[place]);
      answers.push_back({part_of(context(), span), candidate.score, span.begin, span.end, share});
      scores.push_back(candidate.score);
    }
    Answers in_order;
    for (const std::size_t i : ranked(scores, scores.size())) in_order.push_back(answers[i]);
    return in_order;
  }

  // By its score, but a threshold alone decides whether it is the first.
  std::size_t place_of_empty(const Answer& empty, const Answers& answers, double difference) const {
    const auto before = [&](const Answer& answer) { return answer.score >= empty.score; };
    const auto place = static_cast<std::size_t>(std::count_if(answers.begin(), answers.end(), before));
    if (!options_.null_threshold) return place;
    return difference > *options_.null_threshold ? 0 : std::min(std::max<std::size_t>(place, 1), answers.size());
  }

  const std::u32string& context() const { return std::get<std::u32string>(asked_.second); }

  const Model& model_;
  const Asked& asked_;
  const AnswerOptions& options_;
  std::vector<Window> windows_;
  std::size_t width_ = 0;
  std::vector<double> logits_;  // of all allowed spans: `width_` for each token of the context that may begin one
  std::map<std::u32string, std::size_t> numbers_;
  std::vector<Candidate> candidates_;
  NoAnswer no_answer_;
};

}  // namespace

Result<AnyAnswer> answer_spans(const Model& model, const Asked& asked, const Rows& rows) {
  return AnyAnswer(Finder(model, asked, rows).answers());
}

}  // namespace fnet
