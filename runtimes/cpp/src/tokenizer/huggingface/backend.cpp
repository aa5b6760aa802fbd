// The pipelines of the `tokenizers` library that FNet's tokenizers are, `fnet-fast` and `fnet-v5`; docs/tokenizer.md states them.
#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "base/words.h"
#include "json/serde.h"
#include "tokenizer/backend.h"
#include "tokenizer/huggingface/parts.h"
#include "tokenizer/huggingface/shape.h"
#include "tokenizer/unicode.h"

namespace fnet {
namespace {

constexpr const char* UNDERLINE_BYTES = "\xE2\x96\x81";

class TokenizersBackend final : public Backend {
 public:
  TokenizersBackend(const nlohmann::json& pipeline, bool in_words)
      : normalizer_(normalizer_from_json(pipeline)),
        model_(model_from_json(pipeline)),
        added_(added_tokens_from_json(pipeline, *model_, normalizer_)),
        decoder_(decoder_from_json(pipeline)),
        reach_(reach_from_json(pipeline, added_)),
        added_contents_(added_.contents()),
        in_words_(in_words) {
    for (const char* token : SPECIAL_TOKENS) {
      std::int32_t id = added_.id(token);
      special_ids_[token] = id < 0 ? model_->id(token) : id;
    }
    vocab_size_ = static_cast<std::int32_t>(model_->size());
    for (const auto& [token, id] : added_.ids()) vocab_size_ += model_->id(token) < 0;
  }

  Result<std::vector<Token>> tokens(const std::u32string& text) const override {
    std::vector<Token> tokens;
    tokens.reserve(text.size() / 3 + 4);
    for (const Part& part : added_.split(text, false)) {
      if (part.id >= 0) {
        tokens.push_back({part.id, part.begin, part.end});
      } else {
        append_plain(AlignedText(text, part.begin, part.end), tokens);
      }
    }
    return tokens;
  }

  std::vector<Token> first_tokens(const std::u32string& beginning, std::size_t wanted) const override {
    const auto place = reach_ ? place_to_cut(beginning, added_contents_, reach_->lookahead) : std::nullopt;
    if (!place) return {};
    const std::u32string text = beginning.substr(0, *place);
    std::vector<Token> found = *tokens(text);
    std::size_t certain = 0;
    for (std::size_t i = found.size(); (in_words_ || reach_->in_words) && i-- > 0 && certain == 0;)
      certain = piece(found[i].id).rfind(UNDERLINE_BYTES, 0) == 0 ? i : 0;
    if (certain < wanted && wanted <= found.size()) {  // the last word is longer than what can be read of it
      const AlignedText word = last_word(text);
      std::vector<Token> own;
      if (!word.characters.empty()) model_->append(word.characters, word.spans.data(), own);
      const auto cut = [&](const std::u32string& part) { return closed_tokens(part, word.spans.data()); };
      certain = std::max(certain, found.size() - own.size() + agreed(cut, word.characters, reach_->longest));
    }
    found.resize(certain);
    return found;
  }

  std::string decode(const std::vector<std::int32_t>& ids) const override {
    std::vector<std::string> pieces;
    for (std::int32_t id : ids) {
      const std::string* piece = piece_or_null(id);
      if (piece && !added_.is_special(*piece)) pieces.push_back(*piece);
    }
    return decoder_.text(std::move(pieces));
  }

  std::string piece(std::int32_t id) const override {
    const std::string* piece = piece_or_null(id);
    return piece ? *piece : "None";  // as Python shows it
  }

  std::optional<std::int32_t> token_id(const std::string& piece) const override {
    const std::int32_t added = added_.id(piece), id = added < 0 ? model_->id(piece) : added;
    return id < 0 ? std::nullopt : std::make_optional(id);
  }
  std::int32_t vocab_size() const override { return vocab_size_; }
  std::int32_t special_id(const std::string& token) const override {
    auto found = special_ids_.find(token);
    return found == special_ids_.end() ? -1 : found->second;
  }

 private:
  const std::string* piece_or_null(std::int32_t id) const {
    const std::string* piece = added_.piece(id);
    return piece ? piece : model_->piece(id);
  }

