#include "tokenizer/huggingface/parts.h"

#include <algorithm>
#include <limits>

#include "base/utf8.h"

namespace fnet {
namespace {

using nlohmann::json;

template <class T>
T taken(Result<T> result) {
  if (!result) throw Unreadable{result.error().text};
  return *std::move(result);
}

NormalizerStep step_from_json(const json& step) {
  const std::string type = step.at("type");
  if (type == "NFKD") return Nfkd{};
  if (type == "StripAccents") return StripAccents{};
  if (type == "Lowercase") return Lowercase{};
  if (type == "Precompiled") return taken(Charsmap::from_base64(step.at("precompiled_charsmap").get<std::string>()));
  if (step.at("pattern").count("Regex")) return FoldSpaces{};  // the one expression of FNet's
  return Replace{text_from_json(step["pattern"].at("String")), text_from_json(step.at("content"))};
}

std::int32_t id_from_json(const json& id) {
  if (!id.is_number_unsigned() || id > std::numeric_limits<std::int32_t>::max()) throw Unreadable{"an id is no number of 31 bits"};
  return id.get<std::int32_t>();
}

Merge merge_from_json(const json& merge) {
  if (merge.is_array() && merge.size() == 2) return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  const auto text = merge.get<std::string>();
  const auto space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) throw Unreadable{"merges text file invalid"};
  return {text.substr(0, space), text.substr(space + 1)};
}

bool is_comment(const json& merge) { return merge.is_string() && merge.get_ref<const std::string&>().rfind("#version", 0) == 0; }

void append_decoder_steps(const json& part, std::vector<DecoderStep>& steps) {
  const std::string type = part.at("type");
  if (type == "Sequence") {
    for (const json& step : part.at("decoders")) append_decoder_steps(step, steps);
  } else if (type == "Metaspace") {
    MetaspaceOptions options = metaspace_from_json(part);
    steps.push_back(MetaspaceDecoder{options.replacement, options.scheme != "never"});
  } else if (type == "Replace") {
    steps.push_back(ReplaceDecoder{part.at("pattern").at("String").get<std::string>(), part.at("content").get<std::string>()});
  } else if (type == "ByteFallback") {
    steps.push_back(ByteFallbackDecoder{});
  } else {
    steps.push_back(FuseDecoder{});
  }
}

}  // namespace

std::u32string text_from_json(const json& text) { return from_utf8(text.get<std::string>()); }

Normalizer normalizer_from_json(const json& pipeline) {
  std::vector<NormalizerStep> steps;
  for (const json& step : pipeline.at("normalizer").at("normalizers")) steps.push_back(step_from_json(step));
  return Normalizer(std::move(steps));
}

std::unique_ptr<TokenModel> model_from_json(const json& pipeline) {
  const json& model = pipeline.at("model");
  if (model_type(model) == "Unigram") {
    std::vector<ScoredPiece> pieces;
    for (const json& row : model.at("vocab")) pieces.push_back({row.at(0).get<std::string>(), row.at(1).get<double>()});
    return taken(
        unigram_model(std::move(pieces), static_cast<std::size_t>(id_from_json(model.at("unk_id"))), model.value("byte_fallback", false)));
  }
  std::vector<BpePiece> pieces;
  for (const auto& [piece, id] : model.at("vocab").items()) pieces.push_back({piece, id_from_json(id)});
  std::vector<Merge> merges;
  for (const json& merge : model.at("merges")) {
    if (!is_comment(merge)) merges.push_back(merge_from_json(merge));
  }
  return taken(bpe_model(pieces, merges, model.at("unk_token").get<std::string>()));
}

AddedTokens added_tokens_from_json(const json& pipeline, const TokenModel& model, const Normalizer& normalizer) {
  AddedTokens added;
  auto next = static_cast<std::int32_t>(model.size());
  for (const json& row : pipeline.value("added_tokens", json::array())) {
    AddedToken token{row.at("content"), row.at("single_word"), row.at("lstrip"), row.at("rstrip"), row.at("normalized"), row.at("special")};
    if (token.content.empty()) continue;
    std::int32_t id = added.id(token.content);
    if (id < 0) id = model.id(token.content);
    if (id < 0) id = next++;
    const std::u32string content = text_from_json(row["content"]);
    AlignedText spelled(content, 0, content.size());
    if (token.normalized) normalizer.apply(spelled);
    added.add(token, id, spelled.characters);
  }
  added.build();
  return added;
}

std::optional<Reach> reach_from_json(const json& pipeline, const AddedTokens& added) {
  const json& model = pipeline.at("model");
  std::vector<std::u32string> pieces;
  if (model_type(model) == "Unigram") {
    for (const json& row : model.at("vocab")) pieces.push_back(text_from_json(row.at(0)));
  } else {
    const std::string unknown = model.at("unk_token");
    for (const auto& [piece, id] : model.at("vocab").items()) {
      if (piece != unknown && piece.find(unknown) != piece.npos) return std::nullopt;  // merged with what is unknown
      pieces.push_back(text_from_json(piece));
    }
  }
  if (!added.is_plain()) return std::nullopt;
  std::size_t longest = 1;
  for (const std::u32string& content : added.contents()) longest = std::max(longest, content.size());
  return reach_from_pieces(pieces, longest);
}

TokenDecoder decoder_from_json(const json& pipeline) {
  auto part = pipeline.find("decoder");
  if (part == pipeline.end() || part->is_null()) return TokenDecoder({}, " ");
  std::vector<DecoderStep> steps;
  append_decoder_steps(*part, steps);
  return TokenDecoder(std::move(steps));
}

}  // namespace fnet
