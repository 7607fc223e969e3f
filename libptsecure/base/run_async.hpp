#pragma once

#include <future>
#include <utility>

#include "libptsecure/base/signals_blocked.hpp"

namespace ptsecure {

// Begins work() on a thread of its own and returns the future of its result, whose destructor waits
// for the end. Where the system has no thread to give, the work is done by whoever asks for the
// result.
template <typename Work>
auto run_async(Work work) {
  const SignalsBlocked blocked;
  return std::async(std::launch::async | std::launch::deferred, std::move(work));
}

}  // namespace ptsecure
