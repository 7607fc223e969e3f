#include "libptsecure/crypto/segment_aead.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/crypto/openssl.hpp"
#include "libptsecure/crypto/random.hpp"

namespace ptsecure {

namespace {

constexpr std::size_t kSaltSize = 32;
constexpr std::size_t kPrefixSize = 7;
constexpr std::size_t kPlainSize = kSegmentSize - kTagSize;
constexpr std::size_t kFirstPlainSize = kPlainSize - kHeaderSize;
constexpr std::size_t kDiscardSize = 16 * 1024;

using Header = std::array<std::uint8_t, kHeaderSize>;
using Nonce = std::array<std::uint8_t, 12>;

void check_dek(ByteView dek) {
  const bool all_zero =
      std::all_of(dek.begin(), dek.end(), [](std::uint8_t byte) { return byte == 0; });
  if (dek.size() != kDekSize || all_zero) {
    throw Error(Status::invalid_argument,
                "a data key is 32 random bytes; this one has another size or is all zero");
  }
}

SecretBytes segment_key(ByteView dek, const Header& header, ByteView associated_data) {
  return hkdf_sha256(dek, ByteView(header).subspan(1, kSaltSize), associated_data, kDekSize);
}

Nonce nonce_of(const Header& header, std::uint64_t index, bool last) {
  Nonce nonce;
  std::memcpy(nonce.data(), header.data() + 1 + kSaltSize, kPrefixSize);
  for (int i = 0; i < 4; ++i) {
    nonce[kPrefixSize + static_cast<std::size_t>(i)] =
        static_cast<std::uint8_t>(index >> (24 - 8 * i));
  }
  nonce.back() = last ? 1 : 0;
  return nonce;
}

// Cipher contexts with the key already scheduled, one for each thread that works at a time.
class CipherPool {
 public:
  CipherPool(SecretBytes key, bool encrypt) : key_(std::move(key)), encrypt_(encrypt) {}

  EvpCipherCtx take() {
    {
      std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        EvpCipherCtx ctx = std::move(idle_.back());
        idle_.pop_back();
        return ctx;
      }
    }
    EvpCipherCtx ctx(EVP_CIPHER_CTX_new());
    openssl_must(ctx && EVP_CipherInit_ex2(ctx.get(), EVP_aes_256_gcm(), key_.data(), nullptr,
                                           encrypt_ ? 1 : 0, nullptr) == 1,
                 "AES-256-GCM");
    return ctx;
  }

  void give_back(EvpCipherCtx ctx) {
    std::lock_guard lock(mutex_);
    idle_.push_back(std::move(ctx));
  }

 private:
  SecretBytes key_;
  bool encrypt_;
  std::mutex mutex_;
  std::vector<EvpCipherCtx> idle_;
};

bool start(EVP_CIPHER_CTX* ctx, const Nonce& nonce) {
  return EVP_CipherInit_ex2(ctx, nullptr, nullptr, nonce.data(), -1, nullptr) == 1;
}

bool step(EVP_CIPHER_CTX* ctx, const std::uint8_t* in, std::uint8_t* out, std::size_t size) {
  int written = 0;
  return size == 0 || (EVP_CipherUpdate(ctx, out, &written, in, static_cast<int>(size)) == 1 &&
                       static_cast<std::size_t>(written) == size);
}

bool finish(EVP_CIPHER_CTX* ctx) {
  std::uint8_t none[16];
  int written = 0;
  return EVP_CipherFinal_ex(ctx, none, &written) == 1 && written == 0;
}

bool discard(EVP_CIPHER_CTX* ctx, const std::uint8_t* in, std::size_t size) {
  std::array<std::uint8_t, kDiscardSize> scratch;
  bool ok = true;
  for (std::size_t done = 0; ok && done < size;) {
    const std::size_t n = std::min(scratch.size(), size - done);
    ok = step(ctx, in + done, scratch.data(), n);
    done += n;
  }
  secure_zero(scratch.data(), std::min(scratch.size(), size));
  return ok;
}

std::string size_error(const char* what, std::uint64_t index, std::size_t found,
                       std::size_t expected) {
  return std::string(what) + " of segment " + std::to_string(index) + " must have " +
         std::to_string(expected) + " bytes, found " + std::to_string(found);
}

}  // namespace

std::uint64_t segment_of(std::uint64_t plain_offset) noexcept {
  return plain_offset < kFirstPlainSize ? 0 : 1 + (plain_offset - kFirstPlainSize) / kPlainSize;
}

