#pragma once

#include <map>
#include <memory>
#include <string>

#include "binding.hpp"
#include "values.hpp"

namespace binding {

// How to publish a version, as Python says it.
struct PublishArguments {
  std::string format;
  std::string alias;
  std::map<std::string, std::string> labels;
  std::shared_ptr<Inputs> sample;
  std::string sample_json;
  std::string weights_of;
  std::string torch_dir;
};

}  // namespace binding
