#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/base/cancel.hpp"
#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/history/memory.hpp"
#include "libptsecure/keyring/keyring.hpp"
#include "libptsecure/store/store.hpp"

// Signed, chained records: the one mechanism under aliases, key status, API keys and the log. A
// chain is a list of JWS, numbered from 1; each signs its chain, the store's id, its sequence, the
// digest of the record before it, the time and a reason, beside its own body.
//
// Who appends a record has verified the one before it, so a record vouches for all that came before
// it: a signature by a key that has since left the keyring counts as long as a later record, signed
// by one that is there, links to it.
namespace ptsecure {

// The parts every record has.
struct RecordHead {
  std::string store_id;
  ChainId chain;
  std::uint64_t sequence = 0;
  std::optional<Sha256Digest> previous;  // SHA-256 of the record before it (its JWS text)
  std::string time;                      // RFC 3339, UTC; proves nothing
  std::string reason;
  std::string signer;  // kid
  // False for an older record whose signer the keyring doesn't hold or trust: those after it vouch.
  bool signer_trusted = true;
};

struct ChainRecord {
  RecordHead head;
  std::string body;       // JSON object text, the kind's own members
  Sha256Digest digest{};  // of this record's JWS text

  RecordMark mark() const { return {head.sequence, digest}; }
  // "record 4 of alias 'digits@production'".
  std::string title() const;
};

// A record that is signed and not stored yet.
struct SignedRecord {
  ChainRecord record;
  std::string jws;
};

// What a chain is about, for signing and trust.
struct ChainSubject {
  ChainId chain;
  RecordKind kind;
  std::string name;  // the model name the key policies are matched with
  ReadConcern concern = ReadConcern::majority;
  // A first record (sequence 1) may also be signed by a key that is trusted for manifests: the
  // publisher creates the chain of its own version's key.
  bool publisher_may_create = false;
  // Each record is about the model that its body's member "name" names, which key policies are
  // matched with instead: the log.
  bool name_in_body = false;
};

// The payload of a record. Throws Status::corrupt for what isn't one (`what` says which it was to
// be), Status::unsupported for a newer format.
std::string encode_record(const ChainRecord& record);
ChainRecord decode_record(std::string_view payload, std::string_view what);

// Reads, verifies and extends chains. With a memory, a chain must extend what this client has seen
// of it, and what is read is remembered: a store that shows an older or another history is
// Status::rollback. For one operation of one thread.
class Records {
 public:
  Records(Store& store, const Keyring& keys, const CancelToken& cancel,
          const Memory* memory = nullptr)
      : store_(store), keys_(keys), cancel_(cancel), memory_(memory) {}

  // The verified last record; nullopt when the chain is empty. It must be of this store and chain
  // and carry its own sequence, and it must lead link by link to the record remembered last, which
  // is where reading begins; without a memory, to the one before it.
  std::optional<ChainRecord> last(const ChainSubject& subject) const;
  // The whole verified chain.
  std::vector<ChainRecord> all(const ChainSubject& subject) const;
  // The verified records that continue a chain known up to `known` (nullopt = nothing of it); what
  // the memory knows isn't looked at.
  std::vector<ChainRecord> after(const ChainSubject& subject,
                                 std::optional<RecordMark> known) const;
  // The store's id, which every record carries; asked for once.
  const std::string& store_id() const;
  // Signs the record after `previous` (as read by last(); nullopt = the first) and appends it.
  // Throws Status::conflict when somebody else was faster.
  ChainRecord append(const ChainSubject& subject, const std::optional<ChainRecord>& previous,
                     std::string_view body, std::string_view reason) const;
  // The two steps of append().
  SignedRecord sign(const ChainSubject& subject, const std::optional<ChainRecord>& previous,
                    std::string_view body, std::string_view reason) const;
  ChainRecord append(const ChainSubject& subject, const SignedRecord& next) const;

  // A stored record, its signature and place verified; its link isn't. For audits.
  ChainRecord verify(const ChainSubject& subject, const StoredRecord& stored) const;
  // The same, but where the signer is one that the keyring doesn't hold or trust, what the record
  // says of itself, marked so: its link must be checked from a record that vouches for it.
  ChainRecord verify_or_mark(const ChainSubject& subject, const StoredRecord& stored) const;

 private:
  ChainRecord place(const ChainSubject& subject, const StoredRecord& stored, ByteView payload,
                    std::string signer) const;
  ChainRecord unsigned_record(const ChainSubject& subject, const StoredRecord& stored) const;
  std::string policy_name(const ChainSubject& subject, const StoredRecord& stored) const;
  void check_linked(const ChainSubject& subject, const ChainRecord& record) const;
  void check_extends(const ChainSubject& subject, const RecordMark& known,
                     const std::optional<ChainRecord>& head) const;
  std::optional<RecordMark> known(const ChainSubject& subject) const;
  [[noreturn]] void throw_rollback(const ChainSubject& subject, const RecordMark& known,
                                   const std::string& found) const;

  Store& store_;
  const Keyring& keys_;
  const CancelToken cancel_;
  const Memory* memory_;
  mutable std::string store_id_;  // once read
};

// "alias 'digits@production'", "the log", ...: a chain as people call it.
std::string chain_title(const ChainId& chain);

}  // namespace ptsecure
