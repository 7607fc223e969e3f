#include <pybind11/stl.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "binding.hpp"
#include "long_call.hpp"
#include "store.hpp"

namespace binding {
namespace {

using Made = std::pair<std::string, std::string>;  // the key's text, its record

Made to_python(const pts::NewApiKey& made) {
  return {std::string(made.key.view()), made.record};
}

class ApiKeys {
 public:
  explicit ApiKeys(pts::ApiKeys&& checker) : handle_(std::move(checker)) {}
  std::shared_ptr<pts::ApiKeys> get() const { return handle_.get(); }
  bool closed() const noexcept { return handle_.closed(); }
  void close() noexcept { handle_.close(); }

 private:
  Closable<pts::ApiKeys> handle_;
};

// `body(manager, call)` as a long call.
template <typename Body>
auto manage(const Store& self, const pts::Keyring& keys, const Deadline& limit, Body&& body) {
  return on_store(self, limit, [&](const pts::Store& store, const pts::Call& call) {
    return body(pts::ApiKeyManager(store, keys), call);
  });
}

Made create(const Store& self, const pts::Keyring& keys, const Deadline& limit,
            const std::string& owner, const std::vector<std::string>& models, int scopes,
            double rate, std::uint32_t burst, std::uint64_t bytes_rate, std::int64_t not_before,
            std::int64_t expires, const std::string& reason) {
  pts::ApiKeyOptions options;
  options.owner = owner;
  options.models = models;
  options.scopes = scopes;
  options.rate = rate;
  options.burst = burst;
  options.bytes_rate = bytes_rate;
  options.not_before = std::chrono::seconds(not_before);
  options.expires = std::chrono::seconds(expires);
  options.reason = reason;
  return manage(self, keys, limit, [&](const pts::ApiKeyManager& manager, const pts::Call& call) {
    return to_python(manager.create(options, call));
  });
}

Made rotate(const Store& self, const pts::Keyring& keys, const std::string& id, std::int64_t grace,
            const std::string& reason, const Deadline& limit) {
  return manage(self, keys, limit, [&](const pts::ApiKeyManager& manager, const pts::Call& call) {
    return to_python(manager.rotate(id, std::chrono::seconds(grace), reason, call));
  });
}

void add_manager(py::module_& module) {
  module.def("create_apikey", create, py::arg(), py::arg(), py::arg(), py::pos_only(),
             py::kw_only(), py::arg("owner"), py::arg("models"), py::arg("scopes"), py::arg("rate"),
             py::arg("burst"), py::arg("bytes_rate"), py::arg("not_before"), py::arg("expires"),
             py::arg("reason"));
  module.def("rotate_apikey", rotate);
  module.def("set_apikey_state", [](const Store& self, const pts::Keyring& keys,
                                    const std::string& id, const std::string& state,
                                    const std::string& reason, const Deadline& limit) {
    manage(self, keys, limit, [&](const pts::ApiKeyManager& manager, const pts::Call& call) {
      manager.set_state(id, state, reason, call);
    });
  });
  module.def("show_apikey", [](const Store& self, const pts::Keyring& keys, const std::string& id,
                               const Deadline& limit) {
    return manage(self, keys, limit, [&](const pts::ApiKeyManager& manager, const pts::Call& call) {
      return manager.show(id, call);
    });
  });
  module.def("list_apikeys", [](const Store& self, const pts::Keyring& keys,
                                const Deadline& limit) {
    return manage(self, keys, limit, [](const pts::ApiKeyManager& manager, const pts::Call& call) {
      return manager.list(call);
    });
  });
}

ApiKeys open_apikeys(const Store& self, const pts::Keyring& keys, double grace, double refresh,
                     const Deadline& limit) {
  return ApiKeys(on_store(self, limit, [&](const pts::Store& store, const pts::Call& call) {
    return pts::ApiKeys::open(store, keys, milliseconds(grace), milliseconds(refresh), call);
  }));
}

// Status, message, id, owner, milliseconds to wait.
std::tuple<pts_status, std::string, std::string, std::string, std::int64_t> check_apikey(
    const ApiKeys& self, const std::string& presented, const std::string& model, int scope,
    bool counted, std::uint64_t bytes, const Deadline* limit) {
  const auto checker = self.get();
  const Deadline until = limit == nullptr ? Deadline(std::nullopt) : *limit;
  // One that ran out of time has charged nothing.
  const pts::ApiKeyResult result = run_brief(until, [&](const pts::Call& call) {
    pts::ApiKeyResult answer = checker->check(presented, {model, scope, counted, bytes}, call);
    if (answer.status == PTS_TIMEOUT) throw pts::Timeout(answer.status, answer.message);
    return answer;
  });
  return {result.status, result.message, result.id, result.owner, result.retry_after.count()};
}

}  // namespace

void add_apikey(py::module_& module) {
  add_manager(module);
  py::class_<ApiKeys>(module, "ApiKeys")
      .def_static("open", open_apikeys)
      .def("check", check_apikey)
      .def("charge",
           [](const ApiKeys& self, const std::string& id, std::uint64_t bytes) {
             const auto checker = self.get();
             unlocked([&] { checker->charge(id, bytes); });
           })
      .def("usage",
           [](const ApiKeys& self) {
             const auto checker = self.get();
             return unlocked([&] { return checker->usage(); });
           })
      .def("close", &ApiKeys::close)
      .def_property_readonly("closed", &ApiKeys::closed);
}

}  // namespace binding
