// The cache of rebuilt engines: the folder, the names and the files of the Python runtime, so that either opens what the other built. An
// entry is a folder with an engine and its description, and it has a lock. The engines of one GPU share a limit of size. A host never
// removes the engines of another GPU, so two hosts can share a folder. What fails throws std::system_error.
#pragma once

#include <optional>
#include <string>

#include "bundle/engine_json.h"

namespace fnet {

// The folder: the one that FNET_RUNTIME_CACHE names, or one in the user's cache.
std::string engine_cache();
// How many bytes the engines of one GPU may take. An input error for an invalid FNET_RUNTIME_CACHE_MIB.
Result<int64_t> limit_of_cache();

// Holds the lock of an entry. The system releases the lock of a process that dies.
class CacheLock {
 public:
  enum class If { waited, free };  // whether to wait for another process, or to go without
  CacheLock(const std::string& cache, const std::string& key, If when = If::waited);
  CacheLock(const CacheLock&) = delete;
  CacheLock& operator=(const CacheLock&) = delete;
  ~CacheLock();
  bool held() const { return descriptor_ >= 0; }

 private:
  int descriptor_ = -1;
};

// The description of an entry, and a note that it is used; nothing where there is no whole one. The caller holds its lock.
std::optional<EngineEntry> used_entry(const std::string& cache, const std::string& key);

// Writes an entry next to its place, and renames it. The caller holds its lock.
EngineEntry keep(const std::string& cache, const std::string& key, const std::string& bytes, const EngineInfo& info, const Gpu& gpu);

// Removes engines of the GPU of a new entry, but never the new one: those of an older driver or library first, then the least recently used
// ones, until the others fit the limit. An entry stays if another process holds its lock or has just used it, and if this process may not
// remove it.
void trim(const std::string& cache, const std::string& key, const EngineEntry& added, int64_t limit_bytes);

}  // namespace fnet
