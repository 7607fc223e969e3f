#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <deque>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libptsecure/base/background_work.hpp"
#include "libptsecure/base/error.hpp"
#include "libptsecure/base/run_async.hpp"
#include "libptsecure/crypto/segment_aead.hpp"
#include "libptsecure/crypto/segment_digest.hpp"
#include "libptsecure/package/destinations.hpp"
#include "libptsecure/package/payload.hpp"
#include "libptsecure/package/plain_buffer.hpp"
#include "libptsecure/package/progress_meter.hpp"
#include "libptsecure/package/segment_cache.hpp"
#include "libptsecure/package/segment_runs.hpp"
#include "libptsecure/store/component.hpp"

namespace ptsecure {
namespace {

std::string payload_name(const PayloadEntry& entry) {
  return version_text(entry.sealed_name, entry.sealed_version) + " (" + entry.role + ")";
}

// What the manifest says about the stored bytes, and whether a segment is as it says.
class SignedSegments {
 public:
  SignedSegments(const PayloadEntry& entry, const BlobReader& blob, ByteView digests)
      : name_(payload_name(entry)),
        segments_(stored_segments(entry.stored_size)),
        digests_(digests),
        digest_(segments_) {
    if (stored_size(entry.plaintext_size) != entry.stored_size) {
      throw Error(Status::corrupt,
                  "the sizes that the manifest gives for " + name_ + " don't fit each other");
    }
    if (blob.size() != entry.stored_size) {
      throw Error(Status::corrupt, "the stored payload of " + name_ + " has " +
                                       std::to_string(blob.size()) + " bytes where the manifest " +
                                       "says " + std::to_string(entry.stored_size) +
                                       ": it was cut, extended or exchanged");
    }
    if (digests.size() % sizeof(Sha256Digest) != 0 ||
        digests.size() / sizeof(Sha256Digest) != segments_ ||
        sha256(digests) != entry.digests_sha256) {
      throw Error(Status::corrupt, "the stored digests of " + name_ +
                                       " are not the signed ones: they are damaged or exchanged");
    }
  }

  std::uint64_t count() const noexcept { return segments_; }

  void check(std::uint64_t index, ByteView stored) const {
    const Sha256Digest digest = digest_(stored);
    const ByteView expected =
        digests_.subspan(static_cast<std::size_t>(index) * digest.size(), digest.size());
    if (std::equal(digest.begin(), digest.end(), expected.begin())) return;
    throw Error(Status::corrupt, segment_name(index) +
                                     " is not the one that was signed: it is damaged or was "
                                     "exchanged, restore it from a good copy");
  }

  // For people: "segment 17 of 512 of digits/7 (model)"; the first is segment 0.
  std::string segment_name(std::uint64_t index) const {
    return "segment " + std::to_string(index) + " of " + std::to_string(segments_) + " of " + name_;
  }

 private:
  std::string name_;
  std::uint64_t segments_;
  ByteView digests_;
  SegmentDigester digest_;
};

// Segments that can be decrypted already, because all of them has a destination. Thread-safe.
class ReadySegments {
 public:
  void add(std::uint64_t index) {
    const std::lock_guard lock(mutex_);
    if (!runs_.empty() && runs_.back().last == index) {
      ++runs_.back().last;
    } else {
      runs_.push_back({index, index + 1});
    }
  }
  SegmentRun take(std::uint64_t at_most) {
    const std::lock_guard lock(mutex_);
    if (runs_.empty()) return {};
    SegmentRun& front = runs_.front();
    const SegmentRun taken{front.first, std::min(front.last, front.first + at_most)};
    front.first = taken.last;
    if (front.first == front.last) runs_.pop_front();
    return taken;
  }
  bool empty() {
    const std::lock_guard lock(mutex_);
    return runs_.empty();
  }
  void clear() {
    const std::lock_guard lock(mutex_);
    runs_.clear();
  }

