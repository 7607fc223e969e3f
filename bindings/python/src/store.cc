#include "store.hpp"

#include <pybind11/stl.h>

#include <map>
#include <mutex>

#include "binding.hpp"
#include "long_call.hpp"
#include "model.hpp"
#include "values.hpp"

namespace binding {
namespace {

using Labels = std::map<std::string, std::string>;

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

struct PublishArguments {
  std::string format;
  std::string alias;
  Labels labels;
  std::shared_ptr<Inputs> sample;
  std::string torch_dir;
};

pts::PublishOptions c_options(const PublishArguments& arguments, LongCall& call) {
  pts::PublishOptions options;
  options.format = arguments.format;
  options.alias = arguments.alias;
  options.labels = arguments.labels;
  for (std::size_t i = 0; arguments.sample && i < arguments.sample->size(); ++i) {
    options.sample.emplace_back(arguments.sample->data()[i]);
  }
  options.torch_dir = arguments.torch_dir;
  options.cancel = &call.cancel();
  options.progress = call.progress();
  return options;
}

std::uint64_t publish_file(const Store& self, const std::string& name, const std::string& path,
                           const pts::Keyring& keys, const PublishArguments& arguments,
                           const py::object& on_progress) {
  const auto store = self.get();
  return run_long(on_progress, [&](LongCall& call) {
    return store->publish_file(name, path, keys, c_options(arguments, call));
  });
}

std::uint64_t publish_bytes(const Store& self, const std::string& name, const py::buffer& data,
                            const pts::Keyring& keys, const PublishArguments& arguments,
                            const py::object& on_progress) {
  const auto store = self.get();
  const py::buffer_info view = data.request();  // keeps the bytes from being resized or freed
  if (PyBuffer_IsContiguous(view.view(), 'C') == 0) {
    raise(PTS_INVALID_ARGUMENT, "the model's bytes must lie together: pass bytes(...) of them");
  }
  return run_long(on_progress, [&](LongCall& call) {
    return store->publish_bytes(name, view.ptr, static_cast<std::size_t>(view.size * view.itemsize),
                                keys, c_options(arguments, call));
  });
}

std::uint64_t copy(const Store& self, const std::string& reference, const pts::Keyring& keys,
                   const Store& target, const pts::Keyring& target_keys,
                   const PublishArguments& arguments, const py::object& on_progress) {
  const auto from = self.get();
  const auto to = target.get();
  return run_long(on_progress, [&](LongCall& call) {
    return from->copy(reference, keys, *to, target_keys, c_options(arguments, call));
  });
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
  py::class_<PublishArguments>(module, "PublishArguments")
      .def(py::init([](std::string format, std::string alias, Labels labels,
                       const std::optional<py::tuple>& sample, std::string torch_dir) {
        PublishArguments arguments{std::move(format), std::move(alias), std::move(labels), nullptr,
                                   std::move(torch_dir)};
        if (sample) arguments.sample = std::make_shared<Inputs>(*sample, py::dict());
        return arguments;
      }));

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
      .def("publish_file", publish_file)
      .def("publish_bytes", publish_bytes)
      .def("copy", copy)
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
