#include "binding.hpp"

namespace binding {
namespace {

// The exception classes by status, which ptsecure/errors.py hands over; never freed.
PyObject* classes = nullptr;

void set_python_error(pts_status status, const std::string& message, std::uint64_t version) {
  if (classes == nullptr) throw py::import_error("ptsecure.errors was not imported");
  const auto by_status = py::reinterpret_borrow<py::list>(classes);
  const auto last = static_cast<pts_status>(by_status.size()) - 1;
  const pts_status known = status > 0 && status <= last ? status : PTS_INTERNAL;
  const py::object type = by_status[static_cast<std::size_t>(known)];
  const py::object error = type(py::str(message));
  if (version != 0) error.attr("version") = version;
  PyErr_SetObject(type.ptr(), error.ptr());
}

void translate(std::exception_ptr thrown) {
  try {
    if (thrown) std::rethrow_exception(thrown);
  } catch (const pts::AliasNotSet& error) {
    set_python_error(error.status(), error.what(), error.version());
  } catch (const pts::Error& error) {
    set_python_error(error.status(), error.what(), 0);
  }
}

}  // namespace

void raise(pts_status status, const std::string& message) {
  set_python_error(status, message, 0);
  throw py::error_already_set();
}

std::size_t contiguous_size(const py::buffer_info& view, const std::string& what) {
  if (PyBuffer_IsContiguous(view.view(), 'C') == 0) {
    raise(PTS_INVALID_ARGUMENT, what + " must lie together: pass bytes(...) of them");
  }
  return static_cast<std::size_t>(view.size * view.itemsize);
}

void add_errors(py::module_& module) {
  py::register_local_exception_translator(translate);
  module.def("set_error_classes", [](const py::list& by_status) {
    Py_XDECREF(classes);
    classes = by_status.inc_ref().ptr();
  });
  module.def("status_name", [](pts_status status) { return pts_status_name(status); });
}

}  // namespace binding
