// SentencePiece's charsmap, and how the tokenizers library's Precompiled applies it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tokenizer/aligned_text.h"

namespace fnet {

class Charsmap {
 public:
  // Reads the base64 of a tokenizer.json; the error's text is the reason alone.
  static Result<Charsmap> from_base64(const std::string& text);
  static Result<Charsmap> from_bytes(const std::string& bytes);

  // Whether every step through the array stays in it and every value is that of a text: SentencePiece asks so.
  bool is_sound() const;

  // Bytes of the longest key; of a map that is sound.
  std::size_t longest_key() const;

  // By grapheme cluster: a short one whole, of others each character.
  void apply(AlignedText& text) const;

  // As SentencePiece does: the longest key that UTF-8 begins with, its length in bytes and its replacement; 0 where there is none.
  std::size_t longest(std::string_view bytes, std::u32string& made) const;

 private:
  // Calls `found(length, text)` for every key that the bytes begin with, the shortest first, until it answers false.
  template <class Found>
  void prefixes(std::string_view bytes, Found found) const;
  // The replacement of a key that begins with a key of the map: of the shortest. False where there is none.
  bool replacement(std::string_view key, std::u32string& made) const;
  // Appends a replacement of `count` old characters, with changes; false where there is none.
  bool append_replaced(std::string_view key, std::size_t count, std::vector<Change>& changes, std::u32string& scratch) const;

  std::vector<std::uint32_t> units_;
  std::string texts_;  // zero-terminated
};

}  // namespace fnet
