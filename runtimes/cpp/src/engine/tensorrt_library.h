// What a session needs of TensorRT or TensorRT-RTX. Each product's headers are read in a translation unit of its own.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bundle/manifest.h"

namespace fnet {

// A tensor that goes in or out; an open axis is -1.
struct EngineTensor {
  std::string name, dtype;
  std::vector<int64_t> axes;
  bool output;
};

// What one run at a time needs. A call that returns false has told the engine's log why.
class TrtContext {
 public:
  virtual ~TrtContext() = default;
  // Changes the optimisation profile, by its number. A new context has the first. The shapes are to be set again.
  virtual bool choose_profile(int number, void* stream) = 0;
  virtual bool set_shape(const std::string& input, const std::vector<std::size_t>& shape) = 0;
  // The shape of an output for the inputs' shapes; a negative length is one that the engine cannot tell.
  virtual std::vector<int64_t> shape(const std::string& output) const = 0;
  virtual bool set_address(const std::string& tensor, void* address) = 0;
  // Where a context without memory works. Contexts that never run at once may share it.
  virtual void set_memory(void* address, int64_t size_bytes) = 0;
  virtual bool enqueue(void* stream) = 0;
};

enum class ContextKind { ordinary, without_memory, capturing };
// Who makes CUDA graphs: the session, by capturing a run, or the library itself, in a capturing context. TensorRT-RTX knows when its
// kernels are final, and which shape has which graph. Its releases before 1.3 make no graphs.
enum class GraphMaker { session, library, nobody };

// An opened engine; outlives its contexts. Thread-safe.
class TrtEngine {
 public:
  virtual ~TrtEngine() = default;
  virtual std::vector<EngineTensor> tensors() const = 0;
  // Null when there is none to be had.
  virtual std::unique_ptr<TrtContext> context(ContextKind kind) const = 0;
  // What a context without memory needs.
  virtual int64_t memory_bytes() const = 0;
  virtual GraphMaker graph_maker() const = 0;
  // The last errors that the library logged.
  virtual std::string said() const = 0;
};

constexpr int64_t MIB = 1 << 20;
using Range = std::array<std::vector<int64_t>, 3>;  // the least, the best and the greatest shape of an input
using Shapes = Named<Range>;

// What an engine is built from. What is missing is the library's choice.
struct TrtBuild {
  std::string graph;  // file of the graph, with its weights next to it
  std::vector<Shapes> profiles;
  std::optional<int64_t> workspace_mib, optimization_level;
  std::string compute_capability;  // of the GPU that is present
};

// A product's library, opened at run time.
struct TrtLibrary {
  std::string version;
  // The error's text is what the library says against the bytes, alone. An engine for newer versions holds code, which runs if
  // `host_code` allows it.
  std::function<Result<std::unique_ptr<TrtEngine>>(const std::string& bytes, bool host_code)> engine_from_bytes;
  // Builds an engine, in minutes. A session error has the library's words.
  std::function<Result<std::string>(const TrtBuild& build)> engine_from_graph = {};
};

// Opens a product's library: `file`, else the file that FNET_TENSORRT or FNET_TENSORRT_RTX names, else what the loader finds. A session
// error for one that is missing, or whose C++ classes are not those that this was compiled against.
Result<TrtLibrary> tensorrt_library(const std::string& file);
Result<TrtLibrary> tensorrt_rtx_library(const std::string& file);

}  // namespace fnet
