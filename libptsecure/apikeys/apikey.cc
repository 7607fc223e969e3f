#include "libptsecure/apikeys/apikey.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <limits>
#include <nlohmann/json.hpp>

#include "libptsecure/base/number.hpp"
#include "libptsecure/base/text.hpp"
#include "libptsecure/base/time.hpp"
#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/json_members.hpp"
#include "libptsecure/crypto/random.hpp"
#include "libptsecure/history/announce.hpp"
#include "libptsecure/keyring/key_policy.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kPrefix = "pts_";
constexpr std::size_t kIdSize = 16;
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kSecretSize = 43;  // in base64url
constexpr std::size_t kKeySize = kPrefix.size() + kIdSize + 1 + kSecretSize;
constexpr std::size_t kMaxOwner = 128;
constexpr std::size_t kMaxModels = 64;
constexpr std::int64_t kLastSecond = 253402300799;  // of the year 9999
constexpr double kMaxRate = 1e9;
constexpr int kIdTries = 4;

constexpr std::array<const char*, 3> kStates = {"active", "disabled", "deleted"};

bool is_id(std::string_view text) {
  return text.size() == kIdSize && parse_hex(text) && lower_case(text) == text;
}

void check_id(const std::string& id) {
  if (is_id(id)) return;
  throw Error(Status::invalid_argument,
              "an API key's id is 16 lower-case hex digits, the part of the key between its "
              "underscores");
}

SecretString key_text(const std::string& id, const SecretBytes& secret) {
  SecretString text;
  text.reserve(kKeySize);
  text.append(kPrefix).append(id).append("_").append(base64url_encode_secret(secret.view()));
  return text;
}

ApiKeyDigest digest_of(const SecretBytes& secret) {
  return ApiKeyDigest(sha256(secret.view()));
}

[[noreturn]] void invalid(const std::string& why) {
  throw Error(Status::invalid_argument, why);
}

void check_time(std::int64_t time, const char* what) {
  if (time < 0 || time > kLastSecond) {
    invalid(std::string(what) + " must lie between 1970 and the year 9999");
  }
}

// --- JSON of a record's body ---

ordered_json time_or_null(std::int64_t time) {
  return time == 0 ? ordered_json(nullptr) : ordered_json(time);
}

// Seconds since 1970; null = 0.
std::int64_t time_from(const JsonMembers& in, const char* member) {
  return in.at(member).is_null() ? 0 : static_cast<std::int64_t>(in.number(member, 0, kLastSecond));
}

unsigned scopes_from(const JsonMembers& in) {
  unsigned scopes = 0;
  for (const std::string& name : in.texts("scopes")) {
    if (name == "infer") {
      scopes |= static_cast<unsigned>(ApiKeyScope::infer);
    } else if (name == "admin") {
      scopes |= static_cast<unsigned>(ApiKeyScope::admin);
    } else {
      in.refuse("it has an unknown scope; a newer ptsecure may know it");
    }
  }
  return scopes;
}

ApiKeyState state_from(const JsonMembers& in) {
  const auto state = std::find(kStates.begin(), kStates.end(), in.text("state"));
  if (state == kStates.end()) in.refuse("its state is unknown; a newer ptsecure may know it");
  return static_cast<ApiKeyState>(state - kStates.begin());
}

}  // namespace

const char* apikey_state_name(ApiKeyState state) noexcept {
  return kStates[static_cast<std::size_t>(state)];
}

ChainSubject apikey_subject(const std::string& id) {
  return {.chain = {"apikey", id}, .kind = RecordKind::apikey, .name = "*"};
}

std::string_view PresentedApiKey::id_of(std::string_view text) noexcept {
  if (text.size() != kKeySize || !text.starts_with(kPrefix)) return {};
  const std::string_view id = text.substr(kPrefix.size(), kIdSize);
  return is_id(id) && text[kPrefix.size() + kIdSize] == '_' ? id : std::string_view();
}

std::optional<PresentedApiKey> PresentedApiKey::parse(std::string_view text) {
  const std::string_view id = id_of(text);
  if (id.empty()) return std::nullopt;
  const std::string_view secret = text.substr(kKeySize - kSecretSize);
  try {
    return PresentedApiKey{.id = std::string(id),
                           .digest = digest_of(base64url_decode_secret(secret))};
  } catch (const Error& error) {
    if (error.status() != Status::corrupt) throw;
    return std::nullopt;
  }
}

