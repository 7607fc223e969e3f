// What one core hashes of a block that lies in its caches, in bytes a second: as an open of a large
// payload does it, and as one does where libIPSec_MB isn't installed.
#include <algorithm>
#include <chrono>
#include <iostream>

#include "libptsecure/crypto/block_digest.hpp"

namespace {

double rate(const ptsecure::BlockDigester& digest) {
  using Clock = std::chrono::steady_clock;
  const ptsecure::Bytes block(1 << 20, 7);
  digest(block);
  double best = 0;
  for (int round = 0; round < 20; ++round) {
    constexpr int kBlocks = 30;
    const auto begin = Clock::now();
    for (int i = 0; i < kBlocks; ++i) digest(block);
    const std::chrono::duration<double> took = Clock::now() - begin;
    best = std::max(best, kBlocks * static_cast<double>(block.size()) / took.count());
  }
  return best;
}

}  // namespace

int main() {
  std::cout << R"({"block_digest": )" << rate(ptsecure::BlockDigester(1000))
            << R"(, "by_openssl": )" << rate(ptsecure::BlockDigester(1)) << "}\n";
  return 0;
}
