#include "server_example/router.hpp"

#include <charconv>
#include <span>
#include <vector>

namespace server {
namespace {

struct Pattern {
  std::string_view method;
  std::string_view path;  // {m} and {v} stand for a name and a version
  Action action;
};

constexpr Pattern kPatterns[] = {
    {"GET", "/", Action::page},
    {"GET", "/page.js", Action::page_script},
    {"GET", "/page.css", Action::page_style},
    {"GET", "/openapi.json", Action::openapi},
    {"GET", "/metrics", Action::metrics},
    {"GET", "/v2", Action::server_metadata},
    {"GET", "/v2/apikeys/usage", Action::apikey_usage},
    {"GET", "/v2/health/live", Action::live},
    {"GET", "/v2/health/ready", Action::ready},
    {"GET", "/v2/models", Action::list_models},
    {"GET", "/v2/models/{m}", Action::model_metadata},
    {"GET", "/v2/models/{m}/ready", Action::model_ready},
    {"POST", "/v2/models/{m}/infer", Action::infer},
    {"GET", "/v2/models/{m}/versions/{v}", Action::model_metadata},
    {"GET", "/v2/models/{m}/versions/{v}/ready", Action::model_ready},
    {"POST", "/v2/models/{m}/versions/{v}/infer", Action::infer},
    {"POST", "/v2/repository/index", Action::repository_index},
    {"POST", "/v2/repository/models/{m}/load", Action::repository_load},
    {"POST", "/v2/repository/models/{m}/unload", Action::repository_unload},
    {"GET", "/v1/models", Action::list_models},
    {"GET", "/v1/models/{m}", Action::v1_model},
    {"POST", "/v1/models/{m}:predict", Action::v1_predict},
};

constexpr std::string_view kPredict = ":predict";

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> parts;
  path.remove_prefix(1);
  for (;;) {
    const std::size_t slash = path.find('/');
    parts.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return parts;
    path.remove_prefix(slash + 1);
  }
}

// Nothing when an escape is broken or stands for a NUL.
std::optional<std::string> decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned char byte = 0;
    const char* end = text.data() + std::min(i + 3, text.size());
    const auto result = std::from_chars(text.data() + i + 1, end, byte, 16);
    if (result.ptr != text.data() + i + 3 || byte == 0) return std::nullopt;
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

std::optional<std::uint64_t> version_of(std::string_view text) {
  std::uint64_t version = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), version);
  const bool whole = result.ec == std::errc() && result.ptr == text.data() + text.size();
  if (!whole || version == 0 || text[0] == '0') return std::nullopt;
  return version;
}

struct Match {
  std::string model;
  std::optional<std::string> version;
};

std::optional<Match> match(std::string_view pattern, std::span<const std::string> parts) {
  const std::vector<std::string_view> wanted = split(pattern);
  if (wanted.size() != parts.size()) return std::nullopt;
  Match found;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string_view part = parts[i];
    if (wanted[i] == "{m}") {
      found.model = part;
    } else if (wanted[i] == "{m}:predict") {
      if (!part.ends_with(kPredict)) return std::nullopt;
      found.model = part.substr(0, part.size() - kPredict.size());
    } else if (wanted[i] == "{v}") {
      found.version = part;
    } else if (wanted[i] != part) {
      return std::nullopt;
    }
  }
  return found;
}

Routed refuse(unsigned status, std::string error, std::string allow = {}) {
  return {std::nullopt, status, std::move(error), std::move(allow)};
}

}  // namespace

Routed find_route(std::string_view method, std::string_view path) {
  if (path.empty() || path[0] != '/') return refuse(400, "the path must begin with a slash");
  std::vector<std::string> parts;
  for (const std::string_view part : split(path)) {
    auto decoded = decode(part);
    if (!decoded) return refuse(400, "the path has a broken percent-encoding");
    parts.push_back(std::move(*decoded));
  }
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  std::string allow;
  for (const Pattern& pattern : kPatterns) {
    auto found = match(pattern.path, parts);
    if (!found) continue;
    if (pattern.method != wanted) {
      if (!allow.empty()) allow += ", ";
      allow += pattern.method == "GET" ? "GET, HEAD" : pattern.method;
      continue;
    }
    Route route{pattern.action, std::move(found->model), {}};
    if (found->version) {
      route.version = version_of(*found->version);
      if (!route.version) return refuse(400, "a version is a whole number from 1");
    }
    return {std::move(route), 200, {}, {}};
  }
  if (!allow.empty()) return refuse(405, "this path takes " + allow, allow);
  return refuse(404, "there is nothing at this path; GET /openapi.json lists what there is");
}

}  // namespace server
