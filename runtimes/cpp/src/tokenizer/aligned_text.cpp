#include "tokenizer/aligned_text.h"

#include <algorithm>

namespace fnet {

AlignedText::AlignedText(const std::u32string& text, std::size_t begin, std::size_t end) : characters(text, begin, end - begin) {
  spans.reserve(end - begin);
  for (std::size_t i = begin; i < end; ++i) spans.push_back({i, i + 1});
}

void AlignedText::transform(const std::vector<Change>& changes) {
  if (spans.empty()) return;
  AlignedText made;
  made.characters.reserve(changes.size());
  made.spans.reserve(changes.size());
  const Span before{spans.front().begin, spans.front().begin};
  std::size_t place = 0;
  for (auto [character, change] : changes) {
    if (change > 0) {
      made.push_back(character, place ? spans[place - 1] : before);
    } else {
      made.push_back(character, spans[std::min(place, spans.size() - 1)]);
      place = std::min(place + 1 + static_cast<std::size_t>(-change), spans.size());
    }
  }
  *this = std::move(made);
}

void AlignedText::replace(std::u32string_view pattern, std::u32string_view content) {
  std::size_t match = characters.find(pattern);
  if (match == std::u32string::npos) return;
  AlignedText made;
  made.characters.reserve(characters.size());
  made.spans.reserve(characters.size());
  std::size_t last = 0;
  for (; match != std::u32string::npos; match = characters.find(pattern, last)) {
    for (; last < match; ++last) made.push_back(characters[last], spans[last]);
    last = match + pattern.size();
    for (char32_t c : content) made.push_back(c, spans[last - 1]);
  }
  for (; last < characters.size(); ++last) made.push_back(characters[last], spans[last]);
  *this = std::move(made);
}

}  // namespace fnet
