#include "model.hpp"

#include <pybind11/stl.h>

#include <chrono>
#include <cstdint>

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

bool is_stateful(const pts::Model& model) {
  const py::object metadata = py::module_::import("json").attr("loads")(model.metadata());
  return metadata["stateful"].cast<bool>();
}

class Model {
  // Only a run on a stateful model ever waits, for its turn. Others stay on the thread that they
  // are called on.
  template <typename Run>
  auto run(const Deadline* limit, Run&& run) const {
    const std::shared_ptr<pts::Model> model = handle_.get();
    const auto body = [&](const pts::Call& call) { return run(*model, call); };
    const Deadline until = limit == nullptr ? Deadline(std::nullopt) : *limit;
    if (stateful_) return run_brief(until, body);
    pts::Call call;
    call.timeout = until.left();
    return unlocked([&] { return body(call); });
  }

 public:
  Model(pts::Model&& model, Output output)
      : stateful_(is_stateful(model)), handle_(std::move(model)), output_(output) {}

  py::object infer(const py::tuple& positional, const py::dict& named, const char* method,
                   const Deadline* limit) const {
    const Inputs inputs(positional, named);
    pts_infer_options options = PTS_INFER_OPTIONS_INIT;
    options.method = method;
    options.input_names = inputs.names();
    pts_value* result = run(limit, [&](const pts::Model& model, const pts::Call& call) {
      pts_value* out = nullptr;
      pts::detail::run(call, [&](const pts_call* raw, pts_error* error) {
        return pts_model_infer(model.get(), inputs.data(), inputs.size(), &options, raw, &out,
                               error);
      });
      return out;
    });
    return to_python(result, kind(inputs));
  }
  std::string infer_json(std::string_view request, const std::string& method,
                         const Deadline* limit) const {
    return run(limit, [&](const pts::Model& model, const pts::Call& call) {
      return model.infer_json(request, method, call);
    });
  }
  std::string infer_v1(std::string_view request, const std::string& method,
                       const Deadline* limit) const {
    return run(limit, [&](const pts::Model& model, const pts::Call& call) {
      return model.infer_v1(request, nullptr, method, call);
    });
  }
  // The response and the size of its JSON.
  std::pair<pts::Bytes, std::size_t> infer_v2(const py::buffer& body, std::size_t json_size,
                                              const std::string& method,
                                              const Deadline* limit) const {
    const py::buffer_info view = body.request();
    const std::size_t size = contiguous_size(view, "the request's bytes");
    pts::InferInfo info;
    pts::Bytes response = run(limit, [&](const pts::Model& model, const pts::Call& call) {
      return model.infer_v2(view.ptr, size, json_size, nullptr, &info, method, call);
    });
    return {std::move(response), info.json_size};
  }
  Model fork(const Deadline* limit) const {
    return {
        run(limit, [](const pts::Model& model, const pts::Call& call) { return model.fork(call); }),
        output_};
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

  bool stateful_;
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
void stream(const pts::Package& package, const py::object& write, const pts::OpenOptions& options,
            const pts::Call& call) {
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
      options, call);
}

pts::Verify verify_by_name(const std::string& name) {
  if (name == "signed") return pts::Verify::signed_;
  if (name == "aead") return pts::Verify::aead;
  raise(PTS_INVALID_ARGUMENT, "verify is 'signed' or 'aead', not '" + name + "'");
}

pts::Optimize optimize_by_name(const std::string& name) {
  if (name == "none") return pts::Optimize::none;
  if (name == "freeze") return pts::Optimize::freeze;
  if (name == "inference") return pts::Optimize::inference;
  raise(PTS_INVALID_ARGUMENT, "optimize is 'none', 'freeze' or 'inference', not '" + name + "'");
}

pts::OpenOptions open_options(const std::string& verify, std::string device, int intra_op_threads,
                              int warm_up_runs, const std::string& optimize, std::string torch_dir,
                              std::string manifest, std::uint64_t min_sequence,
                              std::uint64_t max_age) {
  pts::OpenOptions options;
  options.verify = verify_by_name(verify);
  options.device = std::move(device);
  options.intra_op_threads = intra_op_threads;
  options.warm_up_runs = warm_up_runs;
  options.optimize = optimize_by_name(optimize);
  options.torch_dir = std::move(torch_dir);
  options.manifest = std::move(manifest);
  options.min_sequence = min_sequence;
  options.max_age = std::chrono::seconds(max_age);
  return options;
}

void add_package(py::module_& module) {
  using Options = pts::OpenOptions;
  py::class_<Package>(module, "Package")
      .def("load",
           [](const Package& self, const Options& options, const std::string& output,
              const Deadline& limit, const py::object& on_progress) {
             return open_model([&, package = self.get()](
                                   const pts::Call& call) { return package->load(options, call); },
                               output, limit, on_progress);
           })
      .def("swap",
           [](const Package& self, const Model& running, const Options& options,
              const Deadline& limit, const py::object& on_progress) {
             const auto package = self.get();
             const auto model = running.handle().get();
             return Model(run_long(limit, on_progress,
                                   [&](const pts::Call& call) {
                                     return package->swap(*model, options, call);
                                   }),
                          running.output());
           })
      .def("decrypt",
           [](const Package& self, const Options& options, const Deadline& limit,
              const py::object& on_progress) {
             const auto package = self.get();
             return run_long(limit, on_progress, [&](const pts::Call& call) {
               return package->decrypt(options, call);
             });
           })
      .def("stream",
           [](const Package& self, const py::object& write, const Options& options,
              const Deadline& limit, const py::object& on_progress) {
             const auto package = self.get();
             run_long(limit, on_progress,
                      [&](const pts::Call& call) { stream(*package, write, options, call); });
           })
      .def("export",
           [](const Package& self, const std::string& folder, const Options& options,
              const Deadline& limit, const py::object& on_progress) {
             const auto package = self.get();
             run_long(limit, on_progress,
                      [&](const pts::Call& call) { package->export_to(folder, options, call); });
           })
      .def("close", &Package::close)
      .def_property_readonly("closed", [](const Package& self) { return self.handle().closed(); })
      .def_property_readonly("name", [](const Package& self) { return self.get()->name(); })
      .def_property_readonly("version", [](const Package& self) { return self.get()->version(); })
      .def_property_readonly("size", [](const Package& self) { return self.get()->size(); })
      .def("manifest", [](const Package& self) { return self.get()->manifest(); })
      .def("example", [](const Package& self) { return self.get()->example(); });
}

}  // namespace

py::object open_model(const std::function<pts::Model(const pts::Call&)>& open,
                      const std::string& output, const Deadline& limit,
                      const py::object& on_progress) {
  const Output kind = output_by_name(output);
  if (kind == Output::torch) torch_exchange();  // fails before anything is fetched
  return py::cast(Model(run_long(limit, on_progress, open), kind));
}

py::object fetch_package(const std::function<pts::Package(const pts::Call&)>& fetch,
                         const Deadline& limit) {
  return py::cast(Package(run_long(limit, py::none(), fetch)));
}

void add_model(py::module_& module) {
  py::class_<pts::OpenOptions>(module, "OpenOptions")
      .def(py::init(&open_options), py::kw_only(), py::arg("verify"), py::arg("device"),
           py::arg("intra_op_threads"), py::arg("warm_up_runs"), py::arg("optimize"),
           py::arg("torch_dir"), py::arg("manifest"), py::arg("min_sequence"), py::arg("max_age"));

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
  add_package(module);
}

}  // namespace binding
