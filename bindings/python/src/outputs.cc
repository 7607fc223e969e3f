#include <pybind11/numpy.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>

#include "binding.hpp"
#include "values.hpp"

// Values to Python objects.
namespace binding {
namespace {

// Indexed by pts_dtype; nullptr = NumPy has none.
constexpr std::array<const char*, 17> kNames{
    nullptr, "bool",    "uint8", "uint16",  "uint32",  "uint64", "int8",      "int16",     "int32",
    "int64", "float16", nullptr, "float32", "float64", nullptr,  "complex64", "complex128"};

// Made once and kept: looking one up by name takes longer than a small model.
py::handle numpy_dtype(pts_dtype dtype) {
  static std::array<PyObject*, kNames.size()> made{};
  const auto i = static_cast<std::size_t>(dtype);
  if (i >= kNames.size() || kNames[i] == nullptr) {
    raise(PTS_UNSUPPORTED,
          "the model returned a tensor of a datatype that NumPy lacks (bfloat16 or complex32): "
          "open the model with output=\"torch\", or give it torch tensors");
  }
  if (made[i] == nullptr) made[i] = py::dtype(kNames[i]).release().ptr();
  return made[i];
}

bool is_read_only(const pts_tensor& view, const ArrayKind& kind) {
  const auto holds = [&](const auto& range) {
    return std::less_equal<>()(range.first, view.data) && std::less<>()(view.data, range.second);
  };
  return view.read_only != 0 || std::any_of(kind.read_only.begin(), kind.read_only.end(), holds);
}

// Takes `value` over.
py::object to_numpy(pts_value* value, const ArrayKind& kind) {
  const py::capsule owner(value, [](void* held) {
    auto* owned = static_cast<pts_value*>(held);
    pts_value_destroy(&owned);
  });
  pts_error error;
  pts_tensor view = PTS_TENSOR_INIT;
  if (pts_value_get_tensor(value, &view, &error) != PTS_OK) raise(error.code, error.message);
  if (view.device_type != PTS_DEVICE_CPU) {
    raise(PTS_UNSUPPORTED,
          "the model returned a tensor on a GPU, where NumPy has no arrays: open the model with "
          "output=\"torch\", or give it torch tensors");
  }
  const auto dtype = py::reinterpret_borrow<py::dtype>(numpy_dtype(view.dtype));
  const py::ssize_t size = dtype.itemsize();
  std::array<py::ssize_t, 16> shape;
  std::array<py::ssize_t, 16> strides;
  for (std::int32_t i = 0; i < view.rank; ++i) {
    const auto axis = static_cast<std::size_t>(i);
    shape[axis] = view.shape[axis];
    strides[axis] = view.strides[axis] * size;
  }
  const auto& api = py::detail::npy_api::get();
  const int flags = is_read_only(view, kind) ? 0 : py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  auto array = py::reinterpret_steal<py::object>(
      api.PyArray_NewFromDescr_(api.PyArray_Type_, py::object(dtype).release().ptr(), view.rank,
                                shape.data(), strides.data(), view.data, flags, nullptr));
  if (!array) throw py::error_already_set();
  if (view.data == nullptr) return array;  // an empty tensor: NumPy made its own memory
  if (api.PyArray_SetBaseObject_(array.ptr(), owner.inc_ref().ptr()) != 0) {
    throw py::error_already_set();
  }
  return array;
}

// Takes `value` over.
py::object to_exchange(pts_value* value, const DLPackExchangeAPI& api) {
  pts_error error;
  DLManagedTensorVersioned* managed = nullptr;
  const pts_status status = pts_value_to_dlpack(value, &managed, &error);
  pts_value_destroy(&value);
  if (status != PTS_OK) raise(error.code, error.message);
  void* object = nullptr;
  if (api.managed_tensor_to_py_object_no_sync(managed, &object) != 0) {
    throw py::error_already_set();
  }
  return py::reinterpret_steal<py::object>(static_cast<PyObject*>(object));
}

pts_value* copy_of(const pts_value* value) {
  pts_error error;
  pts_value* copy = nullptr;
  if (pts_value_copy(value, &copy, &error) != PTS_OK) raise(error.code, error.message);
  return copy;
}

py::object python_from(const pts_value* value, const ArrayKind& kind);

template <typename Sequence>
py::object to_sequence(const pts_value* value, const ArrayKind& kind) {
  const std::size_t size = pts_value_size(value);
  Sequence out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = python_from(pts_value_item(value, i), kind);
  return out;
}

py::object to_dict(const pts_value* value, const ArrayKind& kind) {
  py::dict out;
  for (std::size_t i = 0; i < pts_value_size(value); ++i) {
    out[pts_value_key(value, i)] = python_from(pts_value_item(value, i), kind);
  }
  return out;
}

py::object to_scalar(const pts_value* raw) {
  const pts::ValueView value(raw);
  switch (value.kind()) {
    case PTS_NONE:
      return py::none();
    case PTS_BOOL:
      return py::bool_(value.to_bool());
    case PTS_INT:
      return py::int_(value.to_int());
    case PTS_FLOAT:
      return py::float_(value.to_float());
    case PTS_STRING: {
      const std::string_view text = value.to_string();
      return py::str(text.data(), text.size());
    }
    default:
      raise(PTS_INTERNAL, "the model returned a value of an unknown kind");
  }
}

py::object tensor(pts_value* owned, const ArrayKind& kind) {
  return kind.exchange == nullptr ? to_numpy(owned, kind) : to_exchange(owned, *kind.exchange);
}

py::object python_from(const pts_value* value, const ArrayKind& kind) {
  switch (pts_value_kind(value)) {
    case PTS_TENSOR:
      return tensor(copy_of(value), kind);
    case PTS_LIST:
      return to_sequence<py::list>(value, kind);
    case PTS_TUPLE:
      return to_sequence<py::tuple>(value, kind);
    case PTS_DICT:
      return to_dict(value, kind);
    default:
      return to_scalar(value);
  }
}

}  // namespace

py::object to_python(pts_value* value, const ArrayKind& kind) {
  if (pts_value_kind(value) == PTS_TENSOR) return tensor(value, kind);
  const pts::Value owner(value);
  return python_from(value, kind);
}

}  // namespace binding
