#include <cstring>
#include <functional>
#include <limits>
#include <map>

#include "bundle/safetensors.h"
#include "catch.h"
#include "pipeline/self_test.h"

namespace {

const std::string HEADER = R"({"__metadata__":{"limit.y":"0.5"},"0.input.x":{"dtype":"I64","shape":[1,1],"data_offsets":[0,8]},)"
                           R"("0.reference.y":{"dtype":"F64","shape":[1,2],"data_offsets":[8,24]}})";
// Two cases of lengths 1 and 2. The second is first in the file, and has y before z.
const std::string TWO =
    R"({"__metadata__":{"limit.y":"0.5","limit.z":"0.25"},"1.input.x":{"dtype":"I64","shape":[1,2],"data_offsets":[0,16]},)"
    R"("1.reference.y":{"dtype":"F64","shape":[1,2],"data_offsets":[16,32]},)"
    R"("1.reference.z":{"dtype":"F64","shape":[1,1],"data_offsets":[32,40]},)"
    R"("0.input.x":{"dtype":"I64","shape":[1,1],"data_offsets":[40,48]},)"
    R"("0.reference.z":{"dtype":"F64","shape":[1,1],"data_offsets":[48,56]},)"
    R"("0.reference.y":{"dtype":"F64","shape":[1,1],"data_offsets":[56,64]}})";

template <class... Parts>
std::string file_of(const std::string& header, const Parts&... parts) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(header.size() >> 8 * i);
  bytes += header;
  (bytes.append(reinterpret_cast<const char*>(parts.data()), 8 * parts.size()), ...);
  return bytes;
}

std::string file(const std::string& header, const std::vector<double>& reference = {1, 2}) {
  return file_of(header, std::vector<int64_t>{7}, reference);
}

std::string file_of_two() {
  return file_of(TWO, std::vector<int64_t>{8, 9}, std::vector<double>{4, 0, 2}, std::vector<int64_t>{7}, std::vector<double>{0.5, 1});
}

// Answers each batch as it is told.
class Told : public fnet::Session {
 public:
  explicit Told(std::function<fnet::Result<fnet::Outputs>(const fnet::Inputs&)> outputs) : outputs_(std::move(outputs)) {}
  fnet::Result<fnet::Outputs> run(const fnet::Inputs& inputs) const override { return outputs_(inputs); }

 private:
  std::function<fnet::Result<fnet::Outputs>(const fnet::Inputs&)> outputs_;
};

std::string fault(const std::string& bytes) {
  const auto found = fnet::golden_from_bytes(bytes);
  return found ? "" : found.error().text;
}

std::string replaced(std::string text, const std::string& old, const std::string& by) {
  return text.replace(text.find(old), old.size(), by);
}

}  // namespace

TEST_CASE("a golden file is read and outputs are compared with it") {
  const auto golden = fnet::golden_from_bytes(file(HEADER));
  REQUIRE(golden);
  REQUIRE(golden->cases.size() == 1);
  CHECK(golden->cases[0].inputs.at("x").values == std::vector<int64_t>{7});
  auto check = fnet::checks_from_outputs({{{"y", {{1, 3}, {1.25F, 2, 9}}}}}, *golden)[0];
  CHECK(check.max_abs == 0.25);
  CHECK(check.max_rel == 0.125);
  CHECK(check.passed);
  CHECK_FALSE(fnet::checks_from_outputs({{{"y", {{1, 2}, {2, 2}}}}}, *golden)[0].passed);
  for (const fnet::Floats& wrong : {fnet::Floats{{1, 1}, {1}}, fnet::Floats{{2, 2}, {1, 2, 1, 2}}, fnet::Floats{{1, 2}, {1, NAN}}}) {
    check = fnet::checks_from_outputs({{{"y", wrong}}}, *golden)[0];
    CHECK(check.max_abs == std::numeric_limits<double>::infinity());
    CHECK(check.cosine == 0);
    CHECK_FALSE(check.passed);
  }
  CHECK_FALSE(fnet::checks_from_outputs({{}}, *golden)[0].passed);
  const auto rounds_up = fnet::golden_from_bytes(file(HEADER, {0.125, 1}));
  CHECK(fnet::checks_from_outputs({{{"y", {{1, 2}, {0.125F, 1}}}}}, *rounds_up)[0].cosine == 1);
}

