// The best path of a Unigram model, rounded as SentencePiece 0.2.3 rounds it. Before 0.2.1 (Debian 12 has 0.1.97) a score that was not
// rounded yet could beat an equal one that was: after an unknown character `000` was `00` `0` there, and is `0` `00`.
// Not settled: which of two equal paths wins where a user-defined symbol overlaps itself, such as a symbol `00` in `000`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "encoding.h"
#include "trie.h"

namespace fnet {

// One piece: its normalised text, its id, and the span of characters of the text that it stands for.
struct Piece {
  std::u32string surface;
  int32_t id;
  Span span;
};

class UnigramPath {
 public:
  // Of a serialised SentencePiece model that is valid; nothing where it is no Unigram model.
  static std::optional<UnigramPath> from_model(const std::string& model);

  std::size_t vocab_size() const { return scores_.size(); }

  // The pieces of the best path through what the pieces of a text make up. Left as they are where one is a byte: its text is gone.
  std::vector<Piece> again(std::vector<Piece> pieces, const std::u32string& text) const;

 private:
  struct Step {
    std::size_t begin, end;
    int32_t id;
  };
  std::vector<Step> steps(const std::u32string& text) const;
  std::vector<std::size_t> starts_from_pieces(const std::vector<Piece>& pieces, const std::u32string& text) const;

  Trie trie_, symbols_;        // pieces that text can become, and the user-defined ones of them
  std::vector<float> scores_;  // by id
  std::vector<bool> is_byte_;  // by id
  int32_t unknown_ = 0;
  float unknown_score_ = 0;
};

}  // namespace fnet
