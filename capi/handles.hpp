#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "libptsecure/base/cancel.hpp"
#include "libptsecure/crypto/secret.hpp"
#include "libptsecure/keyring/keyring.hpp"
#include "libptsecure/package/source.hpp"
#include "libptsecure/registry/registry.hpp"
#include "libptsecure/value/value.hpp"
#include "ptsecure/ptsecure.h"

// What the opaque types of ptsecure.h are. pts_value stays incomplete: a handle is a pointer to a
// ptsecure::Value, so that the children of a tree can be lent out as they lie.

struct pts_cancel {
  ptsecure::CancelToken token;
};

struct pts_keyring {
  ptsecure::Keyring ring;
};

struct pts_source {
  ptsecure::Source source;
};

struct pts_store {
  ptsecure::Registry registry;
};

struct pts_package {
  std::unique_ptr<ptsecure::Package> package;
  std::uint64_t size = 0;
};

struct pts_model {
  std::shared_ptr<ptsecure::LoadedModel> model;
  unsigned forks = 0;  // ptsecure::capi::forks() when it was loaded
};

// Bytes in ordinary or in secret memory, zeroed when freed.
struct pts_bytes {
  explicit pts_bytes(std::size_t size);
  explicit pts_bytes(ptsecure::SecretString text) noexcept;
  ~pts_bytes();
  pts_bytes(const pts_bytes&) = delete;
  pts_bytes& operator=(const pts_bytes&) = delete;

  const std::uint8_t* data() const noexcept;
  std::size_t size() const noexcept { return owned_ ? size_ : secret_.size(); }
  ptsecure::ByteSpan span() noexcept { return {owned_.get(), size_}; }

 private:
  std::unique_ptr<std::uint8_t[]> owned_;
  std::size_t size_ = 0;
  ptsecure::SecretString secret_;
};

namespace ptsecure::capi {

inline Value* unwrap(pts_value* value) noexcept {
  return reinterpret_cast<Value*>(value);
}
inline const Value* unwrap(const pts_value* value) noexcept {
  return reinterpret_cast<const Value*>(value);
}
inline const pts_value* lend(const Value* value) noexcept {
  return reinterpret_cast<const pts_value*>(value);
}
inline pts_value* give(Value&& value) {
  return reinterpret_cast<pts_value*>(new Value(std::move(value)));
}

// How many forks lie between this process and the one that loaded the library.
unsigned forks() noexcept;
// Whether this is a child of a process that had libtorch. OpenMP's threads stayed behind there, and
// a run that asks for several would wait for them forever.
bool forked_with_libtorch() noexcept;

}  // namespace ptsecure::capi
