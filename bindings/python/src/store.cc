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

Store open_store(const std::string& uri, double connect, double operation, unsigned threads,
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
                const pts::OpenOptions& options, const Deadline& limit,
                const py::object& on_progress) {
  const auto store = self.get();
  return run_long(limit, on_progress, [&](const pts::Call& call) {
    return findings_of(
        [&](const auto& note) { store->verify(reference, keys, note, options, call); });
  });
}

}  // namespace

void add_store(py::module_& module) {
  py::class_<Store>(module, "Store")
      .def_static("open", open_store, py::arg(), py::pos_only(), py::kw_only(),
                  py::arg("connect_timeout"), py::arg("operation_timeout"), py::arg("threads"),
                  py::arg("log"), py::arg("state"))
      .def("close", &Store::close)
      .def_property_readonly("closed", &Store::closed)
      .def_property_readonly("uri", [](const Store& self) { return self.get()->uri(); })
      .def("describe",
           [](const Store& self, const Deadline& limit) {
             return on_store(self, limit, [](const pts::Store& store, const pts::Call& call) {
               return store.describe(call);
             });
           })
      .def("list",
           [](const Store& self, const std::string& after, std::uint64_t count,
              const Deadline& limit) {
             return on_store(self, limit, [&](const pts::Store& store, const pts::Call& call) {
               return store.list(after, count, call);
             });
           })
      .def("list_versions",
           [](const Store& self, const std::string& name, std::uint64_t before, std::uint64_t count,
              const Deadline& limit) {
             return on_store(self, limit, [&](const pts::Store& store, const pts::Call& call) {
               return store.list_versions(name, before, count, call);
             });
           })
      .def("show",
           [](const Store& self, const std::string& reference, const pts::Keyring& keys,
              const Deadline& limit) {
             return on_store(self, limit, [&](const pts::Store& store, const pts::Call& call) {
               return store.show(reference, keys, call);
             });
           })
      .def("verify", verify)
      .def("fetch",
           [](const Store& self, const std::string& reference, const pts::Keyring& keys,
              const pts::OpenOptions& options, const Deadline& limit) {
             return fetch_package(
                 [&, store = self.get()](const pts::Call& call) {
                   return store->fetch(reference, keys, options, call);
                 },
                 limit);
           })
      .def("load", [](const Store& self, const std::string& reference, const pts::Keyring& keys,
                      const pts::OpenOptions& options, const std::string& output,
                      const Deadline& limit, const py::object& on_progress) {
        return open_model(
            [&, store = self.get()](const pts::Call& call) {
              return store->load(reference, keys, options, call);
            },
            output, limit, on_progress);
      });
}

}  // namespace binding
