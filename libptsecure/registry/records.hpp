#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/cancel.hpp"
#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/keyring/keyring.hpp"
#include "libptsecure/store/store.hpp"

// Signed, chained records: the one mechanism under aliases and key status, and later API keys and
// the log. A chain is a list of JWS, numbered from 1; each signs its chain, the store's id, its
// sequence, the digest of the record before it, the time and a reason, beside its own body.
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
};

struct ChainRecord {
  RecordHead head;
  std::string body;       // JSON object text, the kind's own members
  Sha256Digest digest{};  // of this record's JWS text
};

// A place in a chain that somebody has seen.
struct ChainPoint {
  std::uint64_t sequence = 0;
  Sha256Digest digest{};
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
};

class Records {
 public:
  Records(Store& store, const Keyring& keys, const CancelToken& cancel)
      : store_(store), keys_(keys), cancel_(cancel) {}

  // The verified last record; nullopt when the chain is empty. It must be of this store and chain,
  // carry its own sequence, and link to the record before it (which is read too).
  std::optional<ChainRecord> last(const ChainSubject& subject) const;
  // The whole verified chain.
  std::vector<ChainRecord> all(const ChainSubject& subject) const;
  // The verified records that continue a chain known up to `known` (nullopt = nothing of it).
  std::vector<ChainRecord> after(const ChainSubject& subject,
                                 std::optional<ChainPoint> known) const;
  // Signs and appends the record after `previous` (as read by last(); nullopt = the first). Throws
  // Status::conflict when somebody else was faster.
  ChainRecord append(const ChainSubject& subject, const std::optional<ChainRecord>& previous,
                     std::string_view body, std::string_view reason) const;

 private:
  ChainRecord verify(const ChainSubject& subject, const StoredRecord& stored) const;

  Store& store_;
  const Keyring& keys_;
  const CancelToken& cancel_;
};

}  // namespace ptsecure
