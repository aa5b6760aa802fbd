// Tokens for tests: fnet_tokens MODEL FLAVOUR LOWER ACCENTS SPACE (each 0 or 1) reads JSON lines {"texts": [...], "length": n} and
// writes [ids, types, segments, spans, the ids decoded].
#include <iostream>
#include <nlohmann/json.hpp>

#include "tokenizer/tokenizer.h"

using nlohmann::json;

int main(int count, char** words) {
  if (count != 6) return 2;
  const auto set = [&](int i) { return words[i][0] == '1'; };
  const auto tokenizer = fnet::Tokenizer::from_file(words[1], {words[2], {set(3), set(4), set(5)}});
  if (!tokenizer) {
    std::cerr << tokenizer.error().text << "\n";
    return 1;
  }
  for (std::string line; std::getline(std::cin, line);) {
    const json entry = json::parse(line);
    std::vector<std::u32string> texts;
    for (const json& text : entry["texts"]) texts.push_back(*fnet::text_from_utf8(text));
    const auto found = tokenizer->encode(texts[0], texts.size() > 1 ? &texts[1] : nullptr, {entry["length"].get<int64_t>()});
    if (!found) {
      std::cout << json(found.error().text).dump() << "\n";
      continue;
    }
    std::vector<std::size_t> spans;
    for (const auto& span : found->spans) spans.insert(spans.end(), {span.begin, span.end});
    const std::vector<int32_t> ids(found->input_ids.begin(), found->input_ids.end());
    std::cout << json::array({ids, found->token_type_ids, found->segments, spans, *tokenizer->decode(ids)}).dump() << "\n";
  }
}
