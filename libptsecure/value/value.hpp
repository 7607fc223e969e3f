#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "libptsecure/base/error.hpp"

// What goes into a model and comes out: a small tree. Header-only, because the engine plug-in makes
// and reads values without linking the core.
namespace ptsecure {

// Element types; the numbers are those of pts_dtype in ptsecure.h and never change.
enum class DType : std::uint8_t {
  boolean = 1,
  uint8 = 2,
  uint16 = 3,
  uint32 = 4,
  uint64 = 5,
  int8 = 6,
  int16 = 7,
  int32 = 8,
  int64 = 9,
  float16 = 10,
  bfloat16 = 11,
  float32 = 12,
  float64 = 13,
  complex32 = 14,  // two float16
  complex64 = 15,  // two float32
  complex128 = 16,
};

inline constexpr std::size_t dtype_size(DType dtype) {
  constexpr std::array<std::uint8_t, 17> kSizes = {0, 1, 1, 2, 4, 8, 1, 2, 4,
                                                   8, 2, 2, 4, 8, 4, 8, 16};
  return kSizes[static_cast<std::size_t>(dtype)];
}

// The numbers are DLPack's DLDeviceType.
enum class DeviceType : std::int32_t { cpu = 1, cuda = 2 };

struct Device {
  DeviceType type = DeviceType::cpu;
  std::int32_t index = 0;
  bool operator==(const Device&) const = default;
};

// Up to kMaxRank extents, without a heap allocation.
class Dims {
 public:
  static constexpr std::size_t kMaxRank = 16;

  Dims() = default;
  Dims(std::initializer_list<std::int64_t> dims) : Dims(std::span(dims.begin(), dims.size())) {}
  explicit Dims(std::span<const std::int64_t> dims) : rank_(dims.size()) {
    if (rank_ > kMaxRank)
      throw Error(Status::limit_exceeded, "tensors of more than 16 dimensions are not supported");
    std::copy(dims.begin(), dims.end(), dims_.begin());
  }

  std::size_t size() const { return rank_; }
  bool empty() const { return rank_ == 0; }
  const std::int64_t* data() const { return dims_.data(); }
  const std::int64_t* begin() const { return dims_.data(); }
  const std::int64_t* end() const { return dims_.data() + rank_; }
  std::int64_t operator[](std::size_t i) const { return dims_[i]; }
  std::int64_t& operator[](std::size_t i) { return dims_[i]; }
  operator std::span<const std::int64_t>() const { return {dims_.data(), rank_}; }
  bool operator==(const Dims& other) const {
    return std::equal(begin(), end(), other.begin(), other.end());
  }

 private:
  std::array<std::int64_t, kMaxRank> dims_{};
  std::size_t rank_ = 0;
};

// Keeps a tensor's memory alive. Destroyed by the last tensor that shares it, on any thread.
class TensorOwner {
 public:
  virtual ~TensorOwner() = default;
  // Non-null when an engine made this: lets the same engine take its own tensor back without a
  // copy.
  virtual const void* engine() const noexcept { return nullptr; }
};

// A strided view of elements. Copies share the memory. `strides` count elements and may be negative
// only in views that an engine never sees (the edges refuse or copy them).
struct Tensor {
  DType dtype = DType::float32;
  Device device;
  bool read_only = false;
  Dims shape;
  Dims strides;
  void* data = nullptr;
  std::shared_ptr<TensorOwner> owner;

  // Number of elements; Status::invalid_input when it, or the size in bytes, overflows 63 bits or
  // an extent is negative.
  std::int64_t numel() const {
    std::int64_t n = 1;
    bool zero = false;
    for (std::int64_t dim : shape) {
      if (dim < 0) throw Error(Status::invalid_input, "a tensor's extents must not be negative");
      if (dim == 0)
        zero = true;
      else if (__builtin_mul_overflow(n, dim, &n))
        throw_too_large();
    }
    std::int64_t bytes = 0;
    if (__builtin_mul_overflow(n, static_cast<std::int64_t>(dtype_size(dtype)), &bytes))
      throw_too_large();
    return zero ? 0 : n;
  }
  std::size_t nbytes() const { return static_cast<std::size_t>(numel()) * dtype_size(dtype); }

  bool contiguous() const {
    std::int64_t expected = 1;
    for (std::size_t i = shape.size(); i-- > 0;) {
      if (shape[i] == 0) return true;
      if (shape[i] != 1 && strides[i] != expected) return false;
      expected *= shape[i];
    }
    return true;
  }

  static Dims contiguous_strides(const Dims& shape) {
    Dims strides = shape;
    std::int64_t step = 1;
    for (std::size_t i = shape.size(); i-- > 0;) {
      strides[i] = step;
      step *= shape[i] > 1 ? shape[i] : 1;
    }
    return strides;
  }

 private:
  [[noreturn]] static void throw_too_large() {
    throw Error(Status::invalid_input,
                "the tensor's shape times its element size overflows 63 bits");
  }
};

enum class ValueKind : std::uint8_t {
  none = 0,
  boolean = 1,
  integer = 2,
  real = 3,
  string = 4,
  tensor = 5,
  list = 6,
  tuple = 7,
  dict = 8,
};

class Value;
using ValueVector = std::vector<Value>;
struct List {
  ValueVector items;
};
struct Tuple {
  ValueVector items;
};
// String keys, in insertion order.
struct Dict {
  std::vector<std::pair<std::string, Value>> items;
};

// A value with value semantics: copying copies the tree but shares tensor memory. Not synchronised.
class Value {
 public:
  Value() = default;
  Value(bool v) : data_(v) {}
  Value(std::int64_t v) : data_(v) {}
  Value(double v) : data_(v) {}
  Value(std::string v) : data_(std::move(v)) {}
  Value(Tensor v) : data_(std::move(v)) {}
  Value(List v) : data_(std::move(v)) {}
  Value(Tuple v) : data_(std::move(v)) {}
  Value(Dict v) : data_(std::move(v)) {}
  Value(const char*) = delete;
  Value(int) = delete;

  ValueKind kind() const noexcept { return static_cast<ValueKind>(data_.index()); }
  bool is(ValueKind k) const noexcept { return kind() == k; }

  template <class T>
  const T* get_if() const noexcept {
    return std::get_if<T>(&data_);
  }
  template <class T>
  T* get_if() noexcept {
    return std::get_if<T>(&data_);
  }
  template <class T>
  const T& get() const {
    return std::get<T>(data_);
  }
  template <class T>
  T& get() {
    return std::get<T>(data_);
  }

  // The children of a list or a tuple; empty for anything else.
  std::span<const Value> items() const noexcept;

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, Tensor, List, Tuple, Dict>
      data_;
};

inline std::span<const Value> Value::items() const noexcept {
  if (const auto* list = get_if<List>()) return list->items;
  if (const auto* tuple = get_if<Tuple>()) return tuple->items;
  return {};
}

inline const char* kind_name(ValueKind kind) noexcept {
  constexpr std::array<const char*, 9> kNames = {"none",   "bool", "int",   "float", "string",
                                                 "tensor", "list", "tuple", "dict"};
  return kNames[static_cast<std::size_t>(kind)];
}

}  // namespace ptsecure
