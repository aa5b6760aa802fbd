#include "tokenizer/huggingface/shape.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include "tokenizer/huggingface/parts.h"

namespace fnet {
namespace {

using nlohmann::json;

enum class Is { text, letter, boolean, whole, number, list, object };
constexpr const char* NAMES[] = {"a text", "one character", "a boolean", "an integer from 0", "a number", "a list", "an object"};

bool is(const json& value, Is type) {
  switch (type) {
    case Is::text: return value.is_string();
    case Is::letter: return value.is_string() && text_from_json(value).size() == 1;
    case Is::boolean: return value.is_boolean();
    case Is::whole: return value.is_number_unsigned() && value <= std::numeric_limits<std::uint32_t>::max();
    case Is::number: return value.is_number();
    case Is::list: return value.is_array();
    case Is::object: return value.is_object();
  }
  return false;
}

struct Member {
  const char* name;
  Is type;
  enum { needed, may_miss, may_be_null } rule = needed;  // what may be null may miss too
};
using Members = std::vector<Member>;

const Members BPE = {{"dropout", Is::number, Member::may_be_null},
                     {"unk_token", Is::text, Member::may_be_null},
                     {"continuing_subword_prefix", Is::text, Member::may_be_null},
                     {"end_of_word_suffix", Is::text, Member::may_be_null},
                     {"fuse_unk", Is::boolean, Member::may_be_null},
                     {"byte_fallback", Is::boolean, Member::may_be_null},
                     {"ignore_merges", Is::boolean, Member::may_be_null},
                     {"vocab", Is::object},
                     {"merges", Is::list}};
const Members UNIGRAM = {{"unk_id", Is::whole, Member::may_be_null}, {"byte_fallback", Is::boolean, Member::may_miss}, {"vocab", Is::list}};
const Members REPLACE = {{"pattern", Is::object}, {"content", Is::text}};
const Members METASPACE = {{"replacement", Is::letter},
                           {"add_prefix_space", Is::boolean, Member::may_be_null},
                           {"prepend_scheme", Is::text, Member::may_miss},
                           {"split", Is::boolean, Member::may_be_null}};
const Members TEMPLATE = {{"single", Is::list}, {"pair", Is::list}, {"special_tokens", Is::object}};
const Members PIECE = {{"id", Is::text}, {"type_id", Is::whole}};
const Members SPECIAL = {{"id", Is::text}, {"ids", Is::list}, {"tokens", Is::list}};
const Members ADDED = {{"id", Is::whole},       {"content", Is::text},       {"single_word", Is::boolean}, {"lstrip", Is::boolean},
                       {"rstrip", Is::boolean}, {"normalized", Is::boolean}, {"special", Is::boolean}};
const Members TRUNCATION = {
    {"direction", Is::text, Member::may_miss}, {"max_length", Is::whole}, {"strategy", Is::text}, {"stride", Is::whole}};
const Members PADDING = {{"direction", Is::text},
                         {"pad_to_multiple_of", Is::whole, Member::may_be_null},
                         {"pad_id", Is::whole},
                         {"pad_type_id", Is::whole},
                         {"pad_token", Is::text}};

[[noreturn]] void refuse(const std::string& what, const std::string& expected) { throw Unreadable{what + ": expected " + expected}; }

void check(const json& part, const std::string& name, const Members& members) {
  if (!part.is_object()) refuse(name, "an object");
  for (const auto& [member, type, rule] : members) {
    const auto found = part.find(member);
    const bool missing = found == part.end();
    if (missing ? rule != Member::needed : is(*found, type) || (found->is_null() && rule == Member::may_be_null)) continue;
    refuse(name + "." + member, NAMES[static_cast<int>(type)]);
  }
}

void check_all(const json& list, const std::string& name, Is type) {
  for (const json& value : list) {
    if (!is(value, type)) refuse(name, std::string("only ") + NAMES[static_cast<int>(type)]);
  }
}

void check_choice(const json& part, const char* member, std::initializer_list<const char*> choices) {
  if (!part.count(member)) return;
  if (std::find(choices.begin(), choices.end(), part[member].get<std::string>()) == choices.end()) refuse(member, "a name that is known");
}

void check_metaspace(const json& part) {
  check(part, "Metaspace", METASPACE);
  check_choice(part, "prepend_scheme", {"always", "first", "never"});
}

void check_replace(const json& part) {
  check(part, "Replace", REPLACE);
  const json& pattern = part["pattern"];
  if (pattern.size() != 1 || !(pattern.count("String") || pattern.count("Regex"))) refuse("Replace.pattern", "String or Regex");
  check_all(pattern, "Replace.pattern", Is::text);
}

void check_steps(const json& part, const char* steps, void (*check_step)(const json&)) {
  check(part, "Sequence", {{steps, Is::list}});
  for (const json& step : part[steps]) check_step(step);
}

void check_normalizer(const json& part) {
  const std::string type = known_type(part, "normalizer");
  if (type == "Sequence") check_steps(part, "normalizers", check_normalizer);
  if (type == "Replace") check_replace(part);
  if (type == "Precompiled") check(part, type, {{"precompiled_charsmap", Is::text}});
}

void check_pre_tokenizer(const json& part) {
  const std::string type = known_type(part, "pre_tokenizer");
  if (type == "Sequence") check_steps(part, "pretokenizers", check_pre_tokenizer);
  if (type == "Metaspace") check_metaspace(part);
}

void check_decoder(const json& part) {
  const std::string type = known_type(part, "decoder");
  if (type == "Sequence") check_steps(part, "decoders", check_decoder);
  if (type == "Replace") check_replace(part);
  if (type == "Metaspace") check_metaspace(part);
}

void check_post_processor(const json& part) {
  const std::string type = known_type(part, "post_processor");
  if (type == "Sequence") check_steps(part, "processors", check_post_processor);
  if (type != "TemplateProcessing") return;
  check(part, type, TEMPLATE);
  for (const auto& [key, special] : part["special_tokens"].items()) {
    check(special, "special_tokens", SPECIAL);
    check_all(special["ids"], "special_tokens.ids", Is::whole);
    check_all(special["tokens"], "special_tokens.tokens", Is::text);
  }
  for (const char* sequence : {"single", "pair"}) {
    for (const json& piece : part[sequence]) {
      if (!piece.is_object() || piece.size() != 1) refuse(sequence, "pieces of one kind each");
      const std::string kind = piece.begin().key();
      const json& value = piece.begin().value();
      if (kind != "Sequence" && kind != "SpecialToken") refuse(sequence, "Sequence or SpecialToken");
      check(value, kind, PIECE);
      if (kind == "Sequence" && value["id"] != "A" && value["id"] != "B") refuse(kind + ".id", "A or B");
    }
  }
}

void check_model(const json& model) {
  if (!model.is_object()) refuse("model", "an object");
  const std::string type = model_type(model);
  if (type == "Unigram") check(model, type, UNIGRAM);
  if (type != "BPE") return;
  check(model, type, BPE);
  const auto dropout = model.find("dropout");
  if (dropout != model.end() && dropout->is_number() && (*dropout < 0 || *dropout > 1)) refuse("BPE.dropout", "0 to 1");
}

}  // namespace

void check_shape(const json& pipeline) {
  if (!pipeline.is_object()) refuse("the whole", "an object");
  const auto has = [&](const char* part) { return pipeline.count(part) && !pipeline[part].is_null(); };
  if (pipeline.value("version", json("1.0")) != "1.0") throw Unreadable{"unknown version"};
  if (has("truncation")) check(pipeline["truncation"], "truncation", TRUNCATION);
  if (has("padding")) check(pipeline["padding"], "padding", PADDING);
  if (pipeline.count("added_tokens")) {
    check(pipeline, "the whole", {{"added_tokens", Is::list}});
    for (const json& token : pipeline["added_tokens"]) check(token, "added_tokens", ADDED);
  }
  if (has("normalizer")) check_normalizer(pipeline["normalizer"]);
  if (has("pre_tokenizer")) check_pre_tokenizer(pipeline["pre_tokenizer"]);
  if (has("post_processor")) check_post_processor(pipeline["post_processor"]);
  if (has("decoder")) check_decoder(pipeline["decoder"]);
  if (!pipeline.count("model")) throw Unreadable{"Model missing."};
  check_model(pipeline["model"]);
}

}  // namespace fnet
