// How texts are padded, by both contracts.
#include "catch.h"
#include "tokenizer/encoding.h"

using fnet::MAX_LENGTH, fnet::NONE, fnet::Padding;

namespace {

const fnet::Frame FRAME{3, 4, 5, false, false}, BARE{3, {}, {}, false, false};

std::vector<fnet::Token> tokens(std::size_t count) { return std::vector<fnet::Token>(count, {7, 0, 1}); }

std::string fault(const Padding& padding) {
  const auto found = padding.fault();
  return found ? found->text : "";
}

}  // namespace

TEST_CASE("a padding says how long a text of so many tokens becomes") {
  CHECK(Padding{12}.padded(0) == 12);
  CHECK(Padding{12, MAX_LENGTH}.padded(12) == 12);
  CHECK(Padding{12, NONE}.padded(5) == 5);
  CHECK(Padding{12, NONE, 4}.padded(1) == 4);
  CHECK(Padding{12, NONE, 4}.padded(8) == 8);
  CHECK(Padding{12, NONE, 4}.padded(9) == 12);
  CHECK(Padding{12, NONE, 4}.padded(12) == 12);
}

TEST_CASE("a padding whose values do not fit each other is refused") {
  CHECK(fault({12}).empty());
  CHECK(fault({12, NONE, 12}).empty());
  CHECK(fault({12, "longest"}) == "padding: expected max_length or none, found \"longest\"");
  CHECK(fault({12, MAX_LENGTH, 4}) == "pad_to_multiple_of: expected 1, because every text is padded to one length; found 4");
  CHECK(fault({12, NONE, 0}) == "pad_to_multiple_of: expected an integer from 1; found 0");
  CHECK(fault({12, NONE, 5}) == "pad_to_multiple_of: expected a number that divides the sequence length 12; found 5");
}

TEST_CASE("a text is padded to its own length, to a multiple or to one length, and cut at the same length") {
  const std::vector<std::pair<Padding, std::size_t>> expected{{{12}, 12}, {{12, NONE}, 5}, {{12, NONE, 4}, 8}};
  for (const auto& [padding, length] : expected) {
    const auto found = fnet::encoding_from_tokens(tokens(3), nullptr, FRAME, padding);
    REQUIRE(found);
    CHECK(found->input_ids.size() == length);
    CHECK(found->token_type_ids.size() == length);
    CHECK(found->spans.size() == length);
    CHECK(found->segments.size() == length);
    CHECK(std::vector<int64_t>(found->input_ids.begin(), found->input_ids.begin() + 5) == std::vector<int64_t>{4, 7, 7, 7, 5});
    for (std::size_t i = 0; i < length; ++i) CHECK(found->attention_mask[i] == (i < 5));
    for (std::size_t i = 5; i < length; ++i) CHECK(found->input_ids[i] == 3);
    CHECK_FALSE(found->truncated);
    const auto cut = fnet::encoding_from_tokens(tokens(20), nullptr, FRAME, padding);
    REQUIRE(cut);
    CHECK(cut->input_ids.size() == 12);
    CHECK(cut->truncated);
  }
}

TEST_CASE("a text without tokens needs padding or special tokens") {
  CHECK(fnet::encoding_from_tokens({}, nullptr, FRAME, {12, NONE})->input_ids == std::vector<int64_t>{4, 5});
  CHECK(fnet::encoding_from_tokens({}, nullptr, BARE, {2})->input_ids == std::vector<int64_t>{3, 3});
  const auto second = tokens(1);
  CHECK(fnet::encoding_from_tokens({}, &second, BARE, {12, NONE})->input_ids == std::vector<int64_t>{7});
  for (const int64_t multiple_of : {1, 4}) {
    const auto refused = fnet::encoding_from_tokens({}, nullptr, BARE, {12, NONE, multiple_of});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == fnet::Code::input);
    CHECK(refused.error().text == "expected a text with at least one token, found none; this bundle does not pad texts");
  }
}
