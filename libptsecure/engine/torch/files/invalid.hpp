#pragma once

#include <string>

#include "libptsecure/base/error.hpp"

namespace ptsecure::torch_plugin {

// What a file of a model or of weights is, when it isn't what it should be.
[[noreturn]] inline void invalid(const std::string& message) {
  throw Error(Status::invalid_model, message);
}

}  // namespace ptsecure::torch_plugin
