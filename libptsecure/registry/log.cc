#include "libptsecure/history/audit.hpp"
#include "libptsecure/registry/registry.hpp"

namespace ptsecure {

std::optional<Error> Registry::verify_log(const Keyring& keys,
                                          const std::optional<RecordMark>& head,
                                          const CheckSink& check, const CancelToken& cancel) const {
  return audit_log(access(keys, cancel), head, check);
}

std::vector<LogEntry> Registry::log(const Keyring& keys, std::uint64_t first, std::uint64_t limit,
                                    const CancelToken& cancel) const {
  std::vector<LogEntry> entries;
  const Access access = this->access(keys, cancel);
  for (ChainRecord& record : access.records().all(log_subject())) {
    if (record.head.sequence < first) continue;
    if (limit != 0 && entries.size() == limit) break;
    LogBody body = LogBody::from_record(record);
    entries.push_back({std::move(record), std::move(body)});
  }
  return entries;
}

}  // namespace ptsecure
