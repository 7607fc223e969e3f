#include "libptsecure/base/number.hpp"
#include "libptsecure/crypto/random.hpp"
#include "libptsecure/store/component.hpp"
#include "libptsecure/store/mongodb/store.hpp"

namespace ptsecure {
namespace mongodb {
namespace {

constexpr std::int32_t kFormat = 1;

Bson index(const char* name, const Bson& key, bool unique) {
  Bson out;
  out.doc("key", key).str("name", name);
  if (unique) out.boolean("unique", true);
  return out;
}

Bson key(std::initializer_list<std::pair<const char*, int>> fields) {
  Bson out;
  for (const auto& [field, direction] : fields) out.i32(field, direction);
  return out;
}

void create_indexes(Session& session, const char* collection, const Bson& indexes) {
  Bson command;
  command.str("createIndexes", collection).array("indexes", indexes);
  session.command(command);
}

void create_all_indexes(Session& session) {
  create_indexes(session, kNames, array_of(index("name_1", key({{"name", 1}}), false)));
  create_indexes(session, kVersions,
                 array_of(index("name_1_version_1", key({{"name", 1}, {"version", 1}}), true),
                          index("state_1_name_1_version_-1",
                                key({{"state", 1}, {"name", 1}, {"version", -1}}), false)));
  create_indexes(session, kRecords,
                 array_of(index("chain_1_sequence_1", key({{"chain", 1}, {"sequence", 1}}), true),
                          index("parent_1_sequence_1_leaf_1",
                                key({{"parent", 1}, {"sequence", 1}, {"leaf", 1}}), false)));
  create_indexes(
      session, kWraps,
      array_of(index("key_id_1_sequence_1", key({{"key_id", 1}, {"sequence", 1}}), true)));
  // The two that the GridFS specification asks for.
  create_indexes(
      session, kFiles,
      array_of(index("filename_1_uploadDate_1", key({{"filename", 1}, {"uploadDate", 1}}), false)));
  create_indexes(session, kChunks,
                 array_of(index("files_id_1_n_1", key({{"files_id", 1}, {"n", 1}}), true)));
}

// The store's own document, checked; nothing when there is none.
std::optional<std::string> store_id(Session& session, const std::string& display) {
  const std::optional<Bson> row = session.find_one(kMeta, by_id("store"));
  if (!row) return std::nullopt;
  const auto format = row->view().integer("format");
  const auto id = row->view().str("id");
  if (!format || !id) {
    throw Error(Status::corrupt, "the document 'store' in ptsecure.meta of " + display +
                                     " holds no format or no id; restore it from a backup");
  }
  if (*format != kFormat) {
    throw Error(Status::unsupported, "the store at " + display + " has format " +
                                         std::to_string(*format) + ", this library knows format " +
                                         std::to_string(kFormat) + "; use a newer library");
  }
  return id;
}

Error no_store(const std::string& display) {
  return {Status::not_found, "there is no store at " + display +
                                 " yet: publish a model there first, or check the database's name"};
}

}  // namespace

MongodbStore::MongodbStore(const std::string& uri, const StoreOptions& options)
    : clients_(std::make_shared<Clients>(parse_target(uri, options), options)) {}

void MongodbStore::ensure_created(const CancelToken& cancel) {
  if (created_) return;
  clients_->run(cancel, [this](Session& session) {
    if (store_id(session, display_uri())) return;
    create_all_indexes(session);  // first: whoever sees the store sees its indexes
    Bson place;
    place.str("_id", "store").i32("format", kFormat);
    Bson fields;
    fields.str("id", random_id());
    put_once(session, kMeta, place, fields);
    store_id(session, display_uri());
  });
  created_ = true;
}

std::string MongodbStore::id(const CancelToken& cancel) {
  const std::optional<std::string> found =
      clients_->run(cancel, [this](Session& session) { return store_id(session, display_uri()); });
  if (!found) throw no_store(display_uri());
  created_ = true;
  return *found;
}

void MongodbStore::require(const CancelToken& cancel) {
  if (!created_) (void)id(cancel);
}

Bson by_id(const std::string& id) {
  Bson out;
  out.str("_id", id);
  return out;
}

std::string numbered_id(const std::string& of, std::uint64_t number) {
  return of + "/" + std::to_string(number);
}

void check_number(std::uint64_t number, const char* what) {
  if (number >= 1 && number <= kMaxNumber) return;
  throw Error(Status::invalid_argument,
              std::string(what) + " is between 1 and 2^53-1, not " + std::to_string(number));
}

bool put_once(Session& session, const char* collection, const Bson& place, const Bson& fields) {
  Bson change;
  change.doc("$setOnInsert", fields);
  // Two inserts of the same contents at once may collide as well: the second try finds them.
  for (int attempt = 0; attempt < 3; ++attempt) {
    try {
      session.update(collection, place, change, true);
      return true;
    } catch (const Failure& failure) {
      if (!failure.duplicate_key()) throw;
    }
  }
  return false;
}

}  // namespace mongodb

std::shared_ptr<Store> open_mongodb_store(const std::string& uri, const StoreOptions& options) {
  return std::make_shared<mongodb::MongodbStore>(uri, options);
}

}  // namespace ptsecure
