// A manifest.json of any bytes is read or refused.
#include "bundle/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const char* data, std::size_t size) {
  (void)fnet::manifest_from_json({data, size});
  return 0;
}
