#pragma once

#include <string>

namespace ptsecure::torch_plugin {

// The sentence a person needs out of what libtorch throws: without the interpreter's traceback and
// without the C++ frames.
std::string last_line(const std::string& what);

// Called in a catch block: rethrows what is caught as an Error. Ours pass as they are; memory
// exhausted becomes Status::out_of_memory; everything else an Error(Status::engine) that begins
// with `where`.
[[noreturn]] void rethrow_as_error(const std::string& where);

}  // namespace ptsecure::torch_plugin
