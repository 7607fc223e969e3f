#pragma once

#include <algorithm>
#include <chrono>

namespace ptsecure {

// A rate limit: `rate` tokens a second flow in until `size` are there. One thread at a time.
class TokenBucket {
 public:
  using Clock = std::chrono::steady_clock;

  // Starts full.
  TokenBucket(double rate, double size, Clock::time_point now)
      : rate_(rate), size_(size), tokens_(size), filled_(now) {}

  // Keeps what is in it, as far as it fits.
  void resize(double rate, double size) {
    rate_ = rate;
    size_ = size;
    tokens_ = std::min(tokens_, size);
  }

  // How long until `tokens` of them are there; 0 = they are.
  std::chrono::milliseconds wait_for(double tokens, Clock::time_point now) {
    fill(now);
    if (tokens_ >= tokens) return std::chrono::milliseconds(0);
    constexpr double kLongest = 1e9;  // milliseconds
    const double ms = std::min((tokens - tokens_) / rate_ * 1000, kLongest);
    return std::chrono::milliseconds(static_cast<std::int64_t>(ms) + 1);
  }
  // May leave it below zero: whoever comes next waits for that too.
  void take(double tokens) { tokens_ -= tokens; }

 private:
  void fill(Clock::time_point now) {
    tokens_ += rate_ * std::chrono::duration<double>(now - filled_).count();
    tokens_ = std::min(tokens_, size_);
    filled_ = now;
  }

  double rate_;
  double size_;
  double tokens_;
  Clock::time_point filled_;
};

}  // namespace ptsecure
