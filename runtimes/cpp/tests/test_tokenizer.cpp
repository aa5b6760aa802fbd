// The committed answers of the real tokenizers, of the flavours that read a spiece.model (docs/tokenizer.md describes the file).
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "tokenizer/tokenizer.h"

using nlohmann::json;

namespace {

const std::string GOLDEN = GOLDEN_FOLDER;

std::vector<int64_t> bits(const json& runs) {
  std::vector<int64_t> found;
  for (std::size_t i = 0; i < runs.size(); ++i) found.insert(found.end(), runs[i].get<std::size_t>(), static_cast<int64_t>(i % 2));
  return found;
}

fnet::Tokenizer opened(const json& column) {
  const auto path = GOLDEN + "/" + column["model"].get<std::string>();
  auto found =
      fnet::Tokenizer::from_file(path, {column["flavour"], {column["do_lower_case"], column["keep_accents"], column["remove_space"]}});
  REQUIRE(found);
  return *std::move(found);
}

// One field of a column: its own, or that of the column it names.
json field(const json& columns, const json& own, std::size_t place) {
  const json& value = place < 3 ? own[place] : own.back();
  if (!value.is_number()) return value;
  const json& other = columns[value.get<std::size_t>()];
  return place < 3 ? other[place] : other.back();
}

}  // namespace

TEST_CASE("every committed text gets the real tokenizers' ids, types and spans") {
  std::ifstream file(GOLDEN + "/tokenizer.jsonl");
  std::string line;
  REQUIRE(std::getline(file, line));
  const json columns = json::parse(line)["tokenizers"];
  std::map<std::size_t, fnet::Tokenizer> tokenizers;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i]["flavour"] != fnet::FAST && columns[i]["flavour"] != fnet::V5) tokenizers.emplace(i, opened(columns[i]));
  }
  std::size_t compared = 0, differ = 0;
  while (std::getline(file, line)) {
    const json entry = json::parse(line);
    std::vector<std::u32string> texts;
    for (const json& text : entry["texts"]) texts.push_back(*fnet::text_from_utf8(text));
    for (const auto& [index, tokenizer] : tokenizers) {
      const json& own = entry["columns"][index];
      if (own.is_null()) continue;
      const auto found = tokenizer.encode(texts[0], texts.size() > 1 ? &texts[1] : nullptr, {entry["length"].get<int64_t>()});
      REQUIRE(found);
      auto ids = field(entry["columns"], own, 0).get<std::vector<int64_t>>();
      auto types = bits(field(entry["columns"], own, 1)), special = bits(field(entry["columns"], own, 2));
      std::vector<std::size_t> spans, found_spans;
      std::size_t end = 0, step = 0;
      const json steps = field(entry["columns"], own, 3);
      for (const int64_t is_special : special) {
        if (is_special) {
          spans.insert(spans.end(), {0, 0});
          continue;
        }
        const std::size_t start = end + steps[step].get<std::size_t>();
        end = start + steps[step + 1].get<std::size_t>();
        step += 2;
        spans.insert(spans.end(), {start, end});
      }
      const auto length = entry["length"].get<std::size_t>();
      ids.resize(length, tokenizer.pad_id()), types.resize(length, 0), special.resize(length, 1), spans.resize(2 * length, 0);
      for (const auto& span : found->spans) found_spans.insert(found_spans.end(), {span.begin, span.end});
      std::vector<int64_t> found_special;
      for (const int segment : found->segments) found_special.push_back(segment == -1);
      const bool same = found->input_ids == ids && found->token_type_ids == types && found_special == special && found_spans == spans;
      ++compared, differ += !same;
      if (!same && differ < 5) FAIL_CHECK("column " << index << ": " << entry["texts"].dump());
      if (entry.contains("decoded") && entry["decoded"][index].is_string()) {
        const auto decoded = tokenizer.decode({ids.begin(), ids.end()});
        REQUIRE(decoded);
        CHECK(*decoded == entry["decoded"][index]);
      }
    }
  }
  CHECK(compared > 20000);
  CHECK(differ == 0);
}

TEST_CASE("what cannot be a tokenizer, a text or a length is refused") {
  const auto model = [](const char* name, const std::string& flavour) { return fnet::Tokenizer::from_file(name, {flavour, {}}); };
  CHECK(model("no.model", fnet::SLOW).error().text ==
        "no.model: cannot be read (No such file or directory); expected the tokenizer's file");
  const auto other = fnet::Tokenizer::from_bytes("xyz", {}, "name");
  CHECK(other.error().text.find("name: not a SentencePiece model (") == 0);
  CHECK(fnet::Tokenizer::from_bytes("", {}, "name").error().text ==
        "name: not a SentencePiece model (it is empty); expected the checkpoint's spiece.model");
  const auto tokenizer = model((GOLDEN + "/bpe.model").c_str(), fnet::SLOW);
  REQUIRE(tokenizer);
  CHECK(tokenizer->encode(U"a", nullptr, {1}).error().text == "sequence length 1 is too short: [CLS] and [SEP] alone take 2 tokens");
  CHECK(tokenizer->decode({-1}).error().text.find("token id -1 is outside the vocabulary of ") == 0);
  CHECK(fnet::text_from_utf8("ab\xff").error().text == "the text is not UTF-8 (byte 2); convert it to UTF-8 first");
}
