// The parser of the stand-in for TensorRT: it names the network with the text of model.onnx, and refuses a text that begins with `DFT`.
#include <NvOnnxParser.h>

#include <fstream>
#include <sstream>
#include <string>

#include "parser.inc"

namespace {

using namespace nvonnxparser;

class Fault : public IParserError {
 public:
  ErrorCode code() const override { return ErrorCode::kUNSUPPORTED_NODE; }
  char const* desc() const override { return "no importer is registered"; }
  char const* file() const override { return ""; }
  int line() const override { return 0; }
  char const* func() const override { return ""; }
  int node() const override { return 0; }
  char const* nodeName() const override { return "mixing"; }
  char const* nodeOperator() const override { return "DFT"; }
  char const* const* localFunctionStack() const override { return nullptr; }
  int32_t localFunctionStackSize() const override { return 0; }
};

class Parser : public IParserStub {
 public:
  explicit Parser(nvinfer1::INetworkDefinition& network) : network_(network) {}
  bool parseFromFile(char const* file, int) noexcept override {
    std::stringstream text;
    text << std::ifstream(file).rdbuf();
    network_.setName(text.str().c_str());
    refused_ = text.str().rfind("DFT", 0) == 0;
    return !refused_;
  }
  int getNbErrors() const noexcept override { return refused_; }
  IParserError const* getError(int) const noexcept override { return &fault_; }

 private:
  nvinfer1::INetworkDefinition& network_;
  const Fault fault_;
  bool refused_ = false;
};

}  // namespace

extern "C" void* createNvOnnxParser_INTERNAL(void* network, void*, int) noexcept {
  return new Parser(*static_cast<nvinfer1::INetworkDefinition*>(network));
}
