#include <zlib.h>

#include <algorithm>
#include <limits>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/crypto/jose.hpp"
#include "libptsecure/crypto/jwe_internal.hpp"
#include "libptsecure/crypto/random.hpp"

namespace ptsecure::jwe {

namespace {

constexpr std::size_t kGcmIvSize = 12;
constexpr std::size_t kGcmTagSize = 16;
constexpr std::size_t kBlock = 16;
constexpr std::size_t kInflateFloor = 250 * 1024;
constexpr std::size_t kInflateRatio = 10;

const EVP_CIPHER* gcm_cipher(std::size_t key_size) {
  switch (key_size) {
    case 16:
      return EVP_aes_128_gcm();
    case 24:
      return EVP_aes_192_gcm();
    default:
      return EVP_aes_256_gcm();
  }
}

const EVP_CIPHER* cbc_cipher(std::size_t key_size) {
  switch (key_size) {
    case 16:
      return EVP_aes_128_cbc();
    case 24:
      return EVP_aes_192_cbc();
    default:
      return EVP_aes_256_cbc();
  }
}

bool fits_int(std::size_t size) {
  return size <= static_cast<std::size_t>(std::numeric_limits<int>::max()) - kBlock;
}

bool update(EVP_CIPHER_CTX* ctx, std::uint8_t* out, ByteView in) {
  int written = 0;
  return in.empty() ||
         EVP_CipherUpdate(ctx, out, &written, in.data(), static_cast<int>(in.size())) == 1;
}

EvpCipherCtx start_cipher(const EVP_CIPHER* cipher, ByteView key, ByteView iv, bool encrypt) {
  EvpCipherCtx ctx(EVP_CIPHER_CTX_new());
  openssl_must(ctx && EVP_CipherInit_ex2(ctx.get(), cipher, key.data(), iv.data(), encrypt ? 1 : 0,
                                         nullptr) == 1,
               "AES");
  return ctx;
}

std::array<std::uint8_t, 8> big_endian(std::uint64_t number) {
  std::array<std::uint8_t, 8> bytes{};
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(number >> (56 - 8 * i));
  return bytes;
}

// MAC first, then decryption (RFC 7518 section 5.2.2.2).
std::optional<SecretBytes> decrypt_cbc(const ContentAlg& alg, ByteView cek, ByteView iv,
                                       ByteView associated_data, ByteView ciphertext,
                                       ByteView tag) {
  const std::size_t half = alg.key_size / 2;
  const auto length = big_endian(std::uint64_t{associated_data.size()} * 8);
  const Bytes mac =
      jose::hmac(alg.digest, cek.first(half), {associated_data, iv, ciphertext, length});
  if (!equal_constant_time(ByteView(mac).first(alg.tag_size), tag)) return std::nullopt;

  const EvpCipherCtx ctx = start_cipher(cbc_cipher(half), cek.last(half), iv, false);
  SecretBytes padded(ciphertext.size() + kBlock);
  int written = 0;
  int last = 0;
  if (EVP_CipherUpdate(ctx.get(), padded.data(), &written, ciphertext.data(),
                       static_cast<int>(ciphertext.size())) != 1 ||
      EVP_CipherFinal_ex(ctx.get(), padded.data() + written, &last) != 1) {
    return std::nullopt;
  }
  return SecretBytes::copy(
      padded.view().first(static_cast<std::size_t>(written) + static_cast<std::size_t>(last)));
}

}  // namespace

Sealed encrypt_gcm(ByteView key, ByteView associated_data, ByteView plaintext) {
  OpensslErrors errors;
  Sealed out{Bytes(kGcmIvSize), Bytes(plaintext.size()), Bytes(kGcmTagSize)};
  random_bytes(out.iv);
  const EvpCipherCtx ctx = start_cipher(gcm_cipher(key.size()), key, out.iv, true);
  std::uint8_t none[kBlock];
  int written = 0;
  openssl_must(
      fits_int(plaintext.size()) && update(ctx.get(), nullptr, associated_data) &&
          update(ctx.get(), out.ciphertext.data(), plaintext) &&
          EVP_CipherFinal_ex(ctx.get(), none, &written) == 1 &&
          EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_GET_TAG, kGcmTagSize, out.tag.data()) == 1,
      "AES-GCM");
  return out;
}

std::optional<SecretBytes> decrypt_gcm(ByteView key, ByteView iv, ByteView associated_data,
                                       ByteView ciphertext, ByteView tag) {
  OpensslErrors errors;
  if (iv.size() != kGcmIvSize || tag.size() != kGcmTagSize || !fits_int(ciphertext.size())) {
    return std::nullopt;
  }
  const EvpCipherCtx ctx = start_cipher(gcm_cipher(key.size()), key, iv, false);
  SecretBytes out(ciphertext.size());
  std::uint8_t none[kBlock];
  int written = 0;
  const bool ok = EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_SET_TAG, kGcmTagSize,
                                      openssl_in(tag.data())) == 1 &&
                  update(ctx.get(), nullptr, associated_data) &&
                  update(ctx.get(), out.data(), ciphertext) &&
                  EVP_CipherFinal_ex(ctx.get(), none, &written) == 1;
  if (!ok) return std::nullopt;
  return out;
}

