#include "server_example/auth.hpp"

#include <algorithm>
#include <string_view>

namespace server {
namespace {

constexpr std::size_t kMostKnown = 100'000;

// What the library keeps a key by; empty for what has not the form of one.
std::string id_of(std::string_view key) {
  char id[PTS_APIKEY_ID_SIZE] = "";
  pts_apikey_id(key.data(), key.size(), id, nullptr);
  return id;
}

bool is_open_to_all(Action action) {
  switch (action) {
    case Action::page:
    case Action::page_script:
    case Action::page_style:
    case Action::openapi:
    case Action::live:
    case Action::ready:
      return true;
    default:
      return false;
  }
}

bool needs_admin(Action action) {
  return action == Action::metrics || action == Action::apikey_usage ||
         action == Action::repository_index || action == Action::repository_load ||
         action == Action::repository_unload;
}

// Whoever holds any good key may know that there is a server.
bool needs_any_key(Action action) {
  return action == Action::server_metadata || action == Action::list_models;
}

Answer unauthenticated(const std::string& message, bool invalid) {
  return refusal(401, message,
                 {{"WWW-Authenticate", invalid ? R"(Bearer realm="ptsecure", error="invalid_token")"
                                               : R"(Bearer realm="ptsecure")"}});
}

Answer answer_of(const pts::ApiKeyResult& result) {
  switch (result.status) {
    case PTS_UNAUTHENTICATED:
      return unauthenticated(result.message, true);
    case PTS_FORBIDDEN:
      return refusal(403, result.message);
    case PTS_RATE_LIMITED: {
      const auto seconds = (result.retry_after.count() + 999) / 1000;
      return refusal(429, result.message,
                     {{"Retry-After", std::to_string(std::max<std::int64_t>(1, seconds))}});
    }
    case PTS_UNAVAILABLE:
    case PTS_TIMEOUT:
      return refusal(503, result.message, {{"Retry-After", "1"}});
    default:
      // Records that aren't to be trusted: the key proves nothing.
      return unauthenticated("this API key can't be verified", true);
  }
}

}  // namespace

Auth::Auth(const Options& options, const pts::Store& store, const pts::Keyring& keys)
    : options_(options), store_(store), keys_(keys) {}

void Auth::open() {
  if (options_.no_auth || is_open()) return;
  auto opened =
      std::make_shared<pts::ApiKeys>(pts::ApiKeys::open(store_, keys_, options_.key_grace));
  const std::unique_lock lock(mutex_);
  checker_ = std::move(opened);
}

bool Auth::is_open() const {
  return options_.no_auth || checker() != nullptr;
}

std::shared_ptr<pts::ApiKeys> Auth::checker() const {
  const std::shared_lock lock(mutex_);
  return checker_;
}

bool Auth::quick(const Route& route, const RequestHead& head) const {
  if (options_.no_auth || head.key.empty() || is_open_to_all(route.action)) return true;
  const std::shared_lock lock(mutex_);
  return known_.contains(id_of(head.key));
}

Auth::Verdict Auth::check(const Route& route, const RequestHead& head) {
  if (options_.no_auth || is_open_to_all(route.action)) return {};
  if (head.key.empty()) {
    return {unauthenticated("an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY",
                            false),
            {}};
  }
  const auto keys = checker();
  if (!keys) {
    return {refusal(503, "API keys can't be checked yet: the store was not reachable so far",
                    {{"Retry-After", "1"}}),
            {}};
  }
  pts::ApiKeyRequest request;
  request.model = route.model;
  request.scope = needs_admin(route.action) ? PTS_SCOPE_ADMIN : PTS_SCOPE_INFER;
  request.bytes = head.body_size;
  pts::ApiKeyResult result = keys->check(head.key, request);
  const bool reads = route.action == Action::model_metadata ||
                     route.action == Action::model_ready || route.action == Action::v1_model;
  if (result.status == PTS_FORBIDDEN && reads) {
    request.scope = PTS_SCOPE_ADMIN;
    result = keys->check(head.key, request);
  }
  const bool any = result.status == PTS_FORBIDDEN && needs_any_key(route.action);
  if (!result && !any) return {answer_of(result), result.id};
  const std::unique_lock lock(mutex_);
  if (known_.size() < kMostKnown) known_.insert(result.id);
  return {std::nullopt, result.id};
}

bool Auth::may_use(const RequestHead& head, const std::string& model) const {
  if (options_.no_auth) return true;
  const auto keys = checker();
  pts::ApiKeyRequest request;
  request.model = model;
  request.counted = false;
  if (!keys || keys->check(head.key, request)) return keys != nullptr;
  request.scope = PTS_SCOPE_ADMIN;
  return static_cast<bool>(keys->check(head.key, request));
}

std::string Auth::usage() const {
  const auto keys = checker();
  return keys ? keys->usage() : "[]";
}

void Auth::charge(const std::string& id, std::uint64_t bytes) const {
  const auto keys = checker();
  if (keys && !id.empty() && bytes != 0) keys->charge(id, bytes);
}

}  // namespace server
