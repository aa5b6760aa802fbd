#include "tokenizer/sentencepiece/fnet_text.h"

#include <algorithm>
#include <cstring>

#include "tokenizer/python_characters.h"

namespace fnet {
namespace {

constexpr char32_t CAPITAL_SIGMA = 0x3A3, FINAL_SIGMA = 0x3C2;

// The special token that starts at `at`, or null.
const char* special_at(const std::u32string& text, std::size_t at) {
  for (const char* token : SPECIAL_TOKENS) {
    std::size_t i = 0;
    while (token[i] && at + i < text.size() && text[at + i] == static_cast<unsigned char>(token[i])) ++i;
    if (!token[i]) return token;
  }
  return nullptr;
}

Characters lowered(const Characters& characters) {
  Characters made;
  for (std::size_t i = 0; i < characters.text.size(); ++i) {
    const char32_t c = characters.text[i];
    if (c == CAPITAL_SIGMA && python::is_final_sigma(characters.text, i)) {
      made.add(FINAL_SIGMA, characters.spans[i]);
      continue;
    }
    for (const char32_t low : python::lower(c)) made.add(low, characters.spans[i]);
  }
  return made;
}

// No space at the ends, one where there were several.
Characters space_folded(const Characters& characters) {
  Characters folded;
  for (std::size_t i = 0; i < characters.text.size(); ++i) {
    const char32_t c = characters.text[i];
    if (!python::is_space(c)) folded.add(c, characters.spans[i]);
    else if (!folded.text.empty() && folded.text.back() != U' ') folded.add(U' ', characters.spans[i]);
    else if (!folded.text.empty()) folded.spans.back().end = characters.spans[i].end;
  }
  if (!folded.text.empty() && folded.text.back() == U' ') folded.text.pop_back(), folded.spans.pop_back();
  return folded;
}

// Two backquotes or two apostrophes become one double quote.
Characters quotes_replaced(const Characters& characters) {
  Characters replaced;
  const std::u32string& text = characters.text;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool pair = (text[i] == U'`' || text[i] == U'\'') && i + 1 < text.size() && text[i + 1] == text[i];
    if (pair) replaced.add(U'"', {characters.spans[i].begin, characters.spans[i + 1].end}), ++i;
    else replaced.add(text[i], characters.spans[i]);
  }
  return replaced;
}

Characters accents_removed(const Characters& characters) {
  Characters made;
  for (std::size_t i = 0; i < characters.text.size(); ++i) {
    for (const char32_t c : python::without_accents(characters.text[i])) made.add(c, characters.spans[i]);
  }
  return made;
}

// FNetTokenizer.preprocess_text, but for lower case.
Characters spelled(const Characters& characters, const TextRules& rules) {
  Characters made = quotes_replaced(rules.remove_space ? space_folded(characters) : characters);
  return rules.keep_accents ? made : accents_removed(made);
}

}  // namespace

void Characters::add(char32_t c, Span span) {
  text += c;
  spans.push_back(span);
}

Characters Characters::part(std::size_t begin, std::size_t end) const {
  return {text.substr(begin, end - begin),
          {spans.begin() + static_cast<std::ptrdiff_t>(begin), spans.begin() + static_cast<std::ptrdiff_t>(end)}};
}

std::vector<TextPart> parts_from_text(const std::u32string& text) {
  std::vector<TextPart> parts;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size();) {
    const char* special = special_at(text, i);
    if (!special) {
      ++i;
      continue;
    }
    if (i > begin) parts.push_back({begin, i, nullptr});
    begin = i + std::strlen(special);
    parts.push_back({i, begin, special});
    i = begin;
  }
  if (begin < text.size()) parts.push_back({begin, text.size(), nullptr});
  return parts;
}

Characters characters_from_text(const std::u32string& text, const TextRules& rules) {
  Characters characters;
  for (const TextPart& part : parts_from_text(text)) {
    for (std::size_t i = part.begin; i < part.end; ++i) {
      if (rules.do_lower_case && !part.special) {
        for (const char32_t low : python::lower(text[i])) characters.add(low, {i, i + 1});
      } else {
        characters.add(text[i], {i, i + 1});
      }
    }
  }
  return characters;
}

Characters normalized(const Characters& characters, const TextRules& rules) {
  Characters made = spelled(characters, rules);
  return rules.do_lower_case ? lowered(made) : made;
}

Characters settled(const Characters& characters, const TextRules& rules, std::size_t end) {
  std::size_t certain = 0;
  while (certain < characters.spans.size() && characters.spans[certain].end <= end) ++certain;
  while (certain > 0 && python::is_space(characters.text[certain - 1])) --certain;  // a [MASK] may take it
  end = certain ? characters.spans[certain - 1].end : 0;
  Characters made = spelled(characters, rules);
  if (rules.do_lower_case) {
    std::size_t word = made.text.size();
    while (word > 0 && !python::is_space(made.text[word - 1])) --word;
    const std::size_t sigma = made.text.find(CAPITAL_SIGMA, word);  // the rest of its word says which small one it becomes
    if (sigma != made.text.npos) end = std::min(end, made.spans[sigma].begin);
    made = lowered(made);
  }
  std::size_t kept = 0;
  while (kept < made.spans.size() && made.spans[kept].end <= end) ++kept;
  return made.part(0, kept);
}

}  // namespace fnet
