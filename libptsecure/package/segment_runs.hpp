#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "libptsecure/base/thread_pool.hpp"
#include "libptsecure/store/blob.hpp"

namespace ptsecure {

// Segments [first, last).
struct SegmentRun {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

// Cuts ascending ranges into runs for `threads` threads that each take the next one: as long as the
// store likes them at first, shorter towards the end, so that all threads end together.
std::vector<SegmentRun> plan_runs(std::span<const SegmentRun> ranges, std::uint64_t preferred,
                                  unsigned threads);

// Keeps the failure of the lowest segment, so that the same damage gives the same message however
// many threads look for it. Thread-safe.
class LowestFailure {
 public:
  // True when `segment` need not be looked at any more.
  bool ends(std::uint64_t segment) const noexcept {
    return segment >= lowest_.load(std::memory_order_relaxed);
  }
  // Keeps the exception being handled.
  void record(std::uint64_t segment) noexcept;
  void rethrow() const;

 private:
  std::atomic<std::uint64_t> lowest_{UINT64_MAX};
  std::mutex mutex_;
  std::exception_ptr error_;
};

// Fetches the segments of one blob and checks that they are the ones asked for, in order and whole;
// what is in them is the business of `work`.
class SegmentFetcher {
 public:
  using Work = std::function<void(std::uint64_t index, ByteView stored)>;

  SegmentFetcher(BlobReader& blob, std::uint64_t size, CancelToken cancel)
      : blob_(blob), size_(size), cancel_(std::move(cancel)) {}

  // One run on this thread. Ends early where `failure` has a lower segment.
  void fetch(SegmentRun run, LowestFailure& failure, const Work& work) const noexcept;

  // The runs (ascending), each by one thread of the pool. After a failure no segment above it is
  // begun, every one below it is still looked at, and the lowest failure is thrown.
  void fetch_runs(std::span<const SegmentRun> runs, ThreadPool& pool, const Work& work) const;
  // The same for ranges of any length, cut by plan_runs.
  void fetch_all(std::span<const SegmentRun> ranges, ThreadPool& pool, const Work& work) const;

  std::uint64_t preferred_run() const;
  std::uint64_t segments() const noexcept { return stored_segments(size_); }
  const CancelToken& cancel() const noexcept { return cancel_; }

 private:
  void check_segment(std::uint64_t expected, std::uint64_t index, ByteView stored) const;

  BlobReader& blob_;
  std::uint64_t size_;
  CancelToken cancel_;
};

}  // namespace ptsecure