  // Tokens of a part that holds none of the tokens that are searched for in the raw text.
  void append_plain(AlignedText part, std::vector<Token>& tokens) const {
    normalizer_.apply(part);
    if (!added_.any_normalized()) return append_words(std::move(part), tokens);
    for (const Part& piece : added_.split(part.characters, true)) {
      if (piece.id >= 0) {
        tokens.push_back({piece.id, part.spans[piece.begin].begin, part.spans[piece.end - 1].end});
        continue;
      }
      AlignedText between;
      for (std::size_t i = piece.begin; i < piece.end; ++i) between.push_back(part.characters[i], part.spans[i]);
      append_words(std::move(between), tokens);
    }
  }

  // By Metaspace: each word begins with an underline.
  static void underline(AlignedText& part) {
    std::u32string& characters = part.characters;
    for (char32_t& c : characters) c = c == U' ' ? UNDERLINE : c;
    if (characters[0] == UNDERLINE) return;
    characters.insert(0, 1, UNDERLINE);
    part.spans.insert(part.spans.begin(), part.spans[0]);
  }

  // What the model is given last of a text that does not end with an added token.
  AlignedText last_word(const std::u32string& text) const {
    const Part last = added_.split(text, false).back();
    AlignedText word(text, last.begin, last.end);
    normalizer_.apply(word);
    if (word.characters.empty() || !in_words_) return word;
    underline(word);
    const std::size_t begin = word.characters.rfind(UNDERLINE);
    word.characters.erase(0, begin);
    word.spans.erase(word.spans.begin(), word.spans.begin() + static_cast<std::ptrdiff_t>(begin));
    return word;
  }

  // Tokens of a word, without those of unknown characters or of a piece at its end, which can go on.
  std::vector<Token> closed_tokens(const std::u32string& word, const Span* spans) const {
    std::vector<Token> found;
    if (word.empty()) return found;
    model_->append(word, spans, found);
    const Token last = found.back();
    while (!found.empty() && found.back().begin == last.begin && found.back().end == last.end) found.pop_back();
    return found;
  }

  void append_words(AlignedText part, std::vector<Token>& tokens) const {
    if (part.characters.empty()) return;
    if (!in_words_) return model_->append(part.characters, part.spans.data(), tokens);
    underline(part);
    const std::u32string_view all = part.characters;
    for (std::size_t begin = 0, end; begin < all.size(); begin = end) {
      end = std::min(all.find(UNDERLINE, begin + 1), all.size());
      model_->append(all.substr(begin, end - begin), part.spans.data() + begin, tokens);
    }
  }

  Normalizer normalizer_;
  std::unique_ptr<TokenModel> model_;
  AddedTokens added_;
  TokenDecoder decoder_;
  std::optional<Reach> reach_;
  std::vector<std::u32string> added_contents_;
  bool in_words_;
  std::map<std::string, std::int32_t> special_ids_;
  std::int32_t vocab_size_;
};

}  // namespace

Result<std::unique_ptr<Backend>> tokenizers_backend(const std::string& json, const std::string& flavour, const std::string& name) {
  auto unreadable = [&name](const std::string& reason) {
    return bundle_error(name + ": not a tokenizer.json (" + reason + "); expected the checkpoint's own");
  };
  auto pipeline = json_as_serde(json);
  if (!pipeline) return unreadable(pipeline.error().text);
  std::unique_ptr<Backend> backend;
  try {
    check_shape(*pipeline);
    auto found = flavour_from_json(*pipeline);
    if (found != flavour) {
      return bundle_error(name + ": expected the pipeline of " + flavour + ", found " +
                          found.value_or("one that no FNet tokenizer writes"));
    }
    backend = std::make_unique<TokenizersBackend>(*pipeline, flavour == FAST);
  } catch (const Unreadable& fault) {
    return unreadable(fault.reason);
  } catch (const nlohmann::json::exception& error) {
    return unreadable(error.what());
  }
  std::vector<std::string> missing;
  for (const char* token : SPECIAL_TOKENS) {
    if (backend->special_id(token) < 0) missing.emplace_back(token);
  }
  if (!missing.empty()) {
    return bundle_error(name + ": the vocabulary has no token " + joined(missing) + "; FNet needs all of " + joined(SPECIAL_TOKENS));
  }
  return backend;
}

}  // namespace fnet
