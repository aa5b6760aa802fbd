// Python's json.dumps and formats, byte for byte.
#include "answer_text.h"

#include <cmath>
#include <cstdio>

#include "json_reader.h"
#include "python_str.h"

namespace fnet {
namespace {

std::string quoted(const std::string& text) {
  std::string shown = "\"";
  for (const char c : text) {
    switch (c) {
      case '"': shown += "\\\""; break;
      case '\\': shown += "\\\\"; break;
      case '\n': shown += "\\n"; break;
      case '\r': shown += "\\r"; break;
      case '\t': shown += "\\t"; break;
      case '\b': shown += "\\b"; break;
      case '\f': shown += "\\f"; break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20) {
          shown += c;
        } else {
          char code[8];
          std::snprintf(code, sizeof code, "\\u%04x", c);
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
    return "{\"label\": " + quoted(v.label) + ", \"score\": " + number(v.score) + ", \"scores\": " + list(v.scores, *this) + "}";
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
    return "{\"follows\": " + boolean(v.follows) + ", \"score\": " + number(v.score) + "}";
  }
  std::string operator()(const Choice& v) const {
    return "{\"index\": " + std::to_string(v.index) + ", \"text\": " + quoted(v.text) + ", \"score\": " + number(v.score) +
           ", \"scores\": " + list(v.scores, number) + "}";
  }
  std::string operator()(const Embedding& v) const {
    return "{\"tokens\": " + matrix(v.tokens, v.hidden) + ", \"pooled\": " + list(v.pooled, element) + "}";
  }
  std::string operator()(const Pretraining& v) const {
    return "{\"fillers\": " + (*this)(v.fillers) + ", \"next_sentence\": " + (*this)(v.next_sentence) + "}";
  }
  std::string operator()(const Check& v) const {
    return "{\"output\": " + quoted(v.output) + ", \"max_abs\": " + number(v.max_abs) + ", \"max_rel\": " + number(v.max_rel) +
           ", \"cosine\": " + number(v.cosine) + ", \"limit\": " + number(v.limit) + ", \"passed\": " + boolean(v.passed) + "}";
  }
  template <class T>
  std::string operator()(const std::vector<T>& items) const {
    return list(items, *this);
  }

 private:
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

struct ToText {
  std::string operator()(const Classification& v) const { return v.label + "\t" + score(v.score); }
  std::string operator()(const TokenLabel& v) const { return v.label + "\t" + score(v.score) + "\t" + place(v.text, v.start, v.end); }
  std::string operator()(const Answer& v) const {
    return python::repr(v.text) + "\t" + score(v.score) + "\t" + std::to_string(v.start) + "\t" + std::to_string(v.end);
  }
  std::string operator()(const Filler& v) const {
    return v.token + "\t" + std::to_string(v.token_id) + "\t" + score(v.score) + "\t" + python::repr(v.text);
  }
  std::string operator()(const NextSentence& v) const { return std::string(v.follows ? "True" : "False") + "\t" + score(v.score); }
  std::string operator()(const Choice& v) const { return std::to_string(v.index) + "\t" + python::repr(v.text) + "\t" + score(v.score); }
  std::string operator()(const Embedding& v) const {
    return "tokens float32[" + std::to_string(v.tokens.size() / v.hidden) + ", " + std::to_string(v.hidden) + "]\tpooled float32[" +
           std::to_string(v.pooled.size()) + "]";
  }
  std::string operator()(const Pretraining& v) const { return (*this)(v.fillers) + "\t" + (*this)(v.next_sentence); }
  template <class T>
  std::string operator()(const std::vector<T>& items) const {
    std::vector<std::string> lines;
    for (const T& item : items) lines.push_back((*this)(item));
    const std::string text = joined(lines, "\n");
    return text.empty() ? "(nothing)" : text;
  }
};

}  // namespace

std::string json_from_answer(const AnyAnswer& answer) { return std::visit(ToJson{}, answer); }
std::string text_from_answer(const AnyAnswer& answer) { return std::visit(ToText{}, answer); }

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
