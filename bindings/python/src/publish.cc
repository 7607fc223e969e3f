#include "publish.hpp"

#include <pybind11/stl.h>

#include <cstdint>
#include <functional>
#include <optional>

#include "long_call.hpp"
#include "store.hpp"

namespace binding {
namespace {

pts::PublishOptions c_options(const PublishArguments& arguments, LongCall& call) {
  pts::PublishOptions options;
  options.format = arguments.format;
  options.alias = arguments.alias;
  options.labels = arguments.labels;
  for (std::size_t i = 0; arguments.sample && i < arguments.sample->size(); ++i) {
    options.sample.emplace_back(arguments.sample->data()[i]);
  }
  options.sample_json = arguments.sample_json;
  options.weights_of = arguments.weights_of;
  options.torch_dir = arguments.torch_dir;
  options.cancel = &call.cancel();
  options.progress = call.progress();
  return options;
}

// A Python function `read(position, into)`, which fills a memoryview that is only good during the
// call, as one that any thread may call.
std::function<void(std::uint64_t, void*, std::size_t)> reader(const py::object& read) {
  return [&read](std::uint64_t position, void* data, std::size_t size) {
    const py::gil_scoped_acquire locked;
    auto view = py::memoryview::from_memory(data, static_cast<py::ssize_t>(size));
    const auto end = [&] { view.attr("release")(); };
    try {
      read(position, view);
    } catch (...) {
      end();
      throw;
    }
    end();
  };
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

std::uint64_t publish_read(const Store& self, const std::string& name, std::uint64_t size,
                           const py::object& read, const pts::Keyring& keys,
                           const PublishArguments& arguments, const py::object& on_progress) {
  const auto store = self.get();
  return run_long(on_progress, [&](LongCall& call) {
    return store->publish_read(name, size, reader(read), keys, c_options(arguments, call));
  });
}

std::uint64_t import_file(const Store& self, const std::string& name, const std::string& path,
                          const std::string& jwk, const std::string& sha256,
                          const pts::Keyring& keys, const PublishArguments& arguments,
                          const py::object& on_progress) {
  const auto store = self.get();
  return run_long(on_progress, [&](LongCall& call) {
    return store->import_file(name, path, jwk, sha256, keys, c_options(arguments, call));
  });
}

std::uint64_t import_read(const Store& self, const std::string& name, std::uint64_t size,
                          const py::object& read, const std::string& jwk, const std::string& sha256,
                          const pts::Keyring& keys, const PublishArguments& arguments,
                          const py::object& on_progress) {
  const auto store = self.get();
  return run_long(on_progress, [&](LongCall& call) {
    return store->import_read(name, size, reader(read), jwk, sha256, keys,
                              c_options(arguments, call));
  });
}

std::uint64_t import_gridfs(const Store& self, const std::string& name, const pts::GridfsFile& file,
                            const std::string& jwk, const std::string& sha256,
                            const pts::Keyring& keys, const PublishArguments& arguments,
                            const py::object& on_progress) {
  const auto store = self.get();
  return run_long(on_progress, [&](LongCall& call) {
    return store->import_gridfs(name, file, jwk, sha256, keys, c_options(arguments, call));
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

}  // namespace

void add_publish(py::module_& module) {
  py::class_<PublishArguments>(module, "PublishArguments")
      .def(py::init([](std::string format, std::string alias,
                       std::map<std::string, std::string> labels,
                       const std::optional<py::tuple>& sample, std::string sample_json,
                       std::string weights_of, std::string torch_dir) {
        PublishArguments arguments{
            std::move(format),      std::move(alias),      std::move(labels),   nullptr,
            std::move(sample_json), std::move(weights_of), std::move(torch_dir)};
        if (sample) arguments.sample = std::make_shared<Inputs>(*sample, py::dict());
        return arguments;
      }));
  py::class_<pts::GridfsFile>(module, "GridfsFile")
      .def(py::init([](std::string uri, std::string bucket, std::string filename, std::string id,
                       std::string jwk_filename) {
        return pts::GridfsFile{std::move(uri), std::move(bucket), std::move(filename),
                               std::move(id), std::move(jwk_filename)};
      }));
  module.def("publish_file", publish_file);
  module.def("publish_bytes", publish_bytes);
  module.def("publish_read", publish_read);
  module.def("import_file", import_file);
  module.def("import_read", import_read);
  module.def("import_gridfs", import_gridfs);
  module.def("copy", copy);
}

}  // namespace binding