TEST_CASE("every case is run, and each output has the worst of all cases") {
  const auto golden = fnet::golden_from_bytes(file_of_two());
  REQUIRE(golden);
  CHECK(golden->limits == std::vector<std::pair<std::string, double>>{{"z", 0.25}, {"y", 0.5}});  // as they stand in case 0
  std::vector<std::size_t> lengths;
  std::map<std::size_t, fnet::Outputs> outputs{{1, {{"y", {{1, 1}, {1.25F}}}, {"z", {{1, 1}, {0.5F}}}}},
                                               {2, {{"y", {{1, 2}, {4.125F, 0.125F}}}, {"z", {{1, 1}, {2.5F}}}}}};
  const Told session([&](const fnet::Inputs& inputs) {
    lengths.push_back(inputs.at("x").shape[1]);
    return outputs.at(lengths.back());
  });
  auto checks = fnet::checks_from_session(session, *golden);
  REQUIRE(checks);
  REQUIRE(checks->size() == 2);
  CHECK(lengths == std::vector<std::size_t>{1, 2});
  CHECK((*checks)[0].output == "z");
  CHECK((*checks)[0].max_abs == 0.5);   // of case 1
  CHECK((*checks)[0].max_rel == 0.25);  // over the 2 of case 1
  CHECK_FALSE((*checks)[0].passed);
  CHECK((*checks)[1].output == "y");
  CHECK((*checks)[1].max_abs == 0.25);    // of case 0
  CHECK((*checks)[1].max_rel == 0.0625);  // over the 4 of case 1
  CHECK((*checks)[1].cosine < 1);
  CHECK((*checks)[1].cosine > 0.999);
  CHECK((*checks)[1].passed);
  for (const auto& [length, wrong] : std::map<std::size_t, fnet::Floats>{{1, {{1, 1}, {NAN}}}, {2, {{1, 1}, {4}}}}) {
    auto changed = outputs;
    changed[length]["y"] = wrong;
    const auto check = fnet::checks_from_outputs({changed[1], changed[2]}, *golden)[1];
    CHECK(check.max_abs == std::numeric_limits<double>::infinity());
    CHECK(check.max_rel == std::numeric_limits<double>::infinity());
    CHECK(check.cosine == 0);
    CHECK_FALSE(check.passed);
  }
  const Told failing([](const fnet::Inputs&) -> fnet::Result<fnet::Outputs> { return fnet::session_error("no memory"); });
  CHECK(fnet::checks_from_session(failing, *golden).error().text == "no memory");
}

TEST_CASE("the cases of a golden file are numbered from 0, and alike") {
  const auto with = [](const std::string& old, const std::string& by) {
    return fault(file_of(replaced(TWO, old, by), std::vector<double>(8)));
  };
  CHECK(with("0.input.x", "0.input.x").empty());
  const std::string alike = "expected the same inputs and references in each case, found ";
  CHECK(with("0.reference.z", "0.reference.w") ==
        alike + "1.input.x, 1.reference.y, 1.reference.z, 0.input.x, 0.reference.w, 0.reference.y");
  CHECK(with("1.input.x", "1.input.w").find(alike) == 0);
  CHECK(with("0.input.x", "1.input.w").find(alike) == 0);
  const std::string numbered = "expected cases numbered from 0 without gaps, found ";
  for (const char* number : {"2", "00", "-1", ""}) {
    std::string header = TWO;
    for (const char* tensor : {"0.input.x", "0.reference.y", "0.reference.z"})
      header = replaced(header, tensor, number + std::string(tensor + 1));
    CHECK(fault(file_of(header, std::vector<double>(8))).find(numbered) == 0);
  }
  const std::string named = "expected tensors named N.input.NAME and N.reference.NAME, found ";
  for (const char* name : {"input.x", "x", "0.x", "0.other.x", "0..x", "0.input", ""}) CHECK(with("0.input.x", name) == named + name);
}

TEST_CASE("what is no golden file is refused") {
  CHECK(fnet::golden_from_file("/dev/null").error().text == "/dev/null: not the golden.safetensors of a bundle (it has 0 bytes)");
  CHECK(fault("abc") == "it has 3 bytes");
  CHECK(fault(std::string(8, '\xff')).find("its header says 18446744073709551615 bytes, 0 are there") != std::string::npos);
  CHECK(fault(file(HEADER, {1})).find("tensor 0.reference.y does not fill its bytes") != std::string::npos);
  CHECK(fault(file(HEADER, {1, 2, 3})).find("tensors take 24 bytes, 32 are there") != std::string::npos);
  CHECK(fault(file(HEADER, {1, INFINITY})).find("expected finite float64 references") != std::string::npos);
  CHECK(
      fault(file(replaced(HEADER, "[1,2]", "[1,-2]"))).find("tensor 0.reference.y has the size or offset -2; expected an integer from 0") !=
      std::string::npos);
  CHECK(fault(file(replaced(HEADER, "[1,2]", "[0,2]"))).find("does not fill its bytes") != std::string::npos);
  CHECK(fault(file(replaced(HEADER, "[8,24]", "[16,24]"))).find("does not fill its bytes") != std::string::npos);
  CHECK(fault(file(replaced(HEADER, "[8,24]", "[8,18446744073709551608]"))).find("does not fill its bytes") != std::string::npos);
  CHECK(fault(file(replaced(HEADER, "I64", "F64"))) == "expected int64 inputs");
  CHECK(fault(file(replaced(HEADER, "F64", "I64"))) == "expected finite float64 references");
  CHECK(fault(file(replaced(HEADER, "[1,1]", "[]"))) == "tensor 0.input.x does not fill its bytes");
  CHECK(fault(file(replaced(HEADER, "0.input", "0.reference"))) == "expected finite float64 references");
  CHECK(fault(file_of(R"({"__metadata__":{}})")) == "expected inputs and references, found ");
  const std::string no_inputs = R"({"__metadata__":{"limit.y":"0.5"},"0.reference.y":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})";
  CHECK(fault(file_of(no_inputs, std::vector<double>{1})) == "expected inputs and references, found 0.reference.y");
  CHECK(fault(file(replaced(HEADER, "I64", "I32"))).find("has the dtype \"I32\"") != std::string::npos);
  CHECK(fault(file(replaced(HEADER, "input.x", "reference.y"))).find("duplicate key") != std::string::npos);
  for (const char* limit : {"-1", "inf", "nan", "", "x", " 1", "0x1", "1e999"})
    CHECK(fault(file(replaced(HEADER, "\"0.5\"", '"' + std::string(limit) + '"'))).find("expected limit.y to be a number from 0") !=
          std::string::npos);
}
