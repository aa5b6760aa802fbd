// How SentencePiece normalises a text before it looks for pieces.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/charsmap.h"
#include "tokenizer/sentencepiece/model.h"
#include "tokenizer/trie.h"

namespace fnet {

struct NormalizedText {
  std::u32string characters;
  std::vector<std::size_t> starts;  // the character of the text that each stands for the start of, and the end of the last
};

class SentencePieceNormalizer {
 public:
  explicit SentencePieceNormalizer(const SentencePieceModel& model);

  NormalizedText normalized(const std::u32string& text) const;

 private:
  std::optional<Charsmap> charsmap_;
  Trie symbols_;  // user-defined: taken from the text as they are
  bool dummy_prefix_, dummy_suffix_, folds_spaces_;
  char32_t space_;
};

}  // namespace fnet
