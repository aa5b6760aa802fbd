// A text on its way to the model: each character with the span of the original text that it stands for.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/encoding.h"

namespace fnet {

// A new character: `change` above 0 was inserted, else it takes the place of one old character and of `-change` more.
struct Change {
  char32_t character;
  int change;
};

struct AlignedText {
  std::u32string characters;
  std::vector<Span> spans;  // as many as characters

  // The part of a text from `begin` to `end`, as it is.
  AlignedText(const std::u32string& text, std::size_t begin, std::size_t end);
  AlignedText() = default;

  void push_back(char32_t character, Span span) {
    characters += character;
    spans.push_back(span);
  }
  // Puts the new characters in place of all, their spans found by walking over the old ones (docs/tokenizer.md).
  void transform(const std::vector<Change>& changes);
  // Puts `content` in place of every match, each of its characters with the span of the match's last one.
  void replace(std::u32string_view pattern, std::u32string_view content);
};

}  // namespace fnet
