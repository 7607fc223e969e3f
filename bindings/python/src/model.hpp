#pragma once

#include <functional>
#include <string>

#include "binding.hpp"

namespace binding {

// How to open a version, as Python says it.
struct OpenArguments {
  OpenArguments(const std::string& level, std::string on_device, int threads, int warm_ups,
                std::string torch);

  pts::Verify verify = pts::Verify::signed_;
  std::string device;
  int intra_op_threads = 0;
  int warm_up_runs = 0;
  std::string torch_dir;
};

// Runs `open` as a long call; the result is a Python Model, or a Package.
py::object open_model(const std::function<pts::Model(const pts::OpenOptions&)>& open,
                      const OpenArguments& arguments, const std::string& output,
                      const py::object& on_progress);
py::object fetch_package(const std::function<pts::Package(const pts::OpenOptions&)>& fetch);

}  // namespace binding
