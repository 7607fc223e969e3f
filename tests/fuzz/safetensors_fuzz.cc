#include <cstdlib>

#include "libptsecure/engine/torch/files/safetensors.hpp"
#include "tests/fuzz/memory_source.hpp"

// Any bytes are refused or read, and what was read lies in them.

using namespace ptsecure;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  MemorySource source(data, size);
  try {
    for (const auto& [name, entry] : torch_plugin::read_safetensors(source)) {
      if (entry.begin > size || entry.size > size - entry.begin) std::abort();
    }
  } catch (const Error&) {
  }
  return 0;
}
