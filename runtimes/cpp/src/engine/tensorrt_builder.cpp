#include "engine/tensorrt_builder.h"

#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <algorithm>
#include <iterator>
#include <memory>

#include "base/library.h"
#include "base/words.h"

namespace fnet {
namespace {

#ifdef TRT_MAJOR_RTX
constexpr const char *NAME = "tensorrt_rtx", *PARSER = "libtensorrt_onnxparser_rtx.so", *PARSER_VARIABLE = "FNET_TENSORRT_RTX_PARSER";
#else
constexpr const char *NAME = "tensorrt", *PARSER = "libnvonnxparser.so", *PARSER_VARIABLE = "FNET_TENSORRT_PARSER";
#endif
constexpr nvinfer1::OptProfileSelector BOUNDS[] = {nvinfer1::OptProfileSelector::kMIN, nvinfer1::OptProfileSelector::kOPT,
                                                   nvinfer1::OptProfileSelector::kMAX};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // TensorRT 11 has no other networks, and ignores the flag
constexpr auto STRONGLY_TYPED = 1U << static_cast<unsigned>(nvinfer1::NetworkDefinitionCreationFlag::kSTRONGLY_TYPED);
#pragma GCC diagnostic pop

using CreateParser = decltype(&::createNvOnnxParser_INTERNAL);

// The parser of the library: the file that a variable names, else the one next to the library, else what the loader finds.
Result<CreateParser> parser_of(void* library) {
  const std::string name = PARSER, numbered = name + "." + std::to_string(NV_TENSORRT_MAJOR), folder = folder_of_library(library);
  const auto opened = library_from_names(std::string("the ONNX parser of ") + NAME, "", PARSER_VARIABLE,
                                         {folder + numbered, folder + name, numbered, name});
  if (!opened) return opened.error();
  const auto create = reinterpret_cast<CreateParser>(function_of(*opened, "createNvOnnxParser_INTERNAL"));
  if (!create)
    return session_error(std::string("the library that was opened as the ONNX parser of ") + NAME + " lacks its functions; expected " +
                         PARSER);
  return create;
}

nvinfer1::Dims dims_from_axes(const std::vector<int64_t>& axes) {
  nvinfer1::Dims dims{};
  dims.nbDims = static_cast<int32_t>(std::min<std::size_t>(axes.size(), nvinfer1::Dims::MAX_DIMS));
  std::copy_n(axes.begin(), dims.nbDims, dims.d);
  return dims;
}

// What the parser refused, else what the library logged.
std::string reasons(const nvonnxparser::IParser& parser, const std::function<std::string()>& said) {
  std::vector<std::string> words;
  for (int i = 0; i < parser.getNbErrors(); ++i) {
    const auto& error = *parser.getError(i);
    words.push_back(std::string(error.nodeOperator()) + " node " + error.nodeName() + ": " + error.desc());
  }
  const std::string all = words.empty() ? said() : joined(words, "; ");
  return all + (all.find("DFT") == all.npos ? "" : ". This parser has no DFT: export with --transform dft");
}

// Whether the library takes a profile.
bool add_profile(nvinfer1::IBuilder& builder, nvinfer1::IBuilderConfig& config, const Shapes& shapes) {
  auto* profile = builder.createOptimizationProfile();
  if (!profile) return false;
  for (const auto& [input, range] : shapes) {
    for (std::size_t i = 0; i < range.size(); ++i) {
      if (!profile->setDimensions(input.c_str(), BOUNDS[i], dims_from_axes(range[i]))) return false;
    }
  }
  return config.addOptimizationProfile(profile) >= 0;
}

// Whether the library builds for a compute capability, such as 8.9. TensorRT builds for the GPU that is present.
bool set_compute_capability([[maybe_unused]] nvinfer1::IBuilderConfig& config, [[maybe_unused]] const std::string& capability) {
#ifdef TRT_MAJOR_RTX
  std::string number = capability;
  number.erase(std::remove(number.begin(), number.end(), '.'), number.end());
  return config.setNbComputeCapabilities(1) && config.setComputeCapability(static_cast<nvinfer1::ComputeCapability>(std::stoi(number)), 0);
#else
  return true;
#endif
}

}  // namespace

Result<std::string> engine_from_graph(void* library, const TrtBuild& build, const std::string& version, nvinfer1::ILogger& log,
                                      const std::function<std::string()>& said) {
  const std::string name = std::string(NAME) + " " + version, graph = std::string(MODEL) + ": ";
  const auto create = reinterpret_cast<decltype(&::createInferBuilder_INTERNAL)>(function_of(library, "createInferBuilder_INTERNAL"));
  if (!create) return session_error(name + ": the library that was opened has no builder; install the whole library");
  const auto create_parser = parser_of(library);
  if (!create_parser) return create_parser.error();
  const auto failed = [&](const std::string& what) { return session_error(graph + name + " " + what + ": " + said()); };
  // each outlives those that follow
  const std::unique_ptr<nvinfer1::IBuilder> builder(static_cast<nvinfer1::IBuilder*>(create(&log, NV_TENSORRT_VERSION)));
  if (!builder) return failed("cannot start a build");
  const std::unique_ptr<nvinfer1::INetworkDefinition> network(builder->createNetworkV2(STRONGLY_TYPED));
  const std::unique_ptr<nvinfer1::IBuilderConfig> config(builder->createBuilderConfig());
  if (!network || !config) return failed("cannot start a build");
  if (!set_compute_capability(*config, build.compute_capability))
    return session_error(name + " cannot build for compute capability " + build.compute_capability + ": " + said() +
                         ". Open model.onnx with the runtime onnxruntime");
  const std::unique_ptr<nvonnxparser::IParser> parser(
      static_cast<nvonnxparser::IParser*>((*create_parser)(network.get(), &log, NV_ONNX_PARSER_VERSION)));
  if (!parser) return failed("cannot start its parser");
  if (!parser->parseFromFile(build.graph.c_str(), static_cast<int>(nvinfer1::ILogger::Severity::kERROR)))
    return session_error(graph + name + " cannot parse the graph: " + reasons(*parser, said));
  config->setProfilingVerbosity(nvinfer1::ProfilingVerbosity::kDETAILED);  // as in Python: the same engine
  config->clearFlag(nvinfer1::BuilderFlag::kTF32);  // on by default, it rounds factors of float32 products to 10 bits
  if (build.workspace_mib)
    config->setMemoryPoolLimit(nvinfer1::MemoryPoolType::kWORKSPACE, static_cast<std::size_t>(*build.workspace_mib) * MIB);
  if (build.optimization_level) config->setBuilderOptimizationLevel(static_cast<int32_t>(*build.optimization_level));
  for (const Shapes& shapes : build.profiles) {
    if (!add_profile(*builder, *config, shapes)) return failed("refuses a profile of the inputs");
  }
  const std::unique_ptr<nvinfer1::IHostMemory> bytes(builder->buildSerializedNetwork(*network, *config));
  if (!bytes) return failed("built no engine");
  return std::string(static_cast<const char*>(bytes->data()), bytes->size());
}

}  // namespace fnet
