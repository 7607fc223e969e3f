#include <pybind11/stl.h>

#include <vector>

#include "binding.hpp"
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

// Status, message, id, owner, milliseconds to wait.
std::tuple<pts_status, std::string, std::string, std::string, std::int64_t> check(
    const ApiKeys& self, const std::string& presented, const std::string& model, int scope,
    bool counted, std::uint64_t bytes) {
  const auto checker = self.get();
  const pts::ApiKeyResult result =
      unlocked([&] { return checker->check(presented, {model, scope, counted, bytes}); });
  return {result.status, result.message, result.id, result.owner, result.retry_after.count()};
}

}  // namespace

void add_apikey(py::module_& module) {
  module.def("create_apikey", [](const Store& self, const pts::Keyring& keys,
                                 const std::string& owner, const std::vector<std::string>& models,
                                 int scopes, double rate, std::uint32_t burst,
                                 std::uint64_t bytes_rate, std::int64_t not_before,
                                 std::int64_t expires, const std::string& reason) {
    const auto store = self.get();
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
    return to_python(unlocked([&] { return pts::ApiKeyManager(*store, keys).create(options); }));
  });
  module.def("rotate_apikey", [](const Store& self, const pts::Keyring& keys, const std::string& id,
                                 std::int64_t grace, const std::string& reason) {
    const auto store = self.get();
    return to_python(unlocked([&] {
      return pts::ApiKeyManager(*store, keys).rotate(id, std::chrono::seconds(grace), reason);
    }));
  });
  module.def("set_apikey_state",
             [](const Store& self, const pts::Keyring& keys, const std::string& id,
                const std::string& state, const std::string& reason) {
               const auto store = self.get();
               unlocked([&] { pts::ApiKeyManager(*store, keys).set_state(id, state, reason); });
             });
  module.def("show_apikey", [](const Store& self, const pts::Keyring& keys, const std::string& id) {
    const auto store = self.get();
    return unlocked([&] { return pts::ApiKeyManager(*store, keys).show(id); });
  });
  module.def("list_apikeys", [](const Store& self, const pts::Keyring& keys) {
    const auto store = self.get();
    return unlocked([&] { return pts::ApiKeyManager(*store, keys).list(); });
  });

  py::class_<ApiKeys>(module, "ApiKeys")
      .def_static("open",
                  [](const Store& self, const pts::Keyring& keys, double grace, double refresh) {
                    const auto store = self.get();
                    return ApiKeys(unlocked([&] {
                      return pts::ApiKeys::open(*store, keys, milliseconds(grace),
                                                milliseconds(refresh));
                    }));
                  })
      .def("check", check)
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
