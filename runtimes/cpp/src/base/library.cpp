#include "base/library.h"

#include <dlfcn.h>
#include <link.h>

#include <cstdlib>

namespace fnet {

Result<void*> library_from_names(const std::string& what, const std::string& file, const char* variable,
                                 const std::vector<std::string>& names) {
  const char* named = std::getenv(variable);
  const std::string only = !file.empty() ? file : named ? named : "";
  std::string why;
  for (const std::string& name : only.empty() ? names : std::vector<std::string>{only}) {
    if (void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    why += (why.empty() ? "" : "; ") + std::string(dlerror());
  }
  return session_error(what + "'s library cannot be opened (" + why + "); install it, or name its file in " + variable);
}

std::string folder_of_library(void* library) {
  const link_map* map = nullptr;
  const std::string file = dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 ? map->l_name : "";
  return file.substr(0, file.rfind('/') + 1);
}

void* function_of(void* library, const char* name) { return dlsym(library, name); }

}  // namespace fnet
