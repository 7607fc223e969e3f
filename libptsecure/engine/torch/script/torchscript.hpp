#pragma once

#include <memory>

#include "libptsecure/engine/byte_source.hpp"
#include "libptsecure/engine/engine.hpp"

namespace ptsecure::torch_plugin {

// Once in a process, before its first module: most of the time that opening a small one takes. A
// call meanwhile waits.
void prepare_torchscript();

// Begins to load a TorchScript module, with what needs no operators: its directory is read, and
// where tensors can be deferred, large ones are on their way. The module stays in the mode it was
// saved in, training or eval.
std::unique_ptr<EngineLoad> begin_torchscript(ByteSource& source, const EngineLoadOptions& options);

}  // namespace ptsecure::torch_plugin
