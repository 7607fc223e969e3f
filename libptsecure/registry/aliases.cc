#include <algorithm>

#include "libptsecure/history/announce.hpp"
#include "libptsecure/registry/dependents.hpp"
#include "libptsecure/registry/registry.hpp"
#include "libptsecure/registry/resolve.hpp"

namespace ptsecure {
namespace {

std::string title(const std::string& name, const std::string& alias) {
  return "alias '" + name + "@" + alias + "'";
}

[[noreturn]] void throw_no_alias(const std::string& name, const std::string& alias) {
  throw Error(Status::not_found,
              "there is no " + title(name, alias) + "; `alias list` shows a model's aliases");
}

void check_names(const std::string& name, const std::string& alias) {
  check_name(name, "model name");
  check_name(alias, "alias");
}

AliasInfo info_of(const std::string& alias, const ChainRecord& record) {
  const AliasBody body = AliasBody::from_record(record);
  return {.alias = alias,
          .version = body.version,
          .manifest = body.manifest,
          .sequence = record.head.sequence,
          .record = record.digest,
          .time = record.head.time,
          .reason = record.head.reason,
          .signer = record.head.signer,
          .signer_trusted = record.head.signer_trusted};
}

// The record after `previous`, announced in the log and appended.
void append_alias(const Access& access, const std::string& name, const std::string& alias,
                  const std::optional<ChainRecord>& previous, const AliasBody& body,
                  const std::string& reason) {
  if (!access.keys.can_sign(RecordKind::log, name)) {
    throw Error(Status::no_key, "the keyring holds no private key that may sign log records of '" +
                                    name +
                                    "', where a change is announced: list \"log\" beside "
                                    "\"alias\" in the operator's key");
  }
  LogBody change;
  change.what = body.deleted ? kLogAliasDelete : kLogAlias;
  change.name = name;
  change.alias = alias;
  change.version = body.version;
  if (!body.deleted) change.manifest = body.manifest;
  try {
    append_logged(access, alias_subject(name, alias), previous, body.to_json(), reason, change);
  } catch (const Error& error) {
    if (error.status() != Status::conflict) throw;
    throw Error(Status::conflict,
                title(name, alias) +
                    " was changed by somebody else at the same time, and not by this call; look "
                    "at it again, then decide");
  }
}

void point_at(const Access& access, const std::string& name, const std::string& alias,
              std::uint64_t version, const std::optional<ChainRecord>& previous,
              const std::string& reason) {
  const VerifiedVersion target = resolve(access, {.name = name, .version = version, .alias = {}});
  AliasBody body;
  body.version = version;
  body.manifest = sha256(as_bytes(target.json));
  append_alias(access, name, alias, previous, body, reason);
}

// The version that the alias pointed at before the one it points at now. Coming back to an earlier
// version undoes all that came after it: after 1, 2, 3 and back to 2, the one before is 1.
std::uint64_t version_before(const std::vector<ChainRecord>& chain, const std::string& what) {
  std::vector<std::uint64_t> path;
  for (const ChainRecord& record : chain) {
    const AliasBody body = AliasBody::from_record(record);
    if (body.deleted) continue;
    const auto again = std::find(path.begin(), path.end(), body.version);
    path.erase(again, path.end());
    path.push_back(body.version);
  }
  const bool deleted = AliasBody::from_record(chain.back()).deleted;
  if (path.size() < (deleted ? 1U : 2U)) {
    throw Error(Status::not_found, what +
                                       " has not pointed at another version before; say which "
                                       "one to go to");
  }
  return path[path.size() - (deleted ? 1 : 2)];
}

// What a rollback goes to must be usable, or it makes things worse.
void require_usable(const Access& access, const std::string& name, std::uint64_t version) {
  const VerifiedVersion target = resolve(access, {.name = name, .version = version, .alias = {}});
  for (const PayloadEntry& payload : target.manifest->payloads) {
    require_enabled(read_key(access, payload), payload);
  }
}

// Each version has its own keys, also for a program that it shares.
void set_payload_status(const Access& access, const VerifiedVersion& version,
                        const PayloadEntry& payload, KeyStatus status, const std::string& reason) {
  std::optional<ChainRecord> last;
  KeyBody body = read_key(access, payload, &last);
  if (body.status == KeyStatus::destroyed && status != KeyStatus::destroyed) {
    throw Error(Status::revoked, "the content key of " + version.manifest->name + "/" +
                                     std::to_string(version.manifest->version) +
                                     " is destroyed for good and can't be " +
                                     key_status_name(status));
  }
  const std::string signer = access.keys.signer_of(RecordKind::key, payload.sealed_name);
  if (body.status != status || (!signer.empty() && signer != last->head.signer)) {
    body.status = status;
    LogBody change;
    change.what = kLogKey;
    change.name = version.manifest->name;
    change.version = version.manifest->version;
    change.manifest = sha256(as_bytes(version.json));
    append_logged(access, key_subject(payload.sealed_name, payload.key_id), last, body.to_json(),
                  reason, change);
  }
  if (status == KeyStatus::destroyed) access.store.remove_wraps(payload.key_id, access.cancel);
}

}  // namespace

void Registry::set_alias(const std::string& name, const std::string& alias, std::uint64_t version,
                         const std::string& reason, const Keyring& keys,
                         const CancelToken& cancel) const {
  check_names(name, alias);
  const Access access = this->access(keys, cancel);
  const auto previous = access.records().last(alias_subject(name, alias));
  point_at(access, name, alias, version, previous, reason);
}

void Registry::delete_alias(const std::string& name, const std::string& alias,
                            const std::string& reason, const Keyring& keys,
                            const CancelToken& cancel) const {
  check_names(name, alias);
  const Access access = this->access(keys, cancel);
  const auto previous = access.records().last(alias_subject(name, alias));
  if (!previous || AliasBody::from_record(*previous).deleted) throw_no_alias(name, alias);
  AliasBody body;
  body.deleted = true;
  append_alias(access, name, alias, previous, body, reason);
}

std::uint64_t Registry::roll_back(const std::string& name, const std::string& given,
                                  std::uint64_t version, const std::string& reason,
                                  const Keyring& keys, const CancelToken& cancel) const {
  std::string alias = given;
  if (alias.empty()) {
    const std::vector<AliasInfo> all = aliases(name, keys, cancel);
    if (all.size() != 1) {
      std::string names;
      for (const AliasInfo& info : all) names += (names.empty() ? ": " : ", ") + info.alias;
      throw Error(all.empty() ? Status::not_found : Status::invalid_argument,
                  "'" + name + "' has " + std::to_string(all.size()) + " aliases" + names +
                      "; say which one to roll back");
    }
    alias = all.front().alias;
  }
  check_names(name, alias);
  const Access access = this->access(keys, cancel);
  const std::vector<ChainRecord> chain = access.records().all(alias_subject(name, alias));
  if (chain.empty()) throw_no_alias(name, alias);
  const std::uint64_t target = version != 0 ? version : version_before(chain, title(name, alias));
  require_usable(access, name, target);
  point_at(access, name, alias, target, chain.back(), reason.empty() ? "rollback" : reason);
  return target;
}

std::vector<AliasInfo> Registry::aliases(const std::string& name, const Keyring& keys,
                                         const CancelToken& cancel) const {
  check_name(name, "model name");
  std::vector<AliasInfo> infos;
  for (const std::string& alias : store_->chains({"alias", name}, cancel)) {
    const auto record = access(keys, cancel).records().last(alias_subject(name, alias));
    if (!record || AliasBody::from_record(*record).deleted) continue;
    infos.push_back(info_of(alias, *record));
  }
  if (infos.empty() && store_->versions(name, 0, 1, cancel).empty())
    throw Error(Status::not_found, "there is no model '" + name + "' in " + store_->display_uri());
  return infos;
}

AliasInfo Registry::alias(const std::string& name, const std::string& alias, const Keyring& keys,
                          const CancelToken& cancel) const {
  check_names(name, alias);
  const auto record = access(keys, cancel).records().last(alias_subject(name, alias));
  if (!record || AliasBody::from_record(*record).deleted) throw_no_alias(name, alias);
  return info_of(alias, *record);
}

std::vector<AliasInfo> Registry::alias_history(const std::string& name, const std::string& alias,
                                               const Keyring& keys,
                                               const CancelToken& cancel) const {
  check_names(name, alias);
  const auto chain = access(keys, cancel).records().all(alias_subject(name, alias));
  if (chain.empty()) throw_no_alias(name, alias);
  std::vector<AliasInfo> infos;
  infos.reserve(chain.size());
  for (const ChainRecord& record : chain) infos.push_back(info_of(alias, record));
  return infos;
}

void Registry::set_key_status(std::string_view reference, KeyStatus status,
                              const std::string& reason, const Keyring& keys,
                              const CancelToken& cancel) const {
  const Access access = this->access(keys, cancel);
  const VerifiedVersion version = resolve(access, Reference::parse(reference));
  if (status == KeyStatus::destroyed) require_no_dependents(access, *version.manifest);
  for (const PayloadEntry& payload : version.manifest->payloads) {
    set_payload_status(access, version, payload, status, reason);
  }
}

}  // namespace ptsecure
