// Libraries that are opened at run time, so that one binary starts on hosts that lack them.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace fnet {

// Opens the library of a file, or else of the file that an environment variable names, or else the first of `names` that the loader
// finds. It is never closed. A session error calls it `what`.
Result<void*> library_from_names(const std::string& what, const std::string& file, const char* variable,
                                 const std::vector<std::string>& names);

// The folder of an opened library's file, with a slash at its end.
std::string folder_of_library(void* library);

// A function of an opened library; null where it has none of that name.
void* function_of(void* library, const char* name);

}  // namespace fnet
