// The bytes of Python's json.dumps.
#include "api/answer_json.h"

#include "base/words.h"
#include "json/writer.h"

namespace fnet {
namespace {

std::string boolean(bool value) { return value ? "true" : "false"; }

template <class T, class Show>
std::string list(const std::vector<T>& items, Show show) {
  std::vector<std::string> words;
  for (const T& item : items) words.push_back(show(item));
  return "[" + joined(words) + "]";
}

std::string element(float value) { return decimal(static_cast<double>(value)); }

// Rows of `width` values.
std::string matrix(const std::vector<float>& values, std::size_t width) {
  std::vector<std::string> rows;
  for (auto at = values.begin(); at != values.end(); at += static_cast<std::ptrdiff_t>(width))
    rows.push_back(list(std::vector<float>(at, at + static_cast<std::ptrdiff_t>(width)), element));
  return "[" + joined(rows) + "]";
}

struct ToJson {
  std::string operator()(const LabelScore& v) const { return "{\"label\": " + quoted(v.label) + ", \"score\": " + decimal(v.score) + "}"; }
  std::string operator()(const Classification& v) const {
    return "{\"label\": " + quoted(v.label) + ", \"score\": " + decimal(v.score) + ", \"scores\": " + list(v.scores, *this) + cut(v) + "}";
  }
  std::string operator()(const TokenLabel& v) const {
    return "{\"label\": " + quoted(v.label) + ", \"score\": " + decimal(v.score) + ", " + place(v) + "}";
  }
  std::string operator()(const Entity& v) const {
    return "{\"label\": " + quoted(v.label) + ", \"score\": " + decimal(v.score) + ", " + place(v) + "}";
  }
  std::string operator()(const Answer& v) const {
    return "{\"text\": " + quoted(v.text) + ", \"score\": " + decimal(v.score) + ", \"start\": " + std::to_string(v.start) +
           ", \"end\": " + std::to_string(v.end) + ", \"share\": " + decimal(v.share) + "}";
  }
  std::string operator()(const Filler& v) const {
    return "{\"token\": " + quoted(v.token) + ", \"token_id\": " + std::to_string(v.token_id) + ", \"score\": " + decimal(v.score) +
           ", \"text\": " + quoted(v.text) + "}";
  }
  std::string operator()(const NextSentence& v) const {
    return "{\"follows\": " + boolean(v.follows) + ", \"score\": " + decimal(v.score) + cut(v) + "}";
  }
  std::string operator()(const Choice& v) const {
    return "{\"index\": " + std::to_string(v.index) + ", \"text\": " + quoted(v.text) + ", \"score\": " + decimal(v.score) +
           ", \"scores\": " + list(v.scores, decimal) + cut(v) + "}";
  }
  std::string operator()(const Embedding& v) const {
    return "{\"tokens\": " + matrix(v.tokens, v.hidden) + ", \"pooled\": " + list(v.pooled, element) + cut(v) + "}";
  }
  std::string operator()(const Pretraining& v) const {
    return "{\"fillers\": " + (*this)(v.fillers) + ", \"next_sentence\": " + (*this)(v.next_sentence) + cut(v) + "}";
  }
  std::string operator()(const TokenLabels& v) const { return "{\"tokens\": " + list(v.tokens, *this) + cut(v) + "}"; }
  std::string operator()(const Entities& v) const { return "{\"entities\": " + list(v.entities, *this) + cut(v) + "}"; }
  std::string operator()(const Fillers& v) const { return "{\"masks\": " + list(v.masks, *this) + cut(v) + "}"; }
  std::string operator()(const Check& v) const {
    return "{\"output\": " + quoted(v.output) + ", \"max_abs\": " + decimal(v.max_abs) + ", \"max_rel\": " + decimal(v.max_rel) +
           ", \"cosine\": " + decimal(v.cosine) + ", \"limit\": " + decimal(v.limit) + ", \"passed\": " + boolean(v.passed) + "}";
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
  template <class T>
  static std::string place(const T& v) {
    return "\"text\": " + quoted(v.text) + ", \"start\": " + std::to_string(v.start) + ", \"end\": " + std::to_string(v.end);
  }
};

}  // namespace

std::string json_from_answer(const AnyAnswer& answer) { return std::visit(ToJson{}, answer); }

std::string json_from_error(const std::string& error, const std::string& source, std::size_t line) {
  return "{\"error\": " + quoted(error) + ", \"source\": " + quoted(source) + ", \"line\": " + std::to_string(line) + "}";
}

std::string json_from_checks(const std::vector<Check>& checks) {
  bool passed = true;
  for (const Check& check : checks) passed = passed && check.passed;
  return "{\"passed\": " + boolean(passed) + ", \"outputs\": " + ToJson{}(checks) + "}";
}

std::string json_from_device(const Device& device) {
  return "{\"kind\": " + quoted(device.kind) + ", \"name\": " + quoted(device.name) + ", \"usable\": " + boolean(device.usable) +
         ", \"detail\": " + quoted(device.detail) + "}";
}

}  // namespace fnet
