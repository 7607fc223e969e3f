#include "libptsecure/history/records.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <span>

#include "libptsecure/base/time.hpp"
#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/json_members.hpp"
#include "libptsecure/crypto/jws.hpp"
#include "libptsecure/crypto/strict_json.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;

constexpr unsigned kRecordFormat = 1;
constexpr std::size_t kPage = 256;

std::string where(const ChainId& chain, std::uint64_t sequence) {
  return "record " + std::to_string(sequence) + " of " + chain_title(chain);
}

[[noreturn]] void throw_missing(const ChainId& chain, std::uint64_t sequence) {
  throw Error(Status::corrupt, where(chain, sequence) + " is missing");
}
[[noreturn]] void throw_unlinked(const ChainId& chain, std::uint64_t sequence) {
  throw Error(Status::untrusted,
              where(chain, sequence) + " links to another record than the one stored before it");
}

struct SignerKinds {
  std::array<RecordKind, 2> kinds;
  std::size_t count;
  operator std::span<const RecordKind>() const { return {kinds.data(), count}; }
};

SignerKinds signer_kinds(const ChainSubject& subject, std::uint64_t sequence) {
  const bool publisher = subject.publisher_may_create && sequence == 1;
  return {{subject.kind, RecordKind::manifest}, publisher ? std::size_t{2} : std::size_t{1}};
}

Sha256Digest digest_of(const StoredRecord& stored) {
  return sha256(as_bytes(stored.record));
}

// The name that a record's policy goes by, when its body says so.
std::string name_in(const std::string& body) {
  const json object = json::parse(body);
  return JsonMembers(object, "a record of the log").text("name");
}

json parse_record(std::string_view payload, const std::string& what) {
  try {
    return parse_strict_json(payload);
  } catch (const Error& error) {
    throw Error(error.status(), what + ": " + error.what());
  }
}

}  // namespace

std::string chain_title(const ChainId& chain) {
  if (chain.size() == 3 && chain[0] == "alias") return "alias '" + chain[1] + "@" + chain[2] + "'";
  if (chain.size() == 2 && chain[0] == "key") return "content key " + chain[1];
  if (chain.size() == 2 && chain[0] == "apikey") return "API key " + chain[1];
  if (chain.size() == 1 && chain[0] == "log") return "the log";
  return "chain " + chain_text(chain);
}

std::string ChainRecord::title() const {
  return where(head.chain, head.sequence);
}

std::string encode_record(const ChainRecord& record) {
  nlohmann::ordered_json out;
  out["ptsecure"] = kRecordFormat;
  out["store"] = record.head.store_id;
  out["chain"] = record.head.chain;
  out["sequence"] = record.head.sequence;
  out["previous"] =
      record.head.previous ? json(base64url_encode(*record.head.previous)) : json(nullptr);
  out["time"] = record.head.time;
  out["reason"] = record.head.reason;
  out["body"] = nlohmann::ordered_json::parse(record.body);
  return out.dump();
}

ChainRecord decode_record(std::string_view payload, std::string_view what) {
  const json object = parse_record(payload, std::string(what));
  const JsonMembers in(object, std::string(what));
  in.require_format(kRecordFormat);
  ChainRecord record;
  record.head.store_id = in.text("store");
  record.head.chain = in.texts("chain");
  record.head.sequence = in.number("sequence");
  if (!in.at("previous").is_null()) record.head.previous = in.digest("previous");
  record.head.time = in.text("time");
  record.head.reason = in.text("reason");
  record.body = in.object("body").dump();
  return record;
}

const std::string& Records::store_id() const {
  if (store_id_.empty()) store_id_ = store_.id(cancel_);
  return store_id_;
}

std::string Records::policy_name(const ChainSubject& subject, const StoredRecord& stored) const {
  if (!subject.name_in_body) return subject.name;
  // Not verified yet, but these are the very bytes whose signature is verified with this name.
  const Bytes payload = jws_payload_unverified(stored.record);
  return name_in(decode_record(as_text(payload), where(subject.chain, stored.sequence)).body);
}

// What a record says, once it is known to be of this store and to stand where it says.
ChainRecord Records::place(const ChainSubject& subject, const StoredRecord& stored,
                           ByteView payload, std::string signer) const {
  const std::string what = where(subject.chain, stored.sequence);
  ChainRecord record = decode_record(as_text(payload), what);
  record.head.signer = std::move(signer);
  record.digest = digest_of(stored);
  if (record.head.store_id != store_id()) {
    throw Error(Status::untrusted,
                what + " was signed for another store; records can't be moved between stores");
  }
  if (record.head.chain != subject.chain || record.head.sequence != stored.sequence) {
    throw Error(Status::untrusted, what + " was signed as " +
                                       where(record.head.chain, record.head.sequence) +
                                       "; somebody has moved it");
  }
  if (record.head.previous.has_value() != (stored.sequence > 1)) {
    throw Error(Status::untrusted, what + " does not link to the record before it");
  }
  return record;
}

