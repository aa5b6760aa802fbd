// fnet-run: answers from a bundle on the command line.
// docs/cpp.md lists its exit codes.
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <iostream>

#include "answer_text.h"
#include "api/answer_json.h"
#include "ending.h"
#include "engine/devices.h"
#include "printer.h"
#include "run_options.h"

namespace {

int self_test(const fnet::Pipeline& pipeline, bool as_json) {
  const auto checks = pipeline.self_test();
  if (!checks) fail(checks.error());
  write_line(as_json ? fnet::json_from_checks(*checks) : text_from_checks(*checks));
  const bool passed = std::all_of(checks->begin(), checks->end(), [](const fnet::Check& check) { return check.passed; });
  return passed ? 0 : CHECK_FAILED;
}

int list_devices(const Options& options) {
  for (const fnet::Device& device : fnet::devices_of_host(options.config.library)) {
    const char* usable = device.usable ? "\tyes\t" : "\tno\t";
    write_line(options.as_json ? fnet::json_from_device(device)
                               : device.kind + "\t" + escaped(device.name) + usable + escaped(device.detail));
  }
  return 0;
}

}  // namespace

int main(int count, char** words) {
  setenv("ORT_DISABLE_TELEMETRY", "1", 0);  // see fnet.hpp
  std::signal(SIGPIPE, SIG_IGN);            // see write_line
  end_on_interrupt();
  const Options options = options_from_line(count, words);
  if (options.devices) return list_devices(options);
  const auto pipeline = fnet::Pipeline::open(options.bundle, options.config);
  if (!pipeline)
    fail(pipeline.error(), options.config.provider == fnet::CPU ? "--runtime onnxruntime" : "--runtime onnxruntime without --provider");
  if (const std::string note = pipeline->note(); !options.quiet && !note.empty()) std::cerr << "note: " << note << "\n";
  if (options.self_test) return self_test(*pipeline, options.as_json);
  Printer printer(*pipeline, options);
  for_each_batch(options, pipeline->rows_at_once(), [&](const Batch& batch) { printer.answer(batch); });
  printer.say_notes();
  return printer.has_errors() ? BAD_INPUT : 0;
}
