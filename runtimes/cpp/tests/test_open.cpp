// What a bundle's folder must hold, next to whole and unaltered files, before an engine is opened.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "catch.h"
#include "pipeline/open.h"

using nlohmann::json;

namespace {

// The error of a bundle whose inputs have the axis `tokens`; its graph is an empty file.
fnet::Error fault(const char* padding, const json& tokens) {
  const auto folder = std::filesystem::temp_directory_path() / "fnet_open_test";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const auto write = [&](const char* name, const std::string& bytes) { std::ofstream(folder / name, std::ios::binary) << bytes; };
  for (const char* name : fnet::ALWAYS) write(name, "");
  write(fnet::CONFIG, R"({"vocab_size": 1000000})");
  std::filesystem::copy_file(std::string(GOLDEN_FOLDER) + "/bpe.model", folder / fnet::SPIECE);
  const auto tokenizer = fnet::Tokenizer::from_file((folder / fnet::SPIECE).string(), {});
  REQUIRE(tokenizer);
  json files, inputs;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto info = std::get<fnet::FileInfo>(fnet::info_from_file(entry.path().string()));
    files[entry.path().filename().string()] = {{"sha256", info.sha256}, {"size_bytes", info.size_bytes}};
  }
  for (const char* name : fnet::INPUTS) inputs.push_back({{"name", name}, {"dtype", "int64"}, {"axes", {"batch_size", tokens}}});
  const json outputs{{{"name", "logits"}, {"dtype", "float32"}, {"axes", {"batch_size", 2}}}};
  const json manifest{{"format_version", fnet::FORMAT_VERSION},
                      {"task", fnet::SEQUENCE_CLASSIFICATION},
                      {"target", "onnx"},
                      {"labels", {"A", "B"}},
                      {"inputs", inputs},
                      {"outputs", outputs},
                      {"sequence_length", 8},
                      {"padding", padding},
                      {"pad_to_multiple_of", 1},
                      {"pad_token_id", tokenizer->pad_id()},
                      {"tokenizer", {{"flavour", fnet::SLOW}, {"do_lower_case", false}, {"keep_accents", true}, {"remove_space", true}}},
                      {"transform", "folded"},
                      {"transform_reason", "asked for"},
                      {"precision", "fp32"},
                      {"quantization", nullptr},
                      {"source", {{"id", "x"}, {"revision", nullptr}, {"sha256", json::object()}, {"random_head", false}}},
                      {"tools", json::object()},
                      {"engine", nullptr},
                      {"files", files}};
  write(fnet::MANIFEST, manifest.dump());
  fnet::Config config;
  config.library = "no/such.so";
  const auto opened = fnet::bundle_from_folder(folder.string(), config);
  REQUIRE_FALSE(opened);
  return opened.error();
}

}  // namespace

TEST_CASE("the inputs have the axis that the padding means") {
  CHECK(fault(fnet::MAX_LENGTH, 8).code == fnet::Code::session);  // the library is missing
  CHECK(fault(fnet::NONE, "sequence_length").code == fnet::Code::session);
  for (const auto& [padding, tokens, expected] :
       std::vector<std::tuple<const char*, json, std::string>>{{fnet::MAX_LENGTH, "sequence_length", "8"},
                                                               {fnet::MAX_LENGTH, 9, "8"},
                                                               {fnet::NONE, 8, "sequence_length"},
                                                               {fnet::NONE, "length", "sequence_length"}}) {
    const auto refused = fault(padding, tokens);
    CHECK(refused.code == fnet::Code::bundle);
    CHECK(refused.text.find(": expected the inputs input_ids, token_type_ids, each of " + expected + " tokens; found input_ids int64[") !=
          std::string::npos);
  }
}
