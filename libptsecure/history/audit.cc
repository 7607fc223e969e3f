#include "libptsecure/history/audit.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/jws.hpp"
#include "libptsecure/history/announce.hpp"
#include "libptsecure/history/bodies.hpp"
#include "libptsecure/package/reference.hpp"

namespace ptsecure {
namespace {

constexpr std::size_t kAuditPage = 256;

std::string log_record(std::uint64_t sequence) {
  return "log record " + std::to_string(sequence);
}

// "digits/3", "alias 'digits@production', record 4".
std::string title(const LogBody& body) {
  if (body.change) {
    return chain_title(body.change->chain) + ", record " +
           std::to_string(body.change->record.sequence);
  }
  return body.name + "/" + std::to_string(body.version);
}

// The log read as it stands, however damaged, and compared with what it announces.
class Audit {
 public:
  Audit(const Access& access, const CheckSink& sink)
      : access_(access), records_(access.records()), sink_(sink) {}

  void read();
  void check_head(const RecordMark& head, const std::string& from);
  void check_effects();
  void check_all_announced();
  void summarise();

  const std::optional<Error>& first() const { return first_; }
  std::optional<RecordMark> end() const { return end_; }
  std::uint64_t count() const { return count_; }

 private:
  struct Announced {
    std::uint64_t sequence;
    LogBody body;
  };
  using Digests = std::map<std::uint64_t, Sha256Digest>;
  // Numbers, and what is to stand there.
  using Places = std::set<std::pair<std::uint64_t, Sha256Digest>>;

  void report(const std::string& check, Status status, const std::string& detail);
  void note(const std::string& check, const std::string& detail) {
    report(check, Status::ok, detail);
  }
  void read_record(const StoredRecord& stored);
  void check_body(const ChainRecord& record);
  void check_effect(const Announced& announced);
  bool superseded(const LogBody::Change& change, const Digests& there) const;
  void check_chain_announced(const ChainId& chain, std::uint64_t from);
  const Digests& chain(const ChainId& id);
  const Digests& versions(const std::string& name);

  const Access& access_;
  const Records records_;
  const CheckSink& sink_;
  std::optional<Error> first_;

