#include "questions.h"

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "base/facts.h"
#include "base/words.h"
#include "json/reader.h"

namespace {

using fnet::Json;
using Texts = std::vector<std::string>;

Texts split_at_tabs(const std::string& line) {
  Texts parts;
  std::size_t start = 0;
  for (std::size_t tab; (tab = line.find('\t', start)) != line.npos; start = tab + 1) parts.push_back(line.substr(start, tab - start));
  parts.push_back(line.substr(start));
  return parts;
}

fnet::Result<fnet::Request> request_from_tabs(const std::string& line, bool choices) {
  Texts parts = split_at_tabs(line);
  fnet::Request request{std::move(parts[0])};
  parts.erase(parts.begin());
  if (choices && !parts.empty()) request.second = std::move(parts);
  else if (parts.size() > 1)
    return fnet::input_error("expected at most one tab, between a text and its second text; found " + std::to_string(parts.size()));
  else if (!parts.empty()) request.second = std::move(parts[0]);
  return request;
}

template <std::size_t N>
bool has(const char* const (&keys)[N], const std::string& key) {
  return std::find(std::begin(keys), std::end(keys), key) != std::end(keys);
}

fnet::Result<fnet::Request> request_from_json(const Json& values) {
  if (!values.is_object()) return fnet::input_error("expected a JSON object; found another value");
  Texts found, seconds(std::begin(fnet::SECOND_KEYS), std::end(fnet::SECOND_KEYS));
  seconds.emplace_back(fnet::CHOICES_KEY);
  const Json *text = nullptr, *second = nullptr;
  std::size_t texts = 0, second_texts = 0, unknown = 0;
  for (auto entry = values.begin(); entry != values.end(); ++entry) {
    found.push_back(entry.key());
    if (has(fnet::TEXT_KEYS, entry.key())) text = &entry.value(), ++texts;
    else if (std::find(seconds.begin(), seconds.end(), entry.key()) != seconds.end()) second = &entry.value(), ++second_texts;
    else ++unknown;
  }
  if (unknown || texts != 1 || second_texts > 1) {
    const Texts keys(std::begin(fnet::TEXT_KEYS), std::end(fnet::TEXT_KEYS));
    return fnet::input_error("expected a JSON object with one of " + fnet::joined(keys) + " and at most one of " + fnet::joined(seconds) +
                             "; found the keys " + (found.empty() ? "(nothing)" : fnet::joined(found)));
  }
  const bool choices = second && values.contains(fnet::CHOICES_KEY), words = values.contains(fnet::WORDS_KEY);
  const auto is_text = [](const Json& value) { return value.is_string(); };
  const auto is_list = [&](const Json& value) { return value.is_array() && std::all_of(value.begin(), value.end(), is_text); };
  const bool good = (words ? is_list(*text) : text->is_string()) && (!second || (choices ? is_list(*second) : second->is_string()));
  if (!good) {
    return fnet::input_error(std::string("expected texts as strings, and ") + fnet::WORDS_KEY + " and " + fnet::CHOICES_KEY +
                             " as lists of strings; found another value");
  }
  const auto joined = words ? fnet::text_from_words(text->get<Texts>()) : text->get<std::string>();
  if (!joined) return joined.error();
  fnet::Request request{*joined};
  if (choices) request.second = second->get<Texts>();
  else if (second) request.second = second->get<std::string>();
  return request;
}

}  // namespace

fnet::Result<fnet::Request> request_from_line(const std::string& line, const std::string& format, bool choices) {
  if (format == fnet::TSV) return request_from_tabs(line, choices);
  if (format != fnet::JSONL) return fnet::Request{line};
  const auto values = fnet::json_from_text(line);
  if (!values) return fnet::input_error("expected a JSON object; found other text (" + values.error().text + ")");
  return request_from_json(*values);
}
