#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/history/records.hpp"
#include "libptsecure/keyring/keyring.hpp"
#include "libptsecure/package/manifest.hpp"

// What the records of each kind of chain say: the bodies of alias and key records, and the wrapped
// keys that a key record vouches for.
namespace ptsecure {

ChainSubject alias_subject(const std::string& name, const std::string& alias);
ChainSubject key_subject(const std::string& sealed_name, const std::string& key_id);

struct AliasBody {
  std::uint64_t version = 0;
  Sha256Digest manifest{};  // SHA-256 of the manifest's payload bytes
  bool deleted = false;     // the alias points at nothing from here on; no version, no manifest

  std::string to_json() const;
  static AliasBody from_record(const ChainRecord& record);
};

enum class KeyStatus { enabled, disabled, destroyed };

struct KeyBody {
  std::string name;  // what the key sealed
  std::uint64_t version = 0;
  KeyStatus status = KeyStatus::enabled;
  std::uint64_t wraps_sequence =
      0;                 // under which the wraps are stored; 0 = there are none any more
  Sha256Digest wraps{};  // SHA-256 of their text

  std::string to_json() const;
  static KeyBody from_record(const ChainRecord& record);
};

const char* key_status_name(KeyStatus status) noexcept;

// The text that put_wraps stores: {"ptsecure":1,"key_id":..,"recipients":[{"kid":..,"jwe":..}]}, or
// of a recipient {"kid":..,"provider":..,"wrapped":..}.
std::string wraps_to_json(const std::string& key_id, const std::vector<Wrap>& wraps);
std::vector<Wrap> wraps_from_json(std::string_view text, const std::string& key_id);

// A new id for a content key: 128 random bits in lower-case hex.
std::string new_key_id();

}  // namespace ptsecure
