#pragma once

#include <functional>
#include <string>

#include "binding.hpp"
#include "long_call.hpp"

namespace binding {

// Runs `open` as a long call; the result is a Python Model, or a Package.
py::object open_model(const std::function<pts::Model(const pts::Call&)>& open,
                      const std::string& output, const Deadline& limit,
                      const py::object& on_progress);
py::object fetch_package(const std::function<pts::Package(const pts::Call&)>& fetch,
                         const Deadline& limit);

}  // namespace binding
