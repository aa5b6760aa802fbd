// The normalizers of FNet's pipelines, one after the other.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tokenizer/charsmap.h"

namespace fnet {

struct Replace {
  std::u32string pattern, content;
};
struct Nfkd {};
struct StripAccents {};
struct Lowercase {};
struct FoldSpaces {};  // two and more U+0020 become one

using NormalizerStep = std::variant<Replace, Nfkd, StripAccents, Lowercase, FoldSpaces, Charsmap>;

class Normalizer {
 public:
  explicit Normalizer(std::vector<NormalizerStep> steps = {}) : steps_(std::move(steps)) {}
  void apply(AlignedText& text) const;

 private:
  std::vector<NormalizerStep> steps_;
};

}  // namespace fnet
