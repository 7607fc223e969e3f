#include <cstdlib>

#include "libptsecure/engine/torch/compiled/call_spec.hpp"
#include "libptsecure/engine/torch/compiled/generated_source.hpp"
#include "libptsecure/engine/torch/compiled/pt2_package.hpp"
#include "libptsecure/engine/torch/files/pickle_globals.hpp"
#include "tests/fuzz/memory_source.hpp"

// Any bytes are refused or read as a package of compiled models; so are its generated source, a
// call spec and the pickle of a state_dict.

using namespace ptsecure;
using namespace ptsecure::torch_plugin;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto plain = ordered_dict_as_dict(text); plain && !pickle_globals(*plain)) std::abort();
  try {
    const std::string spec{text};
    static_cast<void>(CallSpec{spec, spec, {}});
  } catch (const Error&) {
  }
  MemorySource source(data, size);
  try {
    const Archive archive(source);
    const Pt2Package package(archive, source);
    for (const CompiledModel& model : package.models()) {
      if (model.library == nullptr) std::abort();
      read_input_rules(model.source, 2);
      read_constant_rules(model.source, 2);
    }
  } catch (const Error&) {
  }
  return 0;
}
