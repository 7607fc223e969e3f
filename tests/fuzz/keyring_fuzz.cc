#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/base/error.hpp"
#include "libptsecure/keyring/keyring.hpp"

// A key set of any bytes is refused or read; what was read is written and read again as the same,
// and its public part holds nothing private.

using namespace ptsecure;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Keyring keyring;
  try {
    keyring = Keyring::parse(as_text({data, size}), {});
  } catch (const Error&) {
    return 0;
  }
  const SecretString written = keyring.to_json();
  if (Keyring::parse(written, {}).to_json() != written) std::abort();
  if (keyring.public_part().has_private() || keyring.describe_json().empty()) std::abort();
  return 0;
}
