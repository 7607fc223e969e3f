#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/base/cancel.hpp"
#include "libptsecure/base/log_sink.hpp"
#include "libptsecure/store/blob.hpp"

// Where sealed models, their records and their wrapped keys are kept. A store is not trusted: it
// promises atomicity and durability, never authenticity; everything it returns is verified by the
// registry. Names arrive here already checked against the name rule.
namespace ptsecure {

struct StoreOptions {
  std::chrono::milliseconds connect_timeout{5000};
  std::chrono::milliseconds operation_timeout{60000};  // one round trip, not one transfer
  LogSink log;
};

// A version number taken for a publish under way. `token` is random and proves who took it.
struct Reservation {
  std::string name;
  std::uint64_t version = 0;
  std::string token;
};

// A committed version: its number and its manifest (JWS compact), as stored.
struct VersionRow {
  std::string name;
  std::uint64_t version = 0;
  std::string manifest;
};

// One model, for a listing.
struct ModelRow {
  std::string name;
  VersionRow newest;
};

// Which blob of which version: "model", "model.digests", later "sample".
struct BlobId {
  std::string name;
  std::uint64_t version = 0;
  std::string role;
};

// The chain a signed record belongs to, as path components that obey the name rule: {"alias",
// "digits", "production"}, {"key", ID}, {"apikey", ID}, {"log"}.
using ChainId = std::vector<std::string>;

struct StoredRecord {
  std::uint64_t sequence = 0;
  std::string record;  // JWS compact
};

// A chain directly under some prefix, and the number of its last record.
struct ChainHead {
  std::string leaf;  // the chain's last component
  std::uint64_t sequence = 0;
};

enum class ReadConcern { majority, linearizable };

// All methods are thread-safe, take no longer than the options' timeouts per round trip and look at
// `cancel` at least once a second. Nothing exists until ensure_created(); until then reads throw
// Status::not_found saying that there is no store here yet.
class Store {
 public:
  virtual ~Store() = default;

  // The URI without credentials, for messages.
  virtual const std::string& display_uri() const = 0;
  // Whether ReadConcern::linearizable may take much longer than ReadConcern::majority.
  virtual bool linearizable_is_slow() const noexcept = 0;

  // Creates the store (with a random id) unless it exists. A folder that holds anything else is
  // refused with Status::invalid_argument.
  virtual void ensure_created(const CancelToken& cancel) = 0;
  // The store's id: 16 random bytes, base64url, drawn when it was created.
  virtual std::string id(const CancelToken& cancel) = 0;

  // Takes the next number for `name` (1, 2, ...; a number is never given twice, whatever dies).
  // Status::already_exists when another model's name differs only in case.
  virtual Reservation reserve(const std::string& name, const CancelToken& cancel) = 0;
  // The commit point: makes the version visible, once; repeating it with the same token and
  // manifest succeeds. Status::conflict when the reservation was declared dead or committed by
  // another token.
  virtual void commit(const Reservation& reservation, std::string_view manifest,
                      const CancelToken& cancel) = 0;
  // Gives a reservation up: writing -> dead, then removes what was written for it. Never throws for
  // one that is already dead or gone; Status::conflict for a committed one.
  virtual void abandon(const Reservation& reservation, const CancelToken& cancel) = 0;

  virtual std::unique_ptr<BlobWriter> write_blob(const Reservation& reservation,
                                                 const std::string& role, std::uint64_t size,
                                                 const CancelToken& cancel) = 0;
  virtual std::unique_ptr<BlobReader> read_blob(const BlobId& id, const CancelToken& cancel) = 0;

  // Committed versions only.
  virtual std::optional<VersionRow> find(const std::string& name, std::uint64_t version,
                                         const CancelToken& cancel) = 0;
  virtual std::optional<VersionRow> newest(const std::string& name, const CancelToken& cancel) = 0;
  // Models by name, ascending, names after `after`, at most `limit`.
  virtual std::vector<ModelRow> models(const std::string& after, std::size_t limit,
                                       const CancelToken& cancel) = 0;
  // Versions of one model, newest first, numbers below `before` (0 = from the newest).
  virtual std::vector<VersionRow> versions(const std::string& name, std::uint64_t before,
                                           std::size_t limit, const CancelToken& cancel) = 0;

  // The wrapped keys of one DEK as of one record of its chain: a JSON text, immutable once put.
  // Putting the same text again succeeds, another text is Status::conflict.
  virtual void put_wraps(const std::string& key_id, std::uint64_t sequence, std::string_view wraps,
                         const CancelToken& cancel) = 0;
  virtual std::optional<std::string> get_wraps(const std::string& key_id, std::uint64_t sequence,
                                               const CancelToken& cancel) = 0;
  // Removes every sequence's wraps of that key.
  virtual void remove_wraps(const std::string& key_id, const CancelToken& cancel) = 0;

  // Appends record `sequence` (1, 2, ...) as a compare-and-set: Status::conflict when that number
  // is taken by other bytes or the one before it is missing; the same bytes again succeed. Durable
  // on return. A new chain whose last component differs only in case from an existing one is
  // Status::already_exists.
  virtual void append_record(const ChainId& chain, std::uint64_t sequence, std::string_view record,
                             const CancelToken& cancel) = 0;
  // Records with first <= sequence, ascending, at most `limit`.
  virtual std::vector<StoredRecord> records(const ChainId& chain, std::uint64_t first,
                                            std::size_t limit, ReadConcern concern,
                                            const CancelToken& cancel) = 0;
  // The last record, without reading the others.
  virtual std::optional<StoredRecord> last_record(const ChainId& chain, ReadConcern concern,
                                                  const CancelToken& cancel) = 0;
  // The numbers of all records of a chain, ascending, by looking at every one of them: the only
  // call that sees past a gap for certain. For audits.
  virtual std::vector<std::uint64_t> record_numbers(const ChainId& chain,
                                                    const CancelToken& cancel) = 0;
  // The last components of chains directly under `prefix`, ascending: the aliases of a model for
  // {"alias", NAME}.
  virtual std::vector<std::string> chains(const ChainId& prefix, const CancelToken& cancel) = 0;
  // The same chains with the number of their last records, which aren't read: cheap enough to ask
  // every second.
  virtual std::vector<ChainHead> heads(const ChainId& prefix, const CancelToken& cancel) = 0;
  // Until `cancel`: calls `changed` soon after anybody has appended a record to such a chain, and
  // whenever one may have been missed; goes on through outages. Throws Status::unsupported where
  // the store can't tell (a folder, a server that is no replica set), Status::permission_denied
  // where it may not, and Status::cancelled in the end. It only hastens: who must know asks for
  // heads() again anyway.
  virtual void watch(const ChainId& prefix, const std::function<void()>& changed,
                     const CancelToken& cancel) = 0;

  // Compares the store's own bookkeeping about a model (the store's marker, name claims, index
  // entries: what nobody signed) with what is stored; throws Status::corrupt for a difference.
  // Signed things are checked by the registry.
  virtual void check(const std::string& name, const CancelToken& cancel) = 0;
};

// Opens by URI: "file:///path", a plain path, "mongodb://.../database", "mongodb+srv://...".
// Finding the server may be left to the first call.
std::shared_ptr<Store> open_store(const std::string& uri, const StoreOptions& options);

std::shared_ptr<Store> open_directory_store(const std::string& path, const StoreOptions& options);
std::shared_ptr<Store> open_mongodb_store(const std::string& uri, const StoreOptions& options);

}  // namespace ptsecure
