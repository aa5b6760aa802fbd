#include "tokenizer/unicode.h"

#include "tokenizer/unicode_tables.h"

namespace fnet::unicode {
namespace {

// Classes of UAX 29's rules, as scripts/unicode_tables.py counts them. `linker` and `extend` are Extend and the like of InCB,
// `plain_extend` is Extend alone. The last three are found by arithmetic.
enum class Grapheme {
  other,
  control,
  extend,
  linker,
  plain_extend,
  spacing_mark,
  zwj,
  prepend,
  pictographic,
  consonant,
  hangul_l,
  hangul_v,
  hangul_t,
  hangul_lv,
  hangul_lvt,
  regional,
};

using namespace library_tables;

constexpr char32_t HANGUL = 0xAC00, HANGUL_END = 0xD7A4, TRAILING = 28;

Grapheme grapheme(char32_t c) {
  if (c >= 0x20 && c < 0x7F) return Grapheme::other;
  if (c >= HANGUL && c < HANGUL_END) return (c - HANGUL) % TRAILING ? Grapheme::hangul_lvt : Grapheme::hangul_lv;
  if (c >= 0x1F1E6 && c <= 0x1F1FF) return Grapheme::regional;
  auto found = range_of(GRAPHEMES, c);
  return found ? static_cast<Grapheme>(found->value) : Grapheme::other;
}

bool is_extend(Grapheme g) { return g == Grapheme::extend || g == Grapheme::linker || g == Grapheme::plain_extend; }

// What the rules have to remember of a cluster, besides its last class.
struct Memory {
  bool emoji = false, consonant = false, linked = false;
  std::size_t regionals = 0;

  void take(Grapheme g) {
    if (!is_extend(g) && g != Grapheme::zwj) emoji = g == Grapheme::pictographic;
    bool joins_conjunct = g == Grapheme::extend || g == Grapheme::linker || g == Grapheme::zwj;
    linked = joins_conjunct && (linked || (consonant && g == Grapheme::linker));
    consonant = g == Grapheme::consonant || (joins_conjunct && consonant);
    regionals = g == Grapheme::regional ? regionals + 1 : 0;
  }
};

bool is_boundary(Grapheme before, Grapheme after, char32_t first, char32_t second, const Memory& memory) {
  using G = Grapheme;
  if (before == G::control || after == G::control) return !(first == '\r' && second == '\n');
  switch (before) {
    case G::hangul_l:
      if (after == G::hangul_l || after == G::hangul_v || after == G::hangul_lv || after == G::hangul_lvt) return false;
      break;
    case G::hangul_lv:
    case G::hangul_v:
      if (after == G::hangul_v || after == G::hangul_t) return false;
      break;
    case G::hangul_lvt:
    case G::hangul_t:
      if (after == G::hangul_t) return false;
      break;
    default: break;
  }
  if (is_extend(after) || after == G::zwj || after == G::spacing_mark || before == G::prepend) return false;
  if (after == G::consonant) return !memory.linked;
  if (after == G::pictographic) return !(before == G::zwj && memory.emoji);
  return !(after == G::regional && memory.regionals % 2 == 1);
}

}  // namespace

bool is_space(char32_t c) { return range_of(SPACES, c); }
bool is_word(char32_t c) { return range_of(WORD, c); }
bool is_mark(char32_t c) { return c >= 0x300 && range_of(MARKS, c); }

unsigned combining_class(char32_t c) {
  auto found = c >= 0x300 ? range_of(COMBINING_CLASSES, c) : nullptr;
  return found ? found->value : 0;
}

void append_lower(std::u32string& text, char32_t c) {
  if (c < 0x80) {
    text += c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
  } else {
    LOWER.append(text, c);
  }
}

void append_nfkd(std::u32string& text, char32_t c) {
  if (c < 0x80) text += c;
  else if (!append_jamo(text, c)) NFKD.append(text, c);
}

std::size_t cluster_end(const std::u32string& text, std::size_t begin) {
  std::size_t end = begin + 1;
  Grapheme before = grapheme(text[begin]);
  Memory memory;
  memory.take(before);
  for (; end < text.size(); ++end) {
    Grapheme after = grapheme(text[end]);
    if (is_boundary(before, after, text[end - 1], text[end], memory)) break;
    memory.take(after);
    before = after;
  }
  return end;
}

}  // namespace fnet::unicode
