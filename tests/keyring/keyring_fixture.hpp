#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/segment_aead.hpp"
#include "libptsecure/keyring/keyring.hpp"

namespace ptsecure {

inline Keyring parse_set(const nlohmann::json& set) {
  return Keyring::parse(set.dump(), {});
}

inline nlohmann::json set_of(const Keyring& keyring) {
  const SecretString text = keyring.to_json();
  return nlohmann::json::parse(text.begin(), text.end());
}

inline nlohmann::json json_of(const Jwk& key) {
  const SecretString text = key.private_json();
  return nlohmann::json::parse(text.begin(), text.end());
}

inline std::string verify_text(const Keyring& keyring, RecordKind kind, std::string_view name,
                               std::string_view jws) {
  const Bytes payload = keyring.verify({&kind, 1}, name, jws);
  return std::string(as_text(payload));
}

inline KeyContext context_of(std::string_view key_id) {
  return {"store-1", std::string(key_id), "digits", 3};
}

inline std::vector<Wrap> wrap(const Keyring& keyring, const SecretBytes& dek,
                              std::string_view key_id) {
  return keyring.wrap(dek.view(), context_of(key_id), {});
}

// As the content key `dek`, which the manifest commits to.
inline SecretBytes unwrap(const Keyring& keyring, std::span<const Wrap> wraps,
                          std::string_view key_id, const SecretBytes& dek) {
  return keyring.unwrap(wraps, context_of(key_id), key_commitment(dek.view()), {});
}

// Runs `call` and expects an Error of that status whose message contains `part`.
template <class Call>
void expect_error(Status status, const std::string& part, Call call) {
  try {
    call();
    ADD_FAILURE() << "no error, expected " << status_name(status) << ": " << part;
  } catch (const Error& error) {
    EXPECT_STREQ(status_name(error.status()), status_name(status)) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

}  // namespace ptsecure
