#include <nlohmann/json.hpp>

#include "bundle/manifest.h"
#include "catch.h"

using Json = nlohmann::ordered_json;

namespace {

const Json WHOLE = Json::parse(R"({
  "format_version": 1, "task": "masked-lm", "target": "onnx", "labels": [],
  "inputs": [{"name": "input_ids", "dtype": "int64", "axes": ["batch_size", 8]}],
  "outputs": [{"name": "logits", "dtype": "float32", "axes": ["batch_size", 8, 5]}],
  "sequence_length": 8, "padding": "max_length", "pad_to_multiple_of": 1, "pad_token_id": 3,
  "tokenizer": {"flavour": "fnet-slow", "do_lower_case": false, "keep_accents": true, "remove_space": true},
  "transform": "folded", "transform_reason": "asked for", "precision": "fp32", "quantization": null,
  "source": {"id": "x", "revision": null, "sha256": {"model.safetensors": "ab"}, "random_head": false},
  "tools": {"onnx": "1.0"}, "engine": null,
  "files": {"model.onnx": {"sha256": "", "size_bytes": 1}, "config.json": {"sha256": "", "size_bytes": 1},
            "golden.safetensors": {"sha256": "", "size_bytes": 1}, "spiece.model": {"sha256": "", "size_bytes": 1},
            "tokenizer_config.json": {"sha256": "", "size_bytes": 1}}})");
const Json ENGINE = Json::parse(R"({"file": "model.engine", "library": "tensorrt", "version": "10.13.0",
  "compute_capabilities": ["8.7"], "profiles": [{"batch_size": {"min": 1, "opt": 2, "max": 4}}],
  "build": {"gpu": null, "workspace_mib": 512, "optimization_level": null, "timing_cache_sha256": null,
            "version_compatible": false, "hardware_compatibility": "none", "weight_stripped": false}})");

// A manifest for texts at their own length, or at a multiple of so many tokens, and an engine for two ranges of lengths.
Json unpadded(int64_t multiple_of) {
  Json changed = WHOLE;
  changed["padding"] = "none";
  changed["pad_to_multiple_of"] = multiple_of;
  changed["inputs"][0]["axes"][1] = "sequence_length";
  changed["target"] = "tensorrt";
  changed["engine"] = ENGINE;
  changed["engine"]["profiles"] = Json::parse(R"([
    {"batch_size": {"min": 1, "opt": 1, "max": 4}, "sequence_length": {"min": 1, "opt": 2, "max": 4}},
    {"batch_size": {"min": 1, "opt": 1, "max": 4}, "sequence_length": {"min": 5, "opt": 8, "max": 8}}])");
  changed["files"]["model.engine"] = {{"sha256", ""}, {"size_bytes", 0}};
  return changed;
}

std::string fault(const char* path, const Json& value) {
  Json changed = WHOLE;
  changed[Json::json_pointer(path)] = value;
  const auto found = fnet::manifest_from_json(changed.dump());
  if (found) return "";
  CHECK(found.error().code == fnet::Code::bundle);
  return found.error().text;
}

std::string text_fault(const std::string& text) {
  const auto found = fnet::manifest_from_json(text);
  return found ? "" : found.error().text;
}

}  // namespace

TEST_CASE("a whole manifest is read") {
  const auto found = fnet::manifest_from_json(WHOLE.dump());
  REQUIRE(found);
  CHECK(found->sequence_length == 8);
  CHECK(std::get<int64_t>(found->inputs[0].axes[1]) == 8);
  CHECK(found->source.sha256[0].second == "ab");
  Json engine = WHOLE;
  engine["target"] = "tensorrt";
  engine["engine"] = ENGINE;
  engine["files"]["model.engine"] = {{"sha256", ""}, {"size_bytes", 0}};
  const auto with_engine = fnet::manifest_from_json(engine.dump());
  REQUIRE(with_engine);
  CHECK(with_engine->engine->whole_range("batch_size")->max == 4);
  CHECK(with_engine->engine->build->workspace_mib == 512);
  CHECK_FALSE(with_engine->engine->build->gpu);
}

