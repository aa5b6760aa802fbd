// SHA-256, by OpenSSL.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

struct evp_md_ctx_st;

namespace fnet {

class Sha256 {
 public:
  Sha256();
  void add(const void* data, std::size_t bytes);
  // The hash in lower-case hexadecimal; the object is used up.
  std::string hex();

 private:
  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
};

}  // namespace fnet