std::optional<SecretBytes> decrypt_content(const ContentAlg& alg, ByteView cek, ByteView iv,
                                           ByteView associated_data, ByteView ciphertext,
                                           ByteView tag) {
  OpensslErrors errors;
  const bool cbc = alg.digest != nullptr;
  if (iv.size() != alg.iv_size || tag.size() != alg.tag_size || !fits_int(ciphertext.size()) ||
      (cbc && (ciphertext.empty() || ciphertext.size() % kBlock != 0))) {
    jose::malformed("its iv, ciphertext or tag has a size that its enc doesn't allow");
  }
  if (cek.size() != alg.key_size) return std::nullopt;
  return cbc ? decrypt_cbc(alg, cek, iv, associated_data, ciphertext, tag)
             : decrypt_gcm(cek, iv, associated_data, ciphertext, tag);
}

ContentStream::ContentStream(const ContentAlg& alg, ByteView cek, ByteView iv,
                             ByteView associated_data, ByteSpan out, std::size_t tag_size)
    : alg_(alg), out_(out), associated_bits_(std::uint64_t{associated_data.size()} * 8) {
  OpensslErrors errors;
  const bool cbc = alg.digest != nullptr;
  if (iv.size() != alg.iv_size || tag_size != alg.tag_size || cek.size() != alg.key_size ||
      (cbc && (out.empty() || out.size() % kBlock != 0))) {
    jose::malformed("its iv, ciphertext or tag has a size that its enc doesn't allow");
  }
  if (!cbc) {
    cipher_ = start_cipher(gcm_cipher(cek.size()), cek, iv, false);
    openssl_must(jwe::update(cipher_.get(), nullptr, associated_data), "AES-GCM");
    return;
  }
  const std::size_t half = alg.key_size / 2;
  cipher_ = start_cipher(cbc_cipher(half), cek.last(half), iv, false);
  mac_ = jose::hmac_start(alg.digest, cek.first(half));
  openssl_must(EVP_MAC_update(mac_.get(), associated_data.data(), associated_data.size()) == 1 &&
                   EVP_MAC_update(mac_.get(), iv.data(), iv.size()) == 1,
               "HMAC");
}

void ContentStream::update(ByteView ciphertext) {
  OpensslErrors errors;
  if (ciphertext.size() > out_.size() - taken_ || !fits_int(ciphertext.size())) {
    throw Error(Status::internal, "more ciphertext came than there is");
  }
  if (ciphertext.empty()) return;
  taken_ += ciphertext.size();
  if (mac_) {
    openssl_must(EVP_MAC_update(mac_.get(), ciphertext.data(), ciphertext.size()) == 1, "HMAC");
  }
  int written = 0;
  openssl_must(EVP_CipherUpdate(cipher_.get(), out_.data() + written_, &written, ciphertext.data(),
                                static_cast<int>(ciphertext.size())) == 1,
               "AES");
  written_ += static_cast<std::size_t>(written);
}

bool ContentStream::finish(ByteView tag) {
  OpensslErrors errors;
  if (taken_ != out_.size() || tag.size() != alg_.tag_size) return false;
  std::array<std::uint8_t, kBlock> last{};
  int written = 0;
  if (!mac_) {
    return EVP_CIPHER_CTX_ctrl(cipher_.get(), EVP_CTRL_AEAD_SET_TAG, kGcmTagSize,
                               openssl_in(tag.data())) == 1 &&
           EVP_CipherFinal_ex(cipher_.get(), last.data(), &written) == 1;
  }
  const auto length = big_endian(associated_bits_);
  std::array<std::uint8_t, 64> mac{};
  std::size_t mac_size = 0;
  openssl_must(EVP_MAC_update(mac_.get(), length.data(), length.size()) == 1 &&
                   EVP_MAC_final(mac_.get(), mac.data(), &mac_size, mac.size()) == 1 &&
                   mac_size >= alg_.tag_size,
               "HMAC");
  // MAC first, then the padding.
  if (!equal_constant_time(ByteView(mac).first(alg_.tag_size), tag) ||
      EVP_CipherFinal_ex(cipher_.get(), last.data(), &written) != 1) {
    return false;
  }
  std::copy_n(last.begin(), written, out_.data() + written_);
  written_ += static_cast<std::size_t>(written);
  secure_zero(last.data(), last.size());
  return true;
}

SecretBytes inflate_bounded(ByteView deflated) {
  const std::size_t limit =
      std::min(kJweMaxInflated, std::max(kInflateFloor, kInflateRatio * deflated.size()));
  z_stream stream{};
  if (deflated.size() > std::numeric_limits<uInt>::max() || inflateInit2(&stream, -15) != Z_OK) {
    throw Error(Status::internal, "zlib could not be started");
  }
  SecretBytes out(limit + 1);
  stream.next_in = const_cast<Bytef*>(deflated.data());
  stream.avail_in = static_cast<uInt>(deflated.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = inflate(&stream, Z_FINISH);
  const std::size_t size = out.size() - stream.avail_out;
  const bool complete = result == Z_STREAM_END && stream.avail_in == 0;
  inflateEnd(&stream);
  if (size > limit) {
    throw Error(Status::limit_exceeded, "the compressed plaintext grows beyond " +
                                            std::to_string(limit) +
                                            " bytes; write it without compression");
  }
  if (!complete) jose::malformed("its compressed plaintext is damaged");
  return SecretBytes::copy(out.view().first(size));
}

}  // namespace ptsecure::jwe
