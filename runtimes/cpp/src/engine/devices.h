// What this host can run bundles with: providers of ONNX Runtime, GPUs, and the libraries of engines.
#pragma once

#include <string>
#include <vector>

namespace fnet {

// A provider, a gpu or the library of an engine; `kind` says which. `detail` describes it, or says why this host lacks it.
struct Device {
  std::string kind, name;
  bool usable;
  std::string detail;
};

// All of them, those that this host lacks as well. `library`: the file of ONNX Runtime's library, empty to search. Opens no bundle.
std::vector<Device> devices_of_host(const std::string& library);
// The providers as ONNX Runtime has them.
std::vector<Device> ort_providers(const std::string& library);

}  // namespace fnet
