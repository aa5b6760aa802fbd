// How fnet-run ends before its time, and the standard output that may make it.
#pragma once

#include <string>

#include "base/facts.h"
#include "fnet/result.hpp"

using fnet::BAD_INPUT, fnet::USAGE, fnet::CHECK_FAILED, fnet::ENGINE_FAILED;

// Reports an error and ends with the exit code of its kind. `on_cpu` are the words that run the bundle on the CPU.
[[noreturn]] void fail(const fnet::Error& error, const char* on_cpu = "--runtime onnxruntime");

// Writes a line, or several, at once. Ends as SIGPIPE does when nobody reads, and with an error when it cannot be written.
void write_line(const std::string& text);

// Lets Ctrl-C end the program as it ends fnet-run of Python, after the lines that are being written. A second Ctrl-C does not wait for
// them. SIGINT that is ignored, as in a job in the background, stays ignored.
void end_on_interrupt();

// What Ctrl-C writes first, such as a sequence that removes a line of the terminal; null for nothing. The text is never freed.
void write_on_interrupt(const char* text);
