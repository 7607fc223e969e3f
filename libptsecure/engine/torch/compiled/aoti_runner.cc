#include "libptsecure/engine/torch/compiled/aoti_runner.hpp"

#include "libptsecure/base/error.hpp"

namespace ptsecure::torch_plugin {

void AotiRunner::require_symbols(const MemoryLibrary& library) {
  constexpr const char* kNeeded[] = {
      "AOTInductorModelContainerCreateWithDevice",
      "AOTInductorModelContainerDelete",
      "AOTInductorModelContainerGetCallSpec",
      "AOTInductorModelContainerGetConstantName",
      "AOTInductorModelContainerGetNumConstants",
      "AOTInductorModelContainerGetNumInputs",
      "AOTInductorModelContainerGetNumOutputs",
      "AOTInductorModelContainerRun",
      "AOTInductorModelContainerRunConstantFolding",
      "AOTInductorModelContainerSwapConstantBuffer",
      "AOTInductorModelContainerUpdateUserManagedConstantBuffer",
  };
  for (const char* name : kNeeded) {
    if (library.find(name) != nullptr) continue;
    throw Error(Status::invalid_model, std::string("the compiled library of the package has no ") +
                                           name +
                                           ": AOTInductor of the torch in use didn't compile it");
  }
}

std::size_t AotiRunner::constant_count() const {
  std::size_t count = 0;
  if (get_num_constants_func_(container_handle_, &count) != AOTI_RUNTIME_SUCCESS) {
    throw Error(Status::engine, "the compiled model doesn't say how many weights it has");
  }
  return count;
}

std::size_t AotiRunner::input_count(const MemoryLibrary& library) const {
  const auto ask = reinterpret_cast<decltype(&AOTInductorModelContainerGetNumInputs)>(
      library.find("AOTInductorModelContainerGetNumInputs"));
  std::size_t count = 0;
  if (ask == nullptr || ask(container_handle_, &count) != AOTI_RUNTIME_SUCCESS) {
    throw Error(Status::engine, "the compiled model doesn't say how many inputs it has");
  }
  return count;
}

}  // namespace ptsecure::torch_plugin
