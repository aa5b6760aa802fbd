#include "progress.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <iostream>

#include "ending.h"

namespace {

constexpr std::chrono::milliseconds EVERY{200};
constexpr const char* ERASE = "\x1b[K";  // from the cursor, which stays at the beginning of the line

}  // namespace

Progress::Progress(const std::vector<int>& descriptors, bool wanted)
    : bytes_(0), shown_(wanted && isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO)), start_(Clock::now()), last_(start_) {
  for (const int descriptor : descriptors) {
    struct stat status {};
    if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && bytes_) *bytes_ += status.st_size;
    else bytes_.reset();
  }
  if (shown_) write_on_interrupt(ERASE);
}

Progress::~Progress() {
  if (!shown_) return;
  std::cerr << ERASE;
  write_on_interrupt(nullptr);
}

void Progress::show(std::size_t lines, std::size_t size_bytes) {
  lines_ += lines;
  answered_bytes_ += size_bytes;
  const auto now = Clock::now();
  if (!shown_ || now - last_ < EVERY) return;
  last_ = now;
  std::cerr << ERASE << lines_ << " lines";
  if (bytes_.value_or(0) > 0)
    std::cerr << " (" << std::lround(100.0 * static_cast<double>(answered_bytes_) / static_cast<double>(*bytes_)) << "%)";
  const double seconds = std::chrono::duration<double>(now - start_).count();
  std::cerr << ", " << std::lround(static_cast<double>(lines_) / seconds) << " a second\r" << std::flush;
}
