#include "libptsecure/registry/dependents.hpp"
#include "libptsecure/registry/resolve.hpp"

namespace ptsecure {

void Registry::set_alias(const std::string& name, const std::string& alias, std::uint64_t version,
                         const std::string& reason, const Keyring& keys,
                         const CancelToken& cancel) const {
  check_name(name, "model name");
  check_name(alias, "alias");
  const VerifiedVersion target =
      resolve(*store_, keys, {.name = name, .version = version, .alias = {}}, cancel);
  const Records records(*store_, keys, cancel);
  const ChainSubject subject = alias_subject(name, alias);
  const AliasBody body{.version = version, .manifest = sha256(as_bytes(target.json))};
  try {
    records.append(subject, records.last(subject), body.to_json(), reason);
  } catch (const Error& error) {
    if (error.status() != Status::conflict) throw;
    throw Error(
        Status::conflict,
        "alias '" + name + "@" + alias +
            "' was changed by somebody else at the same time; look at it again, then decide");
  }
}

std::vector<AliasInfo> Registry::aliases(const std::string& name, const Keyring& keys,
                                         const CancelToken& cancel) const {
  check_name(name, "model name");
  std::vector<AliasInfo> infos;
  for (const std::string& alias : store_->chains({"alias", name}, cancel)) {
    const auto record = Records(*store_, keys, cancel).last(alias_subject(name, alias));
    if (!record) continue;
    infos.push_back({.alias = alias,
                     .version = AliasBody::from_record(*record).version,
                     .sequence = record->head.sequence,
                     .time = record->head.time,
                     .reason = record->head.reason});
  }
  return infos;
}

void Registry::set_key_status(std::string_view reference, KeyStatus status,
                              const std::string& reason, const Keyring& keys,
                              const CancelToken& cancel) const {
  const VerifiedVersion version = resolve(*store_, keys, Reference::parse(reference), cancel);
  if (status == KeyStatus::destroyed)
    require_no_dependents(*store_, keys, *version.manifest, cancel);
  for (const PayloadEntry& payload : version.manifest->payloads) {
    set_payload_status(reference, payload, status, reason, keys, cancel);
  }
}

// Each version has its own keys, also for a program that it shares.
void Registry::set_payload_status(std::string_view reference, const PayloadEntry& payload,
                                  KeyStatus status, const std::string& reason, const Keyring& keys,
                                  const CancelToken& cancel) const {
  std::optional<ChainRecord> last;
  KeyBody body = read_key(*store_, keys, payload, cancel, &last);
  if (body.status == KeyStatus::destroyed && status != KeyStatus::destroyed) {
    throw Error(Status::revoked, "the content key of " + Reference::parse(reference).text() +
                                     " is destroyed for good and can't be " +
                                     key_status_name(status));
  }
  if (body.status != status) {
    body.status = status;
    Records(*store_, keys, cancel)
        .append(key_subject(payload.sealed_name, payload.key_id), last, body.to_json(), reason);
  }
  if (status == KeyStatus::destroyed) store_->remove_wraps(payload.key_id, cancel);
}

}  // namespace ptsecure
