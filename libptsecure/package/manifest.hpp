#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/value/spec.hpp"

namespace ptsecure {

// Formats of a model. A manifest may name another one: such a version is there to be listed,
// verified, exported and decrypted like any other, but nothing here runs it.
inline constexpr std::string_view kTorchScript = "torchscript";
inline constexpr std::string_view kAotInductor = "aotinductor";
inline constexpr std::string_view kOpaque = "opaque";

struct Format {
  std::string_view name;
  std::string_view engine;     // which runs it; empty = none, its versions hold bytes
  bool weights_apart = false;  // a version may be weights for the program of another
};
// Those that can be published.
std::span<const Format> known_formats() noexcept;
// Null for one that isn't known here.
const Format* find_format(std::string_view name) noexcept;
// "torchscript, aotinductor"; those that an engine runs, or all.
std::string format_names(bool runnable_only);

// Roles of payloads; a manifest may list others.
inline constexpr std::string_view kModelRole = "model";      // beside weights: their program
inline constexpr std::string_view kWeightsRole = "weights";  // for the program, without their own

// One sealed payload of a version. Its associated data is "ptsecure/1 <sealed_name>
// <sealed_version>", which differs from the version's own name and number when a payload is shared.
struct PayloadEntry {
  std::string role;
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
  std::string format;
  std::string engine;  // what inspected it, e.g. "libtorch 2.15.0"; empty for opaque
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
  // What the engine loads: a whole model, or the program that weights are for.
  const PayloadEntry& program() const { return payload(kModelRole); }
  // The payload that was sealed for this version: the weights where there are some.
  std::string_view own_role() const { return shares_program() ? kWeightsRole : kModelRole; }
  const PayloadEntry& own_payload() const { return payload(own_role()); }
  // True when it is of weights, whose program other versions may share.
  bool shares_program() const;
};

// "ptsecure/1 <name> <version>"
std::string associated_data(std::string_view name, std::uint64_t version);

}  // namespace ptsecure
