// Pieces of a Unigram model, as SentencePiece 0.2.3 finds them. Debian 12 has 0.1.97, which scores user-defined symbols otherwise and
// adds scores in float64: after an unknown character `000` was `00` `0` there, and is `0` `00`.
#pragma once

#include <string>
#include <vector>

#include "tokenizer/encoding.h"
#include "tokenizer/sentencepiece/model.h"
#include "tokenizer/sentencepiece/normalizer.h"
#include "tokenizer/trie.h"

namespace fnet {

// One piece: its normalised text (of a byte, its name), its id, and the span of characters of the text that it stands for.
struct Piece {
  std::u32string surface;
  int32_t id;
  Span span;
};

class SentencePieceUnigram {
 public:
  // Of a Unigram model that SentencePiece has read too.
  explicit SentencePieceUnigram(const SentencePieceModel& model);

  // The pieces of the best path.
  std::vector<Piece> pieces(const std::u32string& text) const { return pieces_of(normalizer_.normalized(text)); }
  // Those of a text that is normalised already.
  std::vector<Piece> pieces_of(const NormalizedText& text) const;

 private:
  struct Step {
    std::size_t begin, end;
    int32_t id;
  };
  std::vector<Step> best_path(const std::u32string& text) const;

  SentencePieceNormalizer normalizer_;
  Trie trie_;                      // pieces that text can become
  std::vector<float> scores_;      // by id
  std::vector<int32_t> byte_ids_;  // by byte; empty where an unknown character stays one
  int32_t unknown_ = 0;
  float unknown_score_ = 0;
};

}  // namespace fnet
