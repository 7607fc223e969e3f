#include <nlohmann/json.hpp>

#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/history/announce.hpp"
#include "libptsecure/registry/registry.hpp"

namespace ptsecure {
namespace {

using nlohmann::ordered_json;

ordered_json to_json(const ChainRecord& record) {
  const LogBody body = LogBody::from_record(record);
  ordered_json out{{"sequence", record.head.sequence}, {"what", body.what}};
  if (!body.name.empty()) out["name"] = body.name;
  if (body.version != 0) out["version"] = body.version;
  if (!body.alias.empty()) out["alias"] = body.alias;
  if (body.manifest) out["manifest"] = base64url_encode(*body.manifest);
  if (body.change) {
    out["chain"] = chain_text(body.change->chain);
    out["chain_sequence"] = body.change->record.sequence;
  }
  if (body.confirms != 0) out["confirms"] = body.confirms;
  out["time"] = record.head.time;
  out["reason"] = record.head.reason;
  out["signer"] = record.head.signer;
  out["signer_trusted"] = record.head.signer_trusted;
  out["record"] = base64url_encode(record.digest);
  return out;
}

}  // namespace

std::optional<Error> Registry::verify_log(const Keyring& keys,
                                          const std::optional<RecordMark>& head,
                                          const CheckSink& check, const CancelToken& cancel) const {
  return audit_log(access(keys, cancel), head, check);
}

std::string Registry::log_json(const Keyring& keys, std::uint64_t first, std::uint64_t limit,
                               const CancelToken& cancel) const {
  ordered_json out = ordered_json::array();
  const Access access = this->access(keys, cancel);
  for (const ChainRecord& record : access.records().all(log_subject())) {
    if (record.head.sequence < first) continue;
    if (limit != 0 && out.size() == limit) break;
    out.push_back(to_json(record));
  }
  return out.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace ptsecure
