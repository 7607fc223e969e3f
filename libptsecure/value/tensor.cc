#include "libptsecure/value/tensor.hpp"

#include <array>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "libptsecure/base/text.hpp"

namespace ptsecure {
namespace {

struct DTypeNames {
  DType dtype;
  const char* name;
  const char* v2;
};

// In the order of the enumeration's numbers, so that a lookup by DType is an index.
constexpr std::array<DTypeNames, 16> kDTypes = {{
    {DType::boolean, "bool", "BOOL"},
    {DType::uint8, "uint8", "UINT8"},
    {DType::uint16, "uint16", "UINT16"},
    {DType::uint32, "uint32", "UINT32"},
    {DType::uint64, "uint64", "UINT64"},
    {DType::int8, "int8", "INT8"},
    {DType::int16, "int16", "INT16"},
    {DType::int32, "int32", "INT32"},
    {DType::int64, "int64", "INT64"},
    {DType::float16, "float16", "FP16"},
    {DType::bfloat16, "bfloat16", "BF16"},
    {DType::float32, "float32", "FP32"},
    {DType::float64, "float64", "FP64"},
    {DType::complex32, "complex32", "COMPLEX32"},
    {DType::complex64, "complex64", "COMPLEX64"},
    {DType::complex128, "complex128", "COMPLEX128"},
}};

const DTypeNames* names_of(DType dtype) noexcept {
  const auto index = static_cast<std::size_t>(dtype);
  return index >= 1 && index <= kDTypes.size() ? &kDTypes[index - 1] : nullptr;
}

class HeapOwner final : public TensorOwner {
 public:
  explicit HeapOwner(std::size_t bytes)
      : data_(::operator new(bytes, std::align_val_t{kTensorAlignment}, std::nothrow)) {
    if (data_ == nullptr) {
      throw Error(Status::out_of_memory,
                  "no memory for a tensor of " + std::to_string(bytes) + " bytes");
    }
  }
  ~HeapOwner() override { ::operator delete(data_, std::align_val_t{kTensorAlignment}); }
  HeapOwner(const HeapOwner&) = delete;
  HeapOwner& operator=(const HeapOwner&) = delete;

  void* data() const noexcept { return data_; }

 private:
  void* data_;
};

std::size_t alignment_of(DType dtype) noexcept {
  switch (dtype) {
    case DType::complex32:
      return 2;
    case DType::complex64:
      return 4;
    case DType::complex128:
      return 8;
    default:
      return dtype_size(dtype);
  }
}

// The axes of a copy without those of one element, and with neighbours joined where the source
// steps through both as through one.
struct CopyPlan {
  std::size_t rank = 0;
  std::array<std::int64_t, Dims::kMaxRank> extent{};
  std::array<std::int64_t, Dims::kMaxRank> stride{};
};

CopyPlan plan_copy(const Tensor& source) {
  CopyPlan plan;
  for (std::size_t i = 0; i < source.shape.size(); ++i) {
    const std::int64_t extent = source.shape[i];
    const std::int64_t stride = source.strides[i];
    if (extent == 1) continue;
    if (plan.rank > 0 && plan.stride[plan.rank - 1] == extent * stride) {
      plan.extent[plan.rank - 1] *= extent;
      plan.stride[plan.rank - 1] = stride;
      continue;
    }
    plan.extent[plan.rank] = extent;
    plan.stride[plan.rank] = stride;
    ++plan.rank;
  }
  return plan;
}

template <std::size_t kSize>
std::byte* copy_axis(const CopyPlan& plan, std::size_t axis, const std::byte* from, std::byte* to) {
  if (axis == plan.rank) {
    std::memcpy(to, from, kSize);
    return to + kSize;
  }
  const std::int64_t extent = plan.extent[axis];
  const std::int64_t step = plan.stride[axis] * static_cast<std::int64_t>(kSize);
  if (axis + 1 < plan.rank) {
    for (std::int64_t i = 0; i < extent; ++i) {
      to = copy_axis<kSize>(plan, axis + 1, from + i * step, to);
    }
    return to;
  }
  const auto bytes = static_cast<std::size_t>(extent) * kSize;
  if (plan.stride[axis] == 1) {
    std::memcpy(to, from, bytes);
  } else {
    for (std::int64_t i = 0; i < extent; ++i) {
      std::memcpy(to + static_cast<std::size_t>(i) * kSize, from + i * step, kSize);
    }
  }
  return to + bytes;
}

void copy_strided(const Tensor& source, void* destination) {
  const CopyPlan plan = plan_copy(source);
  const auto* from = static_cast<const std::byte*>(source.data);
  auto* to = static_cast<std::byte*>(destination);
  switch (dtype_size(source.dtype)) {
    case 1:
      copy_axis<1>(plan, 0, from, to);
      break;
    case 2:
      copy_axis<2>(plan, 0, from, to);
      break;
    case 4:
      copy_axis<4>(plan, 0, from, to);
      break;
    case 8:
      copy_axis<8>(plan, 0, from, to);
      break;
    default:
      copy_axis<16>(plan, 0, from, to);
      break;
  }
}

[[noreturn]] void refuse(const std::string& what) {
  throw Error(Status::invalid_input, what);
}

// The first and the last element must be within 63 bits of bytes of each other.
void check_strides(const Tensor& tensor) {
  std::int64_t low = 0;
  std::int64_t high = 0;
  const auto size = static_cast<std::int64_t>(dtype_size(tensor.dtype));
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    std::int64_t reach = 0;
    bool overflow = __builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &reach);
    overflow = overflow || __builtin_mul_overflow(reach, size, &reach);
    std::int64_t& end = reach < 0 ? low : high;
    overflow = overflow || __builtin_add_overflow(end, reach, &end);
    if (overflow) refuse("the tensor's strides times its extents overflow 63 bits");
  }
  std::int64_t span = 0;
  if (__builtin_sub_overflow(high, low, &span)) {
    refuse("the tensor's strides times its extents overflow 63 bits");
  }
}

}  // namespace

