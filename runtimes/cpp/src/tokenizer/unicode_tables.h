// Tables of characters, and how to look into them. scripts/unicode_tables.py writes those of Python's str and of the tokenizers library.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>

namespace fnet {

struct Range {
  char32_t first, last;
};
struct ClassRange {
  char32_t first, last;
  std::uint8_t value;
};
// Characters from `first` to `last`, `step` apart, become the one that is `difference` away.
struct Run {
  char32_t first, last;
  std::uint8_t step;
  std::int32_t difference;
};

// The range that holds `c`, or null.
template <class Entry, std::size_t count>
const Entry* range_of(const Entry (&table)[count], char32_t c) {
  const auto after = std::upper_bound(table, table + count, c, [](char32_t code, const Entry& r) { return code < r.first; });
  return after != table && c <= std::prev(after)->last ? std::prev(after) : nullptr;
}

// What characters become: one character each by runs, or a text each, which ends at its place in all texts.
template <std::size_t runs, std::size_t others, std::size_t size>
struct Mapping {
  const Run (&run_table)[runs];
  const char32_t (&other_table)[others];
  const std::uint16_t (&ends)[others];
  const char32_t (&texts)[size];

  void append(std::u32string& text, char32_t c) const {
    if (const Run* run = range_of(run_table, c); run && (c - run->first) % run->step == 0) {
      text += static_cast<char32_t>(static_cast<std::int32_t>(c) + run->difference);
      return;
    }
    const auto place = std::lower_bound(other_table, other_table + others, c) - other_table;
    if (place == others || other_table[place] != c) text += c;
    else text.append(texts + (place ? ends[place - 1] : 0), texts + ends[place]);
  }
};

template <std::size_t runs, std::size_t others, std::size_t size>
Mapping(const Run (&)[runs], const char32_t (&)[others], const std::uint16_t (&)[others], const char32_t (&)[size])
    -> Mapping<runs, others, size>;

// Of a syllable of Hangul by itself, appends its jamo; false where `c` is none.
inline bool append_jamo(std::u32string& text, char32_t c) {
  constexpr char32_t FIRST = 0xAC00, COUNT = 11172, LEAD = 0x1100, VOWEL = 0x1161, BEFORE_TAIL = 0x11A7, VOWELS = 21, TAILS = 28;
  const char32_t index = c - FIRST;
  if (index >= COUNT) return false;
  text += char32_t{LEAD + index / (VOWELS * TAILS)};
  text += char32_t{VOWEL + index / TAILS % VOWELS};
  if (index % TAILS) text += char32_t{BEFORE_TAIL + index % TAILS};
  return true;
}

#include "generated/unicode_tables.inc"

}  // namespace fnet
