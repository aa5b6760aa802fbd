// How the beginning of a long text is cut into tokens without reading the rest (docs/tokenizer.md, Long texts).
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace fnet {

// How far a place in a text acts on the tokens before it. `in_words`: a token never goes on after a space. `longest`: characters of the
// longest piece. `lookahead`: characters that decide how the character before them is read.
struct Reach {
  bool in_words;
  std::size_t longest, lookahead;
};

// Reads off a vocabulary whether its pieces keep to words, and how long they are.
Reach reach_from_pieces(const std::vector<std::u32string>& pieces, std::size_t lookahead);

// Counts the first tokens that a text has whatever follows it, where no token is longer than `longest` characters: one of the last
// `longest` places is the end of a token, and the tokens before that place are those of the text that ends there. `cut` leaves out what
// can grow at the end of a text.
template <class Cut>
std::size_t agreed(const Cut& cut, const std::u32string& text, std::size_t longest) {
  auto common = cut(text);
  const std::size_t first = text.size() < longest ? 0 : text.size() - longest + 1;
  for (std::size_t end = first; end < text.size(); ++end) {
    const auto other = cut(text.substr(0, end));
    const auto differs = std::mismatch(common.begin(), common.end(), other.begin(), other.end());
    common.erase(differs.first, common.end());
  }
  return common.size();
}

// The last place before which the tokenizers library's normalizers do the same whatever follows; nothing where none was found. It stands
// between two characters that are never one grapheme cluster, not after white space (which an added token may take), not inside a pair of
// quotes and not inside or next to an added token.
std::optional<std::size_t> place_to_cut(const std::u32string& beginning, const std::vector<std::u32string>& added, std::size_t lookahead);

}  // namespace fnet
