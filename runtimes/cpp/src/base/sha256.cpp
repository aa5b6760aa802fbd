#include "base/sha256.h"

#include <openssl/evp.h>

#include <new>
#include <stdexcept>

namespace fnet {
namespace {

// A step of OpenSSL fails where memory is at an end, or where the host's policy forbids SHA-256.
void check(int done) {
  if (done != 1) throw std::runtime_error("OpenSSL cannot compute SHA-256");
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
  if (!context_) throw std::bad_alloc();
  check(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr));
}

void Sha256::add(const void* data, std::size_t bytes) { check(EVP_DigestUpdate(context_.get(), data, bytes)); }

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  check(EVP_DigestFinal_ex(context_.get(), digest, &length));
  std::string text;
  for (unsigned i = 0; i < length; ++i) {
    for (const int shift : {4, 0}) text += "0123456789abcdef"[digest[i] >> shift & 15];
  }
  return text;
}

}  // namespace fnet
