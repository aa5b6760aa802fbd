#include "base/files.h"

#include <sys/stat.h>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <system_error>
#include <vector>

#include "base/sha256.h"

namespace fnet {
namespace {

// Reads a file in parts. Returns 0, or errno.
template <class Take>
int read_parts(const std::string& path, Take take) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) return errno;
  std::vector<char> part(1 << 18);
  while (const std::size_t count = std::fread(part.data(), 1, part.size(), file.get())) take(part.data(), count);
  return std::ferror(file.get()) ? errno : 0;
}

}  // namespace

std::string SystemFault::text() const { return std::system_category().message(number); }

FromSystem<std::string> bytes_from_file(const std::string& path) {
  std::string bytes;
  const int fault = read_parts(path, [&](const char* part, std::size_t count) { bytes.append(part, count); });
  if (fault) return SystemFault{fault};
  return bytes;
}

FromSystem<FileInfo> info_from_file(const std::string& path) {
  Sha256 hash;
  int64_t size = 0;
  const int fault = read_parts(path, [&](const char* part, std::size_t count) {
    hash.add(part, count);
    size += static_cast<int64_t>(count);
  });
  if (fault) return SystemFault{fault};
  return FileInfo{hash.hex(), size};
}

bool exists(const std::string& path) {
  struct stat found {};
  return stat(path.c_str(), &found) == 0;
}

std::string plain_path(const std::string& path) {
  std::string plain = path.empty() || path[0] != '/' ? "" : "/", part;
  for (std::size_t i = 0; i <= path.size(); ++i) {
    if (i < path.size() && path[i] != '/') {
      part += path[i];
      continue;
    }
    if (!part.empty() && part != ".") plain += (plain.empty() || plain.back() == '/' ? "" : "/") + part;
    part.clear();
  }
  return plain.empty() ? "." : plain;
}

}  // namespace fnet
