#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/jwk.hpp"

// A key that is accepted can be written and read again, and stays the same key.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ptsecure;
  try {
    const Jwk key = Jwk::parse(as_text({data, size}));
    const Jwk again =
        key.is_private() ? Jwk::parse(key.private_json()) : Jwk::parse(key.public_json());
    if (again.thumbprint() != key.thumbprint() || again.extra() != key.extra() ||
        again.kid() != key.kid()) {
      std::abort();
    }
  } catch (const Error&) {
  }
  return 0;
}
