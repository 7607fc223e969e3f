#include "binding.hpp"

PYBIND11_MODULE(_ptsecure, module) {
  module.doc() = "The C ABI of ptsecure for the files beside this one; use `import ptsecure`.";
  module.attr("version") = pts::version();
  module.def("features", [] { return binding::unlocked([] { return pts::features(); }); });
  binding::add_errors(module);
  binding::add_deadline(module);
  binding::add_keyring(module);
  binding::add_model(module);
  binding::add_store(module);
  binding::add_history(module);
  binding::add_source(module);
  binding::add_publish(module);
  binding::add_apikey(module);
}
