#include "tokenizer/tokenizer.h"

#include <algorithm>

#include "base/files.h"
#include "base/utf8.h"
#include "base/words.h"
#include "json/writer.h"

namespace fnet {
namespace {

// FIRST_CHARACTERS and so on: of a long text whose first tokens are wanted, so many characters are read first; then, while they do not
// suffice, GROWTH times as many. A text up to WHOLE times as long as that is read whole. To find the longer of two texts, LONGER times as
// many tokens are cut before both are read whole.

const FlavourFacts* flavour_from_name(const std::string& name) {
  for (const FlavourFacts& flavour : FLAVOURS) {
    if (name == flavour.name) return &flavour;
  }
  return nullptr;
}

}  // namespace

const char* TokenizerOptions::file() const { return flavour_from_name(flavour)->file; }

std::optional<Error> TokenizerOptions::fault() const {
  if (!flavour_from_name(flavour)) {
    std::vector<std::string> names;
    for (const FlavourFacts& known : FLAVOURS) names.emplace_back(known.name);
    return input_error("flavour: expected one of " + joined(names) + "; found " + quoted(flavour));
  }
  if (flavour != SLOW && (rules.do_lower_case || !rules.keep_accents || !rules.remove_space)) {
    return input_error("do_lower_case, keep_accents and remove_space: expected false, true and true for " + flavour +
                       ", which does not have these options");
  }
  return std::nullopt;
}

Tokenizer::Tokenizer(std::unique_ptr<Backend> backend, const TokenizerOptions& options) : backend_(std::move(backend)) {
  const FlavourFacts& flavour = *flavour_from_name(options.flavour);
  frame_ = {backend_->special_id(PAD), {}, {}, flavour.odd_to_longer, flavour.cut_at_end};
  if (flavour.adds_special) frame_.cls = backend_->special_id(CLS), frame_.sep = backend_->special_id(SEP);
  mask_ = backend_->special_id(MASK);
}

Result<Tokenizer> Tokenizer::from_bytes(const std::string& data, const TokenizerOptions& options, const std::string& name) {
  if (const auto fault = options.fault()) return *fault;
  auto backend = std::string(options.file()) == TOKENIZER_JSON
                     ? tokenizers_backend(data, options.flavour, name)
                     : sentencepiece_backend(data, options.flavour == SLOW ? &options.rules : nullptr, name);
  if (!backend) return backend.error();
  return Tokenizer(*std::move(backend), options);
}

Result<Tokenizer> Tokenizer::from_file(const std::string& path, const TokenizerOptions& options) {
  const auto data = bytes_from_file(path);
  if (const auto* fault = std::get_if<SystemFault>(&data))
    return bundle_error(path + ": cannot be read (" + fault->text() + "); expected the tokenizer's file");
  return from_bytes(std::get<std::string>(data), options, path);
}

Result<std::vector<Token>> Tokenizer::first_tokens(const std::u32string& text, std::size_t limit) const {
  for (std::size_t size = FIRST_CHARACTERS + CHARACTERS_PER_TOKEN * limit; WHOLE * size < text.size(); size *= GROWTH) {
    std::vector<Token> found = backend_->first_tokens(text.substr(0, size), limit + 1);
    if (found.size() <= limit) continue;
    found.resize(limit + 1);
    return found;
  }
  auto found = tokens(text);
  if (found && found->size() > limit) found->resize(limit + 1);
  return found;
}

Result<Encoding> Tokenizer::encode(const std::u32string& text, const std::u32string* pair, const Padding& padding) const {
  const auto length = static_cast<std::size_t>(padding.length);
  // of those cut at the end, [SEP] goes first
  std::size_t limit = frame_.cut_at_end ? length : length - std::min(length, added(pair != nullptr));
  auto first = first_tokens(text, limit);
  if (!first) return first.error();
  if (!pair) return assembled(*first, nullptr, padding);
  auto second = first_tokens(*pair, limit);
  if (!second) return second.error();
  const bool longer_keeps_more = frame_.odd_to_longer && limit % 2 == 1;
  for (const bool whole : {false, true}) {
    if (!longer_keeps_more || std::min(first->size(), second->size()) <= limit) break;  // else which is the longer is not known yet
    limit *= LONGER;
    first = whole ? tokens(text) : first_tokens(text, limit), second = whole ? tokens(*pair) : first_tokens(*pair, limit);
    if (!first || !second) return first ? second.error() : first.error();
  }
  return assembled(*first, &*second, padding);
}

Result<Encoding> Tokenizer::assembled(const std::vector<Token>& first, const std::vector<Token>* second, const Padding& padding) const {
  return encoding_from_tokens(first, second, frame_, padding);
}

Result<std::string> Tokenizer::decode(const std::vector<int32_t>& ids) const {
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab_size()) {
      return input_error("token id " + std::to_string(id) + " is outside the vocabulary of " + std::to_string(vocab_size()) + " pieces");
    }
  }
  return backend_->decode(ids);
}

Result<std::u32string> text_from_utf8(const std::string& bytes) {
  std::size_t fault = 0;
  auto text = from_utf8(bytes, &fault);
  if (fault == bytes.npos) return text;
  return input_error("the text is not UTF-8 (byte " + std::to_string(fault) + "); convert it to UTF-8 first");
}

}  // namespace fnet
