#pragma once

#include <string>

#include "libptsecure/engine/engine.hpp"

namespace ptsecure {

// The torch engine: opened on the first call and kept for the life of the process. `torch_dir` is
// the folder that holds torch's lib/ (a Python package's folder, or an unpacked libtorch); empty =
// PTSECURE_TORCH_DIR (ignored in a set-uid process), then the path recorded at build. A libtorch
// that the process already has is always the one used: two in one process crash.
//
// The plug-in, libptsecure_torch.so, is looked for beside the file this code is in, and where that
// is an executable also in ../lib beside it; nowhere else, so that no variable and no working
// directory can put foreign code into the process.
//
// Throws Error(Status::engine) naming what was looked for and what to install; a later call tries
// again. Thread-safe.
Engine& torch_engine(const std::string& torch_dir);

// True when torch_engine() has succeeded before in this process.
bool torch_engine_loaded() noexcept;
// Whether the process has libtorch, loaded by whomever.
bool libtorch_in_process() noexcept;

}  // namespace ptsecure
