#include "engine/fit.h"

#include <algorithm>
#include <cctype>

#include "base/facts.h"
#include "base/words.h"

namespace fnet {
namespace {

using Numbers = std::vector<int64_t>;

const Numbers AMPERE{8, 0};
constexpr const char *TENSORRT = "tensorrt",
                     *WAY_OUT = ". Build the engine for this host with fnet-run --rebuild, or open model.onnx with the runtime onnxruntime";

std::string gpu_differs(const EngineInfo& info, const Gpu& gpu) {
  const EngineBuild build = info.build.value_or(EngineBuild{});
  const auto& built_for = info.compute_capabilities;
  const bool from_ampere = build.hardware_compatibility == AMPERE_PLUS;
  const bool listed = built_for.empty() || std::count(built_for.begin(), built_for.end(), gpu.compute_capability);
  if (!listed && !(from_ampere && numbers_of_version(gpu.compute_capability) >= AMPERE)) {
    return "expected a GPU of compute capability " + (from_ampere ? "8.0 or newer" : joined(built_for, " or ")) + ", found " +
           gpu.compute_capability + " (" + gpu.name + ")";
  }
  if (build.gpu && build.hardware_compatibility == NO_COMPATIBILITY && *build.gpu != gpu.name)
    return "expected the GPU " + *build.gpu + ", found " + gpu.name;
  return "";
}

std::string version_differs(const EngineInfo& info, const std::string& version) {
  const Numbers expected = numbers_of_version(info.version), found = numbers_of_version(version);
  const auto shared = static_cast<std::ptrdiff_t>(std::min(expected.size(), found.size()));
  if (std::equal(expected.begin(), expected.begin() + shared, found.begin())) return "";
  std::string newer;
  if (info.library == TENSORRT && info.build && info.build->version_compatible) {
    const int64_t newest = expected[0] == 10 ? 11 : expected[0];  // TensorRT 11 opens such engines of TensorRT 10
    if (expected < found && found[0] <= newest) return "";
    newer = " or newer, up to " + std::to_string(newest);
  }
  return "expected " + info.library + " " + info.version + newer + ", found " + version;
}

}  // namespace

std::vector<int64_t> numbers_of_version(const std::string& version) {
  std::vector<int64_t> found;
  for (std::size_t i = 0; i < version.size() && std::isdigit(static_cast<unsigned char>(version[i]));) {
    int64_t number = 0;
    for (; i < version.size() && std::isdigit(static_cast<unsigned char>(version[i])) && number < 1'000'000; ++i)
      number = 10 * number + (version[i] - '0');
    found.push_back(number);
    if (i < version.size() && version[i] == '.') ++i;
  }
  return found;
}

std::optional<Error> fit_fault(const std::string& engine, const EngineInfo& info, const Gpu& gpu, const std::string& version) {
  const std::string of_gpu = gpu_differs(info, gpu), of_version = version_differs(info, version);
  if (!of_gpu.empty() || !of_version.empty()) {
    const std::string both = of_gpu.empty() || of_version.empty() ? "" : " and ";
    return Error{of_gpu.empty() ? Code::session : Code::no_device, engine + ": " + of_gpu + both + of_version + WAY_OUT};
  }
  if (info.build && info.build->weight_stripped) {
    return session_error(engine + ": has no weights, and only the Python runtime fills them in from model.onnx. Build " +
                         "the engine with its weights by fnet-run --rebuild, or open model.onnx with the runtime onnxruntime");
  }
  return std::nullopt;
}

}  // namespace fnet
