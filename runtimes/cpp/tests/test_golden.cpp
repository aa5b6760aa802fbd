#include <cstring>
#include <limits>

#include "bundle/safetensors.h"
#include "catch.h"
#include "pipeline/self_test.h"

namespace {

const std::string HEADER = R"({"__metadata__":{"limit.y":"0.5"},"input.x":{"dtype":"I64","shape":[1,1],"data_offsets":[0,8]},)"
                           R"("reference.y":{"dtype":"F64","shape":[1,2],"data_offsets":[8,24]}})";

std::string file(const std::string& header, const std::vector<double>& reference = {1, 2}) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(header.size() >> 8 * i);
  bytes += header + std::string("\7\0\0\0\0\0\0\0", 8);
  return bytes.append(reinterpret_cast<const char*>(reference.data()), 8 * reference.size());
}

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
  CHECK(golden->inputs.at("x").values == std::vector<int64_t>{7});
  auto check = fnet::checks_from_outputs({{"y", {{1, 3}, {1.25F, 2, 9}}}}, *golden)[0];
  CHECK(check.max_abs == 0.25);
  CHECK(check.max_rel == 0.125);
  CHECK(check.passed);
  CHECK_FALSE(fnet::checks_from_outputs({{"y", {{1, 2}, {2, 2}}}}, *golden)[0].passed);
  for (const fnet::Floats& wrong : {fnet::Floats{{1, 1}, {1}}, fnet::Floats{{2, 2}, {1, 2, 1, 2}}, fnet::Floats{{1, 2}, {1, NAN}}}) {
    check = fnet::checks_from_outputs({{"y", wrong}}, *golden)[0];
    CHECK(check.max_abs == std::numeric_limits<double>::infinity());
    CHECK(check.cosine == 0);
    CHECK_FALSE(check.passed);
  }
  CHECK_FALSE(fnet::checks_from_outputs({}, *golden)[0].passed);
}

TEST_CASE("what is no golden file is refused") {
  CHECK(fnet::golden_from_file("/dev/null").error().text == "/dev/null: not the golden.safetensors of a bundle (it has 0 bytes)");
  CHECK(fault("abc") == "it has 3 bytes");
  CHECK(fault(std::string(8, '\xff')).find("its header says 18446744073709551615 bytes, 0 are there") != std::string::npos);
  CHECK(fault(file(HEADER, {1})).find("tensor reference.y does not fill its bytes") != std::string::npos);
  CHECK(fault(file(HEADER, {1, 2, 3})).find("tensors take 24 bytes, 32 are there") != std::string::npos);
  CHECK(fault(file(HEADER, {1, INFINITY})).find("references must be finite") != std::string::npos);
  CHECK(fault(file(replaced(HEADER, "[1,2]", "[1,-2]"))).find("tensor reference.y has the size or offset -2; expected an integer from 0") !=
        std::string::npos);
  CHECK(fault(file(replaced(HEADER, "[1,2]", "[0,2]"))).find("does not fill its bytes") != std::string::npos);
  CHECK(fault(file(replaced(HEADER, "[8,24]", "[16,24]"))).find("does not fill its bytes") != std::string::npos);
  CHECK(fault(file(replaced(HEADER, "[8,24]", "[8,18446744073709551608]"))).find("does not fill its bytes") != std::string::npos);
  CHECK(fault(file(replaced(HEADER, "I64", "F64"))).find("inputs must be int64 and references float64") != std::string::npos);
  CHECK(fault(file(replaced(HEADER, "I64", "I32"))).find("has the dtype \"I32\"") != std::string::npos);
  CHECK(fault(file(replaced(HEADER, "input.x", "reference.y"))).find("duplicate key") != std::string::npos);
  CHECK(fault(file(replaced(HEADER, "input.x", "other.x"))).find("expected tensors named input.* and reference.*, found other.x") !=
        std::string::npos);
  for (const char* limit : {"-1", "inf", "nan", "", "x", " 1", "0x1", "1e999"})
    CHECK(fault(file(replaced(HEADER, "\"0.5\"", '"' + std::string(limit) + '"'))).find("expected limit.y to be a number from 0") !=
          std::string::npos);
}