ChainRecord Records::verify(const ChainSubject& subject, const StoredRecord& stored) const {
  std::string signer;
  Bytes payload;
  try {
    payload = keys_.verify(signer_kinds(subject, stored.sequence), policy_name(subject, stored),
                           stored.record, &signer);
  } catch (const Error& error) {
    throw Error(error.status(), where(subject.chain, stored.sequence) + ": " + error.what());
  }
  return place(subject, stored, payload, std::move(signer));
}

ChainRecord Records::unsigned_record(const ChainSubject& subject,
                                     const StoredRecord& stored) const {
  Bytes payload;
  std::string kid;
  try {
    payload = jws_payload_unverified(stored.record);
    kid = jws_header(stored.record).kid;
  } catch (const Error& error) {
    throw Error(error.status(), where(subject.chain, stored.sequence) + ": " + error.what());
  }
  return place(subject, stored, payload, std::move(kid));
}

ChainRecord Records::verify_or_mark(const ChainSubject& subject, const StoredRecord& stored) const {
  ChainRecord record;
  try {
    record = unsigned_record(subject, stored);
  } catch (const Error&) {
    verify(subject, stored);  // that it isn't signed, where it isn't, comes before what it says
    throw;
  }
  record.head.signer_trusted =
      keys_.trusts(signer_kinds(subject, stored.sequence),
                   subject.name_in_body ? name_in(record.body) : subject.name, record.head.signer);
  return record.head.signer_trusted ? verify(subject, stored) : record;
}

std::optional<RecordMark> Records::known(const ChainSubject& subject) const {
  return memory_ == nullptr ? std::nullopt : memory_->record(store_id(), subject.chain);
}

void Records::throw_rollback(const ChainSubject& subject, const RecordMark& known,
                             const std::string& found) const {
  throw Error(Status::rollback, chain_title(subject.chain) + " was seen at record " +
                                    std::to_string(known.sequence) + ", " + found +
                                    ": the store shows an older or another history than before "
                                    "(remembered in " +
                                    memory_->file() + ")");
}

// Without a memory: the record before must be the one that is linked to.
void Records::check_linked(const ChainSubject& subject, const ChainRecord& record) const {
  if (record.head.sequence == 1) return;
  const auto before =
      store_.records(subject.chain, record.head.sequence - 1, 1, subject.concern, cancel_);
  if (!before.empty() && before[0].sequence == record.head.sequence - 1 &&
      digest_of(before[0]) == *record.head.previous) {
    return;
  }
  throw_unlinked(subject.chain, record.head.sequence);
}

// With one: from the record remembered last on, each must link to the one before it. The links
// alone do, because the head's signature vouches for them.
void Records::check_extends(const ChainSubject& subject, const RecordMark& known,
                            const std::optional<ChainRecord>& head) const {
  if (!head) throw_rollback(subject, known, "and now it has none");
  const std::uint64_t last = head->head.sequence;
  if (last < known.sequence) {
    throw_rollback(subject, known, "and now ends with record " + std::to_string(last));
  }
  Sha256Digest expected = known.digest;
  const std::string replaced =
      "and now holds another record " + std::to_string(known.sequence) + " than then";
  if (last == known.sequence) {
    if (head->digest != expected) throw_rollback(subject, known, replaced);
    return;
  }
  for (std::uint64_t next = known.sequence; next <= last;) {
    const auto limit = static_cast<std::size_t>(std::min<std::uint64_t>(kPage, last - next + 1));
    const auto page = store_.records(subject.chain, next, limit, subject.concern, cancel_);
    if (page.empty()) throw_missing(subject.chain, next);
    for (const StoredRecord& stored : page) {
      if (stored.sequence != next) throw_missing(subject.chain, next);
      const Sha256Digest digest = digest_of(stored);
      if (next == known.sequence) {
        if (digest != expected) throw_rollback(subject, known, replaced);
      } else if (unsigned_record(subject, stored).head.previous != expected) {
        throw_unlinked(subject.chain, next);
      }
      expected = digest;
      ++next;
    }
  }
  if (expected != head->digest) {
    throw Error(Status::corrupt, where(subject.chain, last) + " changed while it was read");
  }
}

