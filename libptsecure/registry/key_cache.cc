#include "libptsecure/registry/key_cache.hpp"

namespace ptsecure {

KeyBody KeyCache::enabled(const Access& access, const PayloadEntry& payload,
                          ReadConcern concern) const {
  const auto now = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(payload.key_id);
    if (found != known_.end() && now - found->second.read < kFresh) return found->second.key;
  }
  KeyBody key = read_key(access, payload, nullptr, concern);
  require_enabled(key, payload);
  const std::lock_guard lock(mutex_);
  known_.insert_or_assign(payload.key_id, Known{key, now});
  return key;
}

}  // namespace ptsecure
