#include "pipeline/spans.h"

#include "base/utf8.h"
#include "tokenizer/python_characters.h"

namespace fnet {

std::string part_of(const std::u32string& text, Span span) { return to_utf8(text.substr(span.begin, span.end - span.begin)); }

Span trimmed(const std::u32string& text, Span span) {
  while (span.begin < span.end && python::is_space(text[span.begin])) ++span.begin;
  while (span.begin < span.end && python::is_space(text[span.end - 1])) --span.end;
  return span;
}

}  // namespace fnet
