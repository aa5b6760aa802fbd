// What FNetTokenizer does to a text before SentencePiece sees it (docs/tokenizer.md, fnet-slow).
#pragma once

#include <string>
#include <vector>

#include "tokenizer/backend.h"
#include "tokenizer/encoding.h"

namespace fnet {

// A text on its way to the model: each character, and the span of the original text that it stands for.
struct Characters {
  std::u32string text;
  std::vector<Span> spans;

  void add(char32_t c, Span span);
  // The characters [begin, end).
  Characters part(std::size_t begin, std::size_t end) const;
};

// A stretch of a text: one of SPECIAL_TOKENS, or what stands between two (`special` is null).
struct TextPart {
  std::size_t begin, end;
  const char* special;
};
// Splits at special tokens, leftmost first; no part is empty.
std::vector<TextPart> parts_from_text(const std::u32string& text);

// The whole text with its own spans, lower-cased around special tokens where the rules say so.
Characters characters_from_text(const std::u32string& text, const TextRules& rules);
// FNetTokenizer.preprocess_text, of a part that holds no special token.
Characters normalized(const Characters& characters, const TextRules& rules);
// Of the last part of a text that may go on: what of its normalized form comes from text before `end` and stays as it is whatever follows.
Characters settled(const Characters& characters, const TextRules& rules, std::size_t end);

}  // namespace fnet
