#include "libptsecure/crypto/openssl_version.hpp"

#include <openssl/crypto.h>

namespace ptsecure {

const char* openssl_version() noexcept {
  return OpenSSL_version(OPENSSL_VERSION_STRING);
}

}  // namespace ptsecure