std::optional<ChainRecord> Records::last(const ChainSubject& given) const {
  ChainSubject subject = given;
  for (;;) {
    // First what is remembered, then what is stored: whatever was remembered is stored by now.
    const std::optional<RecordMark> before = known(subject);
    try {
      const auto stored = store_.last_record(subject.chain, subject.concern, cancel_);
      std::optional<ChainRecord> head;
      if (stored) head = verify(subject, *stored);
      if (before) {
        check_extends(subject, *before, head);
      } else if (head) {
        check_linked(subject, *head);
      }
      if (memory_ == nullptr || !head ||
          memory_->advance(store_id(), subject.chain, before, head->mark())) {
        return head;
      }
    } catch (const Error& error) {
      // A primary that has just lost its office may still answer with an older state.
      if (error.status() != Status::rollback || subject.concern == ReadConcern::linearizable) throw;
      subject.concern = ReadConcern::linearizable;
    }
  }
}

std::vector<ChainRecord> Records::after(const ChainSubject& subject,
                                        std::optional<RecordMark> known) const {
  std::vector<ChainRecord> chain;
  std::optional<StoredRecord> last;
  for (bool more = true; more;) {
    const std::uint64_t first = known ? known->sequence + 1 : 1;
    auto page = store_.records(subject.chain, first, kPage, subject.concern, cancel_);
    for (const auto& stored : page) {
      const std::uint64_t expected = known ? known->sequence + 1 : 1;
      if (stored.sequence != expected) throw_missing(subject.chain, expected);
      ChainRecord record = verify_or_mark(subject, stored);
      if (known && *record.head.previous != known->digest) throw_unlinked(subject.chain, expected);
      known = record.mark();
      chain.push_back(std::move(record));
    }
    more = page.size() == kPage;
    if (!page.empty()) last = std::move(page.back());
  }
  if (last && !chain.back().head.signer_trusted) verify(subject, *last);  // throws, saying why
  return chain;
}

std::vector<ChainRecord> Records::all(const ChainSubject& subject) const {
  const std::optional<RecordMark> before = known(subject);
  std::vector<ChainRecord> chain = after(subject, std::nullopt);
  if (before) {
    if (chain.size() < before->sequence) {
      throw_rollback(subject, *before, "and now ends with record " + std::to_string(chain.size()));
    }
    if (chain[before->sequence - 1].digest != before->digest) {
      throw_rollback(
          subject, *before,
          "and now holds another record " + std::to_string(before->sequence) + " than then");
    }
  }
  // Whoever moved the memory on meanwhile has seen more of this chain; the next reading compares.
  if (memory_ != nullptr && !chain.empty()) {
    memory_->advance(store_id(), subject.chain, before, chain.back().mark());
  }
  return chain;
}

SignedRecord Records::sign(const ChainSubject& subject, const std::optional<ChainRecord>& previous,
                           std::string_view body, std::string_view reason) const {
  SignedRecord next;
  ChainRecord& record = next.record;
  record.head.store_id = store_id();
  record.head.chain = subject.chain;
  record.head.sequence = previous ? previous->head.sequence + 1 : 1;
  if (previous) record.head.previous = previous->digest;
  record.head.time = now_rfc3339();
  record.head.reason = reason;
  record.body = body;
  // Where the publisher may sign, the publisher does: what a version needs to be opened then
  // doesn't depend on an operator's key, who may leave.
  const SignerKinds kinds = signer_kinds(subject, record.head.sequence);
  const std::array<RecordKind, 2> signers = {kinds.kinds[kinds.count - 1], subject.kind};
  next.jws =
      keys_.sign(subject.kind, signers, subject.name_in_body ? name_in(record.body) : subject.name,
                 as_bytes(encode_record(record)), cancel_);
  record.head.signer = jws_header(next.jws).kid;
  record.digest = sha256(as_bytes(next.jws));
  return next;
}

ChainRecord Records::append(const ChainSubject& subject, const SignedRecord& next) const {
  const ChainRecord& record = next.record;
  store_.append_record(subject.chain, record.head.sequence, next.jws, cancel_);
  if (memory_ != nullptr) {
    std::optional<RecordMark> before;
    if (record.head.previous) before = {record.head.sequence - 1, *record.head.previous};
    memory_->advance(store_id(), subject.chain, before, record.mark());
  }
  return record;
}

ChainRecord Records::append(const ChainSubject& subject, const std::optional<ChainRecord>& previous,
                            std::string_view body, std::string_view reason) const {
  return append(subject, sign(subject, previous, body, reason));
}

}  // namespace ptsecure