bool ApiKeyGrant::covers(std::string_view model) const noexcept {
  return std::any_of(models.begin(), models.end(),
                     [model](const auto& pattern) { return pattern_matches(pattern, model); });
}

bool ApiKeyGrant::covers_all() const noexcept {
  return std::find(models.begin(), models.end(), "*") != models.end();
}

std::vector<std::string> ApiKeyGrant::scope_names() const {
  std::vector<std::string> names;
  if (has_scope(ApiKeyScope::infer)) names.emplace_back("infer");
  if (has_scope(ApiKeyScope::admin)) names.emplace_back("admin");
  return names;
}

double ApiKeyGrant::burst_size() const noexcept {
  return burst != 0 ? burst : std::max(1.0, std::ceil(rate));
}

void ApiKeyGrant::check() const {
  if (owner.empty() || owner.size() > kMaxOwner || has_control(owner)) {
    invalid("an API key's owner is 1 to 128 bytes of text without control characters");
  }
  if (scopes == 0 || (scopes & ~kAllApiKeyScopes) != 0) {
    invalid("an API key's scopes are infer, admin or both");
  }
  if (models.empty() || models.size() > kMaxModels) {
    invalid("an API key is for 1 to 64 models; give \"*\" for all of them");
  }
  for (const std::string& model : models) {
    if (!is_name_pattern(model)) {
      invalid("each model of an API key is a model name, or the beginning of one followed by '*'");
    }
  }
  if (!std::isfinite(rate) || rate < 0 || rate > kMaxRate) {
    invalid("an API key's rate is at most 1e9 requests per second; 0 = unlimited");
  }
  if (rate == 0 && burst != 0) invalid("an API key's burst needs a rate");
  if (bytes_rate > kMaxNumber) invalid("an API key's bytes per second are at most 2^53-1");
  check_time(not_before, "not_before");
  check_time(expires, "expires");
  if (expires != 0 && expires <= not_before) invalid("the API key would expire before it is valid");
}

std::string ApiKeyBody::to_json() const {
  ordered_json out = {{"owner", grant.owner},
                      {"scopes", grant.scope_names()},
                      {"models", grant.models},
                      {"state", apikey_state_name(state)},
                      {"digest", base64url_encode(digest.bytes())},
                      {"iat", created},
                      {"nbf", time_or_null(grant.not_before)},
                      {"exp", time_or_null(grant.expires)},
                      {"rate", grant.rate},
                      {"burst", grant.burst},
                      {"bytes_rate", grant.bytes_rate},
                      {"old", nullptr}};
  if (old_secret_until != 0) {
    out["old"] = {{"digest", base64url_encode(old_digest.bytes())}, {"exp", old_secret_until}};
  }
  return out.dump();
}

ApiKeyBody ApiKeyBody::from_record(const ChainRecord& record) {
  const json object = json::parse(record.body);
  const JsonMembers in(object, record.title());
  ApiKeyBody body;
  body.grant.owner = in.text("owner");
  body.grant.scopes = scopes_from(in);
  body.grant.models = in.texts("models");
  body.state = state_from(in);
  body.digest = ApiKeyDigest(in.digest("digest"));
  body.created = time_from(in, "iat");
  body.grant.not_before = time_from(in, "nbf");
  body.grant.expires = time_from(in, "exp");
  body.grant.rate = in.real("rate");
  body.grant.burst =
      static_cast<std::uint32_t>(in.number("burst", 0, std::numeric_limits<std::uint32_t>::max()));
  body.grant.bytes_rate = in.number("bytes_rate", 0);
  if (const json& value = in.at("old"); !value.is_null()) {
    const JsonMembers old(value, "the old secret in " + record.title());
    body.old_digest = ApiKeyDigest(old.digest("digest"));
    body.old_secret_until = time_from(old, "exp");
  }
  try {
    body.grant.check();
  } catch (const Error& error) {
    in.refuse(error.what());
  }
  return body;
}

