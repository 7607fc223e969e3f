#include "libptsecure/engine/torch/files/read_adapter.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "libptsecure/base/error.hpp"

namespace ptsecure::torch_plugin {
namespace {

// Smaller ones don't go into an arena: the allocator writes beside each of them, so that a good
// part of the memory that libtorch makes for them would be touched after all.
constexpr std::uint64_t kLargeTensor = 128u << 10;
constexpr std::size_t kNameSizeAt = 26;
constexpr std::size_t kExtraSizeAt = 28;
constexpr std::array<unsigned char, 4> kSignature = {'P', 'K', 3, 4};

std::size_t data_offset(const std::array<unsigned char, kLocalHeaderSize>& header) {
  const auto at = [&](std::size_t i) {
    return header[i] | static_cast<std::size_t>(header[i + 1]) << 8;
  };
  return kLocalHeaderSize + at(kNameSizeAt) + at(kExtraSizeAt);
}

}  // namespace

void prefer_huge_pages(void* begin, std::size_t size) {
  if (size < 2 * kHugePage) return;
  const auto address = reinterpret_cast<std::uintptr_t>(begin);
  const std::uintptr_t first = (address + kHugePage - 1) / kHugePage * kHugePage;
  const std::uintptr_t last = (address + size) / kHugePage * kHugePage;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
}

ReadAdapter::ReadAdapter(ByteSource& source, const Archive& archive, bool defer_tensors)
    : source_(source), archive_(archive) {
  if (!defer_tensors) return;
  for (const Record& record : archive.records()) {
    if (!record.name.starts_with("data/") || !record.stored || !record.expected_data) continue;
    by_header_.emplace(record.header, tensors_.size());
    by_data_.emplace(*record.expected_data, tensors_.size());
    tensors_.push_back({.record = &record});
  }
}

void ReadAdapter::begin_ahead() {
  std::uint64_t room = 0;
  for (const TensorRecord& tensor : tensors_) {
    const Record& record = *tensor.record;
    if (record.size < kLargeTensor) continue;
    if (record.size >
        source_.size() - std::min<std::uint64_t>(*record.expected_data, source_.size()))
      return;
    room += TensorArena::room(record.size);
    // Records that overlap would ask for more than the file holds.
    if (room > source_.size() + tensors_.size() * TensorArena::room(1)) return;
  }
  if (room == 0) return;
  arena_ = TensorArena::make(room);
  if (!arena_) return;
  for (TensorRecord& tensor : tensors_) {
    const Record& record = *tensor.record;
    if (record.size < kLargeTensor) continue;
    tensor.in_arena = arena_->take(record.size);
    source_.defer(record.header, tensor.real_header.data(), kLocalHeaderSize);
    source_.defer(*record.expected_data, tensor.in_arena, record.size);
  }
  source_.begin_deferred();
}

std::size_t ReadAdapter::size() const {
  return source_.size();
}

std::size_t ReadAdapter::read(std::uint64_t pos, void* dst, std::size_t n, const char*) const {
  try {
    if (!answer_without_source(pos, dst, n)) read_from_source(pos, dst, n);
    placed_.insert_or_assign(dst, n);
    return n;
  } catch (...) {
    if (!error_) error_ = std::current_exception();
    return 0;
  }
}

void ReadAdapter::rethrow_source_error() const {
  if (error_) std::rethrow_exception(error_);
}

void ReadAdapter::check_range(std::uint64_t pos, std::size_t n) const {
  if (pos > source_.size() || n > source_.size() - pos) {
    throw Error(Status::invalid_model, "the model file is truncated: a record ends outside of it");
  }
}

void ReadAdapter::hand_over() const {
  for (const Noted& noted : noted_) source_.defer(noted.pos, noted.destination, noted.size);
}

void ReadAdapter::read_from_source(std::uint64_t pos, void* dst, std::size_t n) const {
  check_range(pos, n);
  if (pos >= archive_.tail_begin()) {
    std::memcpy(dst, archive_.tail().data() + (pos - archive_.tail_begin()), n);
    return;
  }
  prefer_huge_pages(dst, n);
  source_.read(pos, dst, n);
}

bool ReadAdapter::answer_without_source(std::uint64_t pos, void* dst, std::size_t n) const {
  if (n == kLocalHeaderSize) {
    if (const auto found = by_header_.find(pos); found != by_header_.end()) {
      const Record& record = *tensors_[found->second].record;
      const std::size_t extra =
          *record.expected_data - record.header - kLocalHeaderSize - record.full_name_size;
      std::array<unsigned char, kLocalHeaderSize> header{};
      std::copy(kSignature.begin(), kSignature.end(), header.begin());
      header[kNameSizeAt] = static_cast<unsigned char>(record.full_name_size & 0xff);
      header[kNameSizeAt + 1] = static_cast<unsigned char>(record.full_name_size >> 8);
      header[kExtraSizeAt] = static_cast<unsigned char>(extra & 0xff);
      header[kExtraSizeAt + 1] = static_cast<unsigned char>(extra >> 8);
      std::memcpy(dst, header.data(), n);
      guessed_.push_back(found->second);
      TensorRecord& tensor = tensors_[found->second];
      if (tensor.in_arena == nullptr) note(pos, tensor.real_header.data(), n);
      return true;
    }
  }
  if (const auto found = by_data_.find(pos); found != by_data_.end()) {
    TensorRecord& tensor = tensors_[found->second];
    if (n == tensor.record->size) {
      // A record that is read twice becomes two storages, which must not share memory.
      const bool in_arena = tensor.in_arena != nullptr && !std::exchange(tensor.asked_for, true);
      if (!in_arena) note(pos, dst, n);
      if (n != 0) {
        deferred_.push_back(
            {.destination = dst, .size = n, .in_arena = in_arena ? tensor.in_arena : nullptr});
      }
      return true;
    }
  }
  return false;
}

void ReadAdapter::note(std::uint64_t pos, void* dst, std::size_t n) const {
  check_range(pos, n);
  if (n == 0) return;
  prefer_huge_pages(dst, n);
  noted_.push_back({pos, dst, n});
}

std::optional<std::size_t> ReadAdapter::size_at(const void* destination) const {
  const auto found = placed_.find(destination);
  return found == placed_.end() ? std::nullopt : std::optional(found->second);
}

bool ReadAdapter::headers_hold() const {
  return std::all_of(guessed_.begin(), guessed_.end(), [this](std::size_t i) {
    const TensorRecord& tensor = tensors_[i];
    return std::equal(kSignature.begin(), kSignature.end(), tensor.real_header.begin()) &&
           tensor.record->header + data_offset(tensor.real_header) == *tensor.record->expected_data;
  });
}

}  // namespace ptsecure::torch_plugin
