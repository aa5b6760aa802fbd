#include "base/sha256.h"
#include "catch.h"

static std::string hash(const std::string& text, std::size_t part) {
  fnet::Sha256 sha256;
  for (std::size_t i = 0; i < text.size(); i += part) sha256.add(text.data() + i, std::min(part, text.size() - i));
  return sha256.hex();
}

TEST_CASE("SHA-256 of FIPS 180's examples") {
  CHECK(hash("", 1) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hash("abc", 2) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  for (const std::size_t part : {997, 1 << 18})
    CHECK(hash(std::string(1000000, 'a'), part) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
