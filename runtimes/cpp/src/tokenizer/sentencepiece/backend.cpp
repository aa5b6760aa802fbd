// Tokens of a SentencePiece model: of the raw text, or by the rules that transformers 4's FNetTokenizer puts before and after it.
// docs/tokenizer.md states the rules. Every token keeps the span of characters of the original text that it came from.
#include <sentencepiece_processor.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>

#include "base/utf8.h"
#include "tokenizer/backend.h"
#include "tokenizer/python_characters.h"
#include "tokenizer/sentencepiece/fnet_text.h"
#include "tokenizer/sentencepiece/model.h"
#include "tokenizer/sentencepiece/unigram.h"
#include "tokenizer/unicode.h"

namespace fnet {
namespace {

// Characters before the end of a text that more text can make part of a special token, before or after it is lower-cased.
constexpr std::size_t SPECIAL_LOOKAHEAD = 2 * std::char_traits<char>::length("[MASK]");

std::u32string characters_of(const std::string& piece) { return from_utf8(piece); }

class SentencePieceBackend : public Backend {
 public:
  SentencePieceBackend(std::unique_ptr<sentencepiece::SentencePieceProcessor> model, std::optional<SentencePieceUnigram> unigram,
                       std::optional<Reach> reach, const TextRules* rules)
      : model_(std::move(model)), unigram_(std::move(unigram)), reach_(reach), rules_(rules ? std::optional(*rules) : std::nullopt) {
    for (const char* token : SPECIAL_TOKENS) special_ids_[token] = model_->PieceToId(token);
  }

  Result<std::vector<Token>> tokens(const std::u32string& text) const override {
    std::vector<Token> found;
    if (rules_) {
      add_fnet_tokens(text, std::nullopt, found);
    } else {
      for (const Piece& piece : pieces(text)) found.push_back({piece.id, piece.span.begin, piece.span.end});
    }
    return found;
  }

