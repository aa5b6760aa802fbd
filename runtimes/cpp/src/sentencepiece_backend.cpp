// Tokens of a SentencePiece model: of the raw text, or by the rules that transformers 4's FNetTokenizer puts before and after it.
// docs/tokenizer.md states the rules. Every token keeps the span of characters of the original text that it came from.
#include <sentencepiece_processor.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <optional>

#include "backend.h"
#include "fnet_text.h"
#include "python_str.h"
#include "sentencepiece_model.h"
#include "sentencepiece_unigram.h"

namespace fnet {
namespace {

constexpr char32_t UNDERLINE = 0x2581;

std::u32string characters_of(const std::string& piece) {
  python::Utf8Fault fault{};
  return python::from_utf8(piece, &fault);
}

class SentencePieceBackend : public Backend {
 public:
  SentencePieceBackend(std::unique_ptr<sentencepiece::SentencePieceProcessor> model, std::optional<SentencePieceUnigram> unigram,
                       const TextRules* rules)
      : model_(std::move(model)), unigram_(std::move(unigram)), rules_(rules ? std::optional(*rules) : std::nullopt) {
    for (const char* token : SPECIAL_TOKENS) special_ids_[token] = model_->PieceToId(token);
  }

  Result<std::vector<Token>> tokens(const std::u32string& text) const override {
    std::vector<Token> found;
    if (rules_) {
      add_fnet_tokens(text, found);
    } else {
      for (const Piece& piece : pieces(text)) found.push_back({piece.id, piece.span.begin, piece.span.end});
    }
    return found;
  }

  // Of special tokens only raw SentencePiece shows <unk>.
  std::string decode(const std::vector<int32_t>& ids) const override {
    std::vector<int> shown;
    for (const int32_t id : ids) {
      const bool hidden = std::any_of(special_ids_.begin(), special_ids_.end(),
                                      [&](const auto& special) { return special.second == id && (rules_ || special.first != UNK); });
      if (!hidden) shown.push_back(id);
    }
    const std::string bytes = model_->DecodeIds(shown);
    if (!rules_) return bytes;
    const std::u32string text = characters_of(bytes);
    std::size_t begin = 0, end = text.size();
    while (begin < end && python::is_space(text[begin])) ++begin;
    while (begin < end && python::is_space(text[end - 1])) --end;
    return python::to_utf8(text.substr(begin, end - begin));
  }

  std::string piece(int32_t id) const override { return model_->IdToPiece(id); }
  int32_t vocab_size() const override { return model_->GetPieceSize(); }
  int32_t special_id(const std::string& token) const override { return special_ids_.at(token); }

 private:
  std::vector<Piece> pieces(const std::u32string& text) const {
    if (unigram_) return unigram_->pieces(text);
    const auto [bytes, character_of_byte] = python::utf8_by_character(text);
    const auto answer = model_->EncodeAsImmutableProto(bytes);
    std::vector<Piece> found;
    for (std::size_t i = 0; i < answer.pieces_size(); ++i) {
      const auto piece = answer.pieces(static_cast<int>(i));
      found.push_back({characters_of(piece.piece()), static_cast<int32_t>(piece.id()),
                       {character_of_byte[piece.begin()], character_of_byte[piece.end()]}});
    }
    return found;
  }

  void add_fnet_tokens(const std::u32string& text, std::vector<Token>& found) const {
    const Characters characters = characters_from_text(text, *rules_);
    const auto parts = parts_from_text(characters.text);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      auto [begin, end, special] = parts[i];
      if (special) {
        found.push_back({special_id(special), characters.spans[begin].begin, characters.spans[end - 1].end});
        continue;
      }
      if (i + 1 < parts.size() && std::strcmp(parts[i + 1].special, MASK) == 0) {  // which takes the white space before it
        while (end > begin && python::is_space(characters.text[end - 1])) --end;
      }
      add_plain_tokens(normalized(characters.part(begin, end), *rules_), found);
    }
  }

