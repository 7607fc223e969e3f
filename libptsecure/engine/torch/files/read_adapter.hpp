#pragma once

#include <caffe2/serialize/read_adapter_interface.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "libptsecure/engine/byte_source.hpp"
#include "libptsecure/engine/torch/files/archive.hpp"
#include "libptsecure/engine/torch/files/tensor_arena.hpp"

namespace ptsecure::torch_plugin {

// Page faults of 4 KiB cost more than the decryption of the page: asks for larger ones, before the
// first touch.
void prefer_huge_pages(void* begin, std::size_t size);

// Bytes of the archive and where libtorch asked for them.
struct PlacedRecord {
  const void* destination = nullptr;
  std::size_t size = 0;
  std::byte* in_arena = nullptr;  // where they are instead; nullptr = where libtorch asked for them
};

// libtorch's view of a byte source. Reads of whole tensor records (data/*) can be deferred: the
// reader is told that it has the bytes, and the source writes them into the tensor's own storage
// later, in any order, on all threads. The source hears of them only in hand_over(), once it is
// known that their memory belongs to the loaded module and not to something freed meanwhile.
//
// libtorch reads 30 bytes of local header before each record, which alone would decrypt a segment
// for every tensor. While deferring, those headers are made up from the directory and the layout
// that PyTorch's writer uses, and the real ones are deferred too: headers_hold() then tells whether
// the guess was right.
//
// Large tensor records are given to the source before libtorch asks for anything, with memory in an
// arena as their destination: they are decrypted while libtorch reads the program, and the memory
// that it made for them is never touched. ModuleStorages::adopt() exchanges one for the other.
class ReadAdapter final : public caffe2::serialize::ReadAdapterInterface {
 public:
  ReadAdapter(ByteSource& source, const Archive& archive, bool defer_tensors);

  // Gives the source what goes into an arena and lets it begin. At most once, before any read.
  void begin_ahead();
  const std::shared_ptr<TensorArena>& arena() const { return arena_; }

  std::size_t size() const override;
  // Never throws through libtorch's C frames: a failure of the source is kept for
  // rethrow_source_error() and reported as a short read.
  std::size_t read(std::uint64_t pos, void* dst, std::size_t n, const char* what) const override;

  void rethrow_source_error() const;
  // Gives the source all that was deferred; its finish() comes next.
  void hand_over() const;
  // The tensor records that were deferred.
  std::span<const PlacedRecord> deferred() const { return deferred_; }
  // How many bytes the latest read to this address brought; nullopt when there was none.
  std::optional<std::size_t> size_at(const void* destination) const;
  // To be asked after the source has finished.
  bool headers_hold() const;

 private:
  struct TensorRecord {
    const Record* record = nullptr;
    std::array<unsigned char, kLocalHeaderSize> real_header{};
    std::byte* in_arena = nullptr;
    bool asked_for = false;
  };
  void read_from_source(std::uint64_t pos, void* dst, std::size_t n) const;
  bool answer_without_source(std::uint64_t pos, void* dst, std::size_t n) const;
  void check_range(std::uint64_t pos, std::size_t n) const;
  void note(std::uint64_t pos, void* dst, std::size_t n) const;

  ByteSource& source_;
  const Archive& archive_;
  // Filled once, so that the addresses of the headers hold.
  mutable std::vector<TensorRecord> tensors_;
  std::unordered_map<std::uint64_t, std::size_t> by_header_, by_data_;
  std::shared_ptr<TensorArena> arena_;
  struct Noted {
    std::uint64_t pos;
    void* destination;
    std::size_t size;
  };
  mutable std::vector<Noted> noted_;
  mutable std::vector<PlacedRecord> deferred_;
  mutable std::unordered_map<const void*, std::size_t> placed_;
  mutable std::vector<std::size_t> guessed_;
  mutable std::exception_ptr error_;
};

}  // namespace ptsecure::torch_plugin
