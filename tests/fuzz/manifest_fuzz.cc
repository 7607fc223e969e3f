#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "libptsecure/base/error.hpp"
#include "libptsecure/package/manifest.hpp"

// A manifest of any bytes is refused or read; what was read is written and read again as the same.

using namespace ptsecure;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Manifest manifest;
  try {
    manifest = Manifest::from_json(as_text({data, size}));
  } catch (const Error&) {
    return 0;
  }
  const std::string written = manifest.to_json();
  if (Manifest::from_json(written).to_json() != written) std::abort();
  return 0;
}
