#include "capi/json.hpp"

#include "capi/guard.hpp"
#include "libptsecure/base/time.hpp"
#include "libptsecure/crypto/base64url.hpp"

namespace ptsecure::capi {

using nlohmann::ordered_json;

namespace {

ordered_json time_or_null(std::int64_t time) {
  return time == 0 ? ordered_json() : ordered_json(rfc3339(static_cast<std::time_t>(time)));
}

template <typename Number>
ordered_json limit_or_null(Number limit) {
  return limit == 0 ? ordered_json() : ordered_json(limit);
}

}  // namespace

ordered_json to_json(const AliasInfo& alias) {
  const bool deleted = alias.version == 0;
  ordered_json out{{"alias", alias.alias},
                   {"version", deleted ? ordered_json() : ordered_json(alias.version)},
                   {"sequence", alias.sequence},
                   {"time", alias.time},
                   {"reason", alias.reason}};
  if (deleted) {
    out["deleted"] = true;
  } else {
    out["manifest"] = base64url_encode(alias.manifest);
  }
  out["record"] = base64url_encode(alias.record);
  out["signer"] = alias.signer;
  out["signer_trusted"] = alias.signer_trusted;
  return out;
}

ordered_json to_json(const VersionEntry& version) {
  ordered_json out{{"version", version.version}};
  if (version.damaged) {
    out["damaged"] = true;
    return out;
  }
  out["format"] = version.format;
  out["created"] = version.created;
  out["size"] = version.size;
  out["labels"] = version.labels;
  return out;
}

ordered_json to_json(const ModelEntry& model) {
  ordered_json out{{"name", model.name}};
  out.update(to_json(model.newest));
  out["aliases"] = model.aliases;
  return out;
}

// The manifest's members as they were signed, and what stands beside them.
ordered_json to_json(const ShownVersion& shown) {
  ordered_json out = ordered_json::parse(shown.version.json);
  out["signer"] = shown.version.signer;
  out["key_status"] = key_status_name(shown.key_status);
  out["aliases"] = shown.aliases;
  return out;
}

ordered_json to_json(const LogEntry& entry) {
  const RecordHead& head = entry.record.head;
  const LogBody& body = entry.body;
  ordered_json out{{"sequence", head.sequence}, {"what", body.what}};
  if (!body.name.empty()) out["name"] = body.name;
  if (body.version != 0) out["version"] = body.version;
  if (!body.alias.empty()) out["alias"] = body.alias;
  if (body.manifest) out["manifest"] = base64url_encode(*body.manifest);
  if (body.change) {
    out["chain"] = chain_text(body.change->chain);
    out["chain_sequence"] = body.change->record.sequence;
  }
  if (body.confirms != 0) out["confirms"] = body.confirms;
  out["time"] = head.time;
  out["reason"] = head.reason;
  out["signer"] = head.signer;
  out["signer_trusted"] = head.signer_trusted;
  out["record"] = base64url_encode(entry.record.digest);
  return out;
}

ordered_json to_json(const ApiKeyInfo& key) {
  const ApiKeyGrant& grant = key.body.grant;
  const double burst = grant.rate == 0 ? 0 : grant.burst_size();
  return {{"id", key.id},
          {"owner", grant.owner},
          {"scopes", grant.scope_names()},
          {"models", grant.models},
          {"state", apikey_state_name(key.body.state)},
          {"not_before", time_or_null(grant.not_before)},
          {"expires", time_or_null(grant.expires)},
          {"created", time_or_null(key.body.created)},
          {"rate", limit_or_null(grant.rate)},
          {"burst", limit_or_null(static_cast<std::uint64_t>(burst))},
          {"bytes_rate", limit_or_null(grant.bytes_rate)},
          {"old_secret_until", time_or_null(key.body.old_secret_until)},
          {"sequence", key.head.sequence},
          {"time", key.head.time},
          {"reason", key.head.reason},
          {"signer", key.head.signer}};
}

ordered_json to_json(const ListedApiKey& key) {
  if (key.info) return to_json(*key.info);
  return {{"id", key.id}, {"error", key.error}};
}

ordered_json to_json(const ApiKeyUsage& usage) {
  return {{"id", usage.id},
          {"owner", usage.owner},
          {"last_used", time_or_null(usage.last_used)},
          {"requests", usage.requests},
          {"bytes", usage.bytes},
          {"limited", usage.limited}};
}

char* new_json(const ordered_json& json) {
  return new_text(json.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
}

}  // namespace ptsecure::capi
