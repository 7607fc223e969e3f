#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>
#include <utility>

#include "libptsecure/package/payload.hpp"

namespace ptsecure {

// Adds up what many threads have done and tells the caller's callback, at most 20 times a second
// and only on the thread that is named: a language's runtime may not expect its callbacks
// elsewhere. Thread-safe.
class ProgressMeter {
 public:
  ProgressMeter(Progress progress, std::uint64_t total,
                std::thread::id thread = std::this_thread::get_id())
      : progress_(std::move(progress)), total_(total), thread_(thread) {}

  // Throws what the callback throws, which is then never called again.
  void add(std::uint64_t bytes) {
    const std::uint64_t done = done_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    if (!progress_ || done >= total_ || std::this_thread::get_id() != thread_) return;
    if (Clock::now().time_since_epoch().count() < next_.load()) return;
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (lock) report(done);
  }

  // The one report of everything.
  void finish() {
    if (!progress_) return;
    const std::lock_guard lock(mutex_);
    done_.store(total_, std::memory_order_relaxed);
    report(total_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  void report(std::uint64_t done) {
    if (failed_) return;
    failed_ = true;
    progress_(done, total_);
    failed_ = false;
    const auto next = Clock::now() + std::chrono::milliseconds(50);
    next_.store(next.time_since_epoch().count());
  }

  Progress progress_;
  std::uint64_t total_;
  std::thread::id thread_;
  std::atomic<std::uint64_t> done_{0};
  std::atomic<Clock::rep> next_{0};
  std::mutex mutex_;
  bool failed_ = false;
};

}  // namespace ptsecure