std::uint64_t segment_count(std::uint64_t plaintext_size) {
  const std::uint64_t count = plaintext_size == 0 ? 1 : segment_of(plaintext_size - 1) + 1;
  if (count > kMaxSegments) {
    throw Error(Status::limit_exceeded, "a payload has at most 2^32 segments (about 4 PiB)");
  }
  return count;
}

std::uint64_t stored_size(std::uint64_t plaintext_size) {
  return kHeaderSize + plaintext_size + segment_count(plaintext_size) * kTagSize;
}

SegmentExtent segment_extent(std::uint64_t index, std::uint64_t plaintext_size) {
  const std::uint64_t count = segment_count(plaintext_size);
  if (index >= count) {
    throw Error(Status::invalid_argument, "the payload has " + std::to_string(count) +
                                              " segments, number " + std::to_string(index) +
                                              " is not one of them");
  }
  SegmentExtent extent{};
  extent.plain_offset = index == 0 ? 0 : kFirstPlainSize + (index - 1) * kPlainSize;
  extent.stored_offset = index * kSegmentSize;
  extent.plain_size = static_cast<std::size_t>(std::min<std::uint64_t>(
      index == 0 ? kFirstPlainSize : kPlainSize, plaintext_size - extent.plain_offset));
  extent.stored_size = extent.plain_size + kTagSize + (index == 0 ? kHeaderSize : 0);
  return extent;
}

std::uint64_t plaintext_size_of(std::uint64_t stored_size) {
  const std::uint64_t count = stored_segments(stored_size);
  const std::uint64_t last = stored_size - (count == 0 ? 0 : count - 1) * kSegmentSize;
  const std::uint64_t least = count <= 1 ? kHeaderSize + kTagSize : kTagSize + 1;
  if (count > kMaxSegments || last < least) {
    throw Error(Status::corrupt, "no sealed payload has " + std::to_string(stored_size) +
                                     " bytes: it was cut, extended or is something else");
  }
  return stored_size - kHeaderSize - count * kTagSize;
}

std::array<std::uint8_t, 32> key_commitment(ByteView dek) {
  check_dek(dek);
  const SecretBytes derived = hkdf_sha256(dek, {}, as_bytes("ptsecure/1 key commitment"), 32);
  std::array<std::uint8_t, 32> out;
  std::memcpy(out.data(), derived.data(), out.size());
  return out;
}

struct SegmentSealer::State {
  State(ByteView dek, ByteView associated_data, const Header& drawn, std::uint64_t size)
      : header(drawn),
        plaintext_size(size),
        count(segment_count(size)),
        pool(segment_key(dek, drawn, associated_data), true),
        sealed((count + 63) / 64) {}

  void claim(std::uint64_t index) {
    const std::uint64_t bit = std::uint64_t{1} << (index % 64);
    if (sealed[index / 64].fetch_or(bit, std::memory_order_relaxed) & bit) {
      throw Error(Status::internal, "segment " + std::to_string(index) +
                                        " was sealed before; start over with a new key instead");
    }
  }

  Header header;
  std::uint64_t plaintext_size;
  std::uint64_t count;
  CipherPool pool;
  std::vector<std::atomic<std::uint64_t>> sealed;
};

SegmentSealer::SegmentSealer(ByteView dek, ByteView associated_data, std::uint64_t plaintext_size) {
  check_dek(dek);
  Header header;
  header[0] = kHeaderSize;
  random_bytes(ByteSpan(header).subspan(1));
  state_ = std::make_unique<State>(dek, associated_data, header, plaintext_size);
}
SegmentSealer::SegmentSealer(SegmentSealer&&) noexcept = default;
SegmentSealer& SegmentSealer::operator=(SegmentSealer&&) noexcept = default;
SegmentSealer::~SegmentSealer() = default;

std::uint64_t SegmentSealer::plaintext_size() const noexcept {
  return state_->plaintext_size;
}

