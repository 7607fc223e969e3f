#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>

#include "libptsecure/registry/resolve.hpp"

namespace ptsecure {

// What the records of content keys said when they were read last, by key id, of one store.
// Thread-safe.
class KeyCache {
 public:
  using Clock = std::chrono::steady_clock;
  // How old a key's status may be when it is relied on; beyond that it is read again.
  static constexpr std::chrono::seconds kFresh{1};

  // The key's record, which may be one that was read a moment ago, with whatever concern: whoever
  // asks for less than linearizable confirms it before anything is handed out. Throws
  // Status::revoked unless the key is enabled.
  KeyBody enabled(const Access& access, const PayloadEntry& payload,
                  ReadConcern concern = ReadConcern::linearizable) const;

 private:
  struct Known {
    KeyBody key;
    Clock::time_point read;
  };

  mutable std::mutex mutex_;
  mutable std::map<std::string, Known> known_;
};

}  // namespace ptsecure
