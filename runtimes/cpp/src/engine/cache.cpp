#include "engine/cache.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <system_error>
#include <tuple>
#include <vector>

#include "engine/fit.h"
#include "engine/tensorrt_library.h"

namespace fnet {
namespace {

constexpr std::size_t LIMIT_DIGITS = 9;

[[noreturn]] void fail() { throw std::system_error(errno, std::system_category()); }

std::string text_of(const char* variable) {
  const char* text = std::getenv(variable);
  return text ? text : "";
}

std::string home() {
  if (const char* named = std::getenv("HOME")) return named;
  const passwd* user = getpwuid(getuid());
  return user ? user->pw_dir : "";
}

std::string lock_of(const std::string& cache, const std::string& key) { return cache + "/." + key + ".lock"; }

// Whether an opened file still has its name. Who removes an entry removes its lock too, and a later process makes a new one.
bool in_place(int descriptor, const std::string& file) {
  struct stat opened {
  }, named{};
  return fstat(descriptor, &opened) == 0 && stat(file.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

void remove_folder(const std::string& folder) {
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
}

// A folder that is removed in the end, where it still is.
struct PartialFolder {
  explicit PartialFolder(std::string pattern) : path(std::move(pattern)) {
    if (!mkdtemp(path.data())) fail();
  }
  PartialFolder(const PartialFolder&) = delete;
  PartialFolder& operator=(const PartialFolder&) = delete;
  ~PartialFolder() { remove_folder(path); }
  std::string path;
};

void write_file(const std::string& path, const std::string& bytes) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "wb"), std::fclose);
  if (!file || std::fwrite(bytes.data(), 1, bytes.size(), file.get()) != bytes.size()) fail();
  if (std::fclose(file.release()) != 0) fail();
}

FileInfo measured(const std::string& path) {
  auto info = info_from_file(path);
  if (const auto* fault = std::get_if<SystemFault>(&info)) throw std::system_error(fault->number, std::system_category());
  return std::get<FileInfo>(info);
}

std::optional<EngineEntry> described(const std::string& folder) {
  const auto text = bytes_from_file(folder + "/" + DESCRIPTION);
  if (std::holds_alternative<SystemFault>(text)) return std::nullopt;
  auto entry = entry_from_json(std::get<std::string>(text));
  if (!entry) return std::nullopt;
  return *std::move(entry);
}

// When an entry was used last, in seconds since the epoch; 0 for an entry that another process has removed.
double used_s(const std::string& folder) {
  struct stat found {};
  if (stat((folder + "/" + DESCRIPTION).c_str(), &found) != 0) return 0;
  return static_cast<double>(found.st_mtim.tv_sec) + 1e-9 * static_cast<double>(found.st_mtim.tv_nsec);
}

// Whether an update made an entry useless: its driver and its library are not newer, and one of them is older.
bool outdated(const EngineEntry& entry, const EngineEntry& added) {
  const auto old_driver = numbers_of_version(entry.gpu.driver), new_driver = numbers_of_version(added.gpu.driver);
  const auto old_version = numbers_of_version(entry.engine.version), new_version = numbers_of_version(added.engine.version);
  return entry.engine.library == added.engine.library && old_driver <= new_driver && old_version <= new_version &&
         (old_driver != new_driver || old_version != new_version);
}

// Removes an entry and its lock, unless a process holds the lock or may be about to open the engine.
bool removed(const std::string& cache, const std::string& key) {
  try {
    const std::string folder = cache + "/" + key;
    const CacheLock lock(cache, key, CacheLock::If::free);
    if (!lock.held() || static_cast<double>(std::time(nullptr)) - used_s(folder) < RECENT_S) return false;
    std::filesystem::remove(folder + "/" + ENGINE);  // first, so that whatever is left without it is small
    std::filesystem::remove_all(folder);
    std::filesystem::remove(lock_of(cache, key));
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}

}  // namespace

std::string engine_cache() {
  std::string base = text_of(CACHE_VARIABLE);
  if (base.empty()) {
    const std::string caches = text_of("XDG_CACHE_HOME");
    base = (caches.empty() ? home() + "/.cache" : caches) + "/fnet-runtime";
  }
  return plain_path(base + "/engines");
}

Result<int64_t> limit_of_cache() {
  const std::string text = text_of(LIMIT_VARIABLE);
  if (text.empty()) return int64_t{DEFAULT_CACHE_MIB} * MIB;
  if (text.size() > LIMIT_DIGITS || text.find_first_not_of("0123456789") != std::string::npos)
    return input_error(std::string(LIMIT_VARIABLE) + ": expected a number of MiB from 0 to 999999999, found " + text);
  return std::stoll(text) * MIB;
}

CacheLock::CacheLock(const std::string& cache, const std::string& key, If when) {
  const std::string file = lock_of(cache, key);
  while (true) {
    const int opened = open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (opened < 0) fail();
    descriptor_ = opened;
    int fault = 0;
    while (flock(opened, when == If::free ? LOCK_EX | LOCK_NB : LOCK_EX) != 0 && (fault = errno) == EINTR) fault = 0;
    if (fault == 0 && in_place(opened, file)) return;
    close(opened);
    descriptor_ = -1;
    if (fault == EWOULDBLOCK || (fault == 0 && when == If::free)) return;
    if (fault != 0) throw std::system_error(fault, std::system_category());
  }
}

CacheLock::~CacheLock() {
  if (held()) close(descriptor_);
}

std::optional<EngineEntry> used_entry(const std::string& cache, const std::string& key) {
  const std::string folder = cache + "/" + key;
  auto entry = described(folder);
  const auto file = info_from_file(folder + "/" + ENGINE);
  if (!entry || std::holds_alternative<SystemFault>(file)) return std::nullopt;
  const auto& [sha256, size] = std::get<FileInfo>(file);
  if (sha256 != entry->file.sha256 || size != entry->file.size_bytes) return std::nullopt;
  utimensat(AT_FDCWD, (folder + "/" + DESCRIPTION).c_str(), nullptr, 0);  // an entry of another user is used all the same
  return entry;
}

EngineEntry keep(const std::string& cache, const std::string& key, const std::string& bytes, const EngineInfo& info, const Gpu& gpu) {
  const std::string prefix = "." + key + ".partial-", place = cache + "/" + key;
  std::vector<std::string> left;  // this process holds the lock, so the one that made these is dead
  for (const auto& found : std::filesystem::directory_iterator(cache)) {
    if (found.path().filename().string().compare(0, prefix.size(), prefix) == 0) left.push_back(found.path().string());
  }
  for (const std::string& folder : left) remove_folder(folder);
  const PartialFolder part(cache + "/" + prefix + "XXXXXX");
  const std::string engine = part.path + "/" + ENGINE;
  write_file(engine, bytes);
  EngineEntry entry{info, measured(engine), gpu};
  write_file(part.path + "/" + DESCRIPTION, json_from_entry(entry));
  remove_folder(place);  // a damaged entry
  std::filesystem::rename(part.path, place);
  return entry;
}

void trim(const std::string& cache, const std::string& key, const EngineEntry& added, int64_t limit_bytes) {
  std::vector<std::filesystem::path> folders;
  for (const auto& found : std::filesystem::directory_iterator(cache)) folders.push_back(found.path());
  int64_t total = added.file.size_bytes;
  std::vector<std::tuple<double, std::string, int64_t>> others;  // when each was used, its key and its size
  for (const std::filesystem::path& folder : folders) {
    const std::string name = folder.filename().string();
    if (name == key || name[0] == '.') continue;
    const auto entry = described(folder.string());
    if (!entry || entry->gpu.name != added.gpu.name || entry->gpu.compute_capability != added.gpu.compute_capability) continue;
    if (outdated(*entry, added) && removed(cache, name)) continue;
    total += entry->file.size_bytes;
    others.emplace_back(used_s(folder.string()), name, entry->file.size_bytes);
  }
  std::sort(others.begin(), others.end());
  for (const auto& [when, name, size_bytes] : others) {
    if (total > limit_bytes && removed(cache, name)) total -= size_bytes;
  }
}

}  // namespace fnet
