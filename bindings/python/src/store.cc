#include "store.hpp"

#include <pybind11/stl.h>

#include "binding.hpp"
#include "long_call.hpp"
#include "model.hpp"

namespace binding {
namespace {

// A Python function that the library may call from any of its threads.
pts::detail::LogFunction log_function(const py::object& log) {
  if (log.is_none()) return {};
  // Destroyed without the GIL, on whichever thread lets the last user go.
  const std::shared_ptr<py::object> held(new py::object(log), [](py::object* object) {
    if (Py_IsInitialized() == 0) return;
    const py::gil_scoped_acquire locked;
    delete object;
  });
  return [held](std::int32_t level, std::string_view message) {
    if (Py_IsInitialized() == 0) return;
    const py::gil_scoped_acquire locked;
    try {
      (*held)(level, py::str(message.data(), message.size()));
    } catch (py::error_already_set& error) {
      error.discard_as_unraisable("ptsecure's log function");
    }
  };
}

Store open(const std::string& uri, double connect, double operation, unsigned threads,
           const py::object& log, const std::string& state) {
  pts::StoreOptions options;
  options.connect_timeout = milliseconds(connect);
  options.operation_timeout = milliseconds(operation);
  options.threads = threads;
  options.log = log_function(log);
  options.state = state;
  return Store(unlocked([&] { return pts::Store::open(uri, options); }));
}

Findings verify(const Store& self, const std::string& reference, const pts::Keyring& keys,
                const OpenArguments& arguments, const py::object& on_progress) {
  const auto store = self.get();
  return run_long(on_progress, [&](LongCall& call) {
    return findings_of([&](const auto& note) {
      store->verify(reference, keys, note, c_options(arguments, call));
    });
  });
}

}  // namespace

void add_store(py::module_& module) {
  py::class_<Store>(module, "Store")
      .def_static("open", open)
      .def("close", &Store::close)
      .def_property_readonly("closed", &Store::closed)
      .def("describe",
           [](const Store& self) {
             const auto store = self.get();
             return unlocked([&] { return store->describe(); });
           })
      .def("list",
           [](const Store& self, const std::string& after, std::uint64_t limit) {
             const auto store = self.get();
             return unlocked([&] { return store->list(after, limit); });
           })
      .def("list_versions",
           [](const Store& self, const std::string& name, std::uint64_t before,
              std::uint64_t limit) {
             const auto store = self.get();
             return unlocked([&] { return store->list_versions(name, before, limit); });
           })
      .def("show",
           [](const Store& self, const std::string& reference, const pts::Keyring& keys) {
             const auto store = self.get();
             return unlocked([&] { return store->show(reference, keys); });
           })
      .def("verify", verify)
      .def("fetch",
           [](const Store& self, const std::string& reference, const pts::Keyring& keys,
              const OpenArguments& arguments) {
             const auto store = self.get();
             return fetch_package(
                 [&](const pts::OpenOptions& options) {
                   return store->fetch(reference, keys, options);
                 },
                 arguments);
           })
      .def("load",
           [](const Store& self, const std::string& reference, const pts::Keyring& keys,
              const OpenArguments& arguments, const std::string& output,
              const py::object& on_progress) {
             const auto store = self.get();
             return open_model(
                 [&](const pts::OpenOptions& options) {
                   return store->load(reference, keys, options);
                 },
                 arguments, output, on_progress);
           })
      .def("set_key_status",
           [](const Store& self, const std::string& reference, const std::string& status,
              const pts::Keyring& keys, const std::string& reason) {
             const auto store = self.get();
             unlocked([&] { store->set_key_status(reference, status, keys, reason); });
           });
}

}  // namespace binding
