#include <pybind11/numpy.h>

#include <array>
#include <cstdint>

#include "binding.hpp"
#include "values.hpp"

// Python objects to values.
namespace binding {
namespace {

constexpr int kMaxDepth = 256;
constexpr std::size_t kMaxRank = 16;
constexpr int kAligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;
constexpr int kWriteable = py::detail::npy_api::NPY_ARRAY_WRITEABLE_;

[[noreturn]] void refuse(const std::string& message) {
  raise(PTS_INVALID_INPUT, message);
}

std::string type_name(py::handle object) {
  return Py_TYPE(object.ptr())->tp_name;
}

// Runs a call of the C ABI under the GIL.
template <typename Call>
pts_value* make(Call&& call) {
  pts_error error;
  pts_value* value = nullptr;
  const pts_status status = call(&value, &error);
  if (status != PTS_OK) raise(error.code, error.message);
  return value;
}

// Drops a reference to a Python object from any thread; at the interpreter's end there is nothing
// left to drop it in.
void release_object(void* user) {
  if (Py_IsInitialized() == 0) return;
  const PyGILState_STATE state = PyGILState_Ensure();
  Py_DECREF(static_cast<PyObject*>(user));
  PyGILState_Release(state);
}

// --- NumPy ---------------------------------------------------------------------------------------
pts_dtype by_number(int number) {
  switch (number) {
    case 0:
      return PTS_DTYPE_BOOL;
    case 1:
      return PTS_DTYPE_INT8;
    case 2:
      return PTS_DTYPE_UINT8;
    case 3:
      return PTS_DTYPE_INT16;
    case 4:
      return PTS_DTYPE_UINT16;
    case 5:
      return PTS_DTYPE_INT32;
    case 6:
      return PTS_DTYPE_UINT32;
    case 7:
    case 9:
      return PTS_DTYPE_INT64;
    case 8:
    case 10:
      return PTS_DTYPE_UINT64;
    case 11:
      return PTS_DTYPE_FLOAT32;
    case 12:
      return PTS_DTYPE_FLOAT64;
    case 14:
      return PTS_DTYPE_COMPLEX64;
    case 15:
      return PTS_DTYPE_COMPLEX128;
    case 23:
      return PTS_DTYPE_FLOAT16;
    default:
      return 0;
  }
}

pts_dtype dtype_of(const py::dtype& dtype) {
  if (const pts_dtype known = by_number(dtype.num())) return known;
  // As the package ml_dtypes defines it; NumPy itself has none.
  const auto name = py::str(dtype.attr("name")).cast<std::string>();
  if (name == "bfloat16") return PTS_DTYPE_BFLOAT16;
  refuse("an array of datatype " + name +
         " is no input: expected bool, integers of 8 to 64 bits, float16/32/64, bfloat16 or "
         "complex64/128");
}

// Whether the engine can use the elements where they lie.
bool can_be_shared(const py::array& array, const py::dtype& dtype) {
  if ((array.flags() & kAligned) == 0) return false;
  const char order = dtype.byteorder();
  if (order == '>') return false;
  const py::ssize_t size = dtype.itemsize();
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    const py::ssize_t step = array.strides(i);
    if (array.shape(i) > 1 && (step < 0 || step % size != 0)) return false;
  }
  return true;
}

// The same elements in row-major order, native and aligned.
py::array tidy(const py::array& array, const py::dtype& dtype) {
  return py::module_::import("numpy").attr("array")(array, dtype.attr("newbyteorder")("="),
                                                    py::arg("order") = "C");
}

// The addresses that a strided array spans.
void note_read_only(const py::array& array, ArrayKind& kind) {
  const auto* begin = static_cast<const char*>(array.data());
  const char* end = begin + array.itemsize();
  for (py::ssize_t i = 0; i < array.ndim(); ++i) end += (array.shape(i) - 1) * array.strides(i);
  if (array.size() != 0) kind.read_only.emplace_back(begin, end);
}

pts_value* from_array(const py::array& given, ArrayKind& kind) {
  const py::dtype dtype = given.dtype();
  const pts_dtype element = dtype_of(dtype);
  const py::array array = can_be_shared(given, dtype) ? given : tidy(given, dtype);
  const auto rank = static_cast<std::size_t>(array.ndim());
  if (rank > kMaxRank) {
    refuse("an array of rank " + std::to_string(rank) + " is no input: at most " +
           std::to_string(kMaxRank) + " dimensions");
  }
  std::array<std::int64_t, kMaxRank> shape;
  std::array<std::int64_t, kMaxRank> strides;
  std::int64_t contiguous = 1;
  for (std::size_t i = rank; i-- > 0;) {
    const auto axis = static_cast<py::ssize_t>(i);
    shape[i] = array.shape(axis);
    // NumPy leaves the stride of a dimension of one element undefined.
    strides[i] = shape[i] > 1 ? array.strides(axis) / array.itemsize() : contiguous;
    contiguous *= shape[i] > 1 ? shape[i] : 1;
  }
  pts_tensor tensor = PTS_TENSOR_INIT;
  tensor.dtype = element;
  tensor.rank = static_cast<std::int32_t>(rank);
  tensor.shape = rank == 0 ? nullptr : shape.data();
  tensor.strides = array.size() == 0 || rank == 0 ? nullptr : strides.data();
  tensor.data = const_cast<void*>(array.data());
  tensor.read_only = (array.flags() & kWriteable) == 0 ? 1 : 0;
  pts_value* value = make([&](pts_value** out, pts_error* error) {
    return pts_value_borrow_tensor(&tensor, out, &release_object, array.ptr(), error);
  });
  array.inc_ref();
  if (tensor.read_only != 0) note_read_only(array, kind);
  return value;
}

bool is_masked(py::handle array) {
  return std::string_view(type_name(array)).find("MaskedArray") != std::string_view::npos;
}

// --- DLPack --------------------------------------------------------------------------------------
const DLPackExchangeAPI* exchange_of(PyTypeObject* type) {
  // Types that have one are few and live as long as the process.
  static PyTypeObject* last_type = nullptr;
  static const DLPackExchangeAPI* last = nullptr;
  if (type == last_type) return last;
  const auto found = py::reinterpret_steal<py::object>(
      PyObject_GetAttrString(reinterpret_cast<PyObject*>(type), "__dlpack_c_exchange_api__"));
  if (!found) PyErr_Clear();
  if (!found || PyCapsule_IsValid(found.ptr(), "dlpack_exchange_api") == 0) return nullptr;
  auto* api = static_cast<const DLPackExchangeAPI*>(
      PyCapsule_GetPointer(found.ptr(), "dlpack_exchange_api"));
  while (api != nullptr && api->version.major != 1) api = api->prev_api;
  if (api == nullptr) return nullptr;
  Py_INCREF(type);
  last_type = type;
  last = api;
  return api;
}

// The pending Python exception as ours; its own text says what to do ("use tensor.detach()").
[[noreturn]] void refuse_pending(py::handle object) {
  const py::error_already_set cause;
  if (!cause.matches(PyExc_BufferError) && !cause.matches(PyExc_TypeError) &&
      !cause.matches(PyExc_ValueError) && !cause.matches(PyExc_RuntimeError)) {
    throw cause;
  }
  refuse("this " + type_name(object) +
         " is no input: " + py::str(cause.value()).cast<std::string>());
}

pts_value* take(DLManagedTensorVersioned* managed) {
  pts_error error;
  pts_value* value = nullptr;
  const pts_status status = pts_value_from_dlpack(managed, &value, &error);
  if (status != PTS_OK) {
    if (managed->deleter != nullptr) managed->deleter(managed);
    raise(error.code, error.message);
  }
  return value;
}

bool says(py::handle object, const char* question) {
  const auto answer =
      py::reinterpret_steal<py::object>(PyObject_CallMethod(object.ptr(), question, nullptr));
  if (!answer) throw py::error_already_set();
  return answer.ptr() == Py_True;
}

// What torch's `__dlpack__` checks in Python and its exchange functions leave to their caller:
// DLPack has no word for conjugated and negated views, and results carry no gradient.
py::object plain_torch(py::handle tensor) {
  if (tensor.attr("requires_grad").ptr() == Py_True) {
    refuse("a tensor that requires a gradient is no input, for results have none: use x.detach()");
  }
  if (!says(tensor, "is_neg") && !says(tensor, "is_conj")) {
    return py::reinterpret_borrow<py::object>(tensor);
  }
  return tensor.attr("resolve_conj")().attr("resolve_neg")();
}

pts_value* from_exchange(py::handle given, const DLPackExchangeAPI& api) {
  static const py::handle is_neg = py::str("is_neg").release();
  const py::object object = PyObject_HasAttr(given.ptr(), is_neg.ptr()) == 1
                                ? plain_torch(given)
                                : py::reinterpret_borrow<py::object>(given);
  DLManagedTensorVersioned* managed = nullptr;
  if (api.managed_tensor_from_py_object_no_sync(object.ptr(), &managed) != 0) {
    refuse_pending(object);
  }
  return take(managed);
}

// A tensor of before DLPack 1.0 in the struct of today.
DLManagedTensorVersioned* upgrade(DLManagedTensor* old) {
  auto* managed = new DLManagedTensorVersioned{};
  managed->version = {1, 0};
  managed->manager_ctx = old;
  managed->dl_tensor = old->dl_tensor;
  managed->deleter = [](DLManagedTensorVersioned* self) {
    auto* inner = static_cast<DLManagedTensor*>(self->manager_ctx);
    if (inner->deleter != nullptr) inner->deleter(inner);
    delete self;
  };
  return managed;
}

py::object call_dlpack(py::handle object) {
  const py::object method = object.attr("__dlpack__");
  try {
    return method(py::arg("max_version") = py::make_tuple(1, 0));
  } catch (const py::error_already_set& error) {
    if (!error.matches(PyExc_TypeError)) throw;
  }
  return method();
}

pts_value* from_dlpack(py::handle object) {
  py::object capsule;
  try {
    capsule = call_dlpack(object);
  } catch (py::error_already_set& error) {
    error.restore();
    refuse_pending(object);
  }
  PyObject* raw = capsule.ptr();
  if (PyCapsule_IsValid(raw, "dltensor_versioned") != 0) {
    auto* managed =
        static_cast<DLManagedTensorVersioned*>(PyCapsule_GetPointer(raw, "dltensor_versioned"));
    PyCapsule_SetName(raw, "used_dltensor_versioned");
    return take(managed);
  }
  if (PyCapsule_IsValid(raw, "dltensor") != 0) {
    auto* managed = upgrade(static_cast<DLManagedTensor*>(PyCapsule_GetPointer(raw, "dltensor")));
    PyCapsule_SetName(raw, "used_dltensor");
    return take(managed);
  }
  refuse("the __dlpack__ of " + type_name(object) + " gave no DLPack capsule");
}

// --- everything ----------------------------------------------------------------------------------
pts_value* value_from(py::handle object, ArrayKind& kind, int depth);

class Owned {
 public:
  explicit Owned(pts_value* value) noexcept : value_(value) {}
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() { pts_value_destroy(&value_); }
  pts_value* get() const noexcept { return value_; }
  pts_value* release() noexcept { return std::exchange(value_, nullptr); }

