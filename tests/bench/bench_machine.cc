// What one core of this machine does, for the floor of an open, in bytes a second: reading a file
// out of the page cache, the first touch of memory in huge and in small pages, a copy in memory,
// AES-256-GCM and SHA-256 as an open uses them.
//
//   bench_machine FOLDER
//
// FOLDER is for a file of 256 MiB, removed at the end.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "libptsecure/crypto/openssl_version.hpp"
#include "libptsecure/crypto/segment_aead.hpp"
#include "libptsecure/crypto/segment_digest.hpp"

namespace {

using ptsecure::Bytes;
using ptsecure::kSegmentSize;

constexpr std::size_t kLarge = std::size_t{256} << 20;

// The best of some rounds: what disturbs only slows.
template <typename Work>
double rate(std::size_t bytes, int rounds, const Work& work) {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  for (int round = 0; round < rounds; ++round) {
    const auto begin = Clock::now();
    work();
    const std::chrono::duration<double> took = Clock::now() - begin;
    best = std::max(best, static_cast<double>(bytes) / took.count());
  }
  return best;
}

double digest_rate(const ptsecure::SegmentDigester& digest) {
  const Bytes segment(kSegmentSize, 7);
  digest(segment);
  return rate(30 * kSegmentSize, 20, [&] {
    for (int i = 0; i < 30; ++i) digest(segment);
  });
}

double decryption_rate() {
  constexpr std::uint64_t kSize = 3 * kSegmentSize;
  const ptsecure::SegmentExtent first = ptsecure::segment_extent(0, kSize);
  const ptsecure::SegmentExtent second = ptsecure::segment_extent(1, kSize);
  const Bytes dek(ptsecure::kDekSize, 7);
  Bytes plain(second.plain_size, 1);
  Bytes begin(first.stored_size);
  Bytes stored(second.stored_size);
  ptsecure::SegmentSealer sealer(dek, {}, kSize);
  sealer.seal(0, ptsecure::ByteView(plain).first(first.plain_size), begin);
  sealer.seal(1, plain, stored);
  const ptsecure::SegmentOpener opener(dek, {},
                                       ptsecure::ByteView(begin).first(ptsecure::kHeaderSize),
                                       ptsecure::stored_size(kSize));
  return rate(30 * kSegmentSize, 20, [&] {
    for (int i = 0; i < 30; ++i) opener.open(1, stored, plain);
  });
}

class Mapping {
 public:
  explicit Mapping(int advice)
      : memory_(mmap(nullptr, kLarge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (memory_ == MAP_FAILED) throw std::runtime_error("no memory");
    madvise(memory_, kLarge, advice);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { munmap(memory_, kLarge); }
  char* data() const { return static_cast<char*>(memory_); }
  void touch() const {
    for (std::size_t at = 0; at < kLarge; at += 4096) data()[at] = 1;
  }

 private:
  void* memory_;
};

double touch_rate(int advice) {
  return rate(kLarge, 7, [advice] { Mapping(advice).touch(); });
}

double copy_rate() {
  const Mapping from(MADV_HUGEPAGE);
  const Mapping to(MADV_HUGEPAGE);
  from.touch();
  to.touch();
  return rate(kLarge, 7, [&] { std::memcpy(to.data(), from.data(), kLarge); });
}

double page_cache_rate(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) throw std::runtime_error("can't make " + path);
  unlink(path.c_str());
  Bytes segment(kSegmentSize, 1);
  for (std::size_t at = 0; at < kLarge; at += kSegmentSize) {
    if (pwrite(fd, segment.data(), kSegmentSize, static_cast<off_t>(at)) !=
        static_cast<ssize_t>(kSegmentSize)) {
      throw std::runtime_error("can't write " + path);
    }
  }
  const double found = rate(kLarge, 7, [&] {
    for (std::size_t at = 0; at < kLarge; at += kSegmentSize) {
      if (pread(fd, segment.data(), kSegmentSize, static_cast<off_t>(at)) < 0) std::abort();
    }
  });
  close(fd);
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2) throw std::runtime_error("usage: bench_machine FOLDER");
    nlohmann::json out;
    out["openssl"] = ptsecure::openssl_version();
    out["page_cache"] = page_cache_rate(std::string(argv[1]) + "/page-cache");
    out["touch_huge"] = touch_rate(MADV_HUGEPAGE);
    out["touch_small"] = touch_rate(MADV_NOHUGEPAGE);
    out["copy"] = copy_rate();
    out["aes_gcm"] = decryption_rate();
    out["segment_digest"] = digest_rate(ptsecure::SegmentDigester(1000));
    out["sha256_openssl"] = digest_rate(ptsecure::SegmentDigester(1));
    std::cout << out << '\n';
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench_machine: " << error.what() << '\n';
    return 1;
  }
}
