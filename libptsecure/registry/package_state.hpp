#pragma once

#include <memory>
#include <vector>

#include "libptsecure/registry/resolve.hpp"

namespace ptsecure {

struct Package::State {
  std::shared_ptr<Store> store;
  std::shared_ptr<ThreadPool> pool;
  Keyring keys;
  VerifiedVersion version;
  KeyBody key;

  const PayloadEntry& payload() const { return version.manifest->payload("model"); }
};

}  // namespace ptsecure