 private:
  std::mutex mutex_;
  std::deque<SegmentRun> runs_;
};

// Three ways lead through the stored segments, and each authenticates a segment as a whole:
// - a small read decrypts its segment into the cache and is answered from there;
// - a large read decrypts the segments it covers straight into the caller's memory, by all threads;
// - what is deferred is decrypted straight into its destinations by finish(), by all threads, or
//   earlier: while a read waits for its segment, the other threads do deferred segments, and a
//   segment that is decrypted for whatever reason is given to all its destinations at once. A
//   loader reads a few bytes between any two tensors it defers; this way no segment is decrypted
//   twice for that. begin_deferred() sets threads to it at once, beside whatever the loader does.
// Whoever works on a segment holds its lock.
class SealedPayload final : public SealedSource {
 public:
  SealedPayload(OpenPayload payload, ByteView dek, ThreadPool& pool);

  std::uint64_t size() const override { return size_; }
  void read(std::uint64_t pos, void* dst, std::size_t n) override;
  void defer(std::uint64_t pos, void* dst, std::size_t n) override;
  void begin_deferred() override;
  void discard_deferred() override;
  void finish() override;
  void stream(const std::function<void(std::uint64_t, ByteView)>& sink) override;
  void verify() override;

 private:
  class Segment {
   public:
    void lock() noexcept {
      while (busy_.exchange(true, std::memory_order_acquire)) busy_.wait(true);
    }
    void unlock() noexcept {
      busy_.store(false, std::memory_order_release);
      busy_.notify_all();
    }
    bool authentic = false;
    std::size_t wanted = 0;  // bytes of `deferred`, those wanted twice counted twice
    std::vector<Destination> deferred;

   private:
    std::atomic<bool> busy_{false};
  };

  // What a read wants of one segment that is not in the cache.
  struct Missing {
    std::uint64_t index;
    Destination to;
    SegmentCache::Slot* slot;  // through the cache, when the segment is wanted in part
  };

  template <typename Visit>
  void for_parts(std::uint64_t pos, void* dst, std::size_t n, const Visit& visit) const;
  std::vector<Missing> plan_read(std::uint64_t pos, void* dst, std::size_t n);
  void run_read(std::span<const Missing> missing);
  void read_segment(const Missing& wanted, ByteView stored);
  void fill_slot(SegmentCache::Slot& slot, std::uint64_t index, ByteView stored);
  void fill_deferred(std::uint64_t index, ByteView stored);
  void fill_ahead();
  void decrypt(std::uint64_t index, ByteView stored, const DecryptionPlan& plan);
  void mark_authentic(std::uint64_t index);
  void open_segment(std::uint64_t index, ByteView stored,
                    std::span<const SegmentOpener::Piece> pieces) const;
  void open_batch(SegmentRun batch, std::uint64_t run, std::vector<PlainBuffer>& buffers) const;

