// What a serialised SentencePiece model holds (sentencepiece_model.proto), as far as cutting texts needs it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/prefix.h"

namespace fnet {

struct SentencePieceModel {
  enum Kind : uint64_t { UNIGRAM = 1, BPE = 2, WORD = 3, CHAR = 4 };
  enum Type : uint64_t { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6 };
  struct Entry {
    std::string piece;
    float score = 0;
    uint64_t type = NORMAL;
  };

  std::vector<Entry> entries;  // by id
  uint64_t kind = UNIGRAM;
  bool byte_fallback = false, treat_whitespace_as_suffix = false;
  bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;
  std::optional<Charsmap> charsmap;

  // Refuses what SentencePiece 0.2.3 refuses and Debian's 0.1.97 does not, or cannot cut as 0.2.3 does; of bytes that are no model,
  // reads what comes before the first that is no field. The error's text is the reason alone.
  static Result<SentencePieceModel> from_bytes(const std::string& bytes);
};

// How far a character acts on the pieces before it; nothing where the pieces depend on the text as a whole.
std::optional<Reach> reach_from_model(const SentencePieceModel& model);

// A model that takes a text as it is: no charsmap, no prefix, every space kept.
std::string without_normaliser(const std::string& bytes);

// A model without its self-test, which 0.1.97 runs when it reads one, and 0.2.3 does not.
std::string without_self_test(const std::string& bytes);

}  // namespace fnet
