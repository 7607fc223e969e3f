#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <utility>

#include "libptsecure/package/payload.hpp"

namespace ptsecure {

// Adds up what many threads have done and tells the caller's callback, at most 20 times a second.
// Thread-safe.
class ProgressMeter {
 public:
  ProgressMeter(Progress progress, std::uint64_t total)
      : progress_(std::move(progress)), total_(total) {}

  // Throws what the callback throws, which is then never called again.
  void add(std::uint64_t bytes) {
    done_.fetch_add(bytes, std::memory_order_relaxed);
    if (!progress_ || Clock::now().time_since_epoch().count() < next_.load()) return;
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (lock) report();
  }

  // The last report, of everything.
  void finish() {
    if (!progress_) return;
    const std::lock_guard lock(mutex_);
    done_.store(total_, std::memory_order_relaxed);
    report();
  }

 private:
  using Clock = std::chrono::steady_clock;

  void report() {
    if (failed_) return;
    failed_ = true;
    progress_(done_.load(std::memory_order_relaxed), total_);
    failed_ = false;
    const auto next = Clock::now() + std::chrono::milliseconds(50);
    next_.store(next.time_since_epoch().count());
  }

  Progress progress_;
  std::uint64_t total_;
  std::atomic<std::uint64_t> done_{0};
  std::atomic<Clock::rep> next_{0};
  std::mutex mutex_;
  bool failed_ = false;
};

}  // namespace ptsecure
