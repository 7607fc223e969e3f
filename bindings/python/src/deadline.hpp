#pragma once

#include <chrono>
#include <optional>

namespace binding {

// When a Python method has to be done: counted from when this is made, so that a method of several
// calls has one limit.
class Deadline {
 public:
  explicit Deadline(std::optional<double> seconds);
  // For the next call, as the C ABI takes it: 0 = no limit. Throws TimeoutError once it has passed;
  // the GIL is held.
  std::chrono::milliseconds left() const;

 private:
  using Clock = std::chrono::steady_clock;

  std::optional<double> seconds_;
  Clock::time_point end_;
};

}  // namespace binding
