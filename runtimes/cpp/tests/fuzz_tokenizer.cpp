// A tokenizer.json of any bytes is read or refused; what is read cuts a text. The first byte chooses the flavour.
#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const char* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string flavour = data[0] % 2 ? fnet::V5 : fnet::FAST;
  const auto tokenizer = fnet::Tokenizer::from_bytes({data + 1, size - 1}, {flavour, {}}, "tokenizer.json");
  if (tokenizer) (void)tokenizer->encode(U"My [MASK] costs 10,000 ``Ünïcödé'' \u0301\U0001F600  x", nullptr, {32});
  return 0;
}
