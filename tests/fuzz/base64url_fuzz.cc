#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/base64url.hpp"

// One text per value: what decodes encodes to itself, and any bytes survive the way there and back.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ptsecure;
  const ByteView input{data, size};
  const std::string encoded = base64url_encode(input);
  const Bytes back = base64url_decode(encoded);
  if (!std::equal(back.begin(), back.end(), input.begin(), input.end())) std::abort();
  try {
    if (base64url_encode(base64url_decode(as_text(input))) != as_text(input)) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
