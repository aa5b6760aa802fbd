// fnet-session: a graph run on arrays instead of texts, so that parity and other tests can ask this runtime about shared inputs.
// Usage: fnet-session MODEL.onnx INPUTS, where INPUTS is the manifest's JSON of the inputs. Standard input and output are safetensors
// files, each after its length in 8 bytes, little-endian: an empty one once the graph is open, then an answer for each question.
// docs/cpp.md lists its exit codes, which fnet-run has too.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>

#include "bundle/manifest.h"
#include "bundle/safetensors.h"
#include "engine/session.h"

namespace {

using fnet::BAD_INPUT, fnet::USAGE, fnet::ENGINE_FAILED;

int fail(const fnet::Error& error) {
  std::cerr << "error: " << error.text << "\n";
  return error.code == fnet::Code::session ? ENGINE_FAILED : BAD_INPUT;
}

// The next file, or nothing where the input ends.
std::optional<std::string> file_from_stream(std::istream& in) {
  char prefix[sizeof(uint64_t)];
  uint64_t length = 0;
  if (!in.read(prefix, sizeof prefix)) return std::nullopt;
  for (std::size_t i = sizeof prefix; i-- > 0;) length = length << 8 | static_cast<unsigned char>(prefix[i]);
  std::string file;
  for (char block[1 << 16]; in && file.size() < length; file.append(block, static_cast<std::size_t>(in.gcount())))
    in.read(block, static_cast<std::streamsize>(std::min<uint64_t>(sizeof block, length - file.size())));
  return file;
}

fnet::Result<fnet::Inputs> inputs_from_file(const std::string& file) {
  const auto found = fnet::safetensors_from_bytes(file);
  if (!found) return fnet::input_error("standard input: not a safetensors file (" + found.error().text + ")");
  fnet::Inputs inputs;
  for (const fnet::StoredTensor& tensor : found->tensors) {
    if (tensor.dtype != "I64") return fnet::input_error(tensor.name + ": expected I64, found " + tensor.dtype);
    inputs[tensor.name] = fnet::array_from_tensor<int64_t>(tensor);
  }
  if (inputs.empty()) return fnet::input_error("standard input: expected tensors, found an empty file");
  return inputs;
}

void write_file(std::ostream& out, const std::string& file) {
  for (std::size_t i = 0; i < sizeof(uint64_t); ++i) out.put(static_cast<char>(uint64_t{file.size()} >> 8 * i));
  out << file << std::flush;
}

}  // namespace

int main(int count, char** words) {
  setenv("ORT_DISABLE_TELEMETRY", "1", 0);  // see fnet.hpp
  if (count != 3) {
    std::cerr << "Usage: fnet-session MODEL.onnx INPUTS\n";
    return USAGE;
  }
  const auto inputs = fnet::tensors_from_json(words[2], "INPUTS");
  if (!inputs) return fail(inputs.error());
  const auto session = fnet::ort_session(words[1], *inputs, {});
  if (!session) return fail(session.error());
  write_file(std::cout, "");
  while (const auto file = file_from_stream(std::cin)) {
    const auto asked = inputs_from_file(*file);
    if (!asked) return fail(asked.error());
    const auto answers = fnet::run_in_batches(**session, *asked);
    if (!answers) return fail(answers.error());
    write_file(std::cout, fnet::safetensors_from_outputs(*answers));
  }
  return 0;
}
