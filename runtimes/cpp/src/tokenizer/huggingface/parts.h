// What a tokenizer.json holds, read part by part.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/huggingface/added_tokens.h"
#include "tokenizer/huggingface/decoder.h"
#include "tokenizer/huggingface/model.h"
#include "tokenizer/huggingface/normalizer.h"
#include "tokenizer/prefix.h"

namespace fnet {

// Why a file is no tokenizer.json; thrown to tokenizers_backend alone.
struct Unreadable {
  std::string reason;
};

struct MetaspaceOptions {
  std::string replacement, scheme;
  bool split = true;
};

// Which transformers' FNet tokenizer a tokenizer.json is whose shape is checked: FAST, V5, or nothing. This and what
// follows throws Unreadable or an exception of nlohmann; what follows wants a pipeline of one of the two.
std::optional<std::string> flavour_from_json(const nlohmann::json& pipeline);
Normalizer normalizer_from_json(const nlohmann::json& pipeline);
std::unique_ptr<TokenModel> model_from_json(const nlohmann::json& pipeline);
AddedTokens added_tokens_from_json(const nlohmann::json& pipeline, const TokenModel& model, const Normalizer& normalizer);
// How far a character acts on the tokens before it; nothing where that is not known.
std::optional<Reach> reach_from_json(const nlohmann::json& pipeline, const AddedTokens& added);
TokenDecoder decoder_from_json(const nlohmann::json& pipeline);
MetaspaceOptions metaspace_from_json(const nlohmann::json& part);
std::u32string text_from_json(const nlohmann::json& text);
std::string model_type(const nlohmann::json& model);
// The type of a part of a pipeline (`name`), which the library has to know.
std::string known_type(const nlohmann::json& part, const std::string& name);

}  // namespace fnet
