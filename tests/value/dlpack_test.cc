#include "libptsecure/value/dlpack.hpp"

#include <limits>
#include <thread>

#include "libptsecure/value/dlpack_abi.hpp"
#include "tests/value/dlpack_layout.inc"
#include "tests/value/support.hpp"

namespace ptsecure {
namespace {

using test::elements_of;
using test::expect_error;
using test::floats;

// A tensor of somebody else's, who counts how often it is given back.
struct Foreign {
  Foreign() {
    managed.version = {1, 3};
    managed.manager_ctx = &deleted;
    managed.deleter = [](DLManagedTensorVersioned* self) {
      ++*static_cast<int*>(self->manager_ctx);
    };
    managed.dl_tensor.data = data;
    managed.dl_tensor.device = {kDLCPU, 0};
    managed.dl_tensor.ndim = 2;
    managed.dl_tensor.dtype = {kDLFloat, 32, 1};
    managed.dl_tensor.shape = shape;
    managed.dl_tensor.strides = strides;
  }
  int deleted = 0;
  alignas(64) float data[6] = {0, 1, 2, 3, 4, 5};
  std::int64_t shape[2] = {2, 3};
  std::int64_t strides[2] = {3, 1};
  DLManagedTensorVersioned managed{};
};

void expect_refused(Status status, const std::string& part,
                    const std::function<void(Foreign&)>& change) {
  Foreign foreign;
  change(foreign);
  expect_error(status, part, [&] { from_dlpack(&foreign.managed); });
  EXPECT_EQ(foreign.deleted, 0) << "a refused tensor stays its owner's: " << part;
}

TEST(FromDlpack, SharesMemoryAndGivesItBackOnce) {
  Foreign foreign;
  {
    Tensor tensor = from_dlpack(&foreign.managed);
    EXPECT_EQ(tensor.data, foreign.data);
    EXPECT_EQ(tensor.shape, (Dims{2, 3}));
    EXPECT_EQ(tensor.dtype, DType::float32);
    EXPECT_FALSE(tensor.read_only);
    const Tensor copy = tensor;
    tensor = Tensor();
    EXPECT_EQ(foreign.deleted, 0);
    EXPECT_EQ(elements_of<float>(copy), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  }
  EXPECT_EQ(foreign.deleted, 1);
}

TEST(FromDlpack, LastOwnerMayBeOnAnyThread) {
  Foreign foreign;
  std::thread([tensor = from_dlpack(&foreign.managed)] { EXPECT_EQ(tensor.numel(), 6); }).join();
  EXPECT_EQ(foreign.deleted, 1);
}

TEST(FromDlpack, TakesWhatTheStandardAllows) {
  Foreign foreign;
  foreign.managed.deleter = nullptr;
  foreign.managed.flags = DLPACK_FLAG_BITMASK_READ_ONLY;
  foreign.managed.dl_tensor.strides = nullptr;
  Tensor tensor = from_dlpack(&foreign.managed);
  EXPECT_EQ(tensor.strides, (Dims{3, 1}));
  EXPECT_TRUE(tensor.read_only);

  foreign.managed.dl_tensor.byte_offset = 4;
  foreign.managed.dl_tensor.device = {kDLCUDAHost, 3};
  foreign.shape[1] = 2;
  tensor = from_dlpack(&foreign.managed);
  EXPECT_EQ(tensor.data, foreign.data + 1);
  EXPECT_EQ(tensor.device, Device{});

  foreign.managed.dl_tensor.device = {kDLCUDA, 3};
  EXPECT_EQ(from_dlpack(&foreign.managed).device, (Device{DeviceType::cuda, 3}));

  foreign.managed.dl_tensor.ndim = 0;
  foreign.managed.dl_tensor.shape = nullptr;
  EXPECT_EQ(from_dlpack(&foreign.managed).numel(), 1);
}

TEST(FromDlpack, TakesEmptyBroadcastAndBackwardTensors) {
  Foreign empty;
  empty.managed.dl_tensor.data = nullptr;
  empty.shape[0] = 0;
  EXPECT_EQ(from_dlpack(&empty.managed).numel(), 0);

  Foreign broadcast;
  broadcast.strides[0] = 0;
  EXPECT_EQ(elements_of<float>(from_dlpack(&broadcast.managed)),
            (std::vector<float>{0, 1, 2, 0, 1, 2}));

  Foreign backward;
  backward.strides[0] = -3;
  backward.managed.dl_tensor.byte_offset = 12;
  EXPECT_EQ(elements_of<float>(from_dlpack(&backward.managed)),
            (std::vector<float>{3, 4, 5, 0, 1, 2}));
}

TEST(FromDlpack, RefusesWhatItCannotHoldAndTakesNothing) {
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  expect_error(Status::invalid_argument, "NULL", [] { from_dlpack(nullptr); });
  expect_refused(Status::unsupported, "major version 1",
                 [](Foreign& f) { f.managed.version.major = 2; });
  expect_refused(Status::unsupported, "major version 1",
                 [](Foreign& f) { f.managed.version.major = 0; });
  expect_refused(Status::unsupported, "lane",
                 [](Foreign& f) { f.managed.dl_tensor.dtype.lanes = 4; });
  expect_refused(Status::unsupported, "lane",
                 [](Foreign& f) { f.managed.dl_tensor.dtype.lanes = 0; });
  expect_refused(Status::unsupported, "code 2 and 8 bits",
                 [](Foreign& f) { f.managed.dl_tensor.dtype.bits = 8; });
  expect_refused(Status::unsupported, "code 10",
                 [](Foreign& f) { f.managed.dl_tensor.dtype = {10, 8, 1}; });
  expect_refused(Status::unsupported, "code 6 and 1 bits",
                 [](Foreign& f) { f.managed.dl_tensor.dtype = {kDLBool, 1, 1}; });
  expect_refused(Status::unsupported, "device of type 8", [](Foreign& f) {
    f.managed.dl_tensor.device.device_type = static_cast<DLDeviceType>(8);
  });
  expect_refused(Status::limit_exceeded, "dimensions",
                 [](Foreign& f) { f.managed.dl_tensor.ndim = 17; });
  expect_refused(Status::limit_exceeded, "dimensions",
                 [](Foreign& f) { f.managed.dl_tensor.ndim = -1; });
  expect_refused(Status::invalid_input, "no shape",
                 [](Foreign& f) { f.managed.dl_tensor.shape = nullptr; });
  expect_refused(Status::invalid_input, "negative", [](Foreign& f) { f.shape[0] = -2; });
  expect_refused(Status::invalid_input, "overflow", [](Foreign& f) { f.shape[0] = kHuge; });
  expect_refused(Status::invalid_input, "overflow", [](Foreign& f) { f.strides[0] = kHuge; });
  expect_refused(Status::invalid_input, "NULL",
                 [](Foreign& f) { f.managed.dl_tensor.data = nullptr; });
  expect_refused(Status::invalid_input, "aligned",
                 [](Foreign& f) { f.managed.dl_tensor.byte_offset = 2; });
  expect_refused(Status::invalid_input, "address space",
                 [](Foreign& f) { f.managed.dl_tensor.byte_offset = ~0ull - 3; });
}

TEST(ToDlpack, DescribesTheTensorAndKeepsItAlive) {
  std::weak_ptr<TensorOwner> memory;
  DLManagedTensorVersioned* managed = nullptr;
  {
    Tensor tensor = floats(Dims{2, 3}, {0, 1, 2, 3, 4, 5});
    tensor.shape = Dims{3, 2};
    tensor.strides = Dims{1, 3};
    memory = tensor.owner;
    managed = to_dlpack(tensor);
    EXPECT_EQ(managed->dl_tensor.data, tensor.data);
  }
  EXPECT_FALSE(memory.expired());
  EXPECT_EQ(managed->version.major, 1u);
  EXPECT_EQ(managed->flags, 0u);
  EXPECT_EQ(managed->dl_tensor.ndim, 2);
  EXPECT_EQ(managed->dl_tensor.shape[0], 3);
  EXPECT_EQ(managed->dl_tensor.strides[1], 3);
  EXPECT_EQ(managed->dl_tensor.byte_offset, 0u);
  EXPECT_EQ(managed->dl_tensor.device.device_type, kDLCPU);
  managed->deleter(managed);
  EXPECT_TRUE(memory.expired());
}

TEST(ToDlpack, MarksReadOnlyAndDevice) {
  Tensor tensor = floats(Dims{}, {1});
  tensor.read_only = true;
  tensor.device = {DeviceType::cuda, 2};
  DLManagedTensorVersioned* managed = to_dlpack(tensor);
  EXPECT_EQ(managed->flags, DLPACK_FLAG_BITMASK_READ_ONLY);
  EXPECT_EQ(managed->dl_tensor.device.device_type, kDLCUDA);
  EXPECT_EQ(managed->dl_tensor.device.device_id, 2);
  EXPECT_EQ(managed->dl_tensor.ndim, 0);
  managed->deleter(managed);
}

TEST(ToDlpack, EveryDTypeComesBack) {
  for (int i = 1; i <= 16; ++i) {
    const Tensor tensor = make_tensor(static_cast<DType>(i), Dims{2, 0, 3});
    const Tensor back = from_dlpack(to_dlpack(tensor));
    EXPECT_EQ(back.dtype, tensor.dtype);
    EXPECT_EQ(back.shape, tensor.shape);
    EXPECT_EQ(back.data, tensor.data);
  }
}

TEST(ToDlpack, CodesAreDlpacks) {
  const auto code = [](DType dtype) {
    DLManagedTensorVersioned* managed = to_dlpack(make_tensor(dtype, Dims{1}));
    const DLDataType type = managed->dl_tensor.dtype;
    managed->deleter(managed);
    EXPECT_EQ(type.lanes, 1);
    return std::pair<int, int>(type.code, type.bits);
  };
  EXPECT_EQ(code(DType::boolean), std::pair(6, 8));
  EXPECT_EQ(code(DType::uint16), std::pair(1, 16));
  EXPECT_EQ(code(DType::int64), std::pair(0, 64));
  EXPECT_EQ(code(DType::float16), std::pair(2, 16));
  EXPECT_EQ(code(DType::bfloat16), std::pair(4, 16));
  EXPECT_EQ(code(DType::complex32), std::pair(5, 32));
  EXPECT_EQ(code(DType::complex128), std::pair(5, 128));
}

}  // namespace
}  // namespace ptsecure
