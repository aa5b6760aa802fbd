// The builder of the stand-in for TensorRT. stand_in_parser.cpp names the network with the text of model.onnx, and the bytes of the engine
// are that text; a network that is named `fail` is not built. Each build takes STAND_IN_SECONDS, and adds a line of what was set to the
// file STAND_IN_BUILDS.
#include <NvInfer.h>

#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace nvinfer1;

inline std::string text_of(char const* variable, char const* otherwise) {
  char const* text = std::getenv(variable);
  return text ? text : otherwise;
}

class ProfileCalls : public VOptimizationProfileStub {
 public:
  bool setDimensions(char const* input, OptProfileSelector, Dims const& dims) noexcept override {
    shapes += std::string(" ") + input;
    for (int32_t i = 0; i < dims.nbDims; ++i) shapes += (i ? "x" : " ") + std::to_string(dims.d[i]);
    return true;
  }
  std::string shapes;
};

class Profile : public IOptimizationProfile {
 public:
  Profile() { mImpl = &calls; }
  ProfileCalls calls;
};

class ConfigCalls : public VBuilderConfigStub {
 public:
  void setProfilingVerbosity(ProfilingVerbosity) noexcept override {}
  void clearFlag(BuilderFlag flag) noexcept override { set += flag == BuilderFlag::kTF32 ? " no-tf32" : " another-flag"; }
  void setMemoryPoolLimit(MemoryPoolType, std::size_t size) noexcept override { set += " workspace " + std::to_string(size); }
  void setBuilderOptimizationLevel(int32_t level) noexcept override { set += " level " + std::to_string(level); }
  int32_t addOptimizationProfile(IOptimizationProfile const* profile) noexcept override {
    set += static_cast<Profile const*>(profile)->calls.shapes;
    return 0;
  }
#ifdef TRT_MAJOR_RTX
  bool setNbComputeCapabilities(int32_t count) noexcept override { return count == 1; }
  bool setComputeCapability(ComputeCapability capability, int32_t) noexcept override { return capability == ComputeCapability::kSM89; }
#endif
  std::string set;
};

class BuilderConfig : public IBuilderConfig {
 public:
  BuilderConfig() { mImpl = &calls; }
  ConfigCalls calls;
};

class NetworkCalls : public VNetworkDefinitionStub {
 public:
  void setName(char const* text) noexcept override { name = text; }
  char const* getName() const noexcept override { return name.c_str(); }
  std::string name;
};

class Network : public INetworkDefinition {
 public:
  Network() { mImpl = &calls_; }

 private:
  NetworkCalls calls_;
};

class BytesCalls : public VHostMemoryStub {
 public:
  explicit BytesCalls(std::string bytes) : bytes_(std::move(bytes)) {}
  void* data() const noexcept override { return const_cast<char*>(bytes_.data()); }
  std::size_t size() const noexcept override { return bytes_.size(); }

 private:
  const std::string bytes_;
};

class Bytes : public IHostMemory {
 public:
  explicit Bytes(std::string bytes) : calls_(std::move(bytes)) { mImpl = &calls_; }

 private:
  BytesCalls calls_;
};

class BuilderCalls : public VBuilderStub {
 public:
  explicit BuilderCalls(ILogger& logger) : logger_(logger) {}
  INetworkDefinition* createNetworkV2(NetworkDefinitionCreationFlags) noexcept override { return new Network; }
  IBuilderConfig* createBuilderConfig() noexcept override { return new BuilderConfig; }
  IOptimizationProfile* createOptimizationProfile() noexcept override {
    profiles_.push_back(std::make_unique<Profile>());
    return profiles_.back().get();
  }
  IHostMemory* buildSerializedNetwork(INetworkDefinition& network, IBuilderConfig& config) noexcept override {
    const std::string name = network.getName();
    std::ofstream(text_of("STAND_IN_BUILDS", "/dev/null"), std::ios::app)
        << name << static_cast<BuilderConfig&>(config).calls.set << std::endl;
    std::this_thread::sleep_for(std::chrono::duration<double>(std::stod(text_of("STAND_IN_SECONDS", "0"))));
    if (name != "fail") return new Bytes(name);
    logger_.log(ILogger::Severity::kERROR, "no kernel fits the workspace");
    return nullptr;
  }

 private:
  ILogger& logger_;
  std::vector<std::unique_ptr<Profile>> profiles_;
};

class Builder : public IBuilder {
 public:
  explicit Builder(ILogger& logger) : calls_(logger) { mImpl = &calls_; }

 private:
  BuilderCalls calls_;
};

}  // namespace
