#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/crypto/secret.hpp"
#include "libptsecure/crypto/segment.hpp"

// The payload format: Tink Streaming AEAD, key type AES256_GCM_HKDF_1MB, no output prefix.
//
//   stored  = header | segment 0 | segment 1 | ...
//   header  = 0x28 | salt[32] | nonce prefix[7]
//   key     = HKDF-SHA256(ikm = DEK, salt, info = associated data, 32 bytes)
//   nonce i = nonce prefix | i as 32 bits big-endian | 1 in the last segment, else 0
//
// Segment i is the stored bytes [i * 2^20, (i + 1) * 2^20), tag included; segment 0 contains the
// header too. The last segment may be shorter, but only an empty plaintext has an empty one.
namespace ptsecure {

inline constexpr std::size_t kHeaderSize = 40;
inline constexpr std::size_t kTagSize = 16;
inline constexpr std::size_t kDekSize = 32;
inline constexpr std::uint64_t kMaxSegments = std::uint64_t{1} << 32;

struct SegmentExtent {
  std::uint64_t plain_offset;
  std::size_t plain_size;
  std::uint64_t stored_offset;
  std::size_t stored_size;
};

// At least 1. These throw Status::limit_exceeded over 2^32 segments (4 PiB).
std::uint64_t segment_count(std::uint64_t plaintext_size);
std::uint64_t stored_size(std::uint64_t plaintext_size);

// Throws Status::invalid_argument when there is no such segment.
SegmentExtent segment_extent(std::uint64_t index, std::uint64_t plaintext_size);

// Index of the segment that holds the plaintext byte at this offset.
std::uint64_t segment_of(std::uint64_t plain_offset) noexcept;

// Throws Status::corrupt for sizes that no plaintext has.
std::uint64_t plaintext_size_of(std::uint64_t stored_size);

// HKDF-SHA256(DEK, empty salt, info "ptsecure/1 key commitment", 32 bytes): binds a manifest to
// one DEK, which AES-GCM by itself doesn't.
std::array<std::uint8_t, 32> key_commitment(ByteView dek);

// Encrypts one payload. Salt and nonce prefix are drawn in the constructor, so each sealer is a
// seal of its own. `seal` may be called from many threads, each segment once and in any order.
class SegmentSealer {
 public:
  // Throws Status::invalid_argument for a DEK that isn't 32 bytes or is all zero.
  SegmentSealer(ByteView dek, ByteView associated_data, std::uint64_t plaintext_size);
  SegmentSealer(SegmentSealer&&) noexcept;
  SegmentSealer& operator=(SegmentSealer&&) noexcept;
  ~SegmentSealer();

  // Writes the segment's stored bytes, in segment 0 with the header before them. `plain` and
  // `stored` must have exactly the sizes of the extent and must not overlap. A second seal of one
  // index throws Status::internal, whatever became of the first: it would be a two-time pad.
  void seal(std::uint64_t index, ByteView plain, ByteSpan stored);

  std::uint64_t plaintext_size() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Decrypts one payload; const and thread-safe.
class SegmentOpener {
 public:
  // Status::corrupt for a header or size that can't be; Status::invalid_argument for a bad DEK.
  SegmentOpener(ByteView dek, ByteView associated_data, ByteView header, std::uint64_t stored_size);
  SegmentOpener(SegmentOpener&&) noexcept;
  SegmentOpener& operator=(SegmentOpener&&) noexcept;
  ~SegmentOpener();

  struct Piece {
    std::uint8_t* out;  // nullptr: authenticate these bytes, don't keep them
    std::size_t size;
  };

  // `stored` is the whole stored segment (segment 0 with the header, which must be the one given to
  // the constructor); the pieces cover its plaintext in order, without gaps. When the segment isn't
  // authentic every piece is zeroed and Status::corrupt thrown; until open returns, what lies in
  // the pieces is not to be used.
  void open(std::uint64_t index, ByteView stored, std::span<const Piece> pieces) const;
  void open(std::uint64_t index, ByteView stored, ByteSpan out) const;

  std::uint64_t plaintext_size() const noexcept;
  std::uint64_t segment_count() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ptsecure
