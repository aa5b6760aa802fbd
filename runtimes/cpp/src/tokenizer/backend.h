// Cuts texts into tokens and joins ids again: what tokenizer.cpp needs of a flavour's library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/facts.h"

namespace fnet {

// One token: its id and the half-open span of code points that it covers in the text it was cut from.
struct Token {
  int32_t id;
  std::size_t begin, end;

  bool operator==(const Token& other) const { return id == other.id && begin == other.begin && end == other.end; }
};

class Backend {
 public:
  virtual ~Backend() = default;
  // Cuts a text, without adding special tokens. Thread-safe.
  virtual Result<std::vector<Token>> tokens(const std::u32string& text) const = 0;
  // Cuts the beginning of a longer text into tokens that are the longer text's, whatever follows; fewer where that is open. Where there
  // are fewer than `wanted`, it need not find all that are certain. Thread-safe.
  virtual std::vector<Token> first_tokens(const std::u32string& beginning, std::size_t wanted) const = 0;
  // Joins ids of the vocabulary, special tokens left out; UTF-8.
  virtual std::string decode(const std::vector<int32_t>& ids) const = 0;
  // Names one id of the vocabulary; UTF-8.
  virtual std::string piece(int32_t id) const = 0;
  // The id of a piece, or nothing where the vocabulary lacks it.
  virtual std::optional<int32_t> token_id(const std::string& piece) const = 0;
  virtual int32_t vocab_size() const = 0;
  // The id of one of SPECIAL_TOKENS.
  virtual int32_t special_id(const std::string& token) const = 0;
};

// What FNetTokenizer does to text before SentencePiece sees it; the names are tokenizer_config.json's.
struct TextRules {
  bool do_lower_case = false, keep_accents = true, remove_space = true;
};

// Reads a serialised SentencePiece model, with FNetTokenizer's rules around it or (null) without; `name` is what errors call it.
Result<std::unique_ptr<Backend>> sentencepiece_backend(const std::string& model, const TextRules* rules, const std::string& name);

// Reads a tokenizer.json of the flavour fnet-fast or fnet-v5.
Result<std::unique_ptr<Backend>> tokenizers_backend(const std::string& json, const std::string& flavour, const std::string& name);

}  // namespace fnet