  // Tokens of a text that holds no special token.
  void add_plain_tokens(const Characters& characters, std::vector<Token>& found) const {
    if (characters.text.empty()) return;
    const auto& spans = characters.spans;
    const auto start = [&](std::size_t i) { return i < spans.size() ? spans[i].begin : spans.back().end; };
    for (const Piece& piece : pieces(characters.text)) {
      const auto [begin, end] = piece.span;
      const Span span{start(begin), end > begin ? spans[end - 1].end : start(begin)};
      const std::u32string& surface = piece.surface;
      const std::size_t length = surface.size();
      if (length > 1 && surface[length - 1] == U',' && python::is_digit(surface[length - 2])) add_digit_comma_tokens(surface, span, found);
      else found.push_back({piece.id, span.begin, span.end});
    }
  }

  // Splits a piece such as '▁10,' into the pieces of '10' and ','.
  void add_digit_comma_tokens(const std::u32string& piece, Span span, std::vector<Token>& found) const {
    std::u32string digits = piece.substr(0, piece.size() - 1);
    digits.erase(std::remove(digits.begin(), digits.end(), UNDERLINE), digits.end());
    std::vector<std::u32string> parts;
    for (const Piece& part : pieces(digits)) parts.push_back(part.surface);
    if (piece[0] != UNDERLINE && !parts.empty() && parts[0][0] == UNDERLINE) {
      parts[0].erase(0, 1);
      if (parts[0].empty()) parts.erase(parts.begin());
    }
    parts.push_back(piece.substr(piece.size() - 1));
    // Where every character of the piece is one of the text, the parts have spans of their own; else they share the piece's.
    std::vector<std::size_t> widths;
    for (const auto& part : parts) widths.push_back(part.size());
    const auto sum = [&] { return std::accumulate(widths.begin(), widths.end(), std::size_t{0}); };
    if (piece[0] == UNDERLINE && span.end - span.begin + 1 == sum()) --widths[0];  // the dummy prefix is no character of the text
    const bool own_spans = sum() == span.end - span.begin;
    std::size_t start = span.begin;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const Span own = own_spans ? Span{start, start + widths[i]} : span;
      found.push_back({model_->PieceToId(python::to_utf8(parts[i])), own.begin, own.end});
      start += widths[i];
    }
  }

  std::unique_ptr<sentencepiece::SentencePieceProcessor> model_;
  std::optional<SentencePieceUnigram> unigram_;  // of a Unigram model
  std::optional<TextRules> rules_;
  std::map<std::string, int32_t> special_ids_;
};

}  // namespace

Result<std::unique_ptr<Backend>> sentencepiece_backend(const std::string& model, const TextRules* rules, const std::string& name) {
  const auto refused = [&](const std::string& why) {
    return bundle_error(name + ": not a SentencePiece model (" + why + "); expected the checkpoint's spiece.model");
  };
  if (model.empty()) return refused("it is empty");
  const auto content = SentencePieceModel::from_bytes(model);
  if (!content) return refused(content.error().text);
  auto processor = std::make_unique<sentencepiece::SentencePieceProcessor>();
  const auto status = processor->LoadFromSerializedProto(without_self_test(model));
  if (!status.ok()) return refused(status.ToString());
  std::string missing, all;
  for (const char* token : SPECIAL_TOKENS) {
    all += (all.empty() ? "" : ", ") + std::string(token);
    if (std::strcmp(token, UNK) != 0 && processor->PieceToId(token) == processor->unk_id())
      missing += (missing.empty() ? "" : ", ") + std::string(token);
  }
  if (!missing.empty()) return bundle_error(name + ": the vocabulary has no piece " + missing + "; FNet needs all of " + all);
  std::optional<SentencePieceUnigram> unigram;
  if (content->kind == SentencePieceModel::UNIGRAM) unigram.emplace(*content);
  return std::unique_ptr<Backend>(std::make_unique<SentencePieceBackend>(std::move(processor), std::move(unigram), rules));
}

}  // namespace fnet
