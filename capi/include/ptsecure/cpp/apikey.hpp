// SPDX-License-Identifier: Apache-2.0
// Part of ptsecure/ptsecure.hpp; include that.
#ifndef PTSECURE_CPP_APIKEY_HPP_
#define PTSECURE_CPP_APIKEY_HPP_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ptsecure/cpp/keyring.hpp"
#include "ptsecure/cpp/store.hpp"

namespace pts {

struct ApiKeyOptions {
  std::string owner;
  std::vector<std::string> models;     // names, or prefixes followed by '*'
  int scopes = PTS_SCOPE_INFER;        // PTS_SCOPE_INFER | PTS_SCOPE_ADMIN
  double rate = 0;                     // requests per second; 0 = unlimited
  std::uint32_t burst = 0;             // 0 = one second's
  std::uint64_t bytes_rate = 0;        // tensor bytes per second; 0 = unlimited
  std::chrono::seconds not_before{0};  // since 1970, UTC; 0 = at once
  std::chrono::seconds expires{0};     // likewise; 0 = never
  std::string reason;
};

struct NewApiKey {
  Bytes key;           // the text for the client, which exists nowhere else
  std::string record;  // JSON, see pts_store_show_apikey
};

// An operator's work on a store's API keys; the store and the keyring must outlive it.
class ApiKeyManager {
 public:
  ApiKeyManager(const Store& store, const Keyring& keys) noexcept : store_(store), keys_(keys) {}

  NewApiKey create(const ApiKeyOptions& options, const Call& call = {}) const {
    std::vector<const char*> models;
    models.reserve(options.models.size());
    for (const std::string& model : options.models) models.push_back(model.c_str());
    pts_apikey_options raw = PTS_APIKEY_OPTIONS_INIT;
    raw.owner = options.owner.c_str();
    raw.models = models.data();
    raw.model_count = models.size();
    raw.scopes = options.scopes;
    raw.burst = options.burst;
    raw.rate = options.rate;
    raw.bytes_rate = options.bytes_rate;
    raw.not_before = options.not_before.count();
    raw.expires = options.expires.count();
    raw.reason = detail::or_null(options.reason);
    return made(call, [&](const pts_call* c, pts_bytes** key, char** record, pts_error* error) {
      return pts_store_create_apikey(store_.get(), keys_.get(), &raw, c, key, record, error);
    });
  }
  NewApiKey rotate(const std::string& id, std::chrono::seconds grace = {},
                   const std::string& reason = {}, const Call& call = {}) const {
    const auto seconds = static_cast<std::uint64_t>(grace.count() < 0 ? 0 : grace.count());
    return made(call, [&](const pts_call* c, pts_bytes** key, char** record, pts_error* error) {
      return pts_store_rotate_apikey(store_.get(), id.c_str(), seconds, detail::or_null(reason),
                                     keys_.get(), c, key, record, error);
    });
  }
  void set_state(const std::string& id, const std::string& state, const std::string& reason = {},
                 const Call& call = {}) const {
    detail::run(call, [&](const pts_call* raw, pts_error* error) {
      return pts_store_set_apikey_state(store_.get(), id.c_str(), state.c_str(),
                                        detail::or_null(reason), keys_.get(), raw, error);
    });
  }
  // JSON.
  std::string show(const std::string& id, const Call& call = {}) const {
    return detail::text(call, [&](const pts_call* raw, char** out, pts_error* error) {
      return pts_store_show_apikey(store_.get(), id.c_str(), keys_.get(), raw, out, error);
    });
  }
  std::string list(const Call& call = {}) const {
    return detail::text(call, [&](const pts_call* raw, char** out, pts_error* error) {
      return pts_store_list_apikeys(store_.get(), keys_.get(), raw, out, error);
    });
  }

