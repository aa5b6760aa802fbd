#include "answer_text.h"

#include <cmath>
#include <cstdio>

#include "base/facts.h"
#include "base/words.h"
#include "json/writer.h"

namespace {

constexpr const char* NOTHING = "(nothing)";

std::string score(double value) {
  char text[400];
  std::snprintf(text, sizeof text, "%.4f", std::isnan(value) ? std::abs(value) : value);  // no sign of a NaN
  return text;
}

std::string place(const std::string& text, std::size_t start, std::size_t end) {
  return fnet::quoted(text) + "\t" + std::to_string(start) + "\t" + std::to_string(end);
}

// The rows of an answer, each a text of its columns.
struct ToRows {
  bool multi_label;
  const fnet::AnswerOptions& options;

  using Rows = std::vector<std::string>;
  Rows operator()(const fnet::Classification& v) const {
    const bool all = options.threshold || (options.top_k && !multi_label);
    std::vector<std::string> decided;
    for (const fnet::LabelScore& one : v.scores) {
      if (all || (multi_label ? one.score > fnet::DEFAULT_THRESHOLD : decided.empty()))
        decided.push_back(escaped(one.label) + "\t" + score(one.score));
    }
    return {decided.empty() ? NOTHING : fnet::joined(decided, "\t")};
  }
  Rows operator()(const fnet::TokenLabel& v) const {
    return {escaped(v.label) + "\t" + score(v.score) + "\t" + place(v.text, v.start, v.end)};
  }
  Rows operator()(const fnet::Entity& v) const { return {escaped(v.label) + "\t" + score(v.score) + "\t" + place(v.text, v.start, v.end)}; }
  Rows operator()(const fnet::Answer& v) const {
    return {fnet::quoted(v.text) + "\t" + score(v.score) + "\t" + std::to_string(v.start) + "\t" + std::to_string(v.end)};
  }
  Rows operator()(const fnet::Filler& v) const {
    return {escaped(v.token) + "\t" + std::to_string(v.token_id) + "\t" + score(v.score) + "\t" + fnet::quoted(v.text)};
  }
  Rows operator()(const fnet::NextSentence& v) const {
    return {v.follows ? "follows\t" + score(v.score) : "does not follow\t" + score(1 - v.score)};
  }
  Rows operator()(const fnet::Choice& v) const { return {std::to_string(v.index) + "\t" + fnet::quoted(v.text) + "\t" + score(v.score)}; }
  Rows operator()(const fnet::Embedding& v) const {
    return {"tokens float32[" + std::to_string(v.tokens.size() / v.hidden) + ", " + std::to_string(v.hidden) + "]\tpooled float32[" +
            std::to_string(v.pooled.size()) + "]"};
  }
  Rows operator()(const fnet::TokenLabels& v) const { return (*this)(v.tokens); }
  Rows operator()(const fnet::Entities& v) const { return (*this)(v.entities); }
  Rows operator()(const fnet::Fillers& v) const { return (*this)(v.masks); }
  Rows operator()(const fnet::Pretraining& v) const {
    Rows rows = (*this)(v.fillers);
    rows.push_back((*this)(v.next_sentence)[0]);
    return rows;
  }
  template <class T>
  Rows operator()(const std::vector<T>& items) const {
    Rows rows;
    for (const T& item : items) {
      for (std::string& row : (*this)(item)) rows.push_back(std::move(row));
    }
    return rows;
  }
};

}  // namespace

std::string text_from_answer(const fnet::AnyAnswer& answer, bool multi_label, const fnet::AnswerOptions& options) {
  const auto rows = std::visit(ToRows{multi_label, options}, answer);
  return rows.empty() ? NOTHING : fnet::joined(rows, "\n");
}

std::string escaped(const std::string& text) {
  const std::string whole = fnet::quoted(text);
  return whole.substr(1, whole.size() - 2);
}

std::string text_from_checks(const std::vector<fnet::Check>& checks) {
  std::vector<std::string> lines;
  for (const fnet::Check& check : checks) {
    char numbers[80];
    std::snprintf(numbers, sizeof numbers, "largest error %.2e, limit %.2e", check.max_abs, check.limit);
    lines.push_back((check.passed ? "passed  " : "FAILED  ") + check.output + ": " + numbers);
  }
  return fnet::joined(lines, "\n");
}
