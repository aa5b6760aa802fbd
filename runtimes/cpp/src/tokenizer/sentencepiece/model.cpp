#include "tokenizer/sentencepiece/model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <string_view>

#include "base/utf8.h"
#include "json/writer.h"

namespace fnet {
namespace {

// One field of a protocol buffer: a number, or bytes.
struct Field {
  uint64_t number = 0, value = 0;
  std::string_view bytes;
};

bool take_varint(std::string_view& message, uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64 && !message.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(message[0]);
    message.remove_prefix(1);
    value |= uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// Takes the next field off a message; false at its end.
bool take_field(std::string_view& message, Field& field) {
  constexpr uint64_t VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5;
  uint64_t tag = 0;
  if (!take_varint(message, tag)) return false;
  field = {tag >> 3, 0, {}};
  if ((tag & 7) == VARINT) return take_varint(message, field.value);
  uint64_t size = (tag & 7) == FIXED64 ? 8 : (tag & 7) == FIXED32 ? 4 : 0;
  if ((tag & 7) == BYTES && !take_varint(message, size)) return false;
  if (((tag & 7) != BYTES && size == 0) || size > message.size()) return false;
  field.bytes = message.substr(0, size);
  message.remove_prefix(size);
  return true;
}

SentencePieceModel::Entry entry_from_bytes(std::string_view message) {
  SentencePieceModel::Entry entry;
  for (Field field; take_field(message, field);) {
    if (field.number == 1) entry.piece = field.bytes;
    if (field.number == 2 && field.bytes.size() == sizeof entry.score) std::memcpy(&entry.score, field.bytes.data(), sizeof entry.score);
    if (field.number == 3) entry.type = field.value;
  }
  return entry;
}

// Whether a text can be cut into this piece of a model that is not Unigram, though it is no piece of texts: 0.2.3 makes <unk> of it.
bool comes_from_text(const SentencePieceModel& model, const SentencePieceModel::Entry& entry) {
  if (entry.type == SentencePieceModel::NORMAL || entry.type == SentencePieceModel::USER_DEFINED) return false;
  if (model.kind == SentencePieceModel::WORD) return !model.add_dummy_prefix;
  return model.kind != SentencePieceModel::UNIGRAM && from_utf8(entry.piece).size() == 1;
}

std::optional<Error> fault_of(const SentencePieceModel& model) {
  constexpr std::size_t LONGEST = 8000;
  std::set<std::string_view> seen;
  for (const auto& entry : model.entries) {
    const std::string& piece = entry.piece;
    if (piece.find('\0') != piece.npos) return bundle_error("piece must not include null character.");
    if (piece.size() >= LONGEST) return bundle_error("piece is too long.");
    if (!seen.insert(piece).second) return bundle_error(piece + " is already defined.");
    if (model.kind == SentencePieceModel::UNIGRAM && !std::isfinite(entry.score)) return bundle_error("score is NaN or Inf.");
    if (comes_from_text(model, entry))
      return bundle_error("the piece " + quoted(piece) + " is of a type that no text has, but a text can be cut into it");
  }
  if (model.charsmap && !model.charsmap->is_sound()) return bundle_error("precompiled_charsmap is invalid.");
  return std::nullopt;
}

}  // namespace

Result<SentencePieceModel> SentencePieceModel::from_bytes(const std::string& bytes) {
  constexpr uint64_t PIECES = 1, TRAINER_SPEC = 2, NORMALIZER_SPEC = 3;
  SentencePieceModel model;
  std::string charsmap;
  std::string_view message = bytes;
  for (Field part; take_field(message, part);) {
    if (part.number == PIECES) model.entries.push_back(entry_from_bytes(part.bytes));
    for (Field field; part.number == TRAINER_SPEC && take_field(part.bytes, field);) {
      if (field.number == 3) model.kind = field.value;
      if (field.number == 24) model.treat_whitespace_as_suffix = field.value;
      if (field.number == 35) model.byte_fallback = field.value;
    }
    for (Field field; part.number == NORMALIZER_SPEC && take_field(part.bytes, field);) {
      if (field.number == 2) charsmap = field.bytes;
      if (field.number == 3) model.add_dummy_prefix = field.value;
      if (field.number == 4) model.remove_extra_whitespaces = field.value;
      if (field.number == 5) model.escape_whitespaces = field.value;
    }
  }
  if (!charsmap.empty()) {
    auto made = Charsmap::from_bytes(charsmap);
    if (!made) return made.error();
    model.charsmap = *std::move(made);
  }
  if (auto fault = fault_of(model)) return *fault;
  return model;
}

std::optional<Reach> reach_from_model(const SentencePieceModel& model) {
  if (model.kind != SentencePieceModel::UNIGRAM && model.kind != SentencePieceModel::BPE) return std::nullopt;
  std::size_t lookahead = model.charsmap ? model.charsmap->longest_key() : 0;
  std::vector<std::u32string> pieces;
  for (const auto& entry : model.entries) {
    if (entry.type == SentencePieceModel::UNUSED) return std::nullopt;  // cut again as they were merged last, wherever
    if (entry.type == SentencePieceModel::CONTROL) continue;
    pieces.push_back(from_utf8(entry.piece));
    lookahead = std::max(lookahead, entry.piece.size());
  }
  return reach_from_pieces(pieces, lookahead);
}

std::string without_normaliser(const std::string& bytes) {
  constexpr const char* SPEC = "\x1A\x06\x12\x00\x18\x00\x20\x00";  // charsmap, add_dummy_prefix, remove_extra_whitespaces
  return bytes + std::string(SPEC, 8);                              // of a field that is there twice, the later value counts
}

std::string without_self_test(const std::string& bytes) {
  constexpr uint64_t SELF_TEST_DATA = 4;
  std::string kept;
  Field field;
  std::string_view message = bytes, rest = message;
  while (take_field(rest, field)) {
    if (field.number != SELF_TEST_DATA) kept += message.substr(0, message.size() - rest.size());
    message = rest;
  }
  return kept += message;
}

}  // namespace fnet
