#include "ending.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "base/error.h"
#include "base/files.h"

namespace {

// What standard output is doing, for a signal that any thread may get.
enum class Output { idle, writing, ends_after_writing, ends };
std::atomic<Output> output{Output::idle};
std::atomic<const char*> first_words{nullptr};
static_assert(std::atomic<Output>::is_always_lock_free && std::atomic<const char*>::is_always_lock_free, "a signal handler uses them");

void say(const char* text) {
  if (write(STDERR_FILENO, text, std::strlen(text)) < 0) return;  // the reader of standard error may be gone
}

[[noreturn]] void interrupted() {
  if (const char* text = first_words) say(text);
  say("interrupted\n");
  _exit(fnet::INTERRUPTED);
}

// Runs in a signal handler: nothing here allocates or locks.
void on_interrupt(int) {
  Output found = Output::idle;
  if (output.compare_exchange_strong(found, Output::ends)) interrupted();
  found = Output::writing;
  if (output.compare_exchange_strong(found, Output::ends_after_writing)) return;
  interrupted();
}

// Puts off an interrupt while lines are written.
class Writing {
 public:
  Writing() {
    // where this fails, another thread is ending the program
    for (Output found = Output::idle; !output.compare_exchange_strong(found, Output::writing); found = Output::idle) pause();
  }
  Writing(const Writing&) = delete;
  Writing& operator=(const Writing&) = delete;
  ~Writing() {
    if (output.exchange(Output::idle) == Output::ends_after_writing) interrupted();
  }
};

}  // namespace

void fail(const fnet::Error& error, const char* on_cpu) {
  const bool no_device = error.code == fnet::Code::no_device;
  const std::string hint = no_device ? std::string(". Use ") + on_cpu + " to run model.onnx on the CPU" : "";
  std::cerr << "error: " << error.text << hint << "\n";
  std::exit(no_device || error.code == fnet::Code::session ? ENGINE_FAILED : BAD_INPUT);
}

void write_line(const std::string& text) {
  const std::string line = text + "\n";
  const Writing writing;
  if (std::fwrite(line.data(), 1, line.size(), stdout) == line.size() && std::fflush(stdout) == 0) return;
  const fnet::SystemFault fault{errno};
  if (fault.number == EPIPE) std::_Exit(fnet::READER_LEFT);
  fail(fnet::input_error("standard output: cannot be written (" + fault.text() + ")"));
}

void end_on_interrupt() {
  struct sigaction action {};
  if (sigaction(SIGINT, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) return;
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;  // a write goes on
  sigaction(SIGINT, &action, nullptr);
}

void write_on_interrupt(const char* text) { first_words = text; }
