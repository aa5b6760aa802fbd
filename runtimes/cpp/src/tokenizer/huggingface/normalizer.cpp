#include "tokenizer/huggingface/normalizer.h"

#include <algorithm>

#include "tokenizer/unicode.h"

namespace fnet {
namespace {

bool is_ascii(const std::u32string& text) {
  return std::all_of(text.begin(), text.end(), [](char32_t c) { return c < 0x80; });
}

void apply(const Replace& step, AlignedText& text) { text.replace(step.pattern, step.content); }

void apply(const Charsmap& charsmap, AlignedText& text) { charsmap.apply(text); }

void apply(const Nfkd&, AlignedText& text) {
  if (is_ascii(text.characters)) return;
  std::vector<Change> changes;
  std::u32string decomposed;
  std::size_t marks = 0;  // where the run of marks begins that has to be ordered
  auto ordered = [&] {
    std::stable_sort(changes.begin() + static_cast<std::ptrdiff_t>(marks), changes.end(), [](const Change& a, const Change& b) {
      return unicode::combining_class(a.character) < unicode::combining_class(b.character);
    });
  };
  for (char32_t c : text.characters) {
    decomposed.clear();
    unicode::append_nfkd(decomposed, c);
    for (std::size_t i = 0; i < decomposed.size(); ++i) {
      bool starter = unicode::combining_class(decomposed[i]) == 0;
      if (starter) ordered();
      changes.push_back({decomposed[i], i ? 1 : 0});
      if (starter) marks = changes.size();
    }
  }
  ordered();
  text.transform(changes);
}

void apply(const StripAccents&, AlignedText& text) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < text.characters.size(); ++i) {
    if (unicode::is_mark(text.characters[i])) continue;
    text.characters[kept] = text.characters[i];
    text.spans[kept++] = text.spans[i];
  }
  text.characters.resize(kept);
  text.spans.resize(kept);
}

void apply(const Lowercase&, AlignedText& text) {
  std::u32string lowered;
  lowered.reserve(text.characters.size());
  std::vector<Span> spans;
  spans.reserve(text.spans.size());
  for (std::size_t i = 0; i < text.characters.size(); ++i) {
    unicode::append_lower(lowered, text.characters[i]);
    spans.resize(lowered.size(), text.spans[i]);
  }
  text.characters = std::move(lowered);
  text.spans = std::move(spans);
}

void apply(const FoldSpaces&, AlignedText& text) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < text.characters.size(); ++i) {
    if (kept && text.characters[i] == U' ' && text.characters[kept - 1] == U' ') --kept;  // the last of a run counts
    text.characters[kept] = text.characters[i];
    text.spans[kept++] = text.spans[i];
  }
  text.characters.resize(kept);
  text.spans.resize(kept);
}

}  // namespace

void Normalizer::apply(AlignedText& text) const {
  for (const NormalizerStep& step : steps_) {
    std::visit([&text](const auto& one) { fnet::apply(one, text); }, step);
  }
}

}  // namespace fnet
