#include "texts.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/files.h"
#include "base/utf8.h"
#include "ending.h"
#include "progress.h"

namespace {

constexpr const char *ARGUMENT = "--text", *STANDARD_INPUT = "-";
constexpr std::size_t READ_BYTES = 1 << 16;

// A file that is read as its bytes arrive.
class Source {
 public:
  static Source of_file(const std::string& path) {
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) unreadable(path);
    return {path, descriptor};
  }
  static Source of_standard_input() { return {STANDARD_INPUT, STDIN_FILENO}; }

  const std::string& name() const { return name_; }
  int descriptor() const { return descriptor_; }
  // Replaces the bytes by the next that there are, once there are any; none at the end.
  void read_some(std::string& bytes) const {
    bytes.resize(READ_BYTES);
    ssize_t count = 0;
    do count = read(descriptor_, bytes.data(), bytes.size());
    while (count < 0 && errno == EINTR);
    if (count < 0) unreadable(name_);
    bytes.resize(static_cast<std::size_t>(count));
  }
  // Whether a read would return at once.
  bool has_more() const {
    pollfd found{descriptor_, POLLIN, 0};
    return poll(&found, 1, 0) > 0;
  }

 private:
  Source(std::string name, int descriptor) : name_(std::move(name)), descriptor_(descriptor) {}
  [[noreturn]] static void unreadable(const std::string& name) {
    fail(fnet::input_error(name + ": cannot be read (" + fnet::SystemFault{errno}.text() + ")"));
  }

  std::string name_;
  int descriptor_;  // left to the end of the program to close
};

Asked asked_from_bytes(Place place, std::string bytes) {
  std::size_t fault = 0;
  fnet::from_utf8(bytes, &fault);
  if (fault == bytes.npos) return {std::move(place), std::move(bytes)};
  return {std::move(place), "",
          fnet::input_error("not UTF-8 (byte " + std::to_string(fault) + "); convert it first, for example with iconv")};
}

Asked whole_text(const Source& source) {
  std::string whole, part;
  do {
    source.read_some(part);
    whole += part;
  } while (!part.empty());
  Asked asked = asked_from_bytes(Place{source.name()}, std::move(whole));
  if (asked.fault) fail(fnet::input_error(source.name() + ": " + asked.fault->text));
  return asked;
}

// Lines end at line feeds alone, with a carriage return before it or without. No more lines wait than `size`, or than have MAX_TEXT_BYTES.
void for_each_batch_of_lines(const Source& source, std::size_t size, const std::function<void(const Batch&)>& answer) {
  Batch waiting;
  std::size_t number = 0, waiting_bytes = 0;
  const auto give = [&] {
    if (!waiting.empty()) answer(waiting);
    waiting.clear();
    waiting_bytes = 0;
  };
  const auto add = [&](std::string line) {
    const std::size_t size_bytes = line.size() + 1;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    waiting_bytes += line.size();
    waiting.push_back(asked_from_bytes({source.name(), ++number, size_bytes}, std::move(line)));
    if (waiting.size() == size || waiting_bytes > fnet::MAX_TEXT_BYTES) give();
  };
  std::string rest, data;
  for (bool ended = false; !ended;) {
    source.read_some(data);
    ended = data.empty();
    std::size_t start = 0;
    for (std::size_t end; (end = data.find('\n', start)) != data.npos; start = end + 1) {
      add(rest + data.substr(start, end - start));
      rest.clear();
    }
    rest.append(data, start, data.npos);
    if (ended && !rest.empty()) add(rest);
    if (ended || !source.has_more()) give();
  }
}

}  // namespace

std::string Place::text() const {
  if (!number) return source;
  return source + (source == ARGUMENT ? " " : ", line ") + std::to_string(number);
}

bool Place::is_argument() const { return source == ARGUMENT; }

void for_each_batch(const Options& options, std::size_t size, const std::function<void(const Batch&)>& answer) {
  std::vector<Source> sources;
  for (const std::string& path : options.files) sources.push_back(Source::of_file(path));
  if (options.standard_input) sources.push_back(Source::of_standard_input());
  Batch asked;
  for (std::size_t i = 0; i < options.texts.size(); ++i) asked.push_back(Asked{Place{ARGUMENT, i + 1, 0}, options.texts[i]});
  if (!options.lines) {
    for (const Source& source : sources) asked.push_back(whole_text(source));
    answer(asked);
    return;
  }
  std::vector<int> descriptors;
  for (const Source& source : sources) descriptors.push_back(source.descriptor());
  Progress progress(descriptors, !options.quiet);
  const auto counted = [&](const Batch& batch) {
    answer(batch);
    std::size_t size_bytes = 0;
    for (const Asked& one : batch) size_bytes += one.place.size_bytes;
    progress.show(batch.size(), size_bytes);
  };
  for (std::size_t start = 0; start < asked.size(); start += size) {
    const auto at = [&](std::size_t i) { return asked.begin() + static_cast<std::ptrdiff_t>(std::min(i, asked.size())); };
    counted(Batch(at(start), at(start + size)));
  }
  for (const Source& source : sources) for_each_batch_of_lines(source, size, counted);
}
