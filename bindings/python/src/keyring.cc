#include <pybind11/stl.h>

#include "binding.hpp"

namespace binding {
namespace {

pts::KeyringOptions options(const std::string& passphrase, bool allow_group_read) {
  return {passphrase, allow_group_read};
}

py::buffer_info describe(const pts::Bytes& bytes) {
  static std::uint8_t nothing = 0;
  auto* data = bytes.size() == 0 ? &nothing : const_cast<std::uint8_t*>(bytes.data());
  return {data,
          1,
          py::format_descriptor<std::uint8_t>::format(),
          1,
          {static_cast<py::ssize_t>(bytes.size())},
          {1},
          true};
}

}  // namespace

void add_keyring(py::module_& module) {
  py::class_<pts::Bytes>(module, "Bytes", py::buffer_protocol())
      .def_buffer(describe)
      .def("__len__", &pts::Bytes::size);

  py::class_<pts::Keyring>(module, "Keyring")
      .def_static(
          "load",
          [](const std::string& path, const std::string& passphrase, bool group) {
            return unlocked([&] { return pts::Keyring::load(path, options(passphrase, group)); });
          })
      .def_static(
          "parse",
          [](std::string_view json, const std::string& passphrase) {
            return unlocked([&] { return pts::Keyring::parse(json, options(passphrase, false)); });
          })
      .def_static("from_env",
                  [](const std::string& variable, const std::string& passphrase) {
                    return unlocked([&] {
                      return pts::Keyring::from_env(variable, options(passphrase, false));
                    });
                  })
      .def_static("generate", [] { return unlocked([] { return pts::Keyring::generate(); }); })
      .def("split", &pts::Keyring::split)
      .def("public", &pts::Keyring::public_part)
      .def("save",
           [](const pts::Keyring& self, const std::string& path, const std::string& passphrase) {
             unlocked([&] { self.save(path, passphrase); });
           })
      .def("export", &pts::Keyring::export_keys)
      .def("describe", &pts::Keyring::describe);
}

}  // namespace binding
