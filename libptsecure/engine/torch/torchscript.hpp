#pragma once

#include <memory>

#include "libptsecure/byte_source.hpp"
#include "libptsecure/engine/engine.hpp"

namespace ptsecure::torch_plugin {

// Once in a process, before its first module: most of the time that opening a small one takes. A
// call meanwhile waits.
void prepare_torchscript();

// Loads a TorchScript module and finishes the source (unless options.inspect_only). The module
// stays in the mode it was saved in, training or eval; nothing is optimised or frozen. On the CPU,
// what needs no operators is begun at once: large tensors are decrypted already.
std::unique_ptr<EngineLoad> begin_torchscript(ByteSource& source, const EngineLoadOptions& options);

}  // namespace ptsecure::torch_plugin
