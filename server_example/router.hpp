#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace server {

enum class Action {
  page,
  page_script,
  page_style,
  openapi,
  metrics,
  apikey_usage,
  live,
  ready,
  server_metadata,
  list_models,
  model_metadata,
  model_ready,
  infer,
  v1_model,
  v1_predict,
  repository_index,
  repository_load,
  repository_unload,
};

struct Route {
  Action action{};
  std::string model;
  std::optional<std::uint64_t> version;
};

// What a method and a path lead to: a route, or the status and why not.
struct Routed {
  std::optional<Route> route;
  unsigned status = 404;
  std::string error;
  std::string allow;  // with 405: the methods that the path takes
};

// `path` is percent-encoded. It is split first and decoded then, so that an encoded slash is part
// of a name and never separates.
Routed find_route(std::string_view method, std::string_view path);

}  // namespace server
