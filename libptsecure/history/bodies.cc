#include "libptsecure/history/bodies.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/json_members.hpp"
#include "libptsecure/crypto/random.hpp"
#include "libptsecure/crypto/strict_json.hpp"
#include "libptsecure/history/announce.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::array<const char*, 3> kKeyStatuses = {"enabled", "disabled", "destroyed"};

KeyStatus key_status_from(const JsonMembers& in) {
  const auto status = std::find(kKeyStatuses.begin(), kKeyStatuses.end(), in.text("status"));
  if (status == kKeyStatuses.end())
    in.refuse("its status is unknown; a newer ptsecure may know it");
  return static_cast<KeyStatus>(status - kKeyStatuses.begin());
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
  const json object = json::parse(record.body);
  const JsonMembers in(object, record.title());
  AliasBody body;
  body.deleted = in.has("deleted") && in.flag("deleted");
  if (body.deleted) return body;
  body.version = in.number("version");
  body.manifest = in.digest("manifest");
  return body;
}

const char* key_status_name(KeyStatus status) noexcept {
  return kKeyStatuses[static_cast<std::size_t>(status)];
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
  const json object = json::parse(record.body);
  const JsonMembers in(object, record.title());
  return {.name = in.text("name"),
          .version = in.number("version"),
          .status = key_status_from(in),
          .wraps_sequence = in.number("wraps_sequence", 0),
          .wraps = in.digest("wraps")};
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
  const json object = json::parse(record.body);
  const JsonMembers in(object, record.title());
  LogBody body;
  body.what = in.text("what");
  body.name = in.text("name");
  if (in.has("version")) body.version = in.number("version");
  if (in.has("alias")) body.alias = in.text("alias");
  if (in.has("manifest")) body.manifest = in.digest("manifest");
  if (in.has("chain")) {
    body.change = Change{in.texts("chain"), {in.number("sequence"), in.digest("record")}};
  }
  if (in.has("confirms")) body.confirms = in.number("confirms");
  return body;
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
  return random_hex(16);
}

}  // namespace ptsecure
