#include <pybind11/stl.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "long_call.hpp"
#include "source.hpp"
#include "store.hpp"
#include "values.hpp"

namespace binding {
namespace {

struct PublishOptions {
  pts::PublishOptions options;
  std::shared_ptr<Inputs> sample;  // what options.sample points to
};

PublishOptions publish_options(std::string format, std::string alias,
                               std::map<std::string, std::string> labels,
                               const std::optional<py::tuple>& sample, std::string sample_json,
                               std::string weights_of, std::string torch_dir) {
  PublishOptions made;
  made.options.format = std::move(format);
  made.options.alias = std::move(alias);
  made.options.labels = std::move(labels);
  made.options.sample_json = std::move(sample_json);
  made.options.weights_of = std::move(weights_of);
  made.options.torch_dir = std::move(torch_dir);
  if (!sample) return made;
  made.sample = std::make_shared<Inputs>(*sample, py::dict());
  for (std::size_t i = 0; i < made.sample->size(); ++i) {
    made.options.sample.emplace_back(made.sample->data()[i]);
  }
  return made;
}

struct ImportOptions {
  std::string jwk;
  std::shared_ptr<Source> jwk_source;
  std::string sha256;
};

std::uint64_t publish(const Store& self, const std::string& name, const Source& source,
                      const pts::Keyring& keys, const PublishOptions& publishing,
                      const Deadline& limit, const py::object& on_progress) {
  const auto store = self.get();
  return run_long(limit, on_progress, [&](const pts::Call& call) {
    return store->publish(name, source.get(), keys, publishing.options, call);
  });
}

std::uint64_t import_jwe(const Store& self, const std::string& name, const Source& source,
                         const pts::Keyring& keys, const ImportOptions& opening,
                         const PublishOptions& publishing, const Deadline& limit,
                         const py::object& on_progress) {
  const auto store = self.get();
  pts::ImportOptions options;
  options.jwk = opening.jwk;
  options.jwk_source = opening.jwk_source ? &opening.jwk_source->get() : nullptr;
  options.sha256 = opening.sha256;
  return run_long(limit, on_progress, [&](const pts::Call& call) {
    return store->import_jwe(name, source.get(), keys, options, publishing.options, call);
  });
}

std::uint64_t copy(const Store& self, const std::string& reference, const pts::Keyring& keys,
                   const Store& target, const pts::Keyring& target_keys,
                   const PublishOptions& publishing, const Deadline& limit,
                   const py::object& on_progress) {
  const auto from = self.get();
  const auto to = target.get();
  return run_long(limit, on_progress, [&](const pts::Call& call) {
    return from->copy(reference, keys, *to, target_keys, publishing.options, call);
  });
}

}  // namespace

void add_publish(py::module_& module) {
  py::class_<PublishOptions>(module, "PublishOptions")
      .def(py::init(&publish_options), py::kw_only(), py::arg("format"), py::arg("alias"),
           py::arg("labels"), py::arg("sample"), py::arg("sample_json"), py::arg("weights_of"),
           py::arg("torch_dir"));
  py::class_<ImportOptions>(module, "ImportOptions")
      .def(py::init([](std::string jwk, std::shared_ptr<Source> jwk_source, std::string sha256) {
             return ImportOptions{std::move(jwk), std::move(jwk_source), std::move(sha256)};
           }),
           py::kw_only(), py::arg("jwk"), py::arg("jwk_source"), py::arg("sha256"));
  module.def("publish", publish);
  module.def("import_jwe", import_jwe);
  module.def("copy", copy);
}

}  // namespace binding