void SegmentSealer::seal(std::uint64_t index, ByteView plain, ByteSpan stored) {
  State& state = *state_;
  const SegmentExtent extent = segment_extent(index, state.plaintext_size);
  if (plain.size() != extent.plain_size || stored.size() != extent.stored_size) {
    throw Error(Status::invalid_argument,
                size_error("the plaintext", index, plain.size(), extent.plain_size) + "; " +
                    size_error("the output", index, stored.size(), extent.stored_size));
  }
  state.claim(index);
  std::uint8_t* out = stored.data();
  if (index == 0) {
    std::memcpy(out, state.header.data(), kHeaderSize);
    out += kHeaderSize;
  }
  OpensslErrors errors;
  EvpCipherCtx ctx = state.pool.take();
  const Nonce nonce = nonce_of(state.header, index, index + 1 == state.count);
  openssl_must(
      start(ctx.get(), nonce) && step(ctx.get(), plain.data(), out, plain.size()) &&
          finish(ctx.get()) &&
          EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_GET_TAG, kTagSize, out + plain.size()) == 1,
      "AES-256-GCM");
  state.pool.give_back(std::move(ctx));
}

struct SegmentOpener::State {
  State(ByteView dek, ByteView associated_data, const Header& given, std::uint64_t size)
      : header(given),
        plaintext_size(size),
        count(ptsecure::segment_count(size)),
        pool(segment_key(dek, given, associated_data), false) {}

  Header header;
  std::uint64_t plaintext_size;
  std::uint64_t count;
  mutable CipherPool pool;
};

SegmentOpener::SegmentOpener(ByteView dek, ByteView associated_data, ByteView header,
                             std::uint64_t stored_size) {
  check_dek(dek);
  const std::uint64_t plaintext_size = plaintext_size_of(stored_size);
  if (header.size() != kHeaderSize || header[0] != kHeaderSize) {
    throw Error(Status::corrupt, "the payload does not start with the header of a sealed payload");
  }
  Header copy;
  std::memcpy(copy.data(), header.data(), kHeaderSize);
  state_ = std::make_unique<State>(dek, associated_data, copy, plaintext_size);
}
SegmentOpener::SegmentOpener(SegmentOpener&&) noexcept = default;
SegmentOpener& SegmentOpener::operator=(SegmentOpener&&) noexcept = default;
SegmentOpener::~SegmentOpener() = default;

std::uint64_t SegmentOpener::plaintext_size() const noexcept {
  return state_->plaintext_size;
}
std::uint64_t SegmentOpener::segment_count() const noexcept {
  return state_->count;
}

void SegmentOpener::open(std::uint64_t index, ByteView stored, ByteSpan out) const {
  // A null piece means "don't keep", so an empty span must not become one of non-zero size.
  const Piece piece{out.data(), out.size()};
  open(index, stored, std::span<const Piece>(&piece, out.empty() ? 0 : 1));
}

void SegmentOpener::open(std::uint64_t index, ByteView stored,
                         std::span<const Piece> pieces) const {
  const State& state = *state_;
  const SegmentExtent extent = segment_extent(index, state.plaintext_size);
  std::size_t wanted = 0;
  for (const Piece& piece : pieces) {
    wanted += piece.size;
    if (piece.size > kSegmentSize || wanted > kSegmentSize) break;
  }
  if (wanted != extent.plain_size) {
    throw Error(Status::invalid_argument,
                size_error("the pieces", index, wanted, extent.plain_size));
  }
  const auto wipe = [&] {
    for (const Piece& piece : pieces) {
      if (piece.out != nullptr) secure_zero(piece.out, piece.size);
    }
  };
  const auto refuse = [&](const std::string& message) {
    wipe();
    throw Error(Status::corrupt, message);
  };
  if (stored.size() != extent.stored_size) {
    refuse(size_error("the stored bytes", index, stored.size(), extent.stored_size));
  }
  if (index == 0) {
    if (std::memcmp(stored.data(), state.header.data(), kHeaderSize) != 0) {
      refuse("the payload's header changed while it was read");
    }
    stored = stored.subspan(kHeaderSize);
  }

  OpensslErrors errors;
  EvpCipherCtx ctx = state.pool.take();
  bool ok = start(ctx.get(), nonce_of(state.header, index, index + 1 == state.count)) &&
            EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_SET_TAG, kTagSize,
                                openssl_in(stored.data() + extent.plain_size)) == 1;
  const std::uint8_t* in = stored.data();
  for (const Piece& piece : pieces) {
    if (!ok) break;
    ok = piece.out == nullptr ? discard(ctx.get(), in, piece.size)
                              : step(ctx.get(), in, piece.out, piece.size);
    in += piece.size;
  }
  if (!ok || !finish(ctx.get())) {
    refuse("segment " + std::to_string(index) +
           " is not authentic: the payload was changed, or belongs to another model, version or "
           "key");
  }
  state.pool.give_back(std::move(ctx));
}

}  // namespace ptsecure
