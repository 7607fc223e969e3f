#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "libptsecure/base/error.hpp"
#include "libptsecure/value/npy.hpp"
#include "libptsecure/value/tensor.hpp"

// A file of any bytes is refused or read; what was read is written and read again as the same.

using namespace ptsecure;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Tensor tensor;
  try {
    tensor = read_npy({data, size});
  } catch (const Error&) {
    return 0;
  }
  const Tensor back = read_npy(write_npy(tensor));
  Tensor scratch;
  Tensor other_scratch;
  const ByteView before = contiguous_bytes(tensor, scratch);
  const ByteView after = contiguous_bytes(back, other_scratch);
  const bool same = back.dtype == tensor.dtype && back.shape == tensor.shape &&
                    std::equal(before.begin(), before.end(), after.begin(), after.end());
  if (!same) std::abort();
  return 0;
}
