#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>

#include "libptsecure/crypto/random.hpp"
#include "libptsecure/crypto/segment_aead.hpp"
#include "libptsecure/crypto/segment_digest.hpp"
#include "libptsecure/package/payload.hpp"

namespace ptsecure {

// A blob under construction in memory that checks how it is written.
class MemoryWriter final : public BlobWriter {
 public:
  void write(std::uint64_t index, ByteView segment) override {
    if (before_write) before_write(index);
    const std::lock_guard lock(mutex_);
    EXPECT_TRUE(segments_.emplace(index, Bytes(segment.begin(), segment.end())).second)
        << "segment " << index << " was written twice";
  }
  void finish() override {
    if (before_finish) before_finish();
    finished = true;
  }
  Bytes bytes() const {
    Bytes all;
    for (const auto& [index, segment] : segments_) {
      EXPECT_EQ(all.size(), index * kSegmentSize);
      all.insert(all.end(), segment.begin(), segment.end());
    }
    return all;
  }

  std::function<void(std::uint64_t)> before_write;
  std::function<void()> before_finish;
  std::atomic<bool> finished{false};

 private:
  std::mutex mutex_;
  std::map<std::uint64_t, Bytes> segments_;
};

// A stored blob in memory that counts its reads and can misbehave.
class MemoryReader final : public BlobReader {
 public:
  explicit MemoryReader(Bytes stored, std::uint64_t run = 4)
      : stored_(std::move(stored)), run_(run), fetched_(stored_segments(stored_.size())) {}

  std::uint64_t size() const override { return stored_.size(); }
  std::uint64_t preferred_run() const override { return run_; }
  void read(std::uint64_t first, std::uint64_t last, const Sink& sink,
            const CancelToken& cancel) override {
    for (std::uint64_t index = first; index < last; ++index) {
      cancel.check();
      const auto begin = stored_.begin() + static_cast<std::ptrdiff_t>(index * kSegmentSize);
      Bytes segment(begin, begin + std::min<std::ptrdiff_t>(kSegmentSize, stored_.end() - begin));
      ++fetched_[index];
      if (on_segment && !on_segment(index, segment)) return;
      sink(index, segment);
    }
  }

  std::uint64_t fetched_total() const {
    std::uint64_t total = 0;
    for (const auto& count : fetched_) total += static_cast<std::uint64_t>(count.load());
    return total;
  }
  int fetched_most() const { return *std::max_element(fetched_.begin(), fetched_.end()); }
  int fetched_least() const { return *std::min_element(fetched_.begin(), fetched_.end()); }

  // May change or resize the copy that is handed out, or throw; false ends the read early.
  std::function<bool(std::uint64_t, Bytes&)> on_segment;

 private:
  Bytes stored_;
  std::uint64_t run_;
  std::vector<std::atomic<int>> fetched_;
};

// Bytes that don't repeat, so that a segment in the wrong place shows.
inline Bytes noise(std::size_t size, std::uint32_t seed = 1) {
  std::mt19937_64 generator(seed);
  Bytes bytes(size + 8);
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t word = generator();
    std::copy_n(reinterpret_cast<const std::uint8_t*>(&word), 8,
                bytes.begin() + static_cast<std::ptrdiff_t>(i));
  }
  bytes.resize(size);
  return bytes;
}

struct Sealed {
  SecretBytes dek;
  PayloadEntry entry;
  Bytes digests;
  Bytes stored;

  // Makes the digests and their signed digest those of the stored bytes, as somebody could who may
  // sign but holds no DEK.
  void sign_again() {
    digests.clear();
    const SegmentDigester digest_of(1);
    for (std::size_t pos = 0; pos < stored.size(); pos += kSegmentSize) {
      const Sha256Digest digest = digest_of(
          ByteView(stored).subspan(pos, std::min<std::size_t>(kSegmentSize, stored.size() - pos)));
      digests.insert(digests.end(), digest.begin(), digest.end());
    }
    entry.digests_sha256 = sha256(digests);
    entry.stored_size = stored.size();
  }
};

inline PayloadEntry entry_for(const SecretBytes& dek, std::size_t plain_size,
                              const Bytes& digests) {
  PayloadEntry entry;
  entry.role = "model";
  entry.sealed_name = "digits";
  entry.sealed_version = 7;
  entry.key_id = "key-1";
  entry.key_commitment = key_commitment(dek.view());
  entry.plaintext_size = plain_size;
  entry.stored_size = stored_size(plain_size);
  entry.digests_sha256 = sha256(digests);
  return entry;
}

inline Sealed seal_bytes(ByteView plain, ThreadPool& pool, SecretBytes dek) {
  MemoryWriter writer;
  const auto input = memory_input(plain);
  Sealed sealed;
  sealed.digests =
      seal_payload(*input, dek.view(), associated_data("digits", 7), writer, pool, {}, {});
  EXPECT_TRUE(writer.finished);
  sealed.stored = writer.bytes();
  sealed.entry = entry_for(dek, plain.size(), sealed.digests);
  sealed.dek = std::move(dek);
  return sealed;
}

inline Sealed seal_bytes(ByteView plain, ThreadPool& pool) {
  return seal_bytes(plain, pool, SecretBytes::random(kDekSize));
}

struct Opened {
  std::shared_ptr<MemoryReader> blob;
  std::unique_ptr<SealedSource> source;
};

inline Opened open_sealed(const Sealed& sealed, ThreadPool& pool,
                          VerifyLevel level = VerifyLevel::signed_, Progress progress = {},
                          CancelToken cancel = {}) {
  auto blob = std::make_shared<MemoryReader>(sealed.stored);
  OpenPayload payload{&sealed.entry,    blob, sealed.digests, level, std::move(progress),
                      std::move(cancel)};
  return {blob, open_payload(std::move(payload), sealed.dek.view(), pool)};
}

// Runs `call` and expects an Error of that status whose message contains `part`.
template <class Call>
void expect_error(Status status, const std::string& part, Call call) {
  try {
    call();
    ADD_FAILURE() << "no error, expected " << status_name(status) << ": " << part;
  } catch (const Error& error) {
    EXPECT_STREQ(status_name(error.status()), status_name(status)) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

}  // namespace ptsecure
