#pragma once

#include <atomic>
#include <functional>
#include <system_error>
#include <thread>

#include "libptsecure/base/signals_blocked.hpp"

namespace ptsecure {

// One piece of work that goes on beside its owner until it is done or told to stop. Used by one
// thread at a time.
class BackgroundWork {
 public:
  BackgroundWork() = default;
  BackgroundWork(const BackgroundWork&) = delete;
  BackgroundWork& operator=(const BackgroundWork&) = delete;
  ~BackgroundWork() { stop(); }

  // `work` looks at stopping() often and doesn't throw. Where the system has no thread to give,
  // nothing begins.
  void start(std::function<void()> work) {
    stop();
    stopping_ = false;
    const SignalsBlocked blocked;
    try {
      thread_ = std::thread(std::move(work));
    } catch (const std::system_error&) {
    }
  }
  bool stopping() const noexcept { return stopping_.load(std::memory_order_relaxed); }
  // Returns once the work has ended.
  void stop() noexcept {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace ptsecure