TEST_CASE("the padding of a manifest is read, or refused") {
  const auto padded = fnet::manifest_from_json(WHOLE.dump()), own_length = fnet::manifest_from_json(unpadded(4).dump());
  REQUIRE(padded);
  CHECK(padded->text_padding().padded(3) == 8);
  CHECK(padded->sequence_axis() == fnet::Axis(int64_t{8}));
  REQUIRE(own_length);
  CHECK(own_length->text_padding().padded(3) == 4);
  CHECK(own_length->sequence_axis() == fnet::Axis("sequence_length"));
  CHECK(own_length->engine->profiles[1][1].second.opt == 8);
  const auto lengths = own_length->engine->whole_range("sequence_length");
  CHECK((lengths->min == 1 && lengths->opt == 8 && lengths->max == 8));
  CHECK_FALSE(own_length->engine->whole_range("num_choices"));
  CHECK(fault("/padding", "longest") == "manifest.json: padding: expected max_length or none, found \"longest\"");
  CHECK(fault("/padding", nullptr) == "manifest.json: /padding: expected a string, found null");
  for (const int multiple_of : {2, 0, -1}) {
    CHECK(fault("/pad_to_multiple_of", multiple_of) ==
          "manifest.json: pad_to_multiple_of: expected 1, because every text is padded to one length; found " +
              std::to_string(multiple_of));
  }
  for (const int multiple_of : {0, -1}) {
    CHECK(text_fault(unpadded(multiple_of).dump()) ==
          "manifest.json: pad_to_multiple_of: expected an integer from 1; found " + std::to_string(multiple_of));
  }
  for (const int multiple_of : {3, 16}) {
    CHECK(text_fault(unpadded(multiple_of).dump()) ==
          "manifest.json: pad_to_multiple_of: expected a number that divides the sequence length 8; found " + std::to_string(multiple_of));
  }
  Json profiles = unpadded(1);
  profiles["engine"]["profiles"][1]["sequence_length"]["min"] = 9;
  CHECK(text_fault(profiles.dump()) == "manifest.json: /engine/profiles/1/sequence_length: expected 1 <= min <= opt <= max, found 9, 8, 8");
  profiles = unpadded(1);
  profiles["engine"]["profiles"][1]["sequence_length"]["max"] = 9;
  CHECK(text_fault(profiles.dump()) == "manifest.json: /engine/profiles: expected at most 8 tokens, the longest text; found 9");
  profiles["engine"]["profiles"] = Json::array();
  CHECK(text_fault(profiles.dump()) == "manifest.json: /engine/profiles: expected at least one profile for the library tensorrt");
  profiles["engine"]["profiles"] = Json::array({Json::object()});
  CHECK(text_fault(profiles.dump()) ==
        "manifest.json: /engine/profiles/0: expected the open axes of the inputs, batch_size, sequence_length; found no axis");
}

