#include "unigram_path.h"

#include <algorithm>
#include <cfloat>
#include <cstring>
#include <string_view>

#include "python_str.h"

namespace fnet {
namespace {

// sentencepiece_model.proto
constexpr uint64_t PIECES = 1, TRAINER_SPEC = 2, PIECE = 1, SCORE = 2, TYPE = 3, MODEL_TYPE = 3, UNIGRAM = 1;
constexpr uint64_t NORMAL = 1, UNKNOWN = 2, USER_DEFINED = 4, BYTE = 6;
constexpr float UNKNOWN_PENALTY = 10;
constexpr double USER_DEFINED_PENALTY = 0.1;
constexpr char32_t UNDERLINE = U'▁';

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

// Takes the next field off a message; false at its end, and at a group, which no SentencePiece model has.
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

}  // namespace

std::optional<UnigramPath> UnigramPath::from_model(const std::string& model) {
  UnigramPath path;
  uint64_t model_type = UNIGRAM;
  float lowest = FLT_MAX, highest = FLT_MIN;  // as unigram_model.cc starts
  std::vector<std::pair<int32_t, std::size_t>> user_defined;  // ids and sizes
  std::string_view message = model;
  for (Field field; take_field(message, field);) {
    std::string_view inside = field.bytes;
    std::string piece;
    float score = 0;
    uint64_t type = NORMAL;
    for (Field inner; (field.number == PIECES || field.number == TRAINER_SPEC) && take_field(inside, inner);) {
      if (field.number == TRAINER_SPEC && inner.number == MODEL_TYPE) model_type = inner.value;
      if (field.number == PIECES && inner.number == PIECE) piece = inner.bytes;
      if (field.number == PIECES && inner.number == TYPE) type = inner.value;
      if (field.number == PIECES && inner.number == SCORE && inner.bytes.size() == sizeof score)
        std::memcpy(&score, inner.bytes.data(), sizeof score);
    }
    if (field.number != PIECES) continue;
    const auto id = static_cast<int32_t>(path.scores_.size());
    path.scores_.push_back(score);
    path.is_byte_.push_back(type == BYTE);
    if (type == UNKNOWN) path.unknown_ = id;
    if (type == NORMAL) lowest = std::min(lowest, score), highest = std::max(highest, score);
    if (type == USER_DEFINED) user_defined.emplace_back(id, piece.size());
    python::Utf8Fault fault{};
    if (type == NORMAL || type == USER_DEFINED) path.trie_.insert(python::from_utf8(piece, &fault), id);
    if (type == USER_DEFINED) path.symbols_.insert(python::from_utf8(piece, &fault), id);
  }
  if (model_type != UNIGRAM) return std::nullopt;
  for (const auto& [id, bytes] : user_defined)
    path.scores_[id] = static_cast<float>(static_cast<float>(bytes) * highest - USER_DEFINED_PENALTY);
  path.unknown_score_ = lowest - UNKNOWN_PENALTY;
  return path;
}

std::vector<UnigramPath::Step> UnigramPath::steps(const std::u32string& text) const {
  struct Node {
    float score = 0;
    std::size_t begin = std::u32string::npos;
    int32_t id = 0;
  };
  std::vector<Node> best(text.size() + 1);
  for (std::size_t begin = 0; begin < text.size(); ++begin) {
    const float till_here = best[begin].score;
    bool known = false;
    const auto offer = [&](std::size_t length, int32_t id, float score) {
      Node& node = best[begin + length];
      const float sum = score + till_here;
      if (node.begin == text.npos || sum > node.score) node = {sum, begin, id};
    };
    trie_.prefixes(std::u32string_view(text).substr(begin), [&](std::size_t length, int32_t id) {
      known = known || length == 1;
      offer(length, id, scores_[id]);
    });
    if (!known) offer(1, unknown_, unknown_score_);
  }
  std::vector<Step> found;
  for (std::size_t end = text.size(); end > 0; end = best[end].begin) {
    const auto& [score, begin, id] = best[end];
    if (id == unknown_ && !found.empty() && found.back().id == unknown_) found.back().begin = begin;  // those in a row are one
    else found.push_back({begin, end, id});
  }
  std::reverse(found.begin(), found.end());
  return found;
}

// Of every normalised character of the pieces, where what it stands for starts; and the end of the last. User-defined symbols are
// taken from the text whole, so that each of their characters starts where the symbol does.
std::vector<std::size_t> UnigramPath::starts_from_pieces(const std::vector<Piece>& pieces, const std::u32string& text) const {
  std::vector<std::size_t> wholes(text.size() + 1);
  for (std::size_t i = 0; i < text.size();) {
    std::size_t longest = 1;
    symbols_.prefixes(std::u32string_view(text).substr(i), [&](std::size_t length, int32_t) { longest = length; });
    for (const std::size_t end = i + longest, start = i; i < end; ++i) wholes[i] = start;
  }
  wholes.back() = text.size();
  std::vector<std::size_t> starts;
  for (const Piece& piece : pieces) {
    const std::size_t characters = piece.surface.size(), covered = piece.span.end - piece.span.begin;
    const bool spaced = characters > 0 && piece.surface[0] == UNDERLINE && characters - 1 <= covered;
    for (std::size_t i = 0; i < characters; ++i) {
      std::size_t start = piece.span.begin;
      if (characters == covered) start += i;
      else if (spaced && i > 0) start = piece.span.end - (characters - i);  // white space of any length is the underline
      starts.push_back(wholes[start]);
    }
  }
  starts.push_back(pieces.back().span.end);
  return starts;
}

std::vector<Piece> UnigramPath::again(std::vector<Piece> pieces, const std::u32string& text) const {
  std::u32string normalized;
  for (const Piece& piece : pieces) {
    if (is_byte_[piece.id]) return pieces;
    normalized += piece.surface;
  }
  const auto path = steps(normalized);
  const bool same = std::equal(path.begin(), path.end(), pieces.begin(), pieces.end(), [](const Step& step, const Piece& piece) {
    return step.id == piece.id && step.end - step.begin == piece.surface.size();
  });
  if (same) return pieces;
  const auto starts = starts_from_pieces(pieces, text);
  pieces.clear();
  for (const auto& [begin, end, id] : path) {
    pieces.push_back({normalized.substr(begin, end - begin), id, {starts[begin], starts[end]}});
  }
  return pieces;
}

}  // namespace fnet
