#pragma once

#include <cstdint>
#include <ctime>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/value/spec.hpp"

namespace ptsecure {

// Formats of a model.
inline constexpr std::string_view kTorchScript = "torchscript";
inline constexpr std::string_view kAotInductor = "aotinductor";
inline constexpr std::string_view kOpaque = "opaque";  // any bytes; can't be run

// One sealed payload of a version. Its associated data is "ptsecure/1 <sealed_name>
// <sealed_version>", which differs from the version's own name and number when a payload is shared.
struct PayloadEntry {
  std::string role;  // "model", "weights"; later "sample"
  std::string sealed_name;
  std::uint64_t sealed_version = 0;
  std::string key_id;
  Sha256Digest key_commitment{};
  std::uint64_t plaintext_size = 0;
  std::uint64_t stored_size = 0;
  Sha256Digest digests_sha256{};  // SHA-256 of the concatenated segment digests
};

// What a publisher signs about a version. Readable by whoever reads the store.
struct Manifest {
  static constexpr int kFormatVersion = 1;

  std::string store_id;
  std::string name;
  std::uint64_t version = 0;
  std::string created;  // RFC 3339, UTC; proves nothing
  std::string format;   // "torchscript", "aotinductor", "opaque"
  std::string engine;   // what inspected it, e.g. "libtorch 2.15.0"; empty for opaque
  std::vector<PayloadEntry> payloads;
  std::vector<ValueSpec> inputs;
  std::vector<ValueSpec> outputs;
  bool stateful = false;
  std::map<std::string, std::string> labels;

  // Compact UTF-8 JSON: what is signed.
  std::string to_json() const;
  // Strict: a missing or ill-typed member, a duplicate name, an unknown format version or a size
  // that doesn't fit its segments is Status::corrupt (an unknown newer format version:
  // unsupported). Unknown members are ignored.
  static Manifest from_json(std::string_view json);

  // The payload with that role; throws Status::corrupt when there is none.
  const PayloadEntry& payload(std::string_view role) const;
  // The payload that was sealed for this version: "weights" when it shares another version's
  // program, else "model".
  const PayloadEntry& own_payload() const;
  // True when it is of weights alone and "model" is the shared program.
  bool shares_program() const;
};

// "ptsecure/1 <name> <version>"
std::string associated_data(std::string_view name, std::uint64_t version);

// RFC 3339 UTC time, seconds since 1970; and of now.
std::string rfc3339(std::time_t time);
std::string now_rfc3339();

}  // namespace ptsecure
