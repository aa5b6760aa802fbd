// What an opened engine is to the rest: arrays in, arrays out; and how a batch of any size meets the sizes that it takes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/array.h"
#include "base/error.h"
#include "base/facts.h"
#include "bundle/manifest.h"

namespace fnet {

// The batch of a session that takes any; bounds the memory of long lists.
inline constexpr AxisProfile ANY_BATCH{1, 8, 8};

class Session {
 public:
  virtual ~Session() = default;
  // How many rows it takes at once.
  virtual AxisProfile batch() const { return ANY_BATCH; }
  // Runs inputs of the manifest's axes. Thread-safe.
  virtual Result<Outputs> run(const Inputs& inputs) const = 0;
  // Which nodes a provider left to the CPU; empty where it left none.
  virtual std::string note() const { return ""; }
};

// What is wrong with inputs: a missing or unknown name, another rank, a fixed axis of another length, or an open one that is empty
// or differs between inputs.
std::optional<Error> inputs_fault(const Inputs& inputs, const std::vector<TensorInfo>& expected);
// Tensors in an error, such as input_ids int64["batch_size", 512].
std::string shown(const std::vector<TensorInfo>& tensors);
// A session error unless an opened graph has just the inputs that the manifest says, in any order.
std::optional<Error> graph_fault(const std::string& model, std::vector<TensorInfo> found, std::vector<TensorInfo> expected);

// Takes the number of a row and its outputs, with a batch axis of 1. An error ends the run.
using TakeRow = std::function<std::optional<Error>(std::size_t number, Outputs outputs)>;

// Runs rows, each with a batch axis of 1, and gives away the outputs of each row as its batch is done. Rows of one shape run as batches, so
// that no row is padded for the sake of another.
std::optional<Error> run_rows(const Session& session, const std::vector<Inputs>& rows, const TakeRow& take);

// Runs any number of rows: at once up to batch.max, else by batch.opt; a batch below batch.min is filled with copies.
Result<Outputs> run_in_batches(const Session& session, const Inputs& inputs);

// How ONNX Runtime opens a graph.
struct OrtChoice {
  int threads = 0;                                // cores that it may use; 0 is all
  std::string library = {};                       // its file; empty to search
  const ProviderFacts* provider = &PROVIDERS[0];  // what runs the nodes
  std::string precision = {};                     // of the graph
  int device = 0;                                 // number of the provider's GPU
  bool allow_partial = false;                     // the CPU may run the nodes that the provider does not take
};

// Opens a model.onnx with ONNX Runtime. A provider that cannot be used here is an error, and so is one that does not take every node.
Result<std::unique_ptr<Session>> ort_session(const std::string& model, const std::vector<TensorInfo>& inputs, const OrtChoice& choice);

}  // namespace fnet
