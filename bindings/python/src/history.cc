#include <pybind11/stl.h>

#include <cstdint>
#include <string>

#include "binding.hpp"
#include "long_call.hpp"
#include "store.hpp"

namespace binding {
namespace {

// Without the GIL: `call(store)`.
template <typename Call>
auto on_store(const Store& self, Call&& call) {
  const auto store = self.get();
  return unlocked([&] { return call(*store); });
}

void add_aliases(py::module_& module) {
  module.def("list_aliases", [](const Store& self, const std::string& name,
                                const pts::Keyring& keys) {
    return on_store(self, [&](const pts::Store& store) { return store.list_aliases(name, keys); });
  });
  module.def("show_alias", [](const Store& self, const std::string& name, const std::string& alias,
                              const pts::Keyring& keys) {
    return on_store(self,
                    [&](const pts::Store& store) { return store.show_alias(name, alias, keys); });
  });
  module.def("alias_history", [](const Store& self, const std::string& name,
                                 const std::string& alias, const pts::Keyring& keys) {
    return on_store(
        self, [&](const pts::Store& store) { return store.alias_history(name, alias, keys); });
  });
  module.def("set_alias", [](const Store& self, const std::string& name, const std::string& alias,
                             std::uint64_t version, const pts::Keyring& keys,
                             const std::string& reason) {
    on_store(self,
             [&](const pts::Store& store) { store.set_alias(name, alias, version, keys, reason); });
  });
  module.def("rollback_alias",
             [](const Store& self, const std::string& name, const std::string& alias,
                std::uint64_t version, const pts::Keyring& keys, const std::string& reason) {
               return on_store(self, [&](const pts::Store& store) {
                 return store.rollback_alias(name, alias, keys, version, reason);
               });
             });
  module.def("delete_alias", [](const Store& self, const std::string& name,
                                const std::string& alias, const pts::Keyring& keys,
                                const std::string& reason) {
    on_store(self, [&](const pts::Store& store) { store.delete_alias(name, alias, keys, reason); });
  });
}

Findings verify_log(const Store& self, const pts::Keyring& keys, const std::string& head) {
  const auto store = self.get();
  return run_long(py::none(), [&](LongCall& call) {
    return findings_of(
        [&](const auto& note) { store->verify_log(keys, note, head, &call.cancel()); });
  });
}

}  // namespace

void add_history(py::module_& module) {
  add_aliases(module);
  module.def("show_log", [](const Store& self, const pts::Keyring& keys, std::uint64_t first,
                            std::uint64_t limit) {
    return on_store(self, [&](const pts::Store& store) { return store.log(keys, first, limit); });
  });
  module.def("verify_log", verify_log);
  module.def("default_state_path", [] { return pts::default_state_path(); });
  module.def("show_state", [](const std::string& path) {
    return unlocked([&] { return pts::show_state(path); });
  });
  module.def("reset_state", [](const std::string& path, const std::string& store) {
    unlocked([&] { pts::reset_state(path, store); });
  });
}

}  // namespace binding
