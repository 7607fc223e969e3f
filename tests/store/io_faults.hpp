#pragma once

#include <cstdint>
#include <map>
#include <string>

// The test binary stands between the store and the system: file calls of the calling thread can be
// counted and made to fail.
namespace ptsecure::test {

class IoFaults {
 public:
  // While one lives, calls of this thread are counted.
  IoFaults();
  ~IoFaults();
  IoFaults(const IoFaults&) = delete;
  IoFaults& operator=(const IoFaults&) = delete;

  // The nth counted call from now on (0 = the next) fails with `error`, once.
  void fail_nth(std::uint64_t nth, int error);
  // Every call of that name fails with `error`.
  void fail_always(const std::string& call, int error);

  std::uint64_t calls() const;
  // Whether the failure of fail_nth() was reached.
  bool failed() const;
};

}  // namespace ptsecure::test