  std::uint64_t count_ = 0;
  std::uint64_t vouched_ = 0;
  std::optional<RecordMark> end_;               // the last record
  Digests digests_;                             // of the log's records, as they stand
  std::optional<std::uint64_t> untrusted_end_;  // the last record, if its signer isn't trusted
  std::vector<Announced> announced_;
  std::map<std::uint64_t, std::uint64_t> confirmed_;  // announcement -> confirmation
  std::map<ChainId, Digests> chains_;
  std::map<std::string, Digests> versions_;
  std::map<ChainId, Places> announced_records_;
  std::map<std::string, Places> announced_versions_;
};

void Audit::report(const std::string& check, Status status, const std::string& detail) {
  if (status != Status::ok && !first_) first_.emplace(status, check + ": " + detail);
  if (sink_) sink_(check, status, detail);
}

void Audit::read_record(const StoredRecord& stored) {
  const std::string check = log_record(stored.sequence);
  ++count_;
  const Sha256Digest digest = sha256(as_bytes(stored.record));
  digests_[stored.sequence] = digest;
  const auto before = end_;
  end_ = {stored.sequence, digest};
  untrusted_end_.reset();
  try {
    const ChainRecord record = records_.verify_or_mark(log_subject(), stored);
    if (!record.head.signer_trusted) {
      ++vouched_;
      untrusted_end_ = stored.sequence;
    }
    if (before && before->sequence + 1 == stored.sequence &&
        record.head.previous != before->digest) {
      report(log_record(before->sequence), Status::untrusted,
             "the record after it links to another one: this one was altered or put in its place");
    }
    check_body(record);
  } catch (const Error& error) {
    if (error.status() != Status::untrusted && error.status() != Status::corrupt &&
        error.status() != Status::unsupported) {
      throw;
    }
    report(check, error.status(), error.what());
  }
}

void Audit::check_body(const ChainRecord& record) {
  LogBody body = LogBody::from_record(record);
  if (body.what != kLogDone) {
    if (body.change) {
      const RecordMark& made = body.change->record;
      announced_records_[body.change->chain].emplace(made.sequence, made.digest);
    } else if (body.manifest) {
      announced_versions_[body.name].emplace(body.version, *body.manifest);
    }
    announced_.push_back({record.head.sequence, std::move(body)});
    return;
  }
  const auto of = std::find_if(announced_.rbegin(), announced_.rend(),
                               [&](const Announced& a) { return a.sequence == body.confirms; });
  if (of != announced_.rend() && of->body.name == body.name) {
    confirmed_.emplace(body.confirms, record.head.sequence);
  }
}

void Audit::read() {
  const std::vector<std::uint64_t> numbers =
      access_.store.record_numbers(log_subject().chain, access_.cancel);
  std::uint64_t next = 1;
  const auto skip_to = [&](std::uint64_t number) {
    if (next == number) return;
    const std::string which = next + 1 == number ? log_record(next)
                                                 : "log records " + std::to_string(next) + " to " +
                                                       std::to_string(number - 1);
    report(which, Status::corrupt, "missing: removed from the store");
    next = number;
  };
  for (std::size_t at = 0; at < numbers.size();) {
    access_.cancel.check();
    skip_to(numbers[at]);
    const auto page = access_.store.records(log_subject().chain, next, kAuditPage,
                                            ReadConcern::majority, access_.cancel);
    if (page.empty() || page.front().sequence != next) {  // removed since
      ++at;
      continue;
    }
    for (const StoredRecord& stored : page) {
      skip_to(stored.sequence);
      read_record(stored);
      ++next;
    }
    while (at < numbers.size() && numbers[at] < next) ++at;
  }
  if (untrusted_end_) {
    report(log_record(*untrusted_end_), Status::untrusted,
           "the last record is signed by a key that this keyring doesn't hold or trust for it, and "
           "nothing after it vouches for it");
  }
}

void Audit::check_head(const RecordMark& head, const std::string& from) {
  const auto stands = digests_.find(head.sequence);
  const std::string seen = "record " + std::to_string(head.sequence) + ", " + from + ", ";
  if (!end_ || end_->sequence < head.sequence) {
    report("log head", Status::rollback,
           seen + "is past the end of the log, which has " +
               (end_ ? std::to_string(end_->sequence) : std::string("no")) +
               " records: its newest records were removed");
  } else if (stands != digests_.end() && stands->second != head.digest) {
    report("log head", Status::rollback, seen + "is another one now: the log was rewritten");
  }
}

// What stands in a chain, by number; nothing of it is verified, its digests are compared.
const Audit::Digests& Audit::chain(const ChainId& id) {
  const auto [found, fresh] = chains_.try_emplace(id);
  if (!fresh) return found->second;
  for (std::uint64_t next = 1;;) {
    const auto page =
        access_.store.records(id, next, kAuditPage, ReadConcern::majority, access_.cancel);
    for (const StoredRecord& stored : page) {
      found->second[stored.sequence] = sha256(as_bytes(stored.record));
    }
    if (page.size() < kAuditPage) return found->second;
    next = page.back().sequence + 1;
  }
}

// The manifests' digests of a model's committed versions.
const Audit::Digests& Audit::versions(const std::string& name) {
  const auto [found, fresh] = versions_.try_emplace(name);
  if (!fresh) return found->second;
  const auto all = std::numeric_limits<std::int32_t>::max();
  for (const VersionRow& row : access_.store.versions(name, 0, all, access_.cancel)) {
    try {
      found->second[row.version] = sha256(jws_payload_unverified(row.manifest));
    } catch (const Error&) {
      found->second[row.version] = {};  // damaged: equal to nothing announced
    }
  }
  return found->second;
}

// Whether another record, itself announced, took the place that `change` was to have.
bool Audit::superseded(const LogBody::Change& change, const Digests& there) const {
  const auto stands = there.find(change.record.sequence);
  const auto announced = announced_records_.find(change.chain);
  return stands != there.end() && announced != announced_records_.end() &&
         announced->second.contains(*stands);
}

void Audit::check_effect(const Announced& announced) {
  const LogBody& body = announced.body;
  const std::string check = log_record(announced.sequence);
  const bool is_record = body.change.has_value();
  if (!is_record && body.what != kLogPublish) return;  // of a newer library
  if (!is_record && !is_valid_name(body.name)) {
    return report(check, Status::corrupt, "it announces a version of no model");
  }
  const std::uint64_t number = is_record ? body.change->record.sequence : body.version;
  const Digests& there = is_record ? chain(body.change->chain) : versions(body.name);
  const auto stands = there.find(number);
  if (stands != there.end() &&
      stands->second == (is_record ? body.change->record.digest : body.manifest)) {
    return;
  }
  const auto confirmed = confirmed_.find(announced.sequence);
  const std::string what = "it announces " + title(body);
  if (confirmed != confirmed_.end()) {
    return report(check, Status::corrupt,
                  what + ", record " + std::to_string(confirmed->second) +
                      " confirms that it was made, and the store holds " +
                      (stands == there.end() ? "none: it was removed"
                                             : "another one there: it was replaced"));
  }
  if (is_record && superseded(*body.change, there)) return;  // lost a race, and was told so
  if (stands != there.end()) {
    return report(check, Status::untrusted,
                  what + ", and the store holds another one there, which nobody announced");
  }
  note(check, what + ", which was never made as far as the log knows: its writer (" + body.what +
                  ") was interrupted");
}

void Audit::check_effects() {
  for (const Announced& announced : announced_) {
    access_.cancel.check();
    check_effect(announced);
  }
}

void Audit::check_chain_announced(const ChainId& id, std::uint64_t from) {
  access_.cancel.check();
  const auto announced = announced_records_.find(id);
  for (const auto& [sequence, digest] : chain(id)) {
    if (sequence < from) continue;
    if (announced != announced_records_.end() && announced->second.contains({sequence, digest})) {
      continue;
    }
    report(chain_title(id) + ", record " + std::to_string(sequence), Status::rollback,
           "it is in the store and the log doesn't announce it: the log was cut or rewritten, or "
           "the record was written past it");
  }
}

// Nothing may be there that the log doesn't announce.
void Audit::check_all_announced() {
  Store& store = access_.store;
  const auto all = std::numeric_limits<std::int32_t>::max();
  for (const ModelRow& model : store.models("", all, access_.cancel)) {
    const auto announced = announced_versions_.find(model.name);
    for (const auto& [version, manifest] : versions(model.name)) {
      if (announced != announced_versions_.end() &&
          announced->second.contains({version, manifest})) {
        continue;
      }
      report(model.name + "/" + std::to_string(version), Status::rollback,
             "it is in the store and the log doesn't announce it: the log was cut or rewritten, "
             "or the version was written past it");
    }
    for (const std::string& alias : store.chains({"alias", model.name}, access_.cancel)) {
      check_chain_announced({"alias", model.name, alias}, 1);
    }
  }
  // The first record of a content key is part of its publish.
  for (const std::string& key : store.chains({"key"}, access_.cancel)) {
    check_chain_announced({"key", key}, 2);
  }
  for (const std::string& key : store.chains({"apikey"}, access_.cancel)) {
    check_chain_announced({"apikey", key}, 1);
  }
}

void Audit::summarise() {
  if (vouched_ != 0) {
    note("log signers", std::to_string(vouched_) +
                            " records are signed by keys that this keyring doesn't hold or trust; "
                            "the records after them vouch for them");
  }
  if (first_) return;
  if (!end_) return note("log", "it has no records yet");
  note("log", std::to_string(count_) + " records, signed, linked, and in agreement with the store");
  note("log head", std::to_string(end_->sequence) + ":" + base64url_encode(end_->digest));
}

}  // namespace

std::optional<Error> check_log(const Access& access, std::uint64_t& records) {
  const CheckSink nobody;
  Audit audit(access, nobody);
  audit.read();
  records = audit.count();
  return audit.first();
}

std::optional<Error> audit_log(const Access& access, const std::optional<RecordMark>& head,
                               const CheckSink& check) {
  const std::string id = access.store.id(access.cancel);
  const Memory* memory = access.memory;
  const auto remembered =
      memory != nullptr ? memory->record(id, log_subject().chain) : std::optional<RecordMark>();
  Audit audit(access, check);
  audit.read();
  if (head) audit.check_head(*head, "which was given");
  if (remembered) audit.check_head(*remembered, "remembered in " + memory->file());
  audit.check_effects();
  audit.check_all_announced();
  audit.summarise();
  if (!audit.first() && memory != nullptr && audit.end()) {
    memory->advance(id, log_subject().chain, remembered, *audit.end());
  }
  return audit.first();
}

}  // namespace ptsecure