TEST_CASE("what the format does not have is refused by its place, with what was expected and found") {
  CHECK(fault("/format_version", 2) == "manifest.json: /format_version: expected 1, found 2; update fnet_runtime, or export again");
  CHECK(fault("/format_version", false) == "manifest.json: /format_version: expected 1, found false; update fnet_runtime, or export again");
  CHECK(fault("/format_version", true) == "manifest.json: /format_version: expected an integer, found true");
  CHECK(fault("/format_version", 1.0) == "manifest.json: /format_version: expected an integer, found 1.0");
  CHECK(fault("/task", nullptr) == "manifest.json: /task: expected a string, found null");
  CHECK(fault("/labels", "A") == "manifest.json: /labels: expected a list, found \"A\"");
  CHECK(fault("/labels", {{"a", 1}}) == "manifest.json: /labels: expected a list, found {\"a\":1}");
  CHECK(fault("/labels/0", 1) == "manifest.json: /labels/0: expected a string, found 1");
  CHECK(fault("/inputs/0/axes/1", true) == "manifest.json: /inputs/0/axes/1: expected an integer or a string, found true");
  CHECK(fault("/sequence_length", Json(UINT64_MAX)) == "manifest.json: /sequence_length: expected an integer, found 18446744073709551615");
  CHECK(fault("/sequence_length", 0) == "manifest.json: /sequence_length: expected a length from 1, found 0");
  CHECK(fault("/pad_token_id", -1) == "manifest.json: /pad_token_id: expected an id from 0, found -1");
  CHECK(fault("/tools", Json::array()) == "manifest.json: /tools: expected an object, found []");
  CHECK(fault("/source/revision", 1) == "manifest.json: /source/revision: expected a string or null, found 1");
  CHECK(fault("/source", 1) == "manifest.json: /source: expected an object, found 1");
  CHECK(fault("/source/more", 1).find("/source: expected an object with the keys id, revision, sha256, random_head; unknown more") !=
        std::string::npos);
  CHECK(fault("/engine", 1) == "manifest.json: /engine: expected an object or null, found 1");
  CHECK(fault("/engine", ENGINE) == "manifest.json: /engine: expected null for the target onnx");
  CHECK(fault("/target", "openvino") == "manifest.json: /engine: expected an object for the target openvino");
  CHECK(fault("/target", "x") == "manifest.json: /target: expected one of onnx, openvino, tensorrt, tensorrt-rtx, found \"x\"");
  CHECK(fault("/precision", "x") == "manifest.json: /precision: expected one of fp32, fp16, bf16, int8, fp8, found \"x\"");
  CHECK(fault("/precision", "int8") == "manifest.json: /quantization: expected an object for the precision int8");
  CHECK(fault("/precision", "fp8") == "manifest.json: /quantization: expected an object for the precision fp8");
  CHECK(fault("/tokenizer/flavour", "x") ==
        "manifest.json: /tokenizer: flavour: expected one of f_net, sentencepiece, fnet-slow, fnet-fast, fnet-v5; found \"x\"");
  CHECK(fault("/tokenizer/flavour", "fnet-v5") == "manifest.json: /files: expected the files tokenizer.json as well");
  CHECK(fault("/task", std::string(1000, 'x') + "é").empty());  // the task's name is the pipelines' business
  CHECK(fault("/labels", std::string(1000, 'x')).size() < 300);
  for (const char* name : {"a~1b", "..", ".", "", "a\\b", "manifest.json"})
    CHECK(fault((std::string("/files/") + name).c_str(), {{"sha256", ""}, {"size_bytes", 1}})
              .find("expected plain names of files inside the bundle, found") != std::string::npos);
  Json engine = WHOLE;
  engine["target"] = "tensorrt";
  engine["engine"] = ENGINE;
  CHECK(text_fault(engine.dump()) == "manifest.json: /files: expected the files model.engine as well");
  Json unsaid = engine;
  unsaid["engine"]["build"] = nullptr;
  CHECK(text_fault(unsaid.dump()) == "manifest.json: /engine/build: expected an object for the library tensorrt");
  Json level = engine;
  level["engine"]["build"]["hardware_compatibility"] = "all";
  CHECK(text_fault(level.dump()) == "manifest.json: /engine/build/hardware_compatibility: expected one of none, ampere-plus, " +
                                        std::string("same-compute-capability, found \"all\""));
  engine["engine"]["library"] = "openvino";
  CHECK(text_fault(engine.dump()) == "manifest.json: /engine/library: expected tensorrt or tensorrt_rtx, found \"openvino\"");
  engine["engine"]["profiles"][0]["batch_size"]["min"] = 3;
  CHECK(text_fault(engine.dump()) == "manifest.json: /engine/profiles/0/batch_size: expected 1 <= min <= opt <= max, found 3, 2, 4");
}

TEST_CASE("what is not strict JSON is refused") {
  CHECK(text_fault("{\"a\": 1, \"a\": 2}") == "manifest.json: not JSON (duplicate key)");
  CHECK(text_fault("{").find("manifest.json: not JSON (") == 0);
  CHECK(text_fault(std::string(100000, '[')).find("manifest.json: not JSON (nested too deeply)") == 0);
  CHECK(text_fault("\xEF\xBB\xBF{}") == "manifest.json: not JSON (it begins with a byte order mark)");
  CHECK(text_fault("{\"a\": \xC3\xA9}") == "manifest.json: not JSON (syntax error at byte 7)");
  CHECK(text_fault("[]") == "manifest.json: expected an object, found []");
}

TEST_CASE("a folder that does not exist is refused") {
  const auto found = fnet::manifest_from_folder("no/such/");
  REQUIRE_FALSE(found);
  CHECK(found.error().text ==
        "no/such/manifest.json: cannot be read (No such file or directory); expected the folder that fnet-export wrote");
}
