// Reading files, with the errors of the Python runtime.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace fnet {

struct FileInfo {
  std::string sha256;  // in hexadecimal
  int64_t size_bytes;
};

// A failed system call: its number, as errno has it.
struct SystemFault {
  int number;
  std::string text() const;
};

// Like std::expected: the value, or what the system said.
template <class T>
using FromSystem = std::variant<T, SystemFault>;

FromSystem<std::string> bytes_from_file(const std::string& path);
// Hashes and measures one file.
FromSystem<FileInfo> info_from_file(const std::string& path);
bool exists(const std::string& path);

// A path as Python's pathlib spells it: no `.`, no double or trailing slash.
std::string plain_path(const std::string& path);

}  // namespace fnet
