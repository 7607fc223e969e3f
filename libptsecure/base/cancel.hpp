#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "libptsecure/base/error.hpp"

namespace ptsecure {

// A flag that any thread may set and that long operations look at at least once a second, also
// while they wait on a stalled socket. Copies share the flag. A default-made one can't be set by
// anybody else and costs nothing to check.
class CancelToken {
 public:
  CancelToken() = default;
  static CancelToken make() {
    CancelToken token;
    token.flag_ = std::make_shared<std::atomic<bool>>(false);
    return token;
  }

  void cancel() const noexcept {
    if (flag_) flag_->store(true, std::memory_order_relaxed);
  }
  bool cancelled() const noexcept { return flag_ && flag_->load(std::memory_order_relaxed); }
  void check() const {
    if (cancelled()) throw Error(Status::cancelled, "the operation was cancelled by the caller");
  }
  // Throws as check() does, soon after it is cancelled.
  void sleep_for(std::chrono::milliseconds time) const {
    constexpr std::chrono::milliseconds kLook{50};
    const auto end = std::chrono::steady_clock::now() + time;
    for (check(); std::chrono::steady_clock::now() < end; check()) {
      std::this_thread::sleep_for(std::min(kLook, time));
    }
  }

 private:
  std::shared_ptr<std::atomic<bool>> flag_;
};

}  // namespace ptsecure
