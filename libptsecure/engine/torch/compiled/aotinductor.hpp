#pragma once

#include <memory>

#include "libptsecure/engine/byte_source.hpp"
#include "libptsecure/engine/engine.hpp"

namespace ptsecure::torch_plugin {

// Loads a package that AOTInductor compiled (.pt2) and finishes the source (unless
// options.inspect_only). Nothing of it is written anywhere: the code is mapped from sealed memory,
// the weights are decrypted into the tensors that it uses. The model named "model" is the method
// forward, the others are methods of their own names; a package of one model has forward alone.
std::unique_ptr<EngineModel> load_aotinductor(ByteSource& source, const EngineLoadOptions& options,
                                              const std::string& torch_version);

}  // namespace ptsecure::torch_plugin