 private:
  template <typename Function>
  static NewApiKey made(const Call& call, Function&& function) {
    Bytes key(nullptr);
    std::string record = detail::text(call, [&](const pts_call* c, char** out, pts_error* error) {
      pts_bytes* raw = nullptr;
      const pts_status status = function(c, &raw, out, error);
      key = Bytes(raw);
      return status;
    });
    return {std::move(key), std::move(record)};
  }

  const Store& store_;
  const Keyring& keys_;
};

// The ID in a text that has the form of a key, else empty; see pts_apikey_id.
inline std::string apikey_id(std::string_view presented) {
  char id[PTS_APIKEY_ID_SIZE];
  detail::run([&](pts_error* error) {
    return pts_apikey_id(presented.data(), presented.size(), id, error);
  });
  return id;
}

struct ApiKeyRequest {
  std::string model;  // empty = no model (infer), all models (admin)
  int scope = PTS_SCOPE_INFER;
  bool counted = true;
  std::uint64_t bytes = 0;
};

// What a check says: `status` is PTS_OK or why not, `message` then a sentence.
struct ApiKeyResult {
  pts_status status = PTS_OK;
  std::string message;
  std::string id;     // empty unless the key is authentic
  std::string owner;  // likewise
  std::chrono::milliseconds retry_after{0};
  explicit operator bool() const noexcept { return status == PTS_OK; }
};

// Checks the API keys that requests bring.
class ApiKeys {
 public:
  explicit ApiKeys(pts_apikeys* handle) noexcept : handle_(handle) {}

  static ApiKeys open(const Store& store, const Keyring& keys,
                      std::chrono::milliseconds grace = std::chrono::minutes(1),
                      std::chrono::milliseconds refresh = std::chrono::milliseconds(500),
                      const Call& call = {}) {
    pts_apikeys_options raw = PTS_APIKEYS_OPTIONS_INIT;
    raw.grace_ms = milliseconds(grace);
    raw.refresh_ms = milliseconds(refresh);
    return detail::make<ApiKeys, pts_apikeys>(
        call, [&](const pts_call* c, pts_apikeys** out, pts_error* error) {
          return pts_apikeys_open(store.get(), keys.get(), &raw, c, out, error);
        });
  }

  // Doesn't throw for a key that is refused: that is an answer like another.
  ApiKeyResult check(std::string_view presented, const ApiKeyRequest& request = {},
                     const Call& call = {}) const {
    pts_apikey_request raw = PTS_APIKEY_REQUEST_INIT;
    raw.model = detail::or_null(request.model);
    raw.scope = request.scope;
    raw.uncounted = request.counted ? 0 : 1;
    raw.bytes = request.bytes;
    pts_apikey_result answer = PTS_APIKEY_RESULT_INIT;
    const detail::RawCall known(call);
    pts_error error;
    ApiKeyResult result;
    result.status = pts_apikeys_check(get(), presented.data(), presented.size(), &raw, known.get(),
                                      &answer, &error);
    if (result.status != PTS_OK) result.message = error.message;
    result.id = answer.id;
    result.owner = answer.owner;
    result.retry_after = std::chrono::milliseconds(answer.retry_after_ms);
    return result;
  }
  void charge(const std::string& id, std::uint64_t bytes) const {
    detail::run(
        [&](pts_error* error) { return pts_apikeys_charge(get(), id.c_str(), bytes, error); });
  }
  // JSON.
  std::string usage() const {
    return detail::text(
        [&](char** out, pts_error* error) { return pts_apikeys_usage(get(), out, error); });
  }
  pts_apikeys* get() const noexcept { return handle_.get(); }

 private:
  static std::int32_t milliseconds(std::chrono::milliseconds time) {
    const auto count = time.count();
    return count > INT32_MAX ? INT32_MAX : static_cast<std::int32_t>(count < 0 ? 0 : count);
  }
  detail::Handle<pts_apikeys, pts_apikeys_destroy> handle_;
};

}  // namespace pts

#endif  // PTSECURE_CPP_APIKEY_HPP_
