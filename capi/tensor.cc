#include "libptsecure/value/tensor.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "capi/guard.hpp"
#include "capi/handles.hpp"
#include "capi/options.hpp"
#include "libptsecure/value/dlpack.hpp"
#include "libptsecure/value/dlpack_abi.hpp"
#include "libptsecure/value/npy.hpp"

using namespace ptsecure::capi;
using ptsecure::DeviceType;
using ptsecure::Dims;
using ptsecure::DType;
using ptsecure::Error;
using ptsecure::Status;
using ptsecure::Tensor;
using ptsecure::Value;

namespace {

constexpr std::size_t kFirstTensor = 56;
static_assert(sizeof(pts_tensor) >= kFirstTensor);

#define PTSECURE_SAME(c_name, cpp_name) \
  static_assert(PTS_DTYPE_##c_name == static_cast<pts_dtype>(DType::cpp_name))
PTSECURE_SAME(BOOL, boolean);
PTSECURE_SAME(UINT8, uint8);
PTSECURE_SAME(UINT16, uint16);
PTSECURE_SAME(UINT32, uint32);
PTSECURE_SAME(UINT64, uint64);
PTSECURE_SAME(INT8, int8);
PTSECURE_SAME(INT16, int16);
PTSECURE_SAME(INT32, int32);
PTSECURE_SAME(INT64, int64);
PTSECURE_SAME(FLOAT16, float16);
PTSECURE_SAME(BFLOAT16, bfloat16);
PTSECURE_SAME(FLOAT32, float32);
PTSECURE_SAME(FLOAT64, float64);
PTSECURE_SAME(COMPLEX32, complex32);
PTSECURE_SAME(COMPLEX64, complex64);
PTSECURE_SAME(COMPLEX128, complex128);
#undef PTSECURE_SAME
static_assert(PTS_DEVICE_CPU == static_cast<int>(DeviceType::cpu));
static_assert(PTS_DEVICE_CUDA == static_cast<int>(DeviceType::cuda));

// Memory of the caller, who is told when nobody uses it any more.
class BorrowedMemory final : public ptsecure::TensorOwner {
 public:
  BorrowedMemory() = default;
  ~BorrowedMemory() override {
    if (release_ != nullptr) release_(user_);  // not told of a value that couldn't be made
  }
  BorrowedMemory(const BorrowedMemory&) = delete;
  BorrowedMemory& operator=(const BorrowedMemory&) = delete;

  void on_release(pts_release_fn release, void* user) noexcept {
    release_ = release;
    user_ = user;
  }

 private:
  pts_release_fn release_ = nullptr;
  void* user_ = nullptr;
};

ptsecure::Device device_of(const pts_tensor& view) {
  if (view.device_type == PTS_DEVICE_CPU) return {};
  if (view.device_type == PTS_DEVICE_CUDA && view.device_index >= 0) {
    return {DeviceType::cuda, view.device_index};
  }
  throw Error(Status::invalid_argument,
              "a tensor's device must be PTS_DEVICE_CPU (1) or PTS_DEVICE_CUDA (2) with an index "
              "of 0 or more, not " +
                  std::to_string(view.device_type) + " with index " +
                  std::to_string(view.device_index));
}

// The caller's description without an owner; nothing about its memory is believed yet.
Tensor describe(const pts_tensor* given) {
  need(given, "tensor");
  const pts_tensor view = known_part(given, pts_tensor PTS_TENSOR_INIT, kFirstTensor, "pts_tensor");
  if (view.dtype < PTS_DTYPE_BOOL || view.dtype > PTS_DTYPE_COMPLEX128) {
    throw Error(Status::invalid_argument,
                "a tensor's dtype must be one of PTS_DTYPE_BOOL (1) to "
                "PTS_DTYPE_COMPLEX128 (16), not " +
                    std::to_string(view.dtype));
  }
  if (view.rank < 0 || static_cast<std::size_t>(view.rank) > Dims::kMaxRank) {
    throw Error(Status::invalid_argument,
                "a tensor's rank must be 0 to 16, not " + std::to_string(view.rank));
  }
  if (view.reserved != 0) throw Error(Status::invalid_argument, "pts_tensor.reserved must be 0");
  const auto rank = static_cast<std::size_t>(view.rank);
  if (rank != 0) need(view.shape, "a tensor's shape");
  Tensor tensor;
  tensor.dtype = static_cast<DType>(view.dtype);
  tensor.device = device_of(view);
  tensor.read_only = view.read_only != 0;
  tensor.shape = Dims(std::span(view.shape, rank));
  tensor.numel();  // refuses what contiguous strides can't be made of
  tensor.strides = view.strides == nullptr ? Tensor::contiguous_strides(tensor.shape)
                                           : Dims(std::span(view.strides, rank));
  tensor.data = view.data;
  return tensor;
}

void refuse_negative_strides(std::span<const std::int64_t> strides) {
  if (std::any_of(strides.begin(), strides.end(), [](std::int64_t step) { return step < 0; })) {
    throw Error(Status::invalid_input,
                "a tensor with negative strides can't be shared with the "
                "engine; copy it with pts_value_copy_tensor");
  }
}

Value copy_of(const pts_tensor* given) {
  const Tensor source = describe(given);
  if (source.device.type != DeviceType::cpu) {
    throw Error(Status::unsupported, "only tensors in CPU memory can be copied from a pts_tensor");
  }
  if (source.data != nullptr) return copy_contiguous(source);
  Tensor zeros = ptsecure::make_tensor(source.dtype, source.shape);
  if (const std::size_t size = zeros.nbytes(); size != 0) std::memset(zeros.data, 0, size);
  return zeros;
}

const Tensor& tensor_of(const pts_value* self) {
  const Value& value = *unwrap(&need(self, "self"));
  const Tensor* tensor = value.get_if<Tensor>();
  if (tensor == nullptr) {
    throw Error(Status::invalid_argument,
                std::string("the value is a ") + kind_name(value.kind()) + ", not a tensor");
  }
  return *tensor;
}

void fill_tensor(const Tensor& tensor, pts_tensor& out) {
  pts_tensor view = PTS_TENSOR_INIT;
  view.struct_size = out.struct_size;
  view.dtype = static_cast<pts_dtype>(tensor.dtype);
  view.rank = static_cast<std::int32_t>(tensor.shape.size());
  view.shape = tensor.shape.empty() ? nullptr : tensor.shape.data();
  view.strides = tensor.shape.empty() ? nullptr : tensor.strides.data();
  view.data = tensor.data;
  view.device_type = static_cast<std::int32_t>(tensor.device.type);
  view.device_index = tensor.device.index;
  view.read_only = tensor.read_only ? 1 : 0;
  std::memcpy(&out, &view, std::min(out.struct_size, sizeof(view)));
}

}  // namespace

void pts_tensor_init(pts_tensor* tensor) {
  if (tensor != nullptr) *tensor = pts_tensor PTS_TENSOR_INIT;
}

pts_status pts_value_borrow_tensor(const pts_tensor* tensor, pts_value** out,
                                   pts_release_fn release, void* user, pts_error* error) {
  return create(out, error, [&] {
    Tensor view = describe(tensor);
    check_tensor(view);
    refuse_negative_strides({view.strides.data(), view.strides.size()});
    // Without somebody to tell there is no owner, and a model that keeps what it was given copies
    // it.
    if (release == nullptr) return give(Value(std::move(view)));
    auto owner = std::make_shared<BorrowedMemory>();
    view.owner = owner;
    pts_value* value = give(Value(std::move(view)));
    owner->on_release(release, user);  // from here on nothing can fail
    return value;
  });
}

pts_status pts_value_copy_tensor(const pts_tensor* tensor, pts_value** out, pts_error* error) {
  return create(out, error, [&] { return give(copy_of(tensor)); });
}

pts_status pts_value_from_dlpack(struct DLManagedTensorVersioned* managed, pts_value** out,
                                 pts_error* error) {
  return create(out, error, [&] {
    const DLManagedTensorVersioned& given = need(managed, "managed");
    const DLTensor& view = given.dl_tensor;
    if (given.version.major == 1 && view.strides != nullptr && view.ndim > 0) {
      refuse_negative_strides({view.strides, static_cast<std::size_t>(view.ndim)});
    }
    auto value = std::make_unique<Value>();
    *value = ptsecure::from_dlpack(managed);  // taken over: from here on nothing can fail
    return reinterpret_cast<pts_value*>(value.release());
  });
}

pts_status pts_value_to_dlpack(const pts_value* self, struct DLManagedTensorVersioned** out,
                               pts_error* error) {
  return create(out, error, [&] { return ptsecure::to_dlpack(tensor_of(self)); });
}

pts_status pts_value_from_npy(const void* data, size_t size, pts_value** out, pts_error* error) {
  return create(out, error, [&] {
    need(static_cast<const std::uint8_t*>(data), "data");
    return give(ptsecure::read_npy({static_cast<const std::uint8_t*>(data), size}));
  });
}

pts_status pts_value_to_npy(const pts_value* self, pts_bytes** out, pts_error* error) {
  return create(out, error, [&] {
    const ptsecure::Bytes npy = ptsecure::write_npy(tensor_of(self));
    auto bytes = std::make_unique<pts_bytes>(npy.size());
    std::copy(npy.begin(), npy.end(), bytes->span().begin());
    return bytes.release();
  });
}

pts_status pts_value_get_tensor(const pts_value* self, pts_tensor* out, pts_error* error) {
  return guard(error, [&] {
    pts_tensor& target = need(out, "out");
    std::size_t size = 0;
    std::memcpy(&size, out, sizeof(size));
    if (size < kFirstTensor || size > kMaxStructSize) {
      throw Error(Status::invalid_argument, "pts_tensor.struct_size is " + std::to_string(size) +
                                                "; set the struct up with pts_tensor_init");
    }
    fill_tensor(tensor_of(self), target);
  });
}
