#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "libptsecure/base/error.hpp"

namespace ptsecure {

// What ends an operation before its time: a flag that any thread may set, and a deadline. Long
// operations look at it at least once a second, also while they wait on a stalled socket. Copies
// share the flag. A default-made one can't be set by anybody else, has no deadline, and costs
// nothing to check.
class CancelToken {
 public:
  CancelToken() = default;
  static CancelToken make() {
    CancelToken token;
    token.flag_ = std::make_shared<std::atomic<bool>>(false);
    return token;
  }
  // The same flag, and a deadline so long from now, in place of any there was.
  CancelToken within(std::chrono::milliseconds limit) const {
    CancelToken token = *this;
    token.limit_ = limit;
    token.deadline_ = Clock::now() + limit;
    return token;
  }

  void cancel() const noexcept {
    if (flag_) flag_->store(true, std::memory_order_relaxed);
  }
  // Whether the operation is to end: the flag is set, or the deadline has passed.
  bool cancelled() const noexcept { return flag_set() || overdue(); }
  // Whether it ever may be.
  bool can_end() const noexcept { return flag_ != nullptr || limited(); }
  // Throws Status::cancelled or Status::timeout.
  void check() const {
    if (flag_set()) throw Error(Status::cancelled, "the operation was cancelled by the caller");
    if (overdue()) {
      throw Error(Status::timeout, "the operation did not end within the " +
                                       std::to_string(limit_.count()) +
                                       " ms that the call gave it; allow it more time");
    }
  }
  // Throws as check() does, soon after it is cancelled.
  void sleep_for(std::chrono::milliseconds time) const {
    const auto end = Clock::now() + time;
    for (check(); Clock::now() < end; check()) std::this_thread::sleep_for(std::min(kLook, time));
  }

  // How often those look who wait for something that can't wake them.
  static constexpr std::chrono::milliseconds kLook{50};

 private:
  using Clock = std::chrono::steady_clock;

  bool flag_set() const noexcept { return flag_ && flag_->load(std::memory_order_relaxed); }
  bool limited() const noexcept { return deadline_ != Clock::time_point::max(); }
  bool overdue() const noexcept { return limited() && Clock::now() >= deadline_; }

  std::shared_ptr<std::atomic<bool>> flag_;
  Clock::time_point deadline_ = Clock::time_point::max();
  std::chrono::milliseconds limit_{0};
};

}  // namespace ptsecure