  OpenPayload payload_;
  ThreadPool& pool_;
  SignedSegments signed_;
  SegmentFetcher fetcher_;
  std::uint64_t size_;
  std::optional<SegmentOpener> opener_;
  std::vector<Segment> segments_;
  SegmentCache cache_;
  ReadySegments ready_;
  ProgressMeter meter_;
  BackgroundWork ahead_;  // the last member: its thread uses the others
};

const PayloadEntry& checked_entry(const OpenPayload& payload, ByteView dek) {
  if (!equal_constant_time(key_commitment(dek), payload.entry->key_commitment)) {
    throw Error(Status::corrupt, "the key found for " + payload_name(*payload.entry) +
                                     " is not the one it was sealed with: the stored keys were "
                                     "damaged or exchanged");
  }
  return *payload.entry;
}

SealedPayload::SealedPayload(OpenPayload payload, ByteView dek, ThreadPool& pool)
    : payload_(std::move(payload)),
      pool_(pool),
      signed_(checked_entry(payload_, dek), *payload_.blob, payload_.digests),
      fetcher_(*payload_.blob, payload_.entry->stored_size, payload_.cancel),
      size_(payload_.entry->plaintext_size),
      segments_(static_cast<std::size_t>(signed_.count())),
      meter_(payload_.progress, size_, payload_.caller) {
  const PayloadEntry& entry = *payload_.entry;
  // Segment 0 brings the header. Its plaintext is kept: a model's first bytes are wanted soon.
  LowestFailure failure;
  fetcher_.fetch({0, 1}, failure, [&](std::uint64_t, ByteView stored) {
    signed_.check(0, stored);
    opener_.emplace(dek, as_bytes(associated_data(entry.sealed_name, entry.sealed_version)),
                    stored.first(kHeaderSize), entry.stored_size);
    fill_slot(cache_.take(segment_extent(0, size_).plain_size), 0, stored);
  });
  failure.rethrow();
}

// Visits the parts of [pos, pos + n) by segment.
template <typename Visit>
void SealedPayload::for_parts(std::uint64_t pos, void* dst, std::size_t n,
                              const Visit& visit) const {
  if (n > size_ || pos > size_ - n) {
    throw Error(Status::invalid_argument,
                "bytes past the end of " + payload_name(*payload_.entry) + " were asked for");
  }
  auto* out = static_cast<std::uint8_t*>(dst);
  for (const std::uint64_t end = pos + n; pos < end;) {
    const std::uint64_t index = segment_of(pos);
    const SegmentExtent extent = segment_extent(index, size_);
    const auto offset = static_cast<std::size_t>(pos - extent.plain_offset);
    const auto part =
        static_cast<std::size_t>(std::min<std::uint64_t>(end - pos, extent.plain_size - offset));
    visit(index, Destination{offset, part, out}, extent.plain_size);
    pos += part;
    out += part;
  }
}

void SealedPayload::read(std::uint64_t pos, void* dst, std::size_t n) {
  payload_.cancel.check();
  const std::vector<Missing> missing = plan_read(pos, dst, n);
  if (!missing.empty()) run_read(missing);
}

// Copies what the cache has and returns the rest.
std::vector<SealedPayload::Missing> SealedPayload::plan_read(std::uint64_t pos, void* dst,
                                                             std::size_t n) {
  std::vector<Missing> missing;
  for_parts(pos, dst, n, [&](std::uint64_t index, const Destination& to, std::size_t whole) {
    if (const std::uint8_t* plain = cache_.find(index)) {
      std::memcpy(to.out, plain + to.offset, to.size);
    } else {
      missing.push_back({index, to, to.size == whole ? nullptr : &cache_.take(whole)});
    }
  });
  return missing;
}

void SealedPayload::run_read(std::span<const Missing> missing) {
  std::vector<SegmentRun> ranges;
  for (const Missing& wanted : missing) {
    if (ranges.empty() || ranges.back().last != wanted.index) {
      ranges.push_back({wanted.index, wanted.index});
    }
    ++ranges.back().last;
  }
  const std::vector<SegmentRun> runs = plan_runs(ranges, fetcher_.preferred_run(), pool_.size());
  const auto find = [&](std::uint64_t index) {
    const auto found =
        std::lower_bound(missing.begin(), missing.end(), index,
                         [](const Missing& wanted, std::uint64_t i) { return wanted.index < i; });
    return found != missing.end() && found->index == index ? &*found : nullptr;
  };

  LowestFailure failure;
  std::atomic<std::size_t> unread = runs.size();
  const auto read_run = [&](std::uint64_t i) {
    fetcher_.fetch(runs[i], failure, [&](std::uint64_t index, ByteView stored) {
      read_segment(*find(index), stored);
    });
    unread.fetch_sub(1, std::memory_order_relaxed);
  };
  const auto help = [&] {
    while (unread.load(std::memory_order_relaxed) != 0) {
      const SegmentRun ready = ready_.take(1);
      if (ready.first == ready.last) return;
      // A segment of the read itself belongs to the thread that reads it.
      if (find(ready.first) != nullptr) continue;
      fetcher_.fetch(ready, failure,
                     [&](std::uint64_t index, ByteView stored) { fill_deferred(index, stored); });
    }
  };

  const std::size_t helpers = ready_.empty() ? 0 : pool_.size() - 1;
  if (runs.size() + helpers == 1) {
    read_run(0);
  } else {
    pool_.for_each(runs.size() + helpers,
                   [&](std::uint64_t i) { i < runs.size() ? read_run(i) : help(); });
  }
  failure.rethrow();
}

void SealedPayload::read_segment(const Missing& wanted, ByteView stored) {
  const std::lock_guard lock(segments_[wanted.index]);
  // Whoever asks for these bytes now is going to interpret them: signed at every level.
  signed_.check(wanted.index, stored);
  if (wanted.slot != nullptr) {
    fill_slot(*wanted.slot, wanted.index, stored);
    std::memcpy(wanted.to.out, wanted.slot->plain->data() + wanted.to.offset, wanted.to.size);
    return;
  }
  std::vector<Destination> destinations = segments_[wanted.index].deferred;
  destinations.push_back(wanted.to);
  decrypt(wanted.index, stored, {destinations, wanted.to.size});
}

// The caller has checked the digest.
void SealedPayload::fill_slot(SegmentCache::Slot& slot, std::uint64_t index, ByteView stored) {
  const SegmentOpener::Piece all{slot.plain->data(), segment_extent(index, size_).plain_size};
  open_segment(index, stored, {&all, 1});
  for (const Destination& to : segments_[index].deferred) {
    std::memcpy(to.out, all.out + to.offset, to.size);
  }
  slot.index = index;
  mark_authentic(index);
}

void SealedPayload::fill_deferred(std::uint64_t index, ByteView stored) {
  const std::lock_guard lock(segments_[index]);
  if (segments_[index].authentic && segments_[index].deferred.empty()) return;  // done meanwhile
  const std::size_t size = segment_extent(index, size_).plain_size;
  const DecryptionPlan plan(segments_[index].deferred, size);
  if (payload_.level == VerifyLevel::signed_ || plan.kept != size) signed_.check(index, stored);
  decrypt(index, stored, plan);
}

void SealedPayload::decrypt(std::uint64_t index, ByteView stored, const DecryptionPlan& plan) {
  open_segment(index, stored, plan.pieces);
  plan.copy();
  mark_authentic(index);
}

void SealedPayload::open_segment(std::uint64_t index, ByteView stored,
                                 std::span<const SegmentOpener::Piece> pieces) const {
  try {
    opener_->open(index, stored, pieces);
  } catch (const Error& error) {
    if (error.status() != Status::corrupt) throw;
    throw Error(Status::corrupt, signed_.segment_name(index) +
                                     " is not authentic: it is damaged, or belongs to another "
                                     "model, version or key");
  }
}

void SealedPayload::mark_authentic(std::uint64_t index) {
  Segment& segment = segments_[index];
  std::vector<Destination>().swap(segment.deferred);
  if (std::exchange(segment.authentic, true)) return;
  meter_.add(segment_extent(index, size_).plain_size);
}

void SealedPayload::defer(std::uint64_t pos, void* dst, std::size_t n) {
  ahead_.stop();
  for_parts(pos, dst, n, [&](std::uint64_t index, const Destination& to, std::size_t whole) {
    if (const std::uint8_t* plain = cache_.find(index)) {
      std::memcpy(to.out, plain + to.offset, to.size);
      return;
    }
    Segment& segment = segments_[index];
    segment.deferred.push_back(to);
    const bool was_ready = segment.wanted >= whole;
    segment.wanted += to.size;
    if (!was_ready && segment.wanted >= whole) ready_.add(index);
  });
}

void SealedPayload::begin_deferred() {
  if (pool_.size() == 1 || ready_.empty()) return;  // there is nobody, or nothing, to do it
  ahead_.start(
      [this] { pool_.for_each(pool_.size() - 1, [this](std::uint64_t) { fill_ahead(); }); });
}

// A segment that fails is left to finish(), which tells of the lowest one.
void SealedPayload::fill_ahead() {
  constexpr std::uint64_t kRun = 4;  // short, so that pausing doesn't take long
  LowestFailure failure;
  while (!ahead_.stopping() && !failure.ends(segments_.size())) {
    const SegmentRun run = ready_.take(kRun);
    if (run.first == run.last) return;
    fetcher_.fetch(run, failure,
                   [this](std::uint64_t index, ByteView stored) { fill_deferred(index, stored); });
  }
}

void SealedPayload::discard_deferred() {
  ahead_.stop();
  for (Segment& segment : segments_) {
    segment.deferred.clear();
    segment.wanted = 0;
  }
  ready_.clear();
}

void SealedPayload::finish() {
  ahead_.stop();
  payload_.cancel.check();
  std::vector<SegmentRun> ranges;
  for (std::uint64_t index = 0; index < segments_.size(); ++index) {
    if (segments_[index].authentic && segments_[index].deferred.empty()) continue;
    if (ranges.empty() || ranges.back().last != index) ranges.push_back({index, index});
    ++ranges.back().last;
  }
  ready_.clear();
  fetcher_.fetch_all(ranges, pool_, [this](std::uint64_t index, ByteView stored) {
    fill_deferred(index, stored);
  });
  cache_.clear();
  meter_.finish();
}

void SealedPayload::verify() {
  ProgressMeter meter(payload_.progress, size_);
  const SegmentRun all{0, signed_.count()};
  fetcher_.fetch_all({&all, 1}, pool_, [&](std::uint64_t index, ByteView stored) {
    const SegmentOpener::Piece unkept{nullptr, segment_extent(index, size_).plain_size};
    signed_.check(index, stored);
    open_segment(index, stored, {&unkept, 1});
    meter.add(unkept.size);
  });
  meter.finish();
}

// While the caller's sink is busy with one batch, the next is being decrypted.
void SealedPayload::stream(const std::function<void(std::uint64_t, ByteView)>& sink) {
  constexpr std::uint64_t kBatch = 16;
  const std::uint64_t count = signed_.count();
  const std::uint64_t batch = std::min(kBatch, count);
  const std::uint64_t run =
      std::clamp<std::uint64_t>(kBatch / pool_.size(), 1, fetcher_.preferred_run());
  ProgressMeter meter(payload_.progress, size_);
  std::array<std::vector<PlainBuffer>, 2> buffers;
  for (auto& half : buffers) {
    for (std::uint64_t i = 0; i < batch; ++i) half.emplace_back(kSegmentSize);
  }
  std::size_t half = 0;
  const auto open_ahead = [&](std::uint64_t first) {
    return run_async([this, first, last = std::min(first + batch, count), run,
                      &to = buffers[half]] { open_batch({first, last}, run, to); });
  };
  std::future<void> ahead = open_ahead(0);
  for (std::uint64_t first = 0; first < count; first += batch) {
    ahead.get();
    const std::vector<PlainBuffer>& ready = buffers[half];
    half = 1 - half;
    if (first + batch < count) ahead = open_ahead(first + batch);
    for (std::uint64_t index = first; index < std::min(first + batch, count); ++index) {
      payload_.cancel.check();
      const SegmentExtent extent = segment_extent(index, size_);
      sink(extent.plain_offset, {ready[index - first].data(), extent.plain_size});
      meter.add(extent.plain_size);
    }
  }
  meter.finish();
}

void SealedPayload::open_batch(SegmentRun batch, std::uint64_t run,
                               std::vector<PlainBuffer>& buffers) const {
  std::vector<SegmentRun> runs;
  for (std::uint64_t first = batch.first; first < batch.last; first += run) {
    runs.push_back({first, std::min(first + run, batch.last)});
  }
  fetcher_.fetch_runs(runs, pool_, [&](std::uint64_t index, ByteView stored) {
    const SegmentOpener::Piece all{buffers[index - batch.first].data(),
                                   segment_extent(index, size_).plain_size};
    signed_.check(index, stored);
    open_segment(index, stored, {&all, 1});
  });
}

}  // namespace

std::unique_ptr<SealedSource> open_payload(OpenPayload payload, ByteView dek, ThreadPool& pool) {
  if (payload.entry == nullptr || payload.blob == nullptr) {
    throw Error(Status::internal, "a payload was opened without its entry or its stored bytes");
  }
  return std::make_unique<SealedPayload>(std::move(payload), dek, pool);
}

void read_stored_segments(const PayloadEntry& entry, BlobReader& blob, ByteView digests,
                          const std::function<void(std::uint64_t, ByteView)>& sink,
                          const CancelToken& cancel) {
  const SignedSegments segments(entry, blob, digests);
  blob.read(
      0, segments.count(),
      [&](std::uint64_t index, ByteView stored) {
        segments.check(index, stored);
        sink(index, stored);
      },
      cancel);
}

void verify_stored_segments(const PayloadEntry& entry, BlobReader& blob, ByteView digests,
                            ThreadPool& pool, const Progress& progress, const CancelToken& cancel) {
  const SignedSegments segments(entry, blob, digests);
  const SegmentFetcher fetcher(blob, entry.stored_size, cancel);
  ProgressMeter meter(progress, entry.plaintext_size);
  const SegmentRun all{0, segments.count()};
  fetcher.fetch_all({&all, 1}, pool, [&](std::uint64_t index, ByteView stored) {
    segments.check(index, stored);
    meter.add(segment_extent(index, entry.plaintext_size).plain_size);
  });
  meter.finish();
}

}  // namespace ptsecure
