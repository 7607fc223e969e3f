#include "libptsecure/package/manifest.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "libptsecure/base/error.hpp"
#include "libptsecure/base/number.hpp"
#include "libptsecure/base/text.hpp"
#include "libptsecure/base/time.hpp"
#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/json_members.hpp"
#include "libptsecure/crypto/segment_aead.hpp"
#include "libptsecure/crypto/strict_json.hpp"
#include "libptsecure/package/reference.hpp"
#include "libptsecure/store/component.hpp"
#include "libptsecure/value/json_spec.hpp"

// The manifest is one JSON object, the payload of a JWS with typ "ptsecure-manifest+jws":
//
//   ptsecure   1, the version of this format
//   store      id of the store it was published to
//   name       model name
//   version    1 .. 2^53-1
//   created    RFC 3339, UTC, whole seconds
//   format     what the payload is: "torchscript", "opaque", ...
//   engine     what inspected it, e.g. "libtorch 2.15.0"; may be empty
//   payloads   one object for each sealed payload:
//     role             "model", ...; each role once
//     sealed_name      } the associated data is "ptsecure/1 <sealed_name> <sealed_version>"
//     sealed_version   }
//     key_id           which DEK
//     key_commitment   base64url of HKDF-SHA256(DEK, "", "ptsecure/1 key commitment", 32)
//     plaintext_size   bytes
//     stored_size      bytes: header, ciphertext and tags
//     digests_sha256   base64url of the SHA-256 over the concatenated segment digests
//                      (crypto/segment_digest.hpp)
//   inputs     value specs, see value/json_spec.hpp
//   outputs    the same
//   stateful   true when running the model changes its own state
//   labels     object of strings
//
// Numbers are integers of at most 2^53-1. Members that aren't listed are ignored. Nothing is
// canonical: the signature is over the bytes as they are stored.
namespace ptsecure {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxSize = std::size_t{512} << 10;
constexpr std::size_t kMaxPayloads = 64;
constexpr std::size_t kMaxLabels = 64;
constexpr std::size_t kMaxLabelName = 63;
constexpr std::ptrdiff_t kMaxText = 256;

// At most kMaxText code points, none of them a control character. The text is valid UTF-8 when this
// is asked: JSON's own reader and writer see to that.
bool is_printable(std::string_view text) {
  const auto begins_character = [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  };
  return !has_control(text) &&
         std::count_if(text.begin(), text.end(), begins_character) <= kMaxText;
}

// Becomes a path component at the store, like a name, but may begin as base64url does.
bool is_id(std::string_view id) {
  return !id.empty() && id.front() != '.' && is_valid_name("k" + std::string(id));
}

// What is wrong with a payload entry; empty when nothing is.
std::string defect(const PayloadEntry& entry) {
  if (!is_valid_name(entry.role)) return "a payload's role must obey the name rule";
  const std::string of = " of the payload \"" + entry.role + "\" ";
  if (!is_valid_name(entry.sealed_name)) return "sealed_name" + of + "must obey the name rule";
  if (entry.sealed_version == 0 || entry.sealed_version > kMaxNumber) {
    return "sealed_version" + of + "must be from 1 to 2^53-1";
  }
  if (!is_id(entry.key_id)) {
    return "key_id" + of + "must be 1 to 127 letters, digits, '.', '_' or '-'";
  }
  // Bounds both before stored_size() computes with them.
  if (entry.plaintext_size > kMaxNumber || entry.stored_size > kMaxNumber ||
      entry.plaintext_size / kSegmentSize >= kMaxSegments - 1) {
    return "the sizes" + of + "are over the limit of 4 PiB";
  }
  if (stored_size(entry.plaintext_size) != entry.stored_size) {
    return "stored_size" + of + "doesn't fit plaintext_size";
  }
  return {};
}

std::string labels_defect(const std::map<std::string, std::string>& labels) {
  if (labels.size() > kMaxLabels) return "there must be at most 64 labels";
  for (const auto& [name, value] : labels) {
    if (name.size() > kMaxLabelName || !is_valid_name(name)) {
      return "a label's name must be 1 to 63 letters, digits, '.', '_' or '-', the first a letter "
             "or digit";
    }
    if (!is_printable(value)) {
      return "the value of the label \"" + name + "\" must be at most 256 printable characters";
    }
  }
  return {};
}

std::string defect(const Manifest& manifest) {
  if (!is_id(manifest.store_id)) return "store must be the id of a store";
  if (!is_valid_name(manifest.name)) return "name must obey the name rule";
  if (manifest.version == 0 || manifest.version > kMaxNumber) {
    return "version must be from 1 to 2^53-1";
  }
  if (!parse_rfc3339(manifest.created)) return "created must be a time like 2026-01-31T23:59:59Z";
  if (!is_valid_name(manifest.format)) return "format must obey the name rule";
  if (!is_printable(manifest.engine)) {
    return "engine must be at most 256 printable characters";
  }
  if (manifest.payloads.empty() || manifest.payloads.size() > kMaxPayloads) {
    return "there must be 1 to 64 payloads";
  }
  std::set<std::string_view> roles;
  for (const PayloadEntry& entry : manifest.payloads) {
    if (std::string what = defect(entry); !what.empty()) return what;
    if (!roles.insert(entry.role).second) return "two payloads have the role " + entry.role;
  }
  return labels_defect(manifest.labels);
}

PayloadEntry payload_from_json(const json& object) {
  const JsonMembers in(object, "a payload of the manifest");
  PayloadEntry entry;
  entry.role = in.text("role");
  entry.sealed_name = in.text("sealed_name");
  entry.sealed_version = in.number("sealed_version");
  entry.key_id = in.text("key_id");
  entry.key_commitment = in.digest("key_commitment");
  entry.plaintext_size = in.number("plaintext_size", 0);
  entry.stored_size = in.number("stored_size");
  entry.digests_sha256 = in.digest("digests_sha256");
  return entry;
}

json payload_to_json(const PayloadEntry& entry) {
  return {{"role", entry.role},
          {"sealed_name", entry.sealed_name},
          {"sealed_version", entry.sealed_version},
          {"key_id", entry.key_id},
          {"key_commitment", base64url_encode(entry.key_commitment)},
          {"plaintext_size", entry.plaintext_size},
          {"stored_size", entry.stored_size},
          {"digests_sha256", base64url_encode(entry.digests_sha256)}};
}

}  // namespace

