#include "tokenizer/prefix.h"

#include <iterator>

#include "tokenizer/python_characters.h"
#include "tokenizer/unicode.h"

namespace fnet {
namespace {

constexpr std::size_t STEPS_BACK = 4096;  // characters that are searched for a place to cut

// Characters of combining class 0, two of which never are one grapheme cluster (but for CR LF).
constexpr char32_t SINGLE[][2] = {{0, 0x7F},        {0xC0, 0x2AF},    {0x3A3, 0x3FF},   {0x400, 0x481},   {0x5D0, 0x5EA},
                                  {0x620, 0x64A},   {0x904, 0x939},   {0x3001, 0x3003}, {0x3041, 0x3096}, {0x30A1, 0x30FA},
                                  {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3}, {0xFF01, 0xFF5E}};

bool is_single(char32_t c) {
  return std::any_of(std::begin(SINGLE), std::end(SINGLE), [&](const auto& range) { return range[0] <= c && c <= range[1]; });
}

}  // namespace

Reach reach_from_pieces(const std::vector<std::u32string>& pieces, std::size_t lookahead) {
  Reach reach{false, 1, lookahead};
  bool inside = false;
  for (const std::u32string& piece : pieces) {
    reach.longest = std::max(reach.longest, piece.size());
    reach.in_words = reach.in_words || (piece.size() == 1 && piece[0] == UNDERLINE);
    inside = inside || piece.find(UNDERLINE, 1) != piece.npos;
  }
  reach.in_words = reach.in_words && !inside;
  return reach;
}

std::optional<std::size_t> place_to_cut(const std::u32string& beginning, const std::vector<std::u32string>& added, std::size_t lookahead) {
  if (beginning.size() <= lookahead) return std::nullopt;
  const std::size_t last = beginning.size() - lookahead;
  const auto is_touched = [&](std::size_t place) {
    return std::any_of(added.begin(), added.end(), [&](const std::u32string& token) {
      const std::size_t begin = place - std::min(place, token.size());
      return beginning.substr(begin, place + token.size() - begin).find(token) != token.npos;
    });
  };
  for (std::size_t place = last; place > last - std::min(last, STEPS_BACK); --place) {
    const char32_t left = beginning[place - 1], right = beginning[place];
    const bool is_pair = left == right && (left == U'`' || left == U'\'');
    if (!is_pair && !python::is_space(left) && is_single(left) && is_single(right) && !is_touched(place)) return place;
  }
  return std::nullopt;
}

}  // namespace fnet
