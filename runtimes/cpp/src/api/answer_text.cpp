// Python's json.dumps and formats, byte for byte.
#include "api/answer_text.h"

#include <cmath>
#include <cstdio>

#include "base/python_str.h"
#include "json/reader.h"

namespace fnet {
namespace {

constexpr const char* NOTHING = "(nothing)";

std::string quoted(const std::string& text) {
  std::string shown = "\"";
  for (const char32_t c : python::from_bytes(text)) {
    switch (c) {
      case '"': shown += "\\\""; break;
      case '\\': shown += "\\\\"; break;
      case '\n': shown += "\\n"; break;
      case '\r': shown += "\\r"; break;
      case '\t': shown += "\\t"; break;
      case '\b': shown += "\\b"; break;
      case '\f': shown += "\\f"; break;
      default:
        if (c >= 0x20 && !(c >= 0xD800 && c < 0xE000)) {
          python::append_utf8(shown, c);
        } else {
          char code[8];
          std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
          shown += code;
        }
    }
  }
  return shown + "\"";
}

// A score; NaN and infinity, which JSON lacks, as null.
std::string number(double value) { return std::isfinite(value) ? python::repr(value) : "null"; }
std::string boolean(bool value) { return value ? "true" : "false"; }

template <class T, class Show>
std::string list(const std::vector<T>& items, Show show) {
  std::vector<std::string> words;
  for (const T& item : items) words.push_back(show(item));
  return "[" + joined(words) + "]";
}

// A vector's value, as Python's json has it.
std::string element(float value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return python::repr(static_cast<double>(value));
}

// Rows of `width` values.
std::string matrix(const std::vector<float>& values, std::size_t width) {
  std::vector<std::string> rows;
  for (auto at = values.begin(); at != values.end(); at += static_cast<std::ptrdiff_t>(width))
    rows.push_back(list(std::vector<float>(at, at + static_cast<std::ptrdiff_t>(width)), element));
  return "[" + joined(rows) + "]";
}

struct ToJson {
  std::string operator()(const LabelScore& v) const { return "{\"label\": " + quoted(v.label) + ", \"score\": " + number(v.score) + "}"; }
  std::string operator()(const Classification& v) const {
    return "{\"label\": " + quoted(v.label) + ", \"score\": " + number(v.score) + ", \"scores\": " + list(v.scores, *this) + cut(v) + "}";
  }
  std::string operator()(const TokenLabel& v) const {
    return "{\"label\": " + quoted(v.label) + ", \"score\": " + number(v.score) + ", " + place(v) + "}";
  }
  std::string operator()(const Answer& v) const {
    return "{\"text\": " + quoted(v.text) + ", \"score\": " + number(v.score) + ", \"start\": " + std::to_string(v.start) +
           ", \"end\": " + std::to_string(v.end) + "}";
  }
  std::string operator()(const Filler& v) const {
    return "{\"token\": " + quoted(v.token) + ", \"token_id\": " + std::to_string(v.token_id) + ", \"score\": " + number(v.score) +
           ", \"text\": " + quoted(v.text) + "}";
  }
  std::string operator()(const NextSentence& v) const {
    return "{\"follows\": " + boolean(v.follows) + ", \"score\": " + number(v.score) + cut(v) + "}";
  }
  std::string operator()(const Choice& v) const {
    return "{\"index\": " + std::to_string(v.index) + ", \"text\": " + quoted(v.text) + ", \"score\": " + number(v.score) +
           ", \"scores\": " + list(v.scores, number) + cut(v) + "}";
  }
  std::string operator()(const Embedding& v) const {
    return "{\"tokens\": " + matrix(v.tokens, v.hidden) + ", \"pooled\": " + list(v.pooled, element) + cut(v) + "}";
  }
  std::string operator()(const Pretraining& v) const {
    return "{\"fillers\": " + (*this)(v.fillers) + ", \"next_sentence\": " + (*this)(v.next_sentence) + cut(v) + "}";
  }
  std::string operator()(const TokenLabels& v) const { return "{\"tokens\": " + list(v.tokens, *this) + cut(v) + "}"; }
  std::string operator()(const Fillers& v) const { return "{\"masks\": " + list(v.masks, *this) + cut(v) + "}"; }
  std::string operator()(const Check& v) const {
    return "{\"output\": " + quoted(v.output) + ", \"max_abs\": " + number(v.max_abs) + ", \"max_rel\": " + number(v.max_rel) +
           ", \"cosine\": " + number(v.cosine) + ", \"limit\": " + number(v.limit) + ", \"passed\": " + boolean(v.passed) + "}";
  }
  template <class T>
  std::string operator()(const std::vector<T>& items) const {
    return list(items, *this);
  }

