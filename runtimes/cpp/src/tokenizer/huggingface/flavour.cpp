// Which of FNet's two pipelines a tokenizer.json is; fnet_runtime/tokenizer/tokenizers_backend.py asks the same.
#include <algorithm>
#include <initializer_list>
#include <map>

#include "tokenizer/huggingface/parts.h"

namespace fnet {
namespace {

using nlohmann::json;
using Names = std::vector<std::string>;

// What the library knows.
const std::map<std::string, Names> TYPES = {
    {"normalizer",
     {"BertNormalizer", "Strip", "StripAccents", "NFC", "NFD", "NFKC", "NFKD", "Sequence", "Lowercase", "Nmt", "Precompiled", "Replace",
      "Prepend", "ByteLevel"}},
    {"pre_tokenizer",
     {"BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Metaspace", "Whitespace", "Sequence", "Split", "Punctuation",
      "WhitespaceSplit", "Digits", "UnicodeScripts", "FixedLength"}},
    {"post_processor", {"RobertaProcessing", "BertProcessing", "ByteLevel", "TemplateProcessing", "Sequence"}},
    {"model", {"BPE", "WordPiece", "WordLevel", "Unigram"}},
    {"decoder", {"BPEDecoder", "ByteLevel", "WordPiece", "Metaspace", "CTC", "Sequence", "Replace", "Fuse", "Strip", "ByteFallback"}}};

const Names QUOTES = {R"(Replace String `` by ")", R"(Replace String '' by ")"};
const Names ACCENTS = {"NFKD", "StripAccents"}, LOWERCASE = {"Lowercase"}, CHARSMAP = {"Precompiled"};
const Names FOLDED_SPACES = {"Replace Regex  {2,} by  "}, UNDERLINES = {"Replace String   by \u2581"};

Names operator+(Names left, const Names& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// "" for none.
std::string type_of(const json& pipeline, const char* part) {
  const auto found = pipeline.find(part);
  return found == pipeline.end() || found->is_null() ? "" : (*found)["type"].get<std::string>();
}

std::string spelled_step(const json& step) {
  const std::string type = step["type"];
  if (type != "Replace") return type;
  const auto pattern = step["pattern"].begin();
  return "Replace " + pattern.key() + " " + pattern->get<std::string>() + " by " + step["content"].get<std::string>();
}

Names steps_of(const json& pipeline) {
  Names steps;
  if (type_of(pipeline, "normalizer") == "Sequence") {
    for (const json& step : pipeline["normalizer"]["normalizers"]) steps.push_back(spelled_step(step));
  }
  return steps;
}

// What a template makes of a text or a pair, such as `[CLS]:0 A:0 [SEP]:0`.
std::string frame(const json& pieces) {
  std::string text;
  for (const json& piece : pieces) {
    for (const json& value : piece) {
      text += (text.empty() ? "" : " ") + value["id"].get<std::string>() + ":" + std::to_string(value["type_id"].get<unsigned>());
    }
  }
  return text;
}

bool is_frame(const json& pipeline, const char* single, const char* pair) {
  if (type_of(pipeline, "post_processor") != "TemplateProcessing") return false;
  const json& processor = pipeline["post_processor"];
  return frame(processor["single"]) == single && frame(processor["pair"]) == pair;
}

bool is_set(const json& model, const char* option) {
  auto found = model.find(option);
  return found != model.end() && !found->is_null() && *found != false && *found != 0 && *found != "";
}

// Whether docs/tokenizer.md says what the model's options do.
bool is_described(const json& model, const std::string& type) {
  if (type == "Unigram") return model.count("unk_id") && !model["unk_id"].is_null();
  for (const char* option : {"dropout", "byte_fallback", "ignore_merges", "continuing_subword_prefix", "end_of_word_suffix"}) {
    if (is_set(model, option)) return false;
  }
  return type == "BPE" && is_set(model, "unk_token") && is_set(model, "fuse_unk");
}

bool is_described_decoder(const json& decoder) {
  const std::string type = decoder["type"];
  if (type == "Sequence") return std::all_of(decoder["decoders"].begin(), decoder["decoders"].end(), is_described_decoder);
  if (type == "Replace") return decoder["pattern"].count("String");
  return type == "Metaspace" || type == "ByteFallback" || type == "Fuse";
}

}  // namespace

MetaspaceOptions metaspace_from_json(const json& part) {
  MetaspaceOptions options;
  options.replacement = part.at("replacement").get<std::string>();
  options.scheme = part.value("prepend_scheme", "always");
  if (part.count("split") && !part["split"].is_null()) options.split = part["split"].get<bool>();
  if (part.count("add_prefix_space") && part["add_prefix_space"] == false && options.scheme != "never") {
    throw Unreadable{"add_prefix_space does not match declared prepend_scheme"};
  }
  return options;
}

std::string known_type(const json& part, const std::string& name) {
  const Names& known = TYPES.at(name);
  const auto type = part.is_object() ? part.find("type") : part.end();
  if (type != part.end() && std::count(known.begin(), known.end(), *type)) return *type;
  throw Unreadable{"unknown " + name};
}

std::string model_type(const json& model) {
  if (model.count("type")) return known_type(model, "model");
  return model.at("vocab").is_array() ? "Unigram" : "BPE";  // as files of old have it
}

std::optional<std::string> flavour_from_json(const json& pipeline) {
  const std::string model = model_type(pipeline["model"]), pre_tokenizer = type_of(pipeline, "pre_tokenizer");
  const Names steps = steps_of(pipeline);
  if (!type_of(pipeline, "decoder").empty() && !is_described_decoder(pipeline["decoder"])) return std::nullopt;
  if (!is_described(pipeline["model"], model)) return std::nullopt;
  if (pre_tokenizer == "Metaspace" && is_frame(pipeline, "[CLS]:0 A:0 [SEP]:0", "[CLS]:0 A:0 [SEP]:0 B:1 [SEP]:1")) {
    MetaspaceOptions options = metaspace_from_json(pipeline["pre_tokenizer"]);
    if (options.replacement != "\u2581" || options.scheme != "always" || !options.split) return std::nullopt;
    for (const Names& accents : {Names{}, ACCENTS}) {
      for (const Names& lower : {Names{}, LOWERCASE}) {
        for (const Names& charsmap : {Names{}, CHARSMAP}) {
          if (steps == QUOTES + accents + lower + charsmap + FOLDED_SPACES) return FAST;
        }
      }
    }
  }
  if (model == "Unigram" && pre_tokenizer.empty() && is_frame(pipeline, "A:0", "A:0 B:1") &&
      (steps == UNDERLINES || steps == CHARSMAP + UNDERLINES)) {
    return V5;
  }
  return std::nullopt;
}

}  // namespace fnet
