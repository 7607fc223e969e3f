#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "binding.hpp"
#include "long_call.hpp"

namespace binding {

// How to open a version, as Python says it.
struct OpenArguments {
  OpenArguments(const std::string& level, std::string on_device, int threads, int warm_ups,
                std::string torch, std::string pinned, std::uint64_t from_sequence,
                std::uint64_t age, const std::string& optimization);

  pts::Verify verify = pts::Verify::signed_;
  std::string device;
  int intra_op_threads = 0;
  int warm_up_runs = 0;
  pts::Optimize optimize = pts::Optimize::none;
  std::string torch_dir;
  std::string manifest;
  std::uint64_t min_sequence = 0;
  std::chrono::seconds max_age{0};
};

pts::OpenOptions c_options(const OpenArguments& arguments, LongCall& call);

// Runs `open` as a long call; the result is a Python Model, or a Package.
py::object open_model(const std::function<pts::Model(const pts::OpenOptions&)>& open,
                      const OpenArguments& arguments, const std::string& output,
                      const py::object& on_progress);
py::object fetch_package(const std::function<pts::Package(const pts::OpenOptions&)>& fetch,
                         const OpenArguments& arguments);

}  // namespace binding
