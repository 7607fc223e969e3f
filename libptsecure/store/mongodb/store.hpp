#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "libptsecure/store/mongodb/client.hpp"
#include "libptsecure/store/store.hpp"

namespace ptsecure::mongodb {

// The collections of a store, all in the database that the URI names.
inline constexpr const char* kMeta = "ptsecure.meta";
inline constexpr const char* kNames = "ptsecure.names";
inline constexpr const char* kVersions = "ptsecure.versions";
inline constexpr const char* kRecords = "ptsecure.records";
inline constexpr const char* kChains = "ptsecure.chains";
inline constexpr const char* kWraps = "ptsecure.wraps";
inline constexpr const char* kFiles = "ptsecure.payloads.files";
inline constexpr const char* kChunks = "ptsecure.payloads.chunks";

// "digits/7", "alias/digits/production/2": the _id of a numbered row, which no index that somebody
// drops can make ambiguous.
std::string numbered_id(const std::string& of, std::uint64_t number);

// A store in a MongoDB database. Compare-and-set is one update whose filter holds what is expected
// and whose _id is the place: it finds its own earlier attempt and collides with anybody else's, so
// every operation can be repeated after a lost connection.
class MongodbStore final : public Store {
 public:
  MongodbStore(const std::string& uri, const StoreOptions& options);

  const std::string& display_uri() const override { return clients_->target().display; }
  // The primary makes sure that it is one, by a write that a majority has to journal.
  bool linearizable_is_slow() const noexcept override { return true; }

  void ensure_created(const CancelToken& cancel) override;
  std::string id(const CancelToken& cancel) override;

  Reservation reserve(const std::string& name, const CancelToken& cancel) override;
  void commit(const Reservation& reservation, std::string_view manifest,
              const CancelToken& cancel) override;
  void abandon(const Reservation& reservation, const CancelToken& cancel) override;

  std::unique_ptr<BlobWriter> write_blob(const Reservation& reservation, const std::string& role,
                                         std::uint64_t size, const CancelToken& cancel) override;
  std::unique_ptr<BlobReader> read_blob(const BlobId& id, const CancelToken& cancel) override;

  std::optional<VersionRow> find(const std::string& name, std::uint64_t version,
                                 const CancelToken& cancel) override;
  std::optional<VersionRow> newest(const std::string& name, const CancelToken& cancel) override;
  std::vector<ModelRow> models(const std::string& after, std::size_t limit,
                               const CancelToken& cancel) override;
  std::vector<VersionRow> versions(const std::string& name, std::uint64_t before, std::size_t limit,
                                   const CancelToken& cancel) override;

  void put_wraps(const std::string& key_id, std::uint64_t sequence, std::string_view wraps,
                 const CancelToken& cancel) override;
  std::optional<std::string> get_wraps(const std::string& key_id, std::uint64_t sequence,
                                       const CancelToken& cancel) override;
  void remove_wraps(const std::string& key_id, const CancelToken& cancel) override;

  void append_record(const ChainId& chain, std::uint64_t sequence, std::string_view record,
                     const CancelToken& cancel) override;
  std::vector<StoredRecord> records(const ChainId& chain, std::uint64_t first, std::size_t limit,
                                    ReadConcern concern, const CancelToken& cancel) override;
  std::optional<StoredRecord> last_record(const ChainId& chain, ReadConcern concern,
                                          const CancelToken& cancel) override;
  std::vector<std::uint64_t> record_numbers(const ChainId& chain,
                                            const CancelToken& cancel) override;
  std::vector<std::string> chains(const ChainId& prefix, const CancelToken& cancel) override;
  std::vector<ChainHead> heads(const ChainId& prefix, const CancelToken& cancel) override;
  void watch(const ChainId& prefix, const std::function<void()>& changed,
             const CancelToken& cancel) override;

  void check(const std::string& name, const CancelToken& cancel) override;

 private:
  // Throws Status::not_found while no store has been created here.
  void require(const CancelToken& cancel);

  std::shared_ptr<Clients> clients_;
  std::atomic<bool> created_{false};
};

// The filter {_id: id}.
Bson by_id(const std::string& id);

// Throws Status::invalid_argument for a number that is no version or no place in a chain.
void check_number(std::uint64_t number, const char* what);

// Sets `fields` at the document that `place` finds or inserts both. False when the place is taken
// by other contents. `place` holds the _id and the contents that are compared.
bool put_once(Session& session, const char* collection, const Bson& place, const Bson& fields);

// Removes every chunk and file whose id begins with "name/version/".
void remove_blobs(Clients& clients, const std::string& name, std::uint64_t version,
                  const CancelToken& cancel);

std::unique_ptr<BlobWriter> make_blob_writer(std::shared_ptr<Clients> clients,
                                             const Reservation& reservation,
                                             const std::string& role, std::uint64_t size,
                                             const CancelToken& cancel);
std::unique_ptr<BlobReader> make_blob_reader(std::shared_ptr<Clients> clients, const BlobId& id,
                                             const CancelToken& cancel);

// Renews the lease of a reservation: it says that its owner lives. Throws Status::conflict when it
// is no longer this token's to write. Durable, and so is everything written before it.
void renew_lease(Clients& clients, const Reservation& reservation, const CancelToken& cancel);

}  // namespace ptsecure::mongodb
