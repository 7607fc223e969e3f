#include <algorithm>
#include <array>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/jose.hpp"
#include "libptsecure/crypto/jwe_internal.hpp"
#include "libptsecure/crypto/strict_json.hpp"

namespace ptsecure::jwe {

namespace {

using jose::malformed;
using nlohmann::json;

constexpr std::size_t kMaxRecipients = 32;

constexpr std::array kMembers{"protected", "unprotected", "header", "encrypted_key", "iv",
                              "aad",       "ciphertext",  "tag",    "recipients"};

std::string_view text_in(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return {};
  if (!found->is_string()) malformed(std::string("member \"") + name + "\" is no string");
  return found->get_ref<const std::string&>();
}

json header_in(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return json::object();
  jose::check_header(*found);
  return *found;
}

// The three headers must not share a name (RFC 7516 section 4).
void merge(json& into, const json& from) {
  for (const auto& [name, value] : from.items()) {
    if (!into.emplace(name, value).second) malformed("a header member occurs in two headers");
  }
}

Message parse_compact(std::string_view text) {
  const auto parts = jose::split_compact<5>(text);
  Message message;
  message.recipients.push_back({jose::parse_header(parts[0]), base64url_decode(parts[1])});
  message.associated_data = parts[0];
  message.iv = base64url_decode(parts[2]);
  message.ciphertext = base64url_decode(parts[3]);
  message.tag = base64url_decode(parts[4]);
  return message;
}

void check_members(const json& object) {
  for (const auto& [name, value] : object.items()) {
    // Others are to be ignored (RFC 7516 section 7.2.1), but not misspelt ones of ours.
    for (const std::string_view member : kMembers) {
      const bool same = std::equal(name.begin(), name.end(), member.begin(), member.end(),
                                   [](char a, char b) { return (a | 0x20) == (b | 0x20); });
      if (same && name != member) malformed("a member differs from another in case only");
    }
  }
  if (object.contains("recipients") &&
      (object.contains("header") || object.contains("encrypted_key"))) {
    malformed("it mixes the general and the flattened form");
  }
  // What decides how the content is read must be protected.
  for (const char* name : {"unprotected", "header"}) {
    const json header = header_in(object, name);
    if (header.contains("enc") || header.contains("zip")) {
      malformed("enc or zip stands outside the protected header");
    }
  }
}

Recipient recipient_of(const json& object, const json& shared) {
  if (!object.is_object()) malformed("a recipient is no JSON object");
  const json own = header_in(object, "header");
  if (own.contains("enc") || own.contains("zip")) {
    malformed("enc or zip stands outside the protected header");
  }
  Recipient recipient{shared, base64url_decode(text_in(object, "encrypted_key"))};
  merge(recipient.header, own);
  return recipient;
}

Message parse_json(std::string_view text) {
  const json object = parse_strict_json(text, jose::kMaxDepth);
  if (!object.is_object()) malformed("it is no JSON object");
  check_members(object);
  const std::string_view encoded = text_in(object, "protected");
  if (encoded.empty()) malformed("it has no protected header");
  json shared = jose::parse_header(encoded);
  merge(shared, header_in(object, "unprotected"));

  Message message;
  message.associated_data = encoded;
  if (object.contains("aad")) {
    const std::string_view aad = text_in(object, "aad");
    base64url_decode(aad);
    message.associated_data.append(".").append(aad);
  }
  message.iv = base64url_decode(text_in(object, "iv"));
  message.ciphertext = base64url_decode(text_in(object, "ciphertext"));
  message.tag = base64url_decode(text_in(object, "tag"));
  if (!object.contains("recipients")) {
    message.recipients.push_back(recipient_of(object, shared));
    return message;
  }
  const json& recipients = object["recipients"];
  if (!recipients.is_array() || recipients.empty() || recipients.size() > kMaxRecipients) {
    malformed("it must have 1 to 32 recipients");
  }
  for (const json& each : recipients) message.recipients.push_back(recipient_of(each, shared));
  return message;
}

}  // namespace

Message parse_message(std::string_view text, bool allow_json) {
  if (text.size() > kJweMaxSize) {
    throw Error(Status::limit_exceeded, "an encrypted object has at most 64 MiB, this text has " +
                                            std::to_string(text.size()) + " bytes");
  }
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos || text[start] != '{') return parse_compact(text);
  if (!allow_json) malformed("only the compact serialisation is accepted here");
  return parse_json(text);
}

}  // namespace ptsecure::jwe
