// A golden.safetensors of any bytes is read or refused; what is read can be compared with outputs of its own shapes.
#include "bundle/golden.h"
#include "pipeline/self_test.h"

extern "C" int LLVMFuzzerTestOneInput(const char* data, std::size_t size) {
  const auto golden = fnet::golden_from_bytes({data, size});
  if (!golden) return 0;
  std::vector<fnet::Outputs> outputs;
  for (const fnet::Case& one : golden->cases) {
    fnet::Outputs& of_case = outputs.emplace_back();
    for (const auto& [name, reference] : one.references)
      of_case[name] = {reference.shape, {reference.values.begin(), reference.values.end()}};
  }
  (void)fnet::checks_from_outputs(outputs, *golden);
  return 0;
}
