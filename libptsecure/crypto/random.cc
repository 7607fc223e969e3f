#include "libptsecure/crypto/random.hpp"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <limits>

#include "libptsecure/base/text.hpp"
#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/openssl.hpp"

namespace ptsecure {

void random_bytes(ByteSpan out) {
  OpensslErrors errors;
  while (!out.empty()) {
    const auto n = std::min<std::size_t>(out.size(), std::numeric_limits<int>::max());
    openssl_must(RAND_bytes(out.data(), static_cast<int>(n)) == 1, "random bytes");
    out = out.subspan(n);
  }
}

std::string random_id() {
  std::array<std::uint8_t, 16> bytes{};
  random_bytes(bytes);
  return base64url_encode(bytes);
}

std::string random_hex(std::size_t bytes) {
  Bytes drawn(bytes);
  random_bytes(drawn);
  return hex(drawn);
}

}  // namespace ptsecure
