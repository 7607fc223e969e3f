#pragma once

#include "libptsecure/history/memory.hpp"
#include "libptsecure/history/records.hpp"

namespace ptsecure {

// How one operation reaches a store: which keys count, and what this client remembers, if anything.
struct Access {
  Store& store;
  const Keyring& keys;
  CancelToken cancel;
  const Memory* memory = nullptr;

  Records records() const { return {store, keys, cancel, memory}; }
};

// Makes the store unless it is there; Status::rollback when one is remembered here and is gone.
void ensure_created(const Access& access);

}  // namespace ptsecure
