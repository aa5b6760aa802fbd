// What a serialised SentencePiece model holds (sentencepiece_model.proto), as far as cutting texts needs it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fnet {

struct SentencePieceModel {
  enum Kind : uint64_t { UNIGRAM = 1, BPE = 2 };
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
  std::string charsmap;

  // Of a model that SentencePiece has read; of other bytes, what comes before the first that is no field.
  static SentencePieceModel from_bytes(const std::string& bytes);
};

}  // namespace fnet