Tensor make_tensor(DType dtype, const Dims& shape) {
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape = shape;
  const std::size_t bytes = tensor.nbytes();
  tensor.strides = Tensor::contiguous_strides(shape);
  auto owner = std::make_shared<HeapOwner>(bytes > 0 ? bytes : 1);
  tensor.data = owner->data();
  tensor.owner = std::move(owner);
  return tensor;
}

Tensor copy_contiguous(const Tensor& source) {
  check_tensor(source);
  if (source.device.type != DeviceType::cpu) {
    throw Error(
        Status::unsupported,
        "a tensor's elements were asked for, but they are on a GPU: move it to the CPU first");
  }
  Tensor copy = make_tensor(source.dtype, source.shape);
  if (copy.numel() > 0) copy_strided(source, copy.data);
  return copy;
}

ByteView contiguous_bytes(const Tensor& tensor, Tensor& scratch) {
  const bool direct = tensor.device.type == DeviceType::cpu && tensor.contiguous();
  if (!direct) scratch = copy_contiguous(tensor);
  return {static_cast<const std::uint8_t*>(direct ? tensor.data : scratch.data), tensor.nbytes()};
}

void check_tensor(const Tensor& tensor) {
  if (names_of(tensor.dtype) == nullptr) refuse("the tensor's datatype is none that exists");
  if (tensor.shape.size() != tensor.strides.size()) {
    refuse("a tensor needs as many strides as extents, but has " +
           std::to_string(tensor.strides.size()) + " strides and " +
           std::to_string(tensor.shape.size()) + " extents");
  }
  if (tensor.numel() == 0) return;
  check_strides(tensor);
  if (tensor.data == nullptr) refuse("the tensor's data is NULL, but its shape has elements");
  const std::size_t alignment = alignment_of(tensor.dtype);
  if (reinterpret_cast<std::uintptr_t>(tensor.data) % alignment != 0) {
    refuse(std::string("a tensor of ") + dtype_name(tensor.dtype) + " must be aligned to " +
           std::to_string(alignment) + " bytes, but its data isn't: copy it to aligned memory");
  }
}

std::string shape_text(std::span<const std::int64_t> shape) {
  return "[" + join(shape, ",", [](std::int64_t extent) { return std::to_string(extent); }) + "]";
}

const char* dtype_name(DType dtype) noexcept {
  const DTypeNames* names = names_of(dtype);
  return names != nullptr ? names->name : "unknown";
}

const char* v2_datatype(DType dtype) noexcept {
  const DTypeNames* names = names_of(dtype);
  return names != nullptr ? names->v2 : "UNKNOWN";
}

DType dtype_from_name(std::string_view name) {
  for (const DTypeNames& entry : kDTypes) {
    if (name == entry.name) return entry.dtype;
  }
  throw Error(Status::invalid_argument,
              "a datatype must be one of bool, uint8 to uint64, int8 to int64, float16, bfloat16, "
              "float32, float64, complex32, complex64 and complex128");
}

std::optional<DType> dtype_from_v2(std::string_view datatype) noexcept {
  for (const DTypeNames& entry : kDTypes) {
    if (datatype == entry.v2) return entry.dtype;
  }
  return std::nullopt;
}

}  // namespace ptsecure
