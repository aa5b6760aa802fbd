#include "pipeline/spans.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "base/utf8.h"
#include "tokenizer/python_characters.h"

namespace fnet {
namespace {

constexpr char32_t CAPITAL_SIGMA = 0x3A3, FINAL_SIGMA = 0x3C2;
constexpr const char* UNDERLINE_BYTES = "\xE2\x96\x81";  // what the pieces of a vocabulary spell a space with

bool is_special(const std::string& piece) {
  return piece != UNK && std::find(std::begin(SPECIAL_TOKENS), std::end(SPECIAL_TOKENS), piece) != std::end(SPECIAL_TOKENS);
}

}  // namespace

std::string part_of(const std::u32string& text, Span span) { return to_utf8(text.substr(span.begin, span.end - span.begin)); }

Span trimmed(const std::u32string& text, Span span) {
  while (span.begin < span.end && python::is_space(text[span.begin])) ++span.begin;
  while (span.begin < span.end && python::is_space(text[span.end - 1])) --span.end;
  return span;
}

std::u32string lowered(const std::u32string& text, Span span) {
  const std::u32string part = text.substr(span.begin, span.end - span.begin);
  std::u32string low;
  for (std::size_t i = 0; i < part.size(); ++i) {
    if (part[i] == CAPITAL_SIGMA && python::is_final_sigma(part, i)) low += FINAL_SIGMA;
    else low += python::lower(part[i]);
  }
  return low;
}

std::vector<Word> words_from_ids(const Tokenizer& tokenizer, const std::vector<int64_t>& ids) {
  std::vector<Word> words(ids.size());
  bool after_special = false;
  for (std::size_t i = 0, first = 0; i < ids.size(); ++i) {
    const std::string piece = tokenizer.piece(static_cast<int32_t>(ids[i]));
    const bool special = is_special(piece);
    if (special || after_special || piece.compare(0, std::strlen(UNDERLINE_BYTES), UNDERLINE_BYTES) == 0) first = i;
    after_special = special;
    words[i].first = first;
  }
  for (std::size_t i = ids.size(), last = i; i-- > 0;) {
    words[i].last = last - 1;
    if (words[i].first == i) last = i;
  }
  return words;
}

}  // namespace fnet
