#include <limits>

#include "base/utf8.h"
#include "catch.h"
#include "json/writer.h"
#include "tokenizer/python_characters.h"

using namespace fnet;
using namespace fnet::python;

TEST_CASE("a number has the digits that Python's json writes") {
  CHECK(decimal(0.0) == "0.0");
  CHECK(decimal(-0.0) == "-0.0");
  CHECK(decimal(1.0) == "1.0");
  CHECK(decimal(0.1) == "0.1");
  CHECK(decimal(-123.456) == "-123.456");
  CHECK(decimal(1e15) == "1000000000000000.0");
  CHECK(decimal(1e16) == "1e+16");
  CHECK(decimal(1.5e-5) == "1.5e-05");
  CHECK(decimal(0.00012) == "0.00012");
  CHECK(decimal(5e-324) == "5e-324");
  CHECK(decimal(1.7976931348623157e308) == "1.7976931348623157e+308");
  CHECK(decimal(std::numeric_limits<double>::infinity()) == "null");
  CHECK(decimal(std::numeric_limits<double>::quiet_NaN()) == "null");
}

TEST_CASE("a text is quoted as Python's json writes it") {
  CHECK(quoted("it's") == "\"it's\"");
  CHECK(quoted("a\n\t\x01\\\"") == "\"a\\n\\t\\u0001\\\\\\\"\"");
  CHECK(quoted("é\u200b\U000E0001") == "\"é\u200b\U000E0001\"");
  CHECK(quoted("a\xff\xed\xa0\x80z") == "\"a\\udcff\\udced\\udca0\\udc80z\"");
}

TEST_CASE("characters are classed as Unicode 14 has them") {
  CHECK(is_space(0x1C));
  CHECK(is_space(0x3000));
  CHECK_FALSE(is_space(0x200B));
  CHECK(is_digit(0xB2));
  CHECK_FALSE(is_digit(0xBD));
  CHECK(lower(0x130) == U"i\u0307");
  CHECK(lower(U'Ā') == U"ā");
  CHECK(lower(U'ā') == U"ā");
  CHECK(lower(0x10A0) == U"\u2D00");
  CHECK(without_accents(U'é') == U"e");
  CHECK(without_accents(0x301).empty());
  CHECK(without_accents(0xAC01) == U"\u1100\u1161\u11A8");
  CHECK(is_final_sigma(U"ΑΣ", 1));
  CHECK_FALSE(is_final_sigma(U"ΑΣΑ", 1));
  CHECK_FALSE(is_final_sigma(U"Σ", 0));
  CHECK(is_final_sigma(U"Α'Σ' ", 2));
}

TEST_CASE("what is not UTF-8 is found where Python finds it") {
  const auto fault = [](const std::string& bytes) {
    std::size_t found = 0;
    from_utf8(bytes, &found);
    return found == bytes.npos ? -1 : static_cast<int>(found);
  };
  CHECK(fault("aé€😀") == -1);
  CHECK(fault("a\xff") == 1);
  CHECK(fault("é\xc3") == 2);
  CHECK(fault("\xc0\x80") == 0);
  CHECK(fault("\xed\xa0\x80") == 0);
  CHECK(fault("\xf4\x90\x80\x80") == 0);
  CHECK(to_utf8(U"aé€😀") == "aé€😀");
}