 private:
  pts_value* value_;
};

void check(pts_status status, const pts_error& error) {
  if (status != PTS_OK) raise(error.code, error.message);
}

pts_value* from_sequence(py::handle sequence, Owned&& out, ArrayKind& kind, int depth) {
  pts_error error;
  for (py::ssize_t i = 0; i < PySequence_Fast_GET_SIZE(sequence.ptr()); ++i) {
    // Kept: what converting an item runs may change the list.
    const auto item =
        py::reinterpret_borrow<py::object>(PySequence_Fast_GET_ITEM(sequence.ptr(), i));
    const Owned value(value_from(item, kind, depth + 1));
    check(pts_value_append(out.get(), value.get(), &error), error);
  }
  return out.release();
}

const char* utf8(py::handle text, py::ssize_t* size) {
  const char* data = PyUnicode_AsUTF8AndSize(text.ptr(), size);
  if (data == nullptr) {
    PyErr_Clear();
    refuse("a string that isn't Unicode text (a lone surrogate in it) is no input");
  }
  return data;
}

pts_value* from_dict(py::handle dict, ArrayKind& kind, int depth) {
  pts_error error;
  Owned out(make(pts_value_create_dict));
  for (const auto& [key, item] : py::reinterpret_borrow<py::dict>(dict)) {
    if (!PyUnicode_Check(key.ptr())) {
      refuse("a dict whose keys are of type " + type_name(key) + " is no input: expected str");
    }
    py::ssize_t size = 0;
    const char* name = utf8(key, &size);
    if (std::string_view(name).size() != static_cast<std::size_t>(size)) {
      refuse("a dict key with a NUL character is no input");
    }
    const Owned value(value_from(item, kind, depth + 1));
    check(pts_value_put(out.get(), name, value.get(), &error), error);
  }
  return out.release();
}

pts_value* from_int(py::handle number) {
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
  if (overflow != 0) refuse("an int outside of 64 bits is no input");
  return make(
      [&](pts_value** out, pts_error* error) { return pts_value_create_int(value, out, error); });
}

pts_value* from_float(double number) {
  return make([&](pts_value** out, pts_error* error) {
    return pts_value_create_float(number, out, error);
  });
}

pts_value* from_text(py::handle text) {
  py::ssize_t size = 0;
  const char* data = utf8(text, &size);
  return make([&](pts_value** out, pts_error* error) {
    return pts_value_create_string(data, static_cast<std::size_t>(size), out, error);
  });
}

// Other kinds of array and number, asked in the order of how exact they are.
pts_value* from_other(py::handle object, ArrayKind& kind, int depth) {
  PyObject* raw = object.ptr();
  if (py::isinstance<py::array>(object)) {
    if (is_masked(object)) refuse("a masked array is no input: fill it first (x.filled(0))");
    return from_array(py::reinterpret_borrow<py::array>(object), kind);
  }
  if (const DLPackExchangeAPI* api = exchange_of(Py_TYPE(raw))) {
    if (kind.exchange == nullptr) kind.exchange = api;
    return from_exchange(object, *api);
  }
  static PyObject* const generic =
      py::object(py::module_::import("numpy").attr("generic")).release().ptr();
  if (PyObject_IsInstance(raw, generic) == 1) {
    const py::object item = object.attr("item")();
    if (item.is(object)) refuse("a NumPy scalar of type " + type_name(object) + " is no input");
    return value_from(item, kind, depth + 1);
  }
  if (PyObject_HasAttrString(raw, "__dlpack__") == 1) return from_dlpack(object);
  if (PyObject_CheckBuffer(raw) != 0 && !PyBytes_Check(raw) && !PyByteArray_Check(raw)) {
    return from_array(py::module_::import("numpy").attr("asarray")(object), kind);
  }
  refuse("an object of type " + type_name(object) +
         " is no input: expected a NumPy array, a torch tensor or another array with __dlpack__, "
         "None, bool, int, float, str, or a list, tuple or dict of these");
}

pts_value* value_from(py::handle object, ArrayKind& kind, int depth) {
  PyObject* raw = object.ptr();
  if (depth > kMaxDepth) {
    raise(PTS_LIMIT_EXCEEDED,
          "inputs may be nested at most " + std::to_string(kMaxDepth) + " deep");
  }
  if (raw == Py_None) return make(pts_value_create_none);
  if (PyBool_Check(raw)) {
    return make([&](pts_value** out, pts_error* error) {
      return pts_value_create_bool(raw == Py_True ? 1 : 0, out, error);
    });
  }
  if (PyFloat_Check(raw)) return from_float(PyFloat_AS_DOUBLE(raw));
  if (PyLong_Check(raw)) return from_int(object);
  if (PyUnicode_Check(raw)) return from_text(object);
  if (PyList_Check(raw))
    return from_sequence(object, Owned(make(pts_value_create_list)), kind, depth);
  if (PyTuple_Check(raw)) {
    return from_sequence(object, Owned(make(pts_value_create_tuple)), kind, depth);
  }
  if (PyDict_Check(raw)) return from_dict(object, kind, depth);
  return from_other(object, kind, depth);
}

}  // namespace

const DLPackExchangeAPI* torch_exchange() {
  const py::object tensor = py::module_::import("torch").attr("Tensor");
  const DLPackExchangeAPI* api = exchange_of(reinterpret_cast<PyTypeObject*>(tensor.ptr()));
  if (api == nullptr) {
    raise(PTS_UNSUPPORTED, "this torch has no DLPack exchange API: update it to 2.10 or newer");
  }
  return api;
}

Inputs::Inputs(const py::tuple& positional, const py::dict& named) {
  const std::size_t count = positional.size() + named.size();
  values_.reserve(count);
  try {
    for (const py::handle input : positional) values_.push_back(value_from(input, kind_, 0));
    if (named.empty()) return;
    names_.assign(positional.size(), nullptr);
    for (const auto& [name, input] : named) {
      values_.push_back(value_from(input, kind_, 0));
      names_.push_back(utf8(name, nullptr));  // lives as long as the key
    }
  } catch (...) {
    clear();
    throw;
  }
}

Inputs::~Inputs() {
  clear();
}

void Inputs::clear() noexcept {
  for (pts_value*& value : values_) pts_value_destroy(&value);
  values_.clear();
}

}  // namespace binding
