#include "libptsecure/package/segment_runs.hpp"

#include <algorithm>
#include <string>

#include "libptsecure/base/error.hpp"

namespace ptsecure {

std::vector<SegmentRun> plan_runs(std::span<const SegmentRun> ranges, std::uint64_t preferred,
                                  unsigned threads) {
  std::uint64_t remaining = 0;
  for (const SegmentRun& range : ranges) remaining += range.last - range.first;
  std::vector<SegmentRun> runs;
  for (SegmentRun range : ranges) {
    while (range.first < range.last) {
      const std::uint64_t share = remaining / (std::uint64_t{2} * std::max(threads, 1U));
      const std::uint64_t wanted =
          std::clamp<std::uint64_t>(share, 1, std::max<std::uint64_t>(preferred, 1));
      const std::uint64_t length = std::min(wanted, range.last - range.first);
      runs.push_back({range.first, range.first + length});
      range.first += length;
      remaining -= length;
    }
  }
  return runs;
}

void LowestFailure::record(std::uint64_t segment) noexcept {
  const std::lock_guard lock(mutex_);
  if (ends(segment)) return;
  error_ = std::current_exception();
  lowest_.store(segment, std::memory_order_relaxed);
}

void LowestFailure::rethrow() const {
  if (error_) std::rethrow_exception(error_);
}

void SegmentFetcher::fetch(SegmentRun run, LowestFailure& failure,
                           const Work& work) const noexcept {
  std::uint64_t next = run.first;
  try {
    if (failure.ends(next)) return;
    cancel_.check();
    const auto sink = [&](std::uint64_t index, ByteView stored) {
      check_segment(next, index, stored);
      cancel_.check();
      // Another thread's failure is the one to report: this one only ends the read.
      if (failure.ends(index)) throw Error(Status::cancelled, "a lower segment has failed");
      work(index, stored);
      ++next;
    };
    blob_.read(run.first, run.last, sink, cancel_);
    if (next != run.last) {
      throw Error(Status::corrupt, "the store ended before segment " + std::to_string(next) +
                                       " of " + std::to_string(segments()) +
                                       ": stored bytes are missing");
    }
  } catch (...) {
    failure.record(next);
  }
}

void SegmentFetcher::fetch_runs(std::span<const SegmentRun> runs, ThreadPool& pool,
                                const Work& work) const {
  LowestFailure failure;
  pool.for_each(runs.size(), [&](std::uint64_t i) { fetch(runs[i], failure, work); });
  failure.rethrow();
}

void SegmentFetcher::fetch_all(std::span<const SegmentRun> ranges, ThreadPool& pool,
                               const Work& work) const {
  fetch_runs(plan_runs(ranges, preferred_run(), pool.size()), pool, work);
}

std::uint64_t SegmentFetcher::preferred_run() const {
  return std::max<std::uint64_t>(blob_.preferred_run(), 1);
}

void SegmentFetcher::check_segment(std::uint64_t expected, std::uint64_t index,
                                   ByteView stored) const {
  const std::size_t size = expected < segments() ? stored_segment_size(size_, expected) : 0;
  if (index == expected && size != 0 && stored.size() == size) return;
  throw Error(Status::corrupt, "the store handed out segment " + std::to_string(index) + " with " +
                                   std::to_string(stored.size()) + " bytes where segment " +
                                   std::to_string(expected) + " of " + std::to_string(segments()) +
                                   " with " + std::to_string(size) +
                                   " bytes was asked for: it is damaged");
}

}  // namespace ptsecure
