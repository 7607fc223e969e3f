#include <cstdint>
#include <string_view>

#include "libptsecure/base/error.hpp"
#include "libptsecure/engine/torch/compiled/generated_source.hpp"

// Any text is refused or read as what AOTInductor generates: rules of two inputs, how they belong
// together, and of two constants.

using namespace ptsecure;
using namespace ptsecure::torch_plugin;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  try {
    if (const auto rules = read_input_rules(source, 2)) {
      for (const std::int64_t first : {std::int64_t{1}, std::int64_t{6}, INT64_MAX}) {
        rules->relations.check([first](std::size_t input, std::size_t axis) {
          return first - static_cast<std::int64_t>(input + axis) / 2;
        });
      }
    }
  } catch (const Error&) {
  }
  try {
    read_constant_rules(source, 2);
  } catch (const Error&) {
  }
  return 0;
}
