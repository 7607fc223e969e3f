#include "libptsecure/history/bodies.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/random.hpp"
#include "libptsecure/crypto/strict_json.hpp"
#include "libptsecure/history/announce.hpp"
#include "libptsecure/package/reference.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

Sha256Digest digest_member(const json& object, const char* member) {
  const Bytes bytes = base64url_decode(object.at(member).get_ref<const std::string&>());
  Sha256Digest digest{};
  if (bytes.size() != digest.size()) {
    throw Error(Status::corrupt, std::string("a record's member '") + member + "' is no SHA-256");
  }
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

// Runs `read` on a record's body and turns a missing or ill-typed member into one error.
template <class Read>
auto read_body(const ChainRecord& record, const char* kind, Read read) {
  try {
    return read(json::parse(record.body));
  } catch (const json::exception&) {
    throw Error(Status::corrupt, std::string("record ") + std::to_string(record.head.sequence) +
                                     " is signed but is no well-formed " + kind + " record");
  }
}

std::uint64_t number_member(const json& object, const char* member) {
  const auto& number = object.at(member);
  if (!number.is_number_unsigned() || number.get<std::uint64_t>() == 0 ||
      number.get<std::uint64_t>() > kMaxVersion) {
    throw Error(Status::corrupt, std::string("a record's member '") + member +
                                     "' is not a whole number from 1 to 2^53-1");
  }
  return number.get<std::uint64_t>();
}

KeyStatus key_status_from(const std::string& text) {
  if (text == "enabled") return KeyStatus::enabled;
  if (text == "disabled") return KeyStatus::disabled;
  if (text == "destroyed") return KeyStatus::destroyed;
  throw Error(Status::corrupt, "a key record has an unknown status; a newer ptsecure may know it");
}

}  // namespace

ChainSubject alias_subject(const std::string& name, const std::string& alias) {
  return {.chain = {"alias", name, alias}, .kind = RecordKind::alias, .name = name};
}

ChainSubject key_subject(const std::string& sealed_name, const std::string& key_id) {
  return {.chain = {"key", key_id},
          .kind = RecordKind::key,
          .name = sealed_name,
          .concern = ReadConcern::linearizable,
          .publisher_may_create = true};
}

std::string AliasBody::to_json() const {
  if (deleted) return R"({"deleted":true})";
  return ordered_json{{"version", version}, {"manifest", base64url_encode(manifest)}}.dump();
}

AliasBody AliasBody::from_record(const ChainRecord& record) {
  return read_body(record, "alias", [](const json& in) {
    AliasBody body;
    body.deleted = in.value("deleted", false);
    if (body.deleted) return body;
    body.version = number_member(in, "version");
    body.manifest = digest_member(in, "manifest");
    return body;
  });
}

const char* key_status_name(KeyStatus status) noexcept {
  constexpr std::array<const char*, 3> kNames = {"enabled", "disabled", "destroyed"};
  return kNames[static_cast<std::size_t>(status)];
}

std::string KeyBody::to_json() const {
  return ordered_json{{"name", name},
                      {"version", version},
                      {"status", key_status_name(status)},
                      {"wraps_sequence", wraps_sequence},
                      {"wraps", base64url_encode(wraps)}}
      .dump();
}

KeyBody KeyBody::from_record(const ChainRecord& record) {
  return read_body(record, "key", [](const json& in) {
    return KeyBody{.name = in.at("name").get<std::string>(),
                   .version = number_member(in, "version"),
                   .status = key_status_from(in.at("status").get<std::string>()),
                   .wraps_sequence = in.at("wraps_sequence").get<std::uint64_t>(),
                   .wraps = digest_member(in, "wraps")};
  });
}

std::string LogBody::to_json() const {
  ordered_json out{{"what", what}, {"name", name}};
  if (version != 0) out["version"] = version;
  if (!alias.empty()) out["alias"] = alias;
  if (manifest) out["manifest"] = base64url_encode(*manifest);
  if (change) {
    out["chain"] = change->chain;
    out["sequence"] = change->record.sequence;
    out["record"] = base64url_encode(change->record.digest);
  }
  if (confirms != 0) out["confirms"] = confirms;
  return out.dump();
}

LogBody LogBody::from_record(const ChainRecord& record) {
  return read_body(record, "log", [](const json& in) {
    LogBody body;
    body.what = in.at("what").get<std::string>();
    body.name = in.at("name").get<std::string>();
    if (in.contains("version")) body.version = number_member(in, "version");
    body.alias = in.value("alias", std::string());
    if (in.contains("manifest")) body.manifest = digest_member(in, "manifest");
    if (in.contains("chain")) {
      body.change = Change{in["chain"].get<ChainId>(),
                           {number_member(in, "sequence"), digest_member(in, "record")}};
    }
    if (in.contains("confirms")) body.confirms = number_member(in, "confirms");
    return body;
  });
}

std::string wraps_to_json(const std::string& key_id, const std::vector<Wrap>& wraps) {
  ordered_json out{{"ptsecure", 1}, {"key_id", key_id}, {"recipients", ordered_json::array()}};
  for (const Wrap& wrap : wraps) {
    ordered_json recipient{{"kid", wrap.kid}};
    if (!wrap.is_jwe()) recipient["provider"] = wrap.provider;
    recipient[wrap.is_jwe() ? "jwe" : "wrapped"] = wrap.wrapped;
    out["recipients"].push_back(std::move(recipient));
  }
  return out.dump();
}

std::vector<Wrap> wraps_from_json(std::string_view text, const std::string& key_id) {
  try {
    const json in = parse_strict_json(text);
    if (in.at("ptsecure").get<int>() != 1 || in.at("key_id").get<std::string>() != key_id) {
      throw Error(Status::corrupt,
                  "the wrapped keys of key " + key_id + " belong to another key or format");
    }
    std::vector<Wrap> wraps;
    for (const json& recipient : in.at("recipients")) {
      const std::string provider = recipient.value("provider", std::string());
      wraps.push_back({recipient.at("kid").get<std::string>(), provider,
                       recipient.at(provider.empty() ? "jwe" : "wrapped").get<std::string>()});
    }
    return wraps;
  } catch (const json::exception&) {
    throw Error(Status::corrupt, "the wrapped keys of key " + key_id + " are malformed");
  }
}

std::string new_key_id() {
  std::array<std::uint8_t, 16> bytes{};
  random_bytes(bytes);
  std::string id;
  for (const std::uint8_t byte : bytes) {
    constexpr std::string_view kHex = "0123456789abcdef";
    id += kHex[byte >> 4];
    id += kHex[byte & 15];
  }
  return id;
}

}  // namespace ptsecure
