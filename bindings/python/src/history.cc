#include <pybind11/stl.h>

#include <cstdint>
#include <string>

#include "binding.hpp"
#include "long_call.hpp"
#include "store.hpp"

namespace binding {
namespace {

void add_aliases(py::module_& module) {
  module.def("list_aliases", [](const Store& self, const std::string& name,
                                const pts::Keyring& keys, const Deadline& limit) {
    return on_store(self, limit, [&](const pts::Store& store, const pts::Call& call) {
      return store.list_aliases(name, keys, call);
    });
  });
  module.def("show_alias", [](const Store& self, const std::string& name, const std::string& alias,
                              const pts::Keyring& keys, const Deadline& limit) {
    return on_store(self, limit, [&](const pts::Store& store, const pts::Call& call) {
      return store.show_alias(name, alias, keys, call);
    });
  });
  module.def("alias_history",
             [](const Store& self, const std::string& name, const std::string& alias,
                const pts::Keyring& keys, const Deadline& limit) {
               return on_store(self, limit, [&](const pts::Store& store, const pts::Call& call) {
                 return store.alias_history(name, alias, keys, call);
               });
             });
  module.def("set_alias", [](const Store& self, const std::string& name, const std::string& alias,
                             std::uint64_t version, const pts::Keyring& keys,
                             const std::string& reason, const Deadline& limit) {
    on_store(self, limit, [&](const pts::Store& store, const pts::Call& call) {
      store.set_alias(name, alias, version, keys, reason, call);
    });
  });
  module.def("rollback_alias",
             [](const Store& self, const std::string& name, const std::string& alias,
                std::uint64_t version, const pts::Keyring& keys, const std::string& reason,
                const Deadline& limit) {
               return on_store(self, limit, [&](const pts::Store& store, const pts::Call& call) {
                 return store.rollback_alias(name, alias, keys, version, reason, call);
               });
             });
  module.def("delete_alias",
             [](const Store& self, const std::string& name, const std::string& alias,
                const pts::Keyring& keys, const std::string& reason, const Deadline& limit) {
               on_store(self, limit, [&](const pts::Store& store, const pts::Call& call) {
                 store.delete_alias(name, alias, keys, reason, call);
               });
             });
}

void add_log(py::module_& module) {
  module.def("show_log", [](const Store& self, const pts::Keyring& keys, std::uint64_t first,
                            std::uint64_t count, const Deadline& limit) {
    return on_store(self, limit, [&](const pts::Store& store, const pts::Call& call) {
      return store.log(keys, first, count, call);
    });
  });
  module.def("verify_log", [](const Store& self, const pts::Keyring& keys, const std::string& head,
                              const Deadline& limit) {
    return on_store(self, limit, [&](const pts::Store& store, const pts::Call& call) {
      return findings_of([&](const auto& note) { store.verify_log(keys, note, head, call); });
    });
  });
}

void add_state(py::module_& module) {
  module.def("default_state_path", [] { return pts::default_state_path(); });
  module.def("show_state", [](const std::string& path) {
    return unlocked([&] { return pts::show_state(path); });
  });
  module.def("reset_state", [](const std::string& path, const std::string& store) {
    unlocked([&] { pts::reset_state(path, store); });
  });
}

}  // namespace

void add_history(py::module_& module) {
  add_aliases(module);
  module.def("set_key_status",
             [](const Store& self, const std::string& reference, const std::string& status,
                const pts::Keyring& keys, const std::string& reason, const Deadline& limit) {
               on_store(self, limit, [&](const pts::Store& store, const pts::Call& call) {
                 store.set_key_status(reference, status, keys, reason, call);
               });
             });
  add_log(module);
  add_state(module);
}

}  // namespace binding
