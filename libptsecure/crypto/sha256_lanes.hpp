#pragma once

#include <memory>
#include <span>

#include "libptsecure/crypto/digest.hpp"

namespace ptsecure {

// SHA-256 of several messages at once on one core, by Intel's libIPSec_MB: the rounds of one
// message wait for one another, those of another message fill the gap. One thread at a time.
class Sha256Lanes {
 public:
  static constexpr std::size_t kLargestMessage = 65534;  // that libIPSec_MB takes

  // Null where the library isn't installed, the processor has nothing that makes it worthwhile, or
  // its digests are not OpenSSL's. Takes some tenths of a millisecond.
  static std::unique_ptr<Sha256Lanes> make();
  ~Sha256Lanes();

  // digests[i] becomes that of `bytes` from i * piece on, at most `piece` of them. False when the
  // library fails, which it shouldn't: the object is of no use then.
  bool digest_pieces(ByteView bytes, std::size_t piece, std::span<Sha256Digest> digests);

 private:
  struct Manager;
  explicit Sha256Lanes(std::unique_ptr<Manager> manager);
  bool right();

  std::unique_ptr<Manager> manager_;
};

}  // namespace ptsecure
