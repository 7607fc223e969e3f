#include "model.hpp"

#include <pybind11/stl.h>

#include "binding.hpp"
#include "values.hpp"

namespace binding {
namespace {

enum class Output { as_input, numpy, torch };

Output output_by_name(const std::string& name) {
  if (name == "auto") return Output::as_input;
  if (name == "numpy") return Output::numpy;
  if (name == "torch") return Output::torch;
  raise(PTS_INVALID_ARGUMENT, "output is 'auto', 'numpy' or 'torch', not '" + name + "'");
}

class Model {
 public:
  Model(pts::Model&& model, Output output) : handle_(std::move(model)), output_(output) {}

  py::object infer(const py::tuple& positional, const py::dict& named, const char* method) const {
    const std::shared_ptr<pts::Model> model = handle_.get();
    const Inputs inputs(positional, named);
    pts_infer_options options = PTS_INFER_OPTIONS_INIT;
    options.method = method;
    options.input_names = inputs.names();
    pts_error error;
    pts_value* result = nullptr;
    const pts_status status = unlocked([&] {
      return pts_model_infer(model->get(), inputs.data(), inputs.size(), &options, &result, &error);
    });
    if (status != PTS_OK) raise(error.code, error.message);
    return to_python(result, kind(inputs));
  }
  std::string infer_json(std::string_view request, const std::string& method) const {
    const auto model = handle_.get();
    return unlocked([&] { return model->infer_json(request, method); });
  }
  std::string infer_v1(std::string_view request, const std::string& method) const {
    const auto model = handle_.get();
    return unlocked([&] { return model->infer_v1(request, nullptr, method); });
  }
  // The response and the size of its JSON.
  std::pair<pts::Bytes, std::size_t> infer_v2(const py::buffer& body, std::size_t json_size,
                                              const std::string& method) const {
    const auto model = handle_.get();
    const py::buffer_info view = body.request();
    if (PyBuffer_IsContiguous(view.view(), 'C') == 0) {
      raise(PTS_INVALID_ARGUMENT, "the request's bytes must lie together: pass bytes(...) of them");
    }
    const auto size = static_cast<std::size_t>(view.size * view.itemsize);
    pts::InferInfo info;
    pts::Bytes response = unlocked(
        [&] { return model->infer_v2(view.ptr, size, json_size, nullptr, &info, method); });
    return {std::move(response), info.json_size};
  }
  Model fork() const {
    const auto model = handle_.get();
    return {unlocked([&] { return model->fork(); }), output_};
  }
  const Closable<pts::Model>& handle() const noexcept { return handle_; }
  Output output() const noexcept { return output_; }
  void close() noexcept { handle_.close(); }

 private:
  ArrayKind kind(const Inputs& inputs) const {
    switch (output_) {
      case Output::numpy:
        return {nullptr, inputs.kind().read_only};
      case Output::torch:
        return {torch_exchange(), {}};
      default:
        return inputs.kind();
    }
  }

  Closable<pts::Model> handle_;
  Output output_;
};

class Package {
 public:
  explicit Package(pts::Package&& package) : handle_(std::move(package)) {}
  std::shared_ptr<pts::Package> get() const { return handle_.get(); }
  const Closable<pts::Package>& handle() const noexcept { return handle_; }
  void close() noexcept { handle_.close(); }

