#include "progress.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <iostream>

namespace {

constexpr std::chrono::milliseconds EVERY{200};
constexpr const char* ERASE = "\x1b[K";  // from the cursor, which stays at the beginning of the line

}  // namespace

Progress::Progress(std::vector<int> descriptors, bool wanted)
    : descriptors_(std::move(descriptors)),
      bytes_(0),
      shown_(wanted && isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO)),
      start_(Clock::now()),
      last_(start_) {
  for (const int descriptor : descriptors_) {
    struct stat status {};
    if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && bytes_) *bytes_ += status.st_size;
    else bytes_.reset();
  }
}

Progress::~Progress() {
  if (shown_) std::cerr << ERASE;
}

void Progress::show(std::size_t lines) {
  const auto now = Clock::now();
  if (!shown_ || now - last_ < EVERY) return;
  last_ = now;
  std::cerr << ERASE << lines << " lines";
  if (bytes_.value_or(0) > 0) {
    long long read = 0;
    for (const int descriptor : descriptors_) read += lseek(descriptor, 0, SEEK_CUR);
    std::cerr << " (" << std::lround(100.0 * static_cast<double>(read) / static_cast<double>(*bytes_)) << "%)";
  }
  const double seconds = std::chrono::duration<double>(now - start_).count();
  std::cerr << ", " << std::lround(static_cast<double>(lines) / seconds) << " a second\r" << std::flush;
}
