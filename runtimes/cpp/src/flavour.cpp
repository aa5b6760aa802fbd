// Which of FNet's two pipelines a tokenizer.json is; fnet_runtime/tokenizers_backend.py asks the same.
#include <algorithm>
#include <initializer_list>

#include "tokenizer_json.h"

namespace fnet {
namespace {

using nlohmann::json;
using Names = std::vector<std::string>;

const Names NORMALIZERS = {"BertNormalizer", "Strip", "StripAccents", "NFC", "NFD", "NFKC", "NFKD",
                           "Sequence", "Lowercase", "Nmt", "Precompiled", "Replace", "Prepend", "ByteLevel"};
const Names PRE_TOKENIZERS = {"BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Metaspace", "Whitespace", "Sequence",
                              "Split", "Punctuation", "WhitespaceSplit", "Digits", "UnicodeScripts", "FixedLength"};
const Names POST_PROCESSORS = {"RobertaProcessing", "BertProcessing", "ByteLevel", "TemplateProcessing", "Sequence"};
const Names MODELS = {"BPE", "WordPiece", "WordLevel", "Unigram"};
const Names DECODERS = {"BPEDecoder", "ByteLevel", "WordPiece", "Metaspace", "CTC",
                        "Sequence", "Replace", "Fuse", "Strip", "ByteFallback"};

const Names QUOTES = {R"(Replace String `` by ")", R"(Replace String '' by ")"};
const Names ACCENTS = {"NFKD", "StripAccents"}, LOWERCASE = {"Lowercase"}, CHARSMAP = {"Precompiled"};
const Names FOLDED_SPACES = {"Replace Regex  {2,} by  "}, UNDERLINES = {"Replace String   by \u2581"};

Names operator+(Names left, const Names& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// A part's type, which has to be one that the library knows; "" for none.
std::string type_of(const json& holder, const char* part, const Names& known) {
  auto found = holder.find(part);
  if (found == holder.end() || found->is_null()) return "";
  std::string type = found->value("type", "");
  if (std::find(known.begin(), known.end(), type) != known.end()) return type;
  throw Unreadable{std::string("unknown ") + part + " `" + type + "`"};
}

std::string spelled_step(const json& step) {
  std::string type = type_of(json{{"normalizer", step}}, "normalizer", NORMALIZERS);
  if (type != "Replace") return type;
  const json& pattern = step.at("pattern");
  const auto kind = pattern.items().begin();
  if (pattern.size() != 1 || (kind.key() != "String" && kind.key() != "Regex")) throw Unreadable{"unknown pattern of Replace"};
  return "Replace " + kind.key() + " " + kind.value().get<std::string>() + " by " + step.at("content").get<std::string>();
}

Names steps_of(const json& pipeline) {
  Names steps;
  if (type_of(pipeline, "normalizer", NORMALIZERS) == "Sequence") {
    for (const json& step : pipeline["normalizer"].at("normalizers")) steps.push_back(spelled_step(step));
  }
  return steps;
}

// What a template makes of a text or a pair, such as `[CLS]:0 A:0 [SEP]:0`.
std::string frame(const json& pieces) {
  std::string text;
  for (const json& piece : pieces) {
    for (const auto& [kind, value] : piece.items()) {
      if (kind != "Sequence" && kind != "SpecialToken") throw Unreadable{"unknown piece of a template `" + kind + "`"};
      text += (text.empty() ? "" : " ") + value.at("id").get<std::string>();
      if (!value.at("type_id").is_number_unsigned()) throw Unreadable{"a type_id is no number"};
      text += ":" + value["type_id"].dump();
    }
  }
  return text;
}

bool is_frame(const json& pipeline, const char* single, const char* pair) {
  if (type_of(pipeline, "post_processor", POST_PROCESSORS) != "TemplateProcessing") return false;
  const json& processor = pipeline["post_processor"];
  const std::string found_single = frame(processor.at("single")), found_pair = frame(processor.at("pair"));
  return found_single == single && found_pair == pair;
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

bool is_described_decoder(const json& holder, const char* part) {
  std::string type = type_of(holder, part, DECODERS);
  if (type == "Sequence") {
    const json& steps = holder[part].at("decoders");
    auto is_described_step = [](const json& step) { return is_described_decoder({{"decoder", step}}, "decoder"); };
    return std::all_of(steps.begin(), steps.end(), is_described_step);
  }
  if (type == "Replace") return holder[part].at("pattern").count("String");
  return type.empty() || type == "Metaspace" || type == "ByteFallback" || type == "Fuse";
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

std::string model_type(const json& model) {
  if (model.count("type")) return type_of(json{{"model", model}}, "model", MODELS);
  return model.at("vocab").is_array() ? "Unigram" : "BPE";  // as files of old have it
}

std::optional<std::string> flavour_from_json(const json& pipeline) {
  if (!pipeline.is_object()) throw Unreadable{"expected an object"};
  if (pipeline.value("version", "1.0") != "1.0") throw Unreadable{"unknown version"};
  if (!pipeline.count("model")) throw Unreadable{"Model missing."};
  const std::string model = model_type(pipeline["model"]), pre_tokenizer = type_of(pipeline, "pre_tokenizer", PRE_TOKENIZERS);
  const Names steps = steps_of(pipeline);
  if (!is_described_decoder(pipeline, "decoder") || !is_described(pipeline["model"], model)) return std::nullopt;
  if (pre_tokenizer == "Metaspace" && is_frame(pipeline, "[CLS]:0 A:0 [SEP]:0", "[CLS]:0 A:0 [SEP]:0 B:1 [SEP]:1")) {
    MetaspaceOptions options = metaspace_from_json(pipeline["pre_tokenizer"]);
    if (options.replacement != "\u2581" || options.scheme != "always" || !options.split) return std::nullopt;
    for (const Names& accents : {Names{}, ACCENTS}) {
      for (const Names& lower : {Names{}, LOWERCASE}) {
        for (const Names& charsmap : {Names{}, CHARSMAP}) {
          if (steps == QUOTES + accents + lower + charsmap + FOLDED_SPACES) return FLAVOUR_FAST;
        }
      }
    }
  }
  if (model == "Unigram" && pre_tokenizer.empty() && is_frame(pipeline, "A:0", "A:0 B:1") &&
      (steps == UNDERLINES || steps == CHARSMAP + UNDERLINES)) {
    return FLAVOUR_V5;
  }
  return std::nullopt;
}

}  // namespace fnet
