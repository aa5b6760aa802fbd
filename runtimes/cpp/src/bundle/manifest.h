// manifest.json: the index of a bundle. The structs are the format (docs/bundle.md); the reader takes nothing else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/facts.h"
#include "base/files.h"
#include "tokenizer/tokenizer.h"

namespace fnet {

template <class T>
using Named = std::vector<std::pair<std::string, T>>;  // a JSON object, in the file's order
using Axis = std::variant<int64_t, std::string>;       // a length, or the name of an open one

struct TensorInfo {
  std::string name, dtype;
  std::vector<Axis> axes;
};

struct Source {
  std::string id;
  std::optional<std::string> revision;
  Named<std::string> sha256;
  bool random_head;
};

struct AxisProfile {
  int64_t min, opt, max;
};

// How TensorRT built an engine; what is missing was the library's choice.
struct EngineBuild {
  std::optional<std::string> gpu;  // that built it; missing where none was needed
  std::optional<int64_t> workspace_mib, optimization_level;
  std::optional<std::string> timing_cache_sha256;
  bool version_compatible = false;
  std::string hardware_compatibility = NO_COMPATIBILITY;
  bool weight_stripped = false;
};

struct EngineInfo {
  std::string file, library, version;
  std::vector<std::string> compute_capabilities;
  std::vector<Named<AxisProfile>> profiles;         // of TensorRT: the optimisation profiles, each with every open axis; else empty
  std::optional<EngineBuild> build = std::nullopt;  // missing for OpenVINO

  // From the shortest to the longest length that a profile has of an axis, tuned for the widest profile; missing without profiles.
  std::optional<AxisProfile> whole_range(const std::string& axis) const;
};

struct Quantization {
  std::string method, data, sha256;
  int64_t texts;
  std::vector<std::string> kept;
};

struct Manifest {
  int64_t format_version;
  std::string task, target;
  std::vector<std::string> labels;
  std::vector<TensorInfo> inputs, outputs;
  int64_t sequence_length;
  std::string padding;
  int64_t pad_to_multiple_of, pad_token_id;
  TokenizerOptions tokenizer;
  std::string transform, transform_reason, precision;
  std::optional<Quantization> quantization;
  Source source;
  Named<std::string> tools;
  std::optional<EngineInfo> engine;
  Named<FileInfo> files;

  // How texts are cut and padded.
  Padding text_padding() const { return {sequence_length, padding, pad_to_multiple_of}; }
  // The axis of the tokens of an input: the length of every text, or SEQUENCE where each text has its own.
  Axis sequence_axis() const { return padding == MAX_LENGTH ? Axis(sequence_length) : Axis(SEQUENCE); }
};

// Reads manifest.json's text; `name` is what errors call it. A bundle error for anything that the format does not have.
Result<Manifest> manifest_from_json(const std::string& text, const std::string& name = MANIFEST);

// Reads the manifest's list of a graph's inputs or outputs alone.
Result<std::vector<TensorInfo>> tensors_from_json(const std::string& text, const std::string& name);

// Reads a bundle's manifest and checks every file that it lists. A bundle error names the file that is missing or altered.
Result<Manifest> manifest_from_folder(const std::string& folder);

}  // namespace fnet
