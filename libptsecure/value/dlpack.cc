#include "libptsecure/value/dlpack.hpp"

#include <memory>
#include <string>
#include <utility>

#include "libptsecure/value/dlpack_abi.hpp"
#include "libptsecure/value/tensor.hpp"

namespace ptsecure {
namespace {

constexpr std::uint32_t kMajor = 1;
constexpr std::uint32_t kMinor = 0;  // the oldest that has all that is written here

DLDataType to_dl(DType dtype) {
  const auto bits = static_cast<std::uint8_t>(dtype_size(dtype) * 8);
  DLDataTypeCode code = kDLInt;
  switch (dtype) {
    case DType::boolean:
      code = kDLBool;
      break;
    case DType::uint8:
    case DType::uint16:
    case DType::uint32:
    case DType::uint64:
      code = kDLUInt;
      break;
    case DType::int8:
    case DType::int16:
    case DType::int32:
    case DType::int64:
      code = kDLInt;
      break;
    case DType::float16:
    case DType::float32:
    case DType::float64:
      code = kDLFloat;
      break;
    case DType::bfloat16:
      code = kDLBfloat;
      break;
    case DType::complex32:
    case DType::complex64:
    case DType::complex128:
      code = kDLComplex;
      break;
  }
  return {static_cast<std::uint8_t>(code), bits, 1};
}

DType from_dl(const DLDataType& type) {
  if (type.lanes != 1) {
    throw Error(Status::unsupported,
                "a DLPack tensor must have 1 lane, but this one has " + std::to_string(type.lanes));
  }
  for (int i = static_cast<int>(DType::boolean); i <= static_cast<int>(DType::complex128); ++i) {
    const DLDataType known = to_dl(static_cast<DType>(i));
    if (known.code == type.code && known.bits == type.bits) return static_cast<DType>(i);
  }
  throw Error(Status::unsupported, "the DLPack datatype with code " + std::to_string(type.code) +
                                       " and " + std::to_string(type.bits) +
                                       " bits is not supported: convert the tensor first");
}

Device from_dl(const DLDevice& device) {
  switch (device.device_type) {
    case kDLCPU:
    case kDLCUDAHost:
      return {DeviceType::cpu, 0};
    case kDLCUDA:
      return {DeviceType::cuda, device.device_id};
    default:
      throw Error(Status::unsupported,
                  "a DLPack tensor must be on the CPU or a CUDA device, but "
                  "this one is on a device of type " +
                      std::to_string(static_cast<int>(device.device_type)));
  }
}

struct Export {
  DLManagedTensorVersioned managed{};
  Tensor tensor;
};

extern "C" void ptsecure_delete_export(DLManagedTensorVersioned* managed) {
  if (managed != nullptr) delete static_cast<Export*>(managed->manager_ctx);
}

class ImportOwner final : public TensorOwner {
 public:
  explicit ImportOwner(DLManagedTensorVersioned* managed) noexcept : managed_(managed) {}
  ~ImportOwner() override {
    if (managed_->deleter != nullptr) managed_->deleter(managed_);
  }
  ImportOwner(const ImportOwner&) = delete;
  ImportOwner& operator=(const ImportOwner&) = delete;

 private:
  DLManagedTensorVersioned* managed_;
};

Tensor describe_memory(const DLTensor& view) {
  Tensor tensor;
  tensor.dtype = from_dl(view.dtype);
  tensor.device = from_dl(view.device);
  if (view.ndim < 0 || static_cast<std::size_t>(view.ndim) > Dims::kMaxRank) {
    throw Error(
        Status::limit_exceeded,
        "a tensor has 0 to 16 dimensions, but this DLPack one has " + std::to_string(view.ndim));
  }
  const auto rank = static_cast<std::size_t>(view.ndim);
  if (rank > 0 && view.shape == nullptr) {
    throw Error(Status::invalid_input, "a DLPack tensor of rank 1 or more has no shape");
  }
  if (rank > 0) tensor.shape = Dims(std::span(view.shape, rank));
  tensor.numel();  // refuses extents that contiguous strides can't be made of
  const bool strided = rank > 0 && view.strides != nullptr;
  tensor.strides =
      strided ? Dims(std::span(view.strides, rank)) : Tensor::contiguous_strides(tensor.shape);
  if (view.data != nullptr) {
    const auto base = reinterpret_cast<std::uintptr_t>(view.data);
    std::uintptr_t address = 0;
    if (__builtin_add_overflow(base, view.byte_offset, &address)) {
      throw Error(Status::invalid_input, "a DLPack tensor's byte_offset leaves the address space");
    }
    tensor.data = static_cast<std::byte*>(view.data) + view.byte_offset;
  }
  return tensor;
}

}  // namespace

DLManagedTensorVersioned* to_dlpack(const Tensor& tensor) {
  auto out = std::make_unique<Export>();
  out->tensor = tensor;
  DLManagedTensorVersioned& managed = out->managed;
  managed.version.major = kMajor;
  managed.version.minor = kMinor;
  managed.manager_ctx = out.get();
  managed.deleter = &ptsecure_delete_export;
  managed.flags = tensor.read_only ? DLPACK_FLAG_BITMASK_READ_ONLY : 0;
  managed.dl_tensor.data = tensor.data;
  managed.dl_tensor.device.device_type = tensor.device.type == DeviceType::cuda ? kDLCUDA : kDLCPU;
  managed.dl_tensor.device.device_id =
      tensor.device.type == DeviceType::cuda ? tensor.device.index : 0;
  managed.dl_tensor.ndim = static_cast<std::int32_t>(tensor.shape.size());
  managed.dl_tensor.dtype = to_dl(tensor.dtype);
  managed.dl_tensor.shape = &out->tensor.shape[0];
  managed.dl_tensor.strides = &out->tensor.strides[0];
  managed.dl_tensor.byte_offset = 0;
  return &out.release()->managed;
}

Tensor from_dlpack(DLManagedTensorVersioned* managed) {
  if (managed == nullptr) throw Error(Status::invalid_argument, "the DLPack tensor is NULL");
  if (managed->version.major != kMajor) {
    throw Error(Status::unsupported, "DLPack major version 1 is understood, but the tensor has " +
                                         std::to_string(managed->version.major) + "." +
                                         std::to_string(managed->version.minor));
  }
  Tensor tensor = describe_memory(managed->dl_tensor);
  tensor.read_only = (managed->flags & DLPACK_FLAG_BITMASK_READ_ONLY) != 0;
  check_tensor(tensor);
  tensor.owner = std::make_shared<ImportOwner>(managed);
  return tensor;
}

}  // namespace ptsecure
