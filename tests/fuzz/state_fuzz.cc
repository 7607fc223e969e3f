#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "libptsecure/base/error.hpp"
#include "libptsecure/history/state_file.hpp"

// A state file of any bytes is refused or read; what was read is written and read again as the
// same.

using namespace ptsecure;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  StateFile::Content state;
  try {
    state = StateFile::Content::from_json(as_text({data, size}));
  } catch (const Error&) {
    return 0;
  }
  const std::string written = state.to_json();
  if (StateFile::Content::from_json(written).to_json() != written) std::abort();
  return 0;
}
