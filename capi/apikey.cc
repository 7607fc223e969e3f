#include "libptsecure/apikeys/apikey.hpp"

#include <algorithm>
#include <cstring>

#include "capi/calls.hpp"
#include "capi/guard.hpp"
#include "capi/json.hpp"
#include "capi/options.hpp"
#include "libptsecure/apikeys/checker.hpp"

using namespace ptsecure::capi;
using ptsecure::ApiKeyAnswer;
using ptsecure::ApiKeyChecker;
using ptsecure::ApiKeyGrant;
using ptsecure::ApiKeyRequest;
using ptsecure::ApiKeys;
using ptsecure::ApiKeyScope;
using ptsecure::ApiKeyState;
using ptsecure::Error;
using ptsecure::NewApiKey;
using ptsecure::Status;

struct pts_apikeys {
  ApiKeyChecker checker;
};

namespace {

constexpr std::size_t kFirstKeyOptions = 80;
constexpr std::size_t kFirstCheckerOptions = 16;
constexpr std::size_t kFirstRequest = 32;
constexpr std::size_t kFirstResult = 176;
static_assert(sizeof(pts_apikey_options) >= kFirstKeyOptions);
static_assert(sizeof(pts_apikeys_options) >= kFirstCheckerOptions);
static_assert(sizeof(pts_apikey_request) >= kFirstRequest);
static_assert(sizeof(pts_apikey_result) >= kFirstResult);
static_assert(PTS_SCOPE_INFER == static_cast<int>(ApiKeyScope::infer));
static_assert(PTS_SCOPE_ADMIN == static_cast<int>(ApiKeyScope::admin));

ApiKeyGrant grant_of(const pts_apikey_options& options) {
  if (options.scopes < 0) throw Error(Status::invalid_argument, "scopes must not be negative");
  ApiKeyGrant grant;
  grant.owner = check_utf8(text_or_empty(options.owner), "owner");
  grant.scopes = static_cast<unsigned>(options.scopes);
  if (options.model_count > 0) need(options.models, "models");
  for (std::size_t i = 0; i < options.model_count; ++i) {
    grant.models.emplace_back(need_text(options.models[i], "an entry of models"));
  }
  grant.rate = options.rate;
  grant.burst = options.burst;
  grant.bytes_rate = options.bytes_rate;
  grant.not_before = options.not_before;
  grant.expires = options.expires;
  return grant;
}

ApiKeyState state_of(std::string_view name) {
  for (const ApiKeyState state :
       {ApiKeyState::active, ApiKeyState::disabled, ApiKeyState::deleted}) {
    if (name == ptsecure::apikey_state_name(state)) return state;
  }
  throw Error(Status::invalid_argument,
              "an API key's state is active, disabled or deleted, not '" + std::string(name) + "'");
}

// Hands a new key out; *out_key and *out_record are NULL already.
void hand_out(NewApiKey made, pts_bytes** out_key, char** out_record) {
  auto key = std::make_unique<pts_bytes>(std::move(made.key));
  if (out_record != nullptr) *out_record = new_json(to_json(made.info));
  *out_key = key.release();
}

template <typename Make>
pts_status make_key(pts_bytes** out_key, char** out_record, pts_error* error, Make&& make) {
  if (out_key != nullptr) *out_key = nullptr;
  if (out_record != nullptr) *out_record = nullptr;
  return guard(error, [&] {
    need(out_key, "out_key");
    hand_out(std::forward<Make>(make)(), out_key, out_record);
  });
}

ApiKeyChecker::Options checker_options(const pts_apikeys_options* given) {
  const pts_apikeys_options known = known_part(given, pts_apikeys_options PTS_APIKEYS_OPTIONS_INIT,
                                               kFirstCheckerOptions, "pts_apikeys_options");
  if (known.grace_ms < 0) throw Error(Status::invalid_argument, "grace_ms must not be negative");
  if (known.refresh_ms < 10 || known.refresh_ms > 1000) {
    throw Error(Status::invalid_argument,
                "refresh_ms must be 10 to 1000, not " + std::to_string(known.refresh_ms));
  }
  return {.grace = std::chrono::milliseconds(known.grace_ms),
          .refresh = std::chrono::milliseconds(known.refresh_ms)};
}

ApiKeyRequest request_of(const pts_apikey_request& known) {
  ApiKeyRequest request;
  request.model = text_or_empty(known.model);
  if (known.model != nullptr && request.model.empty()) {
    throw Error(Status::invalid_argument, "model must not be empty; NULL = none");
  }
  if (known.scope != PTS_SCOPE_INFER && known.scope != PTS_SCOPE_ADMIN) {
    throw Error(Status::invalid_argument, "scope must be PTS_SCOPE_INFER or PTS_SCOPE_ADMIN");
  }
  request.scope = static_cast<ApiKeyScope>(known.scope);
  request.counted = known.uncounted == 0;
  request.bytes = known.bytes;
  return request;
}

// Fills as much of the caller's struct as it has.
void fill_result(pts_apikey_result* result, const ApiKeyAnswer& answer) {
  pts_apikey_result known = PTS_APIKEY_RESULT_INIT;
  std::memcpy(&known.struct_size, result, sizeof(known.struct_size));
  known.retry_after_ms = static_cast<std::uint64_t>(answer.retry_after.count());
  std::memcpy(known.id, answer.id.data(), std::min(answer.id.size(), sizeof(known.id) - 1));
  std::memcpy(known.owner, answer.owner.data(),
              std::min(answer.owner.size(), sizeof(known.owner) - 1));
  std::memcpy(result, &known, std::min(known.struct_size, sizeof(known)));
}

void check_result(const pts_apikey_result* result) {
  if (result != nullptr) {
    known_part(result, pts_apikey_result PTS_APIKEY_RESULT_INIT, kFirstResult, "pts_apikey_result");
  }
}

}  // namespace

