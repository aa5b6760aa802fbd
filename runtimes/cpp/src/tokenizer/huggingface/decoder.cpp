#include "tokenizer/huggingface/decoder.h"

#include <charconv>
#include <optional>

#include "base/utf8.h"

namespace fnet {
namespace {

using Pieces = std::vector<std::string>;

constexpr const char* NO_CHARACTER = "\xEF\xBF\xBD";  // U+FFFD

std::string replaced(const std::string& text, const std::string& pattern, const std::string& content) {
  if (pattern.empty()) return text;
  std::string made;
  std::size_t last = 0;
  for (std::size_t match; (match = text.find(pattern, last)) != std::string::npos; last = match + pattern.size()) {
    made.append(text, last, match - last).append(content);
  }
  return made.append(text, last, std::string::npos);
}

std::string joined_pieces(const Pieces& pieces, const std::string& between) {
  std::string text;
  for (std::size_t i = 0; i < pieces.size(); ++i) text.append(i ? between : "").append(pieces[i]);
  return text;
}

// The byte that a piece such as <0x1F> stands for.
std::optional<char> byte_of(const std::string& piece) {
  if (piece.size() != 6 || piece.compare(0, 3, "<0x") != 0 || piece[5] != '>') return std::nullopt;
  const char *begin = piece.data() + 3, *end = piece.data() + 5;
  if (*begin == '+') ++begin;  // as Rust reads numbers
  unsigned value = 0;
  auto read = std::from_chars(begin, end, value, 16);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return static_cast<char>(value);
}

Pieces decoded(const MetaspaceDecoder& step, Pieces pieces) {
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    pieces[i] = replaced(pieces[i], step.replacement, i == 0 && step.prepended ? "" : " ");
  }
  return pieces;
}

Pieces decoded(const ReplaceDecoder& step, Pieces pieces) {
  for (std::string& piece : pieces) piece = replaced(piece, step.pattern, step.content);
  return pieces;
}

Pieces decoded(const FuseDecoder&, const Pieces& pieces) { return {joined_pieces(pieces, "")}; }

Pieces decoded(const ByteFallbackDecoder&, const Pieces& pieces) {
  Pieces made;
  std::string bytes;
  auto flush = [&] {
    if (bytes.empty()) return;
    if (is_utf8(bytes)) {
      made.push_back(bytes);
    } else {
      made.insert(made.end(), bytes.size(), NO_CHARACTER);
    }
    bytes.clear();
  };
  for (const std::string& piece : pieces) {
    if (auto byte = byte_of(piece)) {
      bytes += *byte;
    } else {
      flush();
      made.push_back(piece);
    }
  }
  flush();
  return made;
}

}  // namespace

std::string TokenDecoder::text(std::vector<std::string> pieces) const {
  for (const DecoderStep& step : steps_) {
    pieces = std::visit([&pieces](const auto& one) { return decoded(one, std::move(pieces)); }, step);
  }
  return joined_pieces(pieces, between_);
}

}  // namespace fnet
