#include "libptsecure/registry/records.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <span>

#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/jws.hpp"
#include "libptsecure/crypto/strict_json.hpp"
#include "libptsecure/package/manifest.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;

constexpr int kRecordFormat = 1;
constexpr std::size_t kPage = 256;

std::string chain_text(const ChainId& chain) {
  std::string text;
  for (const auto& part : chain) text += (text.empty() ? "" : "/") + part;
  return text;
}

std::string where(const ChainId& chain, std::uint64_t sequence) {
  return "record " + std::to_string(sequence) + " of chain " + chain_text(chain);
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

std::string encode(const RecordHead& head, std::string_view body) {
  nlohmann::ordered_json out;
  out["ptsecure"] = kRecordFormat;
  out["store"] = head.store_id;
  out["chain"] = head.chain;
  out["sequence"] = head.sequence;
  out["previous"] = head.previous ? json(base64url_encode(*head.previous)) : json(nullptr);
  out["time"] = head.time;
  out["reason"] = head.reason;
  out["body"] = nlohmann::ordered_json::parse(body);
  return out.dump();
}

ChainRecord decode(std::string_view payload, std::string_view what) {
  try {
    const json in = parse_strict_json(payload);
    if (in.at("ptsecure").get<int>() != kRecordFormat) {
      throw Error(
          Status::unsupported,
          std::string(what) + " has a newer format than this library reads; upgrade ptsecure");
    }
    ChainRecord record;
    record.head.store_id = in.at("store").get<std::string>();
    record.head.chain = in.at("chain").get<ChainId>();
    record.head.sequence = in.at("sequence").get<std::uint64_t>();
    if (const json& previous = in.at("previous"); !previous.is_null()) {
      const Bytes digest = base64url_decode(previous.get_ref<const std::string&>());
      if (digest.size() != Sha256Digest{}.size()) {
        throw Error(Status::corrupt,
                    std::string(what) + " names no SHA-256 of the record before it");
      }
      std::copy(digest.begin(), digest.end(), record.head.previous.emplace().begin());
    }
    record.head.time = in.at("time").get<std::string>();
    record.head.reason = in.at("reason").get<std::string>();
    record.body = in.at("body").dump();
    return record;
  } catch (const json::exception&) {
    throw Error(Status::corrupt,
                std::string(what) + " is signed but lacks a member that every record has");
  }
}

}  // namespace

ChainRecord Records::verify(const ChainSubject& subject, const StoredRecord& stored) const {
  const std::string what = where(subject.chain, stored.sequence);
  std::string signer;
  Bytes payload;
  try {
    payload =
        keys_.verify(signer_kinds(subject, stored.sequence), subject.name, stored.record, &signer);
  } catch (const Error& error) {
    throw Error(error.status(), what + ": " + error.what());
  }
  ChainRecord record = decode(as_text(payload), what);
  record.head.signer = std::move(signer);
  record.digest = sha256(as_bytes(stored.record));
  if (record.head.store_id != store_.id(cancel_)) {
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

std::optional<ChainRecord> Records::last(const ChainSubject& subject) const {
  const auto stored = store_.last_record(subject.chain, subject.concern, cancel_);
  if (!stored) return std::nullopt;
  ChainRecord record = verify(subject, *stored);
  if (stored->sequence > 1) {
    const auto before =
        store_.records(subject.chain, stored->sequence - 1, 1, subject.concern, cancel_);
    if (before.empty() || before[0].sequence != stored->sequence - 1 ||
        sha256(as_bytes(before[0].record)) != *record.head.previous) {
      throw Error(Status::untrusted, where(subject.chain, stored->sequence) +
                                         " links to another record than the one stored before it");
    }
  }
  return record;
}

std::vector<ChainRecord> Records::all(const ChainSubject& subject) const {
  return after(subject, std::nullopt);
}

std::vector<ChainRecord> Records::after(const ChainSubject& subject,
                                        std::optional<ChainPoint> known) const {
  std::vector<ChainRecord> chain;
  for (;;) {
    const auto page = store_.records(subject.chain, known ? known->sequence + 1 : 1, kPage,
                                     subject.concern, cancel_);
    for (const auto& stored : page) {
      const std::uint64_t expected = known ? known->sequence + 1 : 1;
      if (stored.sequence != expected) {
        throw Error(Status::corrupt, where(subject.chain, expected) + " is missing");
      }
      ChainRecord record = verify(subject, stored);
      if (known && *record.head.previous != known->digest) {
        throw Error(Status::untrusted, where(subject.chain, expected) +
                                           " links to another record than the one before it");
      }
      known = {.sequence = stored.sequence, .digest = record.digest};
      chain.push_back(std::move(record));
    }
    if (page.size() < kPage) return chain;
  }
}

ChainRecord Records::append(const ChainSubject& subject, const std::optional<ChainRecord>& previous,
                            std::string_view body, std::string_view reason) const {
  ChainRecord record;
  record.head.store_id = store_.id(cancel_);
  record.head.chain = subject.chain;
  record.head.sequence = previous ? previous->head.sequence + 1 : 1;
  if (previous) record.head.previous = previous->digest;
  record.head.time = now_rfc3339();
  record.head.reason = reason;
  record.body = body;
  const std::string payload = encode(record.head, body);
  const std::string jws =
      keys_.sign(signer_kinds(subject, record.head.sequence), subject.name, as_bytes(payload));
  record.head.signer = jws_header(jws).kid;
  record.digest = sha256(as_bytes(jws));
  store_.append_record(subject.chain, record.head.sequence, jws, cancel_);
  return record;
}

}  // namespace ptsecure