  std::vector<Token> first_tokens(const std::u32string& beginning, std::size_t wanted) const override {
    std::vector<Token> found;
    if (rules_) {
      add_fnet_tokens(beginning, wanted, found);
    } else {
      for (const Piece& piece : first_pieces(beginning, wanted)) found.push_back({piece.id, piece.span.begin, piece.span.end});
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
    return to_utf8(text.substr(begin, end - begin));
  }

  std::string piece(int32_t id) const override { return model_->IdToPiece(id); }
  std::optional<int32_t> token_id(const std::string& piece) const override {
    const int32_t id = model_->PieceToId(piece);
    return model_->IdToPiece(id) == piece ? std::make_optional(id) : std::nullopt;
  }
  int32_t vocab_size() const override { return model_->GetPieceSize(); }
  int32_t special_id(const std::string& token) const override { return special_ids_.at(token); }

 private:
  std::vector<Piece> pieces(const std::u32string& text) const { return unigram_ ? unigram_->pieces(text) : pieces_of(*model_, text); }

  static std::vector<Piece> pieces_of(const sentencepiece::SentencePieceProcessor& model, const std::u32string& text) {
    const auto [bytes, character_of_byte] = utf8_by_character(text);
    const auto answer = model.EncodeAsImmutableProto(bytes);
    std::vector<Piece> found;
    for (std::size_t i = 0; i < answer.pieces_size(); ++i) {
      const auto piece = answer.pieces(static_cast<int>(i));
      found.push_back({characters_of(piece.piece()),
                       static_cast<int32_t>(piece.id()),
                       {character_of_byte[piece.begin()], character_of_byte[piece.end()]}});
    }
    return found;
  }

  // Pieces that every text with this beginning has; where there are fewer than `wanted`, perhaps not all of those.
  std::vector<Piece> first_pieces(const std::u32string& beginning, std::size_t wanted) const {
    if (!reach_) return {};
    std::vector<Piece> found = pieces(beginning);
    std::size_t settled = 0, certain = 0;
    while (settled < found.size() && found[settled].span.begin + reach_->lookahead < beginning.size()) ++settled;
    for (std::size_t i = settled; reach_->in_words && i-- > 0 && certain == 0;) certain = found[i].surface[0] == UNDERLINE ? i : 0;
    if (certain < wanted && wanted <= settled) {  // the last word is longer than what can be read of it
      const std::u32string text = normalised_text({found.begin(), found.begin() + static_cast<std::ptrdiff_t>(settled - 1)});
      certain = std::max(certain, agreed([&](const std::u32string& part) { return closed_surfaces(part); }, text, reach_->longest));
    }
    found.resize(certain, {{}, 0, {}});
    return found;
  }

  // The surfaces of a normalised text's pieces but for the last, which can go on if it is unknown.
  std::vector<std::u32string> closed_surfaces(const std::u32string& text) const {
    std::vector<Piece> found;
    if (unigram_) {
      NormalizedText normalised{text, std::vector<std::size_t>(text.size() + 1)};
      std::iota(normalised.starts.begin(), normalised.starts.end(), std::size_t{0});
      found = unigram_->pieces_of(normalised);
    } else {
      std::call_once(plain_made_, [&] {
        plain_model_ = std::make_unique<sentencepiece::SentencePieceProcessor>();
        const auto status = plain_model_->LoadFromSerializedProto(without_normaliser(model_->serialized_model_proto()));
        if (!status.ok()) plain_model_.reset();
      });
      if (!plain_model_) return {};
      found = pieces_of(*plain_model_, text);
    }
    std::vector<std::u32string> surfaces;
    for (std::size_t i = 0; i + 1 < found.size(); ++i) surfaces.push_back(std::move(found[i].surface));
    return surfaces;
  }

  // The normalised text that pieces were cut from, without a last character of which bytes are missing.
  std::u32string normalised_text(const std::vector<Piece>& cut) const {
    std::string bytes;
    for (const Piece& piece : cut) {
      const std::string surface = to_utf8(piece.surface);
      if (model_->IsByte(piece.id)) bytes += static_cast<char>(std::stoul(surface.substr(3, 2), nullptr, 16));
      else bytes += surface;
    }
    return characters_of(bytes);
  }

  // Tokens of a whole text, or (at least, if possible, `wanted`) of the beginning of one.
  void add_fnet_tokens(const std::u32string& text, std::optional<std::size_t> wanted, std::vector<Token>& found) const {
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
      if (wanted && i + 1 == parts.size()) {
        const std::size_t last = text.size() - std::min(text.size(), SPECIAL_LOOKAHEAD);
        const Characters certain = settled(characters.part(begin, end), *rules_, last);
        add_plain_tokens(certain, first_pieces(certain.text, *wanted), found);
      } else {
        const Characters whole = normalized(characters.part(begin, end), *rules_);
        add_plain_tokens(whole, pieces(whole.text), found);
      }
    }
  }

  // Tokens of the pieces of a text that holds no special token.
  void add_plain_tokens(const Characters& characters, const std::vector<Piece>& cut, std::vector<Token>& found) const {
    if (characters.text.empty()) return;
    const auto& spans = characters.spans;
    const auto start = [&](std::size_t i) { return i < spans.size() ? spans[i].begin : spans.back().end; };
    for (const Piece& piece : cut) {
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
      found.push_back({model_->PieceToId(to_utf8(parts[i])), own.begin, own.end});
      start += widths[i];
    }
  }

  std::unique_ptr<sentencepiece::SentencePieceProcessor> model_;
  std::optional<SentencePieceUnigram> unigram_;  // of a Unigram model
  std::optional<Reach> reach_;                   // see reach_from_model
  mutable std::once_flag plain_made_;
  mutable std::unique_ptr<sentencepiece::SentencePieceProcessor> plain_model_;  // of a BPE model, for normalised texts; null if not needed
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
  return std::unique_ptr<Backend>(
      std::make_unique<SentencePieceBackend>(std::move(processor), std::move(unigram), reach_from_model(*content), rules));
}

}  // namespace fnet