 private:
  Closable<pts::Package> handle_;
};

// Hands plaintext to a Python function as memoryviews that are only good during the call.
void stream(const pts::Package& package, const py::object& write, const pts::OpenOptions& options) {
  package.stream(
      [&](const void* data, std::size_t size) {
        const py::gil_scoped_acquire locked;
        auto view = py::memoryview::from_memory(data, static_cast<py::ssize_t>(size));
        const auto end = [&] { view.attr("release")(); };
        try {
          write(view);
        } catch (...) {
          end();
          throw;
        }
        end();
      },
      options);
}

}  // namespace

OpenArguments::OpenArguments(const std::string& level, std::string on_device, int threads,
                             int warm_ups, std::string torch, std::string pinned,
                             std::uint64_t from_sequence, std::uint64_t age,
                             const std::string& optimization)
    : device(std::move(on_device)),
      intra_op_threads(threads),
      warm_up_runs(warm_ups),
      torch_dir(std::move(torch)),
      manifest(std::move(pinned)),
      min_sequence(from_sequence),
      max_age(age) {
  if (level == "aead") {
    verify = pts::Verify::aead;
  } else if (level != "signed") {
    raise(PTS_INVALID_ARGUMENT, "verify is 'signed' or 'aead', not '" + level + "'");
  }
  if (optimization == "freeze") {
    optimize = pts::Optimize::freeze;
  } else if (optimization == "inference") {
    optimize = pts::Optimize::inference;
  } else if (optimization != "none") {
    raise(PTS_INVALID_ARGUMENT,
          "optimize is 'none', 'freeze' or 'inference', not '" + optimization + "'");
  }
}

pts::OpenOptions c_options(const OpenArguments& arguments, LongCall& call) {
  pts::OpenOptions options;
  options.verify = arguments.verify;
  options.device = arguments.device;
  options.intra_op_threads = arguments.intra_op_threads;
  options.warm_up_runs = arguments.warm_up_runs;
  options.optimize = arguments.optimize;
  options.torch_dir = arguments.torch_dir;
  options.manifest = arguments.manifest;
  options.min_sequence = arguments.min_sequence;
  options.max_age = arguments.max_age;
  options.cancel = &call.cancel();
  options.progress = call.progress();
  return options;
}

py::object open_model(const std::function<pts::Model(const pts::OpenOptions&)>& open,
                      const OpenArguments& arguments, const std::string& output,
                      const py::object& on_progress) {
  const Output kind = output_by_name(output);
  if (kind == Output::torch) torch_exchange();  // fails before anything is fetched
  pts::Model model =
      run_long(on_progress, [&](LongCall& call) { return open(c_options(arguments, call)); });
  return py::cast(Model(std::move(model), kind));
}

py::object fetch_package(const std::function<pts::Package(const pts::OpenOptions&)>& fetch,
                         const OpenArguments& arguments) {
  pts::Package package =
      run_long(py::none(), [&](LongCall& call) { return fetch(c_options(arguments, call)); });
  return py::cast(Package(std::move(package)));
}

void add_model(py::module_& module) {
  py::class_<OpenArguments>(module, "OpenArguments")
      .def(py::init<const std::string&, std::string, int, int, std::string, std::string,
                    std::uint64_t, std::uint64_t, const std::string&>());

  py::class_<Model>(module, "Model")
      .def("infer", &Model::infer)
      .def("infer_json", &Model::infer_json)
      .def("infer_v1", &Model::infer_v1)
      .def("infer_v2", &Model::infer_v2)
      .def("fork", &Model::fork)
      .def("close", &Model::close)
      .def_property_readonly("closed", [](const Model& self) { return self.handle().closed(); })
      .def_property_readonly("name", [](const Model& self) { return self.handle().get()->name(); })
      .def_property_readonly("version",
                             [](const Model& self) { return self.handle().get()->version(); })
      .def("metadata", [](const Model& self) { return self.handle().get()->metadata(); })
      .def("example", [](const Model& self) { return self.handle().get()->example(); });

  py::class_<Package>(module, "Package")
      .def("load",
           [](const Package& self, const OpenArguments& arguments, const std::string& output,
              const py::object& on_progress) {
             const auto package = self.get();
             return open_model(
                 [&](const pts::OpenOptions& options) { return package->load(options); }, arguments,
                 output, on_progress);
           })
      .def("swap",
           [](const Package& self, const Model& running, const OpenArguments& arguments,
              const py::object& on_progress) {
             const auto package = self.get();
             const auto model = running.handle().get();
             pts::Model swapped = run_long(on_progress, [&](LongCall& call) {
               return package->swap(*model, c_options(arguments, call));
             });
             return Model(std::move(swapped), running.output());
           })
      .def("decrypt",
           [](const Package& self, const OpenArguments& arguments, const py::object& on_progress) {
             const auto package = self.get();
             return run_long(on_progress, [&](LongCall& call) {
               return package->decrypt(c_options(arguments, call));
             });
           })
      .def("stream",
           [](const Package& self, const OpenArguments& arguments, const py::object& write) {
             const auto package = self.get();
             run_long(py::none(), [&](LongCall& call) {
               stream(*package, write, c_options(arguments, call));
               return true;
             });
           })
      .def("export",
           [](const Package& self, const std::string& folder, const OpenArguments& arguments,
              const py::object& on_progress) {
             const auto package = self.get();
             run_long(on_progress, [&](LongCall& call) {
               package->export_to(folder, c_options(arguments, call));
               return true;
             });
           })
      .def("close", &Package::close)
      .def_property_readonly("closed", [](const Package& self) { return self.handle().closed(); })
      .def_property_readonly("name", [](const Package& self) { return self.get()->name(); })
      .def_property_readonly("version", [](const Package& self) { return self.get()->version(); })
      .def_property_readonly("size", [](const Package& self) { return self.get()->size(); })
      .def("manifest", [](const Package& self) { return self.get()->manifest(); })
      .def("example", [](const Package& self) { return self.get()->example(); });
}

}  // namespace binding
