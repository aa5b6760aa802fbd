// Text to token ids and back, in the flavour that a checkpoint was trained with (docs/tokenizer.md).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/backend.h"
#include "tokenizer/encoding.h"

namespace fnet {

// Which tokenizer a checkpoint means, and how fnet-slow treats text before SentencePiece sees it.
struct TokenizerOptions {
  std::string flavour = SLOW;
  TextRules rules;

  // Name of the file that the tokenizer is read from.
  const char* file() const;
  // What is wrong with the options: an unknown flavour, or a choice that it does not have.
  std::optional<Error> fault() const;
};

// FNet's tokenizer, in any flavour. Thread-safe.
class Tokenizer {
 public:
  // Reads the bytes of the file that the flavour needs; `name` is what errors call it.
  static Result<Tokenizer> from_bytes(const std::string& data, const TokenizerOptions& options, const std::string& name);
  static Result<Tokenizer> from_file(const std::string& path, const TokenizerOptions& options);

  int32_t pad_id() const { return frame_.pad; }
  int32_t mask_id() const { return mask_; }
  int32_t unk_id() const { return backend_->special_id(UNK); }
  int32_t vocab_size() const { return backend_->vocab_size(); }
  // Number of special tokens that `encode` adds to one text or to a pair.
  std::size_t added(bool pair) const { return frame_.added(pair); }

  Result<std::vector<Token>> tokens(const std::u32string& text) const { return backend_->tokens(text); }
  // The first tokens: all of them where there are at most `limit`, else `limit` and one more, so that it shows that there are more. Of a
  // long text, no more is read than decides on those.
  Result<std::vector<Token>> first_tokens(const std::u32string& text, std::size_t limit) const;
  // Encodes [CLS] text [SEP] or [CLS] text [SEP] pair [SEP], truncated (`f_net`: at the end; others: longest first) and padded.
  Result<Encoding> encode(const std::u32string& text, const std::u32string* pair, const Padding& padding) const;
  // Encodes tokens that are cut already.
  Result<Encoding> assembled(const std::vector<Token>& first, const std::vector<Token>* second, const Padding& padding) const;
  // Text of token ids, without special tokens. An input error for an id outside the vocabulary.
  Result<std::string> decode(const std::vector<int32_t>& ids) const;
  // Piece of one id, as the vocabulary spells it; UTF-8.
  std::string piece(int32_t id) const { return backend_->piece(id); }
  // The id of a piece as the vocabulary spells it, or nothing where the vocabulary lacks it.
  std::optional<int32_t> token_id(const std::string& piece) const { return backend_->token_id(piece); }

 private:
  Tokenizer(std::unique_ptr<Backend> backend, const TokenizerOptions& options);

  std::unique_ptr<Backend> backend_;
  Frame frame_;
  int32_t mask_;
};

// Decodes the text of a caller. An input error when it is not UTF-8.
Result<std::u32string> text_from_utf8(const std::string& bytes);

}  // namespace fnet