 private:
  template <class T>
  static std::string cut(const T& v) {
    return ", \"truncated\": " + boolean(v.truncated);
  }
  static std::string place(const TokenLabel& v) {
    return "\"text\": " + quoted(v.text) + ", \"start\": " + std::to_string(v.start) + ", \"end\": " + std::to_string(v.end);
  }
};

std::string score(double value) {
  if (!std::isfinite(value)) return python::repr(value);
  char text[400];
  std::snprintf(text, sizeof text, "%.4f", value);
  return text;
}

std::string place(const std::string& text, std::size_t start, std::size_t end) {
  return python::repr(text) + "\t" + std::to_string(start) + "\t" + std::to_string(end);
}

// The rows of an answer, each a text of its columns.
struct ToRows {
  bool multi_label;

  using Rows = std::vector<std::string>;
  Rows operator()(const Classification& v) const {
    if (!multi_label) return {escaped(v.label) + "\t" + score(v.score)};
    std::vector<std::string> decided;
    for (const LabelScore& one : v.scores) {
      if (one.score > 0.5) decided.push_back(escaped(one.label) + "\t" + score(one.score));
    }
    return {decided.empty() ? NOTHING : joined(decided, "\t")};
  }
  Rows operator()(const TokenLabel& v) const {
    return {escaped(v.label) + "\t" + score(v.score) + "\t" + place(v.text, v.start, v.end)};
  }
  Rows operator()(const Answer& v) const {
    return {python::repr(v.text) + "\t" + score(v.score) + "\t" + std::to_string(v.start) + "\t" + std::to_string(v.end)};
  }
  Rows operator()(const Filler& v) const {
    return {escaped(v.token) + "\t" + std::to_string(v.token_id) + "\t" + score(v.score) + "\t" + python::repr(v.text)};
  }
  Rows operator()(const NextSentence& v) const {
    return {v.follows ? "follows\t" + score(v.score) : "does not follow\t" + score(1 - v.score)};
  }
  Rows operator()(const Choice& v) const { return {std::to_string(v.index) + "\t" + python::repr(v.text) + "\t" + score(v.score)}; }
  Rows operator()(const Embedding& v) const {
    return {"tokens float32[" + std::to_string(v.tokens.size() / v.hidden) + ", " + std::to_string(v.hidden) + "]\tpooled float32[" +
            std::to_string(v.pooled.size()) + "]"};
  }
  Rows operator()(const TokenLabels& v) const { return (*this)(v.tokens); }
  Rows operator()(const Fillers& v) const { return (*this)(v.masks); }
  Rows operator()(const Pretraining& v) const {
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

std::string json_from_answer(const AnyAnswer& answer) { return std::visit(ToJson{}, answer); }

std::string json_from_error(const std::string& error, const std::string& source, std::size_t line) {
  return "{\"error\": " + quoted(error) + ", \"source\": " + quoted(source) + ", \"line\": " + std::to_string(line) + "}";
}

std::string text_from_answer(const AnyAnswer& answer, bool multi_label) {
  const auto rows = std::visit(ToRows{multi_label}, answer);
  return rows.empty() ? NOTHING : joined(rows, "\n");
}

std::string escaped(const std::string& text) {
  std::string shown;
  for (const char32_t c : python::from_bytes(text)) {
    const std::string whole = python::repr(std::u32string{c});
    if (python::is_printable(c) && c != U'\\') python::append_utf8(shown, c);
    else shown += whole.substr(1, whole.size() - 2);
  }
  return shown;
}

std::string json_from_checks(const std::vector<Check>& checks) {
  bool passed = true;
  for (const Check& check : checks) passed = passed && check.passed;
  return "{\"passed\": " + boolean(passed) + ", \"outputs\": " + ToJson{}(checks) + "}";
}

std::string text_from_checks(const std::vector<Check>& checks) {
  std::vector<std::string> lines;
  for (const Check& check : checks) {
    char numbers[80];
    std::snprintf(numbers, sizeof numbers, "largest error %.2e, limit %.2e", check.max_abs, check.limit);
    lines.push_back((check.passed ? "passed  " : "FAILED  ") + check.output + ": " + numbers);
  }
  return joined(lines, "\n");
}

}  // namespace fnet
