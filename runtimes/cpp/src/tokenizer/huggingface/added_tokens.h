// Tokens that are found in the text before the model sees it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tokenizer/trie.h"

namespace fnet {

struct AddedToken {
  std::string content;  // UTF-8
  bool single_word, lstrip, rstrip, normalized, special;
};

// A part of a text: an added token, or (id NONE) what is between two.
struct Part {
  std::int32_t id;
  std::size_t begin, end;
};

class AddedTokens {
 public:
  // Adds a token under an id; `spelled`: what is searched for. An id that has a token already loses it.
  void add(const AddedToken& token, std::int32_t id, std::u32string_view spelled);
  // To be called after the last token.
  void build();

  // Cuts a text at its tokens, leftmost and then longest: at those searched for in the normalized text, or in the raw one.
  std::vector<Part> split(std::u32string_view text, bool normalized) const;
  bool any_normalized() const { return any_normalized_; }

  // The token's id, or NONE.
  std::int32_t id(const std::string& content) const;
  // What is decoded for an id; null where it is no added token.
  const std::string* piece(std::int32_t id) const;
  // The tokens themselves, and whether which of them a text has at a place depends on that place alone.
  std::vector<std::u32string> contents() const;
  bool is_plain() const;
  bool is_special(const std::string& piece) const { return special_.count(piece) != 0; }
  const std::unordered_map<std::string, std::int32_t>& ids() const { return ids_; }

 private:
  struct Entry {
    AddedToken token;
    std::u32string spelled;
    std::string piece;
  };

  std::unordered_map<std::string, std::int32_t> ids_;
  std::unordered_map<std::int32_t, Entry> entries_;
  std::unordered_set<std::string> special_;
  Trie raw_, normalized_;
  bool any_normalized_ = false;
};

}  // namespace fnet
