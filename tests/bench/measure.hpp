#pragma once

#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>

// What one process of the benchmark measures of itself.
namespace bench {

inline double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

template <typename Call>
double nanoseconds_per_call(int calls, const Call& call) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i) call();
  return seconds_since(begin) * 1e9 / calls;
}

// User and system time of all threads of this process so far.
inline double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

// A line of /proc/self/status in bytes, "VmHWM" or "VmRSS".
inline std::int64_t memory(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) {
      return std::strtoll(line.c_str() + field.size() + 1, nullptr, 10) * 1024;
    }
  }
  return 0;
}

// The command in PTSECURE_BENCH_BEFORE is run first. From construction on: wall time, processor
// time, and the highest resident memory over what was resident before.
class Measurement {
 public:
  Measurement() {
    const char* const before = std::getenv("PTSECURE_BENCH_BEFORE");
    if (before != nullptr && std::system(before) != 0) throw std::runtime_error(before);
    std::ofstream("/proc/self/clear_refs") << "5";  // the peak starts anew
    resident_ = memory("VmRSS");
    cpu_ = cpu_seconds();
    begin_ = std::chrono::steady_clock::now();
  }
  double seconds() const { return seconds_since(begin_); }
  double cpu() const { return cpu_seconds() - cpu_; }
  std::int64_t peak_bytes() const { return memory("VmHWM") - resident_; }

 private:
  std::int64_t resident_ = 0;
  double cpu_ = 0;
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace bench
