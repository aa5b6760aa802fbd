// Cuts words into the pieces of a vocabulary.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/aligned_text.h"
#include "tokenizer/backend.h"

namespace fnet {

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  // Appends the tokens of a word that is not empty; `spans` has one for each of its characters.
  virtual void append(std::u32string_view word, const Span* spans, std::vector<Token>& tokens) const = 0;
  // The id of a piece, or -1.
  virtual std::int32_t id(const std::string& piece) const = 0;
  // Null where no piece has the id.
  virtual const std::string* piece(std::int32_t id) const = 0;
  virtual std::size_t size() const = 0;
};

struct ScoredPiece {
  std::string piece;  // UTF-8
  double score;
};
// The error's text is the reason alone, as of `bpe_model`.
Result<std::unique_ptr<TokenModel>> unigram_model(std::vector<ScoredPiece> pieces, std::size_t unknown, bool byte_fallback);

struct BpePiece {
  std::string piece;  // UTF-8
  std::int32_t id;
};
struct Merge {
  std::string left, right;
};
Result<std::unique_ptr<TokenModel>> bpe_model(const std::vector<BpePiece>& pieces, const std::vector<Merge>& merges,
                                              const std::string& unknown);

}  // namespace fnet
