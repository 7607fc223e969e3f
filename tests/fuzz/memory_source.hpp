#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "libptsecure/base/error.hpp"
#include "libptsecure/engine/byte_source.hpp"

namespace ptsecure {

// The bytes of a fuzz input as an engine reads them.
class MemorySource final : public ByteSource {
 public:
  MemorySource(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  std::uint64_t size() const override { return size_; }
  void read(std::uint64_t pos, void* dst, std::size_t n) override {
    if (pos > size_ || n > size_ - pos) throw Error(Status::corrupt, "read beyond the end");
    if (n != 0) std::memcpy(dst, data_ + pos, n);
  }
  void defer(std::uint64_t pos, void* dst, std::size_t n) override { read(pos, dst, n); }
  void discard_deferred() override {}
  void finish() override {}

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

}  // namespace ptsecure