std::string Manifest::to_json() const {
  if (const std::string what = defect(*this); !what.empty()) {
    throw Error(Status::invalid_argument, "the manifest can't be written: " + what);
  }
  json object = {{"ptsecure", kFormatVersion},
                 {"store", store_id},
                 {"name", name},
                 {"version", version},
                 {"created", created},
                 {"format", format},
                 {"engine", engine},
                 {"payloads", json::array()},
                 {"inputs", specs_to_json(inputs)},
                 {"outputs", specs_to_json(outputs)},
                 {"stateful", stateful},
                 {"labels", labels}};
  for (const PayloadEntry& entry : payloads) object["payloads"].push_back(payload_to_json(entry));
  std::string text;
  try {
    text = object.dump();
  } catch (const json::type_error&) {
    throw Error(Status::invalid_argument,
                "the manifest can't be written: labels and names must be UTF-8");
  }
  if (text.size() > kMaxSize) {
    throw Error(Status::limit_exceeded, "the manifest is " + std::to_string(text.size()) +
                                            " bytes and may be 524288: use fewer or shorter "
                                            "labels, inputs and outputs");
  }
  return text;
}

Manifest Manifest::from_json(std::string_view text) {
  if (text.size() > kMaxSize) {
    throw Error(Status::corrupt, "the manifest is malformed: it is larger than 524288 bytes");
  }
  const json object = parse_strict_json(text);
  const JsonMembers in(object, "the manifest");
  in.require_format(kFormatVersion);
  Manifest manifest;
  manifest.store_id = in.text("store");
  manifest.name = in.text("name");
  manifest.version = in.number("version");
  manifest.created = in.text("created");
  manifest.format = in.text("format");
  manifest.engine = in.text("engine");
  const json& payloads = in.array("payloads");
  if (payloads.size() > kMaxPayloads) in.refuse("there must be 1 to 64 payloads");
  for (const json& entry : payloads) manifest.payloads.push_back(payload_from_json(entry));
  manifest.inputs = specs_from_json(in.at("inputs"));
  manifest.outputs = specs_from_json(in.at("outputs"));
  manifest.stateful = in.flag("stateful");
  for (const auto& [label, value] : in.object("labels").items()) {
    if (!value.is_string()) in.refuse("labels must be strings");
    manifest.labels.emplace(label, value.get_ref<const std::string&>());
  }
  if (const std::string what = defect(manifest); !what.empty()) in.refuse(what);
  return manifest;
}

const PayloadEntry& Manifest::payload(std::string_view role) const {
  const auto found = std::find_if(payloads.begin(), payloads.end(),
                                  [role](const PayloadEntry& entry) { return entry.role == role; });
  if (found == payloads.end()) {
    throw Error(Status::corrupt, "the manifest of " + version_text(name, version) +
                                     " lists no payload \"" + std::string(role) + "\"");
  }
  return *found;
}

bool Manifest::shares_program() const {
  return std::any_of(payloads.begin(), payloads.end(),
                     [](const PayloadEntry& entry) { return entry.role == kWeightsRole; });
}

std::span<const Format> known_formats() noexcept {
  static constexpr std::array<Format, 3> kFormats = {{
      {.name = kTorchScript, .engine = "torch"},
      {.name = kAotInductor, .engine = "torch", .weights_apart = true},
      {.name = kOpaque, .engine = ""},
  }};
  return kFormats;
}

const Format* find_format(std::string_view name) noexcept {
  const auto formats = known_formats();
  const auto found = std::find_if(formats.begin(), formats.end(),
                                  [name](const Format& format) { return format.name == name; });
  return found == formats.end() ? nullptr : &*found;
}

std::string format_names(bool runnable_only) {
  std::string names;
  for (const Format& format : known_formats()) {
    if (runnable_only && format.engine.empty()) continue;
    names += (names.empty() ? "" : ", ") + std::string(format.name);
  }
  return names;
}

std::string associated_data(std::string_view name, std::uint64_t version) {
  return "ptsecure/1 " + std::string(name) + " " + std::to_string(version);
}

}  // namespace ptsecure