void pts_apikey_options_init(pts_apikey_options* options) {
  if (options != nullptr) *options = pts_apikey_options PTS_APIKEY_OPTIONS_INIT;
}

void pts_apikeys_options_init(pts_apikeys_options* options) {
  if (options != nullptr) *options = pts_apikeys_options PTS_APIKEYS_OPTIONS_INIT;
}

void pts_apikey_request_init(pts_apikey_request* request) {
  if (request != nullptr) *request = pts_apikey_request PTS_APIKEY_REQUEST_INIT;
}

void pts_apikey_result_init(pts_apikey_result* result) {
  if (result != nullptr) *result = pts_apikey_result PTS_APIKEY_RESULT_INIT;
}

pts_status pts_apikey_id(const char* presented, size_t size, char out[PTS_APIKEY_ID_SIZE],
                         pts_error* error) {
  if (out != nullptr) std::memset(out, 0, PTS_APIKEY_ID_SIZE);
  return guard(error, [&] {
    need(out, "out");
    if (size > 0) need(presented, "presented");
    const std::string_view id = ptsecure::PresentedApiKey::id_of({presented, size});
    std::copy_n(id.data(), std::min<std::size_t>(id.size(), PTS_APIKEY_ID_SIZE - 1), out);
  });
}

pts_status pts_store_create_apikey(pts_store* self, const pts_keyring* keys,
                                   const pts_apikey_options* options, const pts_call* call,
                                   pts_bytes** out_key, char** out_record, pts_error* error) {
  return make_key(out_key, out_record, error, [&] {
    const ptsecure::Registry& registry = need(self, "self").registry;
    const pts_apikey_options known = known_part(options, pts_apikey_options PTS_APIKEY_OPTIONS_INIT,
                                                kFirstKeyOptions, "pts_apikey_options");
    return ApiKeys(registry.access(need(keys, "keys").ring, token_of(call)))
        .create(grant_of(known), reason_text(known.reason));
  });
}

pts_status pts_store_rotate_apikey(pts_store* self, const char* id, uint64_t grace_seconds,
                                   const char* reason, const pts_keyring* keys,
                                   const pts_call* call, pts_bytes** out_key, char** out_record,
                                   pts_error* error) {
  return make_key(out_key, out_record, error, [&] {
    const ptsecure::Registry& registry = need(self, "self").registry;
    return ApiKeys(registry.access(need(keys, "keys").ring, token_of(call)))
        .rotate(need_text(id, "id"), grace_seconds, reason_text(reason));
  });
}

pts_status pts_store_list_apikeys(pts_store* self, const pts_keyring* keys, const pts_call* call,
                                  char** out, pts_error* error) {
  return create(out, error, [&] {
    const ptsecure::Registry& registry = need(self, "self").registry;
    return new_json(
        to_json(ApiKeys(registry.access(need(keys, "keys").ring, token_of(call))).list()));
  });
}

pts_status pts_store_show_apikey(pts_store* self, const char* id, const pts_keyring* keys,
                                 const pts_call* call, char** out, pts_error* error) {
  return create(out, error, [&] {
    const ptsecure::Registry& registry = need(self, "self").registry;
    return new_json(to_json(ApiKeys(registry.access(need(keys, "keys").ring, token_of(call)))
                                .show(need_text(id, "id"))));
  });
}

pts_status pts_store_set_apikey_state(pts_store* self, const char* id, const char* state,
                                      const char* reason, const pts_keyring* keys,
                                      const pts_call* call, pts_error* error) {
  return guard(error, [&] {
    const ptsecure::Registry& registry = need(self, "self").registry;
    ApiKeys(registry.access(need(keys, "keys").ring, token_of(call)))
        .set_state(need_text(id, "id"), state_of(need_text(state, "state")), reason_text(reason));
  });
}

pts_status pts_apikeys_open(pts_store* store, const pts_keyring* keys,
                            const pts_apikeys_options* options, const pts_call* call,
                            pts_apikeys** out, pts_error* error) {
  return create(out, error, [&] {
    return new pts_apikeys{ApiKeyChecker(need(store, "store").registry.shared_store(),
                                         need(keys, "keys").ring.public_part(),
                                         checker_options(options), token_of(call))};
  });
}

pts_status pts_apikeys_check(pts_apikeys* self, const char* presented, size_t size,
                             const pts_apikey_request* request, const pts_call* call,
                             pts_apikey_result* result, pts_error* error) {
  return guard(error, [&] {
    check_result(result);
    ApiKeyAnswer answer;
    if (result != nullptr) fill_result(result, answer);
    const pts_apikey_request known = known_part(request, pts_apikey_request PTS_APIKEY_REQUEST_INIT,
                                                kFirstRequest, "pts_apikey_request");
    if (size > 0) need(presented, "presented");
    try {
      need(self, "self")
          .checker.check({presented, size}, request_of(known), answer, token_of(call));
    } catch (...) {
      if (result != nullptr) fill_result(result, answer);
      throw;
    }
    if (result != nullptr) fill_result(result, answer);
  });
}

pts_status pts_apikeys_charge(pts_apikeys* self, const char* id, uint64_t bytes, pts_error* error) {
  return guard(error, [&] { need(self, "self").checker.charge(need_text(id, "id"), bytes); });
}

pts_status pts_apikeys_usage(const pts_apikeys* self, char** out, pts_error* error) {
  return create(out, error, [&] { return new_json(to_json(need(self, "self").checker.usage())); });
}

void pts_apikeys_destroy(pts_apikeys** self) {
  destroy(self);
}
