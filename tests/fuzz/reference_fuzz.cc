#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/base/error.hpp"
#include "libptsecure/package/reference.hpp"

// A reference is refused, or it is the text of what was read.

using namespace ptsecure;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text({data, size});
  try {
    if (Reference::parse(text).text() != text) std::abort();
  } catch (const Error& error) {
    if (error.status() != Status::invalid_argument) std::abort();
  }
  return 0;
}