void ApiKeyBody::advance(const ChainRecord& record) {
  const bool deleted = state == ApiKeyState::deleted;
  *this = from_record(record);
  if (deleted) state = ApiKeyState::deleted;
}

struct ApiKeys::Known {
  ChainRecord last;
  ApiKeyBody body;
};

ApiKeys::Known ApiKeys::read(const std::string& id) const {
  check_id(id);
  auto chain = access_.records().all(apikey_subject(id));
  if (chain.empty()) {
    throw Error(Status::not_found, "there is no API key '" + id + "' in " +
                                       access_.store.display_uri() +
                                       "; list the keys to see what there is");
  }
  ApiKeyBody body;
  for (const ChainRecord& record : chain) body.advance(record);
  return {std::move(chain.back()), std::move(body)};
}

ApiKeyInfo ApiKeys::append(const std::string& id, const std::optional<ChainRecord>& last,
                           ApiKeyBody body, const std::string& reason) const {
  LogBody change;
  change.what = kLogApiKey;
  ChainRecord record =
      append_logged(access_, apikey_subject(id), last, body.to_json(), reason, change);
  return {id, std::move(body), std::move(record.head)};
}

NewApiKey ApiKeys::create(const ApiKeyGrant& grant, const std::string& reason) const {
  grant.check();
  if (!access_.keys.can_sign(RecordKind::apikey, "*")) {
    throw Error(Status::no_key,
                "the keyring holds no private key that may sign API keys for every name (\"*\"); "
                "use an operator's keyring");
  }
  ensure_created(access_);
  const SecretBytes secret = SecretBytes::random(kSecretBytes);
  ApiKeyBody body;
  body.grant = grant;
  body.created = std::time(nullptr);
  body.digest = digest_of(secret);
  for (int attempt = 1;; ++attempt) {
    const std::string id = random_hex(kIdSize / 2);
    try {
      ApiKeyInfo info = append(id, std::nullopt, body, reason);
      return {key_text(id, secret), std::move(info)};
    } catch (const Error& error) {
      if (error.status() != Status::conflict || attempt == kIdTries) throw;  // the id is taken
    }
  }
}

NewApiKey ApiKeys::rotate(const std::string& id, std::uint64_t grace_seconds,
                          const std::string& reason) const {
  Known known = read(id);
  ApiKeyBody& body = known.body;
  if (body.state == ApiKeyState::deleted) {
    throw Error(Status::revoked, "API key " + id + " is deleted for good; create a new one");
  }
  const std::int64_t now = std::time(nullptr);
  if (grace_seconds > static_cast<std::uint64_t>(kLastSecond - now)) {
    invalid("the old secret must end before the year 10000");
  }
  body.old_digest = body.digest;
  body.old_secret_until = grace_seconds == 0 ? 0 : now + static_cast<std::int64_t>(grace_seconds);
  const SecretBytes secret = SecretBytes::random(kSecretBytes);
  body.digest = digest_of(secret);
  ApiKeyInfo info = append(id, known.last, std::move(body), reason);
  return {key_text(id, secret), std::move(info)};
}

void ApiKeys::set_state(const std::string& id, ApiKeyState state, const std::string& reason) const {
  Known known = read(id);
  if (known.body.state == state) return;
  if (known.body.state == ApiKeyState::deleted) {
    throw Error(Status::revoked, "API key " + id + " is deleted for good; create a new one");
  }
  known.body.state = state;
  append(id, known.last, known.body, reason);
}

ApiKeyInfo ApiKeys::show(const std::string& id) const {
  Known known = read(id);
  return {id, std::move(known.body), std::move(known.last.head)};
}

std::vector<ListedApiKey> ApiKeys::list() const {
  std::vector<ListedApiKey> keys;
  for (const std::string& id : access_.store.chains({"apikey"}, access_.cancel)) {
    try {
      keys.push_back({.id = id, .info = show(id), .error = {}});
    } catch (const Error& error) {
      const bool about_it = error.status() == Status::untrusted ||
                            error.status() == Status::corrupt ||
                            error.status() == Status::invalid_argument;
      if (!about_it) throw;
      keys.push_back({.id = id, .info = std::nullopt, .error = error.what()});
    }
  }
  return keys;
}

}  // namespace ptsecure
