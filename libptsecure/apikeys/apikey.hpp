#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/base/cancel.hpp"
#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/crypto/secret.hpp"
#include "libptsecure/history/access.hpp"
#include "libptsecure/keyring/keyring.hpp"
#include "libptsecure/store/store.hpp"

// API keys: what clients show to a server. The store holds one chain of signed records per key,
// {"apikey", ID}, whose last record says what the key may do; the key itself is nowhere.
namespace ptsecure {

// Bits of a key's scopes; those of PTS_SCOPE_*.
enum class ApiKeyScope : unsigned { infer = 1, admin = 2 };
inline constexpr unsigned kAllApiKeyScopes = 3;

enum class ApiKeyState { active, disabled, deleted };
const char* apikey_state_name(ApiKeyState state) noexcept;

// SHA-256 of a key's secret. It is compared in constant time or not at all.
class ApiKeyDigest {
 public:
  ApiKeyDigest() = default;
  explicit ApiKeyDigest(const Sha256Digest& digest) : digest_(digest) {}
  bool matches(const ApiKeyDigest& other) const noexcept {
    return equal_constant_time(digest_, other.digest_);
  }
  bool operator==(const ApiKeyDigest&) const = delete;
  const Sha256Digest& bytes() const noexcept { return digest_; }

 private:
  Sha256Digest digest_{};
};

// The text that a client shows: "pts_" ID "_" SECRET, 64 characters.
struct PresentedApiKey {
  std::string id;
  ApiKeyDigest digest;  // of the secret it holds

  // nullopt for what isn't such a text.
  static std::optional<PresentedApiKey> parse(std::string_view text);
  // The id alone, of what has the form of such a text; else empty. The secret isn't looked into.
  static std::string_view id_of(std::string_view text) noexcept;
};

// What an operator says about a key.
struct ApiKeyGrant {
  std::string owner;
  unsigned scopes = static_cast<unsigned>(ApiKeyScope::infer);
  std::vector<std::string> models;  // name patterns
  double rate = 0;                  // requests per second; 0 = unlimited
  std::uint32_t burst = 0;          // requests at once; 0 = one second's
  std::uint64_t bytes_rate = 0;     // tensor bytes per second; 0 = unlimited
  std::int64_t not_before = 0;      // seconds since 1970; 0 = no bound
  std::int64_t expires = 0;

  bool has_scope(ApiKeyScope scope) const noexcept {
    return (scopes & static_cast<unsigned>(scope)) != 0;
  }
  std::vector<std::string> scope_names() const;
  bool covers(std::string_view model) const noexcept;
  bool covers_all() const noexcept;
  double burst_size() const noexcept;
  // Throws Status::invalid_argument saying what is wrong.
  void check() const;
};

// The body of a record, and what a chain of them comes to.
struct ApiKeyBody {
  ApiKeyGrant grant;
  ApiKeyState state = ApiKeyState::active;
  std::int64_t created = 0;
  ApiKeyDigest digest;
  ApiKeyDigest old_digest;            // of the secret before the last rotation
  std::int64_t old_secret_until = 0;  // seconds since 1970; 0 = there is none

  std::string to_json() const;
  static ApiKeyBody from_record(const ChainRecord& record);
  // The state after one more record: a deleted key stays deleted, whatever comes later.
  void advance(const ChainRecord& record);
};

// Signing keys are trusted for API keys only with the name pattern "*": a key reaches over models.
ChainSubject apikey_subject(const std::string& id);

// What the records of a key come to.
struct ApiKeyInfo {
  std::string id;
  ApiKeyBody body;
  RecordHead head;  // of the last record
};

struct NewApiKey {
  SecretString key;  // the text for the client; exists nowhere else
  ApiKeyInfo info;
};

struct ListedApiKey {
  std::string id;
  std::optional<ApiKeyInfo> info;  // nullopt where `error` says what is wrong with its records
  std::string error;
};

// Making and changing API keys, by an operator's keyring.
class ApiKeys {
 public:
  explicit ApiKeys(const Access& access) : access_(access) {}

  NewApiKey create(const ApiKeyGrant& grant, const std::string& reason) const;
  NewApiKey rotate(const std::string& id, std::uint64_t grace_seconds,
                   const std::string& reason) const;
  void set_state(const std::string& id, ApiKeyState state, const std::string& reason) const;
  ApiKeyInfo show(const std::string& id) const;
  std::vector<ListedApiKey> list() const;

 private:
  struct Known;
  Known read(const std::string& id) const;
  ApiKeyInfo append(const std::string& id, const std::optional<ChainRecord>& last, ApiKeyBody body,
                    const std::string& reason) const;

  Access access_;
};

}  // namespace ptsecure
