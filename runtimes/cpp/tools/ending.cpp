#include "ending.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "base/error.h"
#include "base/files.h"

void fail(const fnet::Error& error, const char* on_cpu) {
  const bool no_device = error.code == fnet::Code::no_device;
  const std::string hint = no_device ? std::string(". Use ") + on_cpu + " to run model.onnx on the CPU" : "";
  std::cerr << "error: " << error.text << hint << "\n";
  std::exit(no_device || error.code == fnet::Code::session ? ENGINE_FAILED : BAD_INPUT);
}

void write_line(const std::string& text) {
  const std::string line = text + "\n";
  if (std::fwrite(line.data(), 1, line.size(), stdout) == line.size() && std::fflush(stdout) == 0) return;
  const fnet::SystemFault fault{errno};
  if (fault.number == EPIPE) std::_Exit(fnet::READER_LEFT);
  fail(fnet::input_error("standard output: cannot be written (" + fault.text() + ")"));
}
