#include "tokenizer/sentencepiece/normalizer.h"

#include <string_view>

#include "base/utf8.h"
#include "tokenizer/unicode.h"

namespace fnet {
namespace {

constexpr char32_t REPLACEMENT = U'\uFFFD';

}  // namespace

SentencePieceNormalizer::SentencePieceNormalizer(const SentencePieceModel& model)
    : charsmap_(model.charsmap),
      dummy_prefix_(model.add_dummy_prefix && !model.treat_whitespace_as_suffix),
      dummy_suffix_(model.add_dummy_prefix && model.treat_whitespace_as_suffix),
      folds_spaces_(model.remove_extra_whitespaces),
      space_(model.escape_whitespaces ? UNDERLINE : U' ') {
  for (const auto& entry : model.entries) {
    if (entry.type == SentencePieceModel::USER_DEFINED) symbols_.insert(from_utf8(entry.piece), 0);
  }
}

NormalizedText SentencePieceNormalizer::normalized(const std::u32string& text) const {
  const auto [bytes, character_of_byte] = utf8_by_character(text);
  NormalizedText made;
  const auto append = [&](char32_t c, std::size_t start) {
    made.characters += c == U' ' ? space_ : c;
    made.starts.push_back(start);
  };
  std::u32string part;
  bool after_space = folds_spaces_, begun = false;
  for (std::size_t at = 0, size; at < bytes.size(); at += size) {
    const std::size_t start = character_of_byte[at];
    const bool is_whole = at == 0 || character_of_byte[at - 1] != start;  // else a key of the charsmap ended within a character
    std::size_t symbol = 0;
    if (is_whole) symbols_.prefixes(std::u32string_view(text).substr(start), [&](std::size_t length, std::int32_t) { symbol = length; });
    if (symbol > 0) {
      part = text.substr(start, symbol);
      size = to_utf8(part).size();
    } else if (size = charsmap_ ? charsmap_->longest(std::string_view(bytes).substr(at), part) : 0; size == 0) {
      part = is_whole ? text[start] : REPLACEMENT;
      for (size = 1; is_whole && character_of_byte[at + size] == start;) ++size;
    }
    if (!begun) {
      if (folds_spaces_ && part == U" ") continue;
      if (dummy_prefix_) append(U' ', start);
      begun = true;
    }
    std::size_t first = 0;
    while (after_space && first < part.size() && part[first] == U' ') ++first;
    if (first == part.size()) continue;
    for (std::size_t i = first; i < part.size(); ++i) append(part[i], start);
    after_space = folds_spaces_ && part.back() == U' ';
  }
  std::size_t end = text.size();
  while (begun && folds_spaces_ && !made.characters.empty() && made.characters.back() == space_) {
    made.characters.pop_back();
    end = made.starts.back();
    made.starts.pop_back();
  }
  if (begun && dummy_suffix_) append(U' ', end);
  made.starts.push_back(end);
  return made;
}

}  // namespace fnet
