#include <algorithm>
#include <chrono>
#include <map>

#include "libptsecure/base/text.hpp"
#include "libptsecure/store/component.hpp"
#include "libptsecure/store/mongodb/store.hpp"

namespace ptsecure::mongodb {
namespace {

// Where a chain stands: "alias/digits" and "production". Components hold no slash.
struct ChainPlace {
  std::string parent;
  std::string leaf;

  std::string key() const { return parent.empty() ? leaf : parent + "/" + leaf; }
};

std::string joined(const ChainId& components) {
  std::string out;
  for (const std::string& component : components) {
    check_component(component, "part of a chain's name");
    if (!out.empty()) out += "/";
    out += component;
  }
  return out;
}

ChainPlace place_of(const ChainId& chain) {
  if (chain.empty()) {
    throw Error(Status::invalid_argument, "a chain of records needs a name");
  }
  return {joined({chain.begin(), chain.end() - 1}), joined({chain.back()})};
}

StoredRecord record_of(const View& document) {
  const auto sequence = document.integer("sequence");
  auto record = document.str("record");
  if (!sequence || !record) {
    throw Error(Status::corrupt,
                "a document in ptsecure.records lacks its sequence or its record; "
                "restore it from a backup");
  }
  return {*sequence, std::move(*record)};
}

// The first record of a chain claims its name, so that no other one differs only in case.
void claim(Session& session, const ChainPlace& place) {
  const std::string id = ChainPlace{place.parent, lower_case(place.leaf)}.key();
  Bson wanted;
  wanted.str("_id", id).str("parent", place.parent).str("leaf", place.leaf);
  Bson fields;
  fields.i32("format", 1);
  if (put_once(session, kChains, wanted, fields)) return;
  const auto row = session.find_one(kChains, by_id(id));
  const auto leaf = row ? row->view().str("leaf") : std::nullopt;
  throw Error(Status::already_exists, "the name '" + place.leaf +
                                          "' differs only in case from the existing '" +
                                          leaf.value_or("") + "'; use that name or another one");
}

// What `take` gathers from these fields of the records that match. An index holds them, so no
// document is read.
template <typename Result, typename Take>
Result from_index(Clients& clients, const Bson& filter, const Bson* sort,
                  std::initializer_list<const char*> fields, const CancelToken& cancel,
                  const Take& take) {
  Bson projection;
  projection.i32("_id", 0);
  for (const char* field : fields) projection.i32(field, 1);
  Find wanted;
  wanted.sort = sort;
  wanted.projection = &projection;
  return clients.run(cancel, [&](Session& session) {
    Result result;
    session.find(kRecords, filter, wanted, [&](const View& row) { take(result, row); });
    return result;
  });
}

void require_previous(Session& session, const ChainPlace& place, std::uint64_t sequence) {
  if (session.find_one(kRecords, by_id(numbered_id(place.key(), sequence - 1)))) return;
  throw Error(Status::conflict, "record " + std::to_string(sequence) + " of " + place.key() +
                                    " can't be appended: record " + std::to_string(sequence - 1) +
                                    " is missing; read the chain again");
}

}  // namespace

void MongodbStore::append_record(const ChainId& chain, std::uint64_t sequence,
                                 std::string_view record, const CancelToken& cancel) {
  const ChainPlace place = place_of(chain);
  check_number(sequence, "the sequence of a record");
  check_stored_text(record, "record");
  require(cancel);
  Bson wanted = by_id(numbered_id(place.key(), sequence));
  wanted.str("record", record);
  Bson fields;
  fields.str("chain", place.key())
      .str("parent", place.parent)
      .str("leaf", place.leaf)
      .i64("sequence", sequence);
  clients_->run(cancel, [&](Session& session) {
    if (sequence == 1) {
      claim(session, place);
    } else {
      require_previous(session, place, sequence);
    }
    if (put_once(session, kRecords, wanted, fields)) return;
    throw Error(Status::conflict, "record " + std::to_string(sequence) + " of " + place.key() +
                                      " was written by somebody else; read the chain again");
  });
}

std::vector<StoredRecord> MongodbStore::records(const ChainId& chain, std::uint64_t first,
                                                std::size_t limit, ReadConcern concern,
                                                const CancelToken& cancel) {
  const ChainPlace place = place_of(chain);
  require(cancel);
  if (limit == 0) return {};
  Bson from;
  from.i64("$gte", std::min<std::uint64_t>(first, INT64_MAX));
  Bson filter;
  filter.str("chain", place.key()).doc("sequence", from);
  Bson sort;
  sort.i32("sequence", 1);
  Find wanted;
  wanted.sort = &sort;
  wanted.limit = limit;
  wanted.concern = concern;
  return clients_->run(cancel, [&](Session& session) {
    std::vector<StoredRecord> rows;
    session.find(kRecords, filter, wanted,
                 [&rows](const View& document) { rows.push_back(record_of(document)); });
    return rows;
  });
}

std::optional<StoredRecord> MongodbStore::last_record(const ChainId& chain, ReadConcern concern,
                                                      const CancelToken& cancel) {
  const ChainPlace place = place_of(chain);
  require(cancel);
  Bson filter;
  filter.str("chain", place.key());
  Bson sort;
  sort.i32("sequence", -1);
  Find wanted;
  wanted.sort = &sort;
  wanted.limit = 1;
  wanted.concern = concern;
  return clients_->run(cancel, [&](Session& session) {
    std::optional<StoredRecord> last;
    session.find(kRecords, filter, wanted,
                 [&last](const View& document) { last = record_of(document); });
    return last;
  });
}

std::vector<std::uint64_t> MongodbStore::record_numbers(const ChainId& chain,
                                                        const CancelToken& cancel) {
  const ChainPlace place = place_of(chain);
  require(cancel);
  Bson filter;
  filter.str("chain", place.key());
  Bson sort;
  sort.i32("sequence", 1);
  using Numbers = std::vector<std::uint64_t>;
  return from_index<Numbers>(*clients_, filter, &sort, {"sequence"}, cancel,
                             [](Numbers& numbers, const View& row) {
                               if (const auto sequence = row.integer("sequence"))
                                 numbers.push_back(*sequence);
                             });
}

std::vector<std::string> MongodbStore::chains(const ChainId& prefix, const CancelToken& cancel) {
  const std::string parent = joined(prefix);
  require(cancel);
  Bson filter;
  filter.str("parent", parent).i64("sequence", 1);
  Bson sort;
  sort.i32("leaf", 1);
  using Leaves = std::vector<std::string>;
  return from_index<Leaves>(*clients_, filter, &sort, {"leaf"}, cancel,
                            [](Leaves& leaves, const View& row) {
                              if (auto leaf = row.str("leaf")) leaves.push_back(std::move(*leaf));
                            });
}

std::vector<ChainHead> MongodbStore::heads(const ChainId& prefix, const CancelToken& cancel) {
  const std::string parent = joined(prefix);
  require(cancel);
  Bson filter;
  filter.str("parent", parent);
  using Last = std::map<std::string, std::uint64_t>;
  const Last last = from_index<Last>(*clients_, filter, nullptr, {"leaf", "sequence"}, cancel,
                                     [](Last& known, const View& row) {
                                       auto leaf = row.str("leaf");
                                       const auto sequence = row.integer("sequence");
                                       if (!leaf || !sequence) return;
                                       std::uint64_t& highest = known[std::move(*leaf)];
                                       highest = std::max(highest, *sequence);
                                     });
  std::vector<ChainHead> heads;
  heads.reserve(last.size());
  for (const auto& [leaf, sequence] : last) heads.push_back({leaf, sequence});
  return heads;
}

// A change stream. Where it broke off is of no matter: `changed` is called when one begins.
void MongodbStore::watch(const ChainId& prefix, const std::function<void()>& changed,
                         const CancelToken& cancel) {
  using std::chrono::milliseconds;
  constexpr milliseconds kShortest{200};
  constexpr milliseconds kLongest{10'000};
  Bson appended;
  appended.str("operationType", "insert").str("fullDocument.parent", joined(prefix));
  Bson match;
  match.doc("$match", appended);
  const Bson pipeline = array_of(match);
  for (milliseconds pause = kShortest;; pause = std::min(2 * pause, kLongest)) {
    try {
      require(cancel);
      clients_->run(cancel, [&](Session& session) {
        if (session.standalone()) {
          throw Error(Status::unsupported, "a server that is no replica set has no change streams");
        }
        session.watch(
            kRecords, pipeline,
            [&] {
              pause = kShortest;
              changed();
            },
            cancel);
      });
    } catch (const Error& error) {
      const Status status = error.status();
      if (status == Status::cancelled || status == Status::unsupported ||
          status == Status::permission_denied || status == Status::closed) {
        throw;
      }
    }
    cancel.sleep_for(pause);
  }
}

void MongodbStore::put_wraps(const std::string& key_id, std::uint64_t sequence,
                             std::string_view wraps, const CancelToken& cancel) {
  check_component(key_id, "key id");
  check_number(sequence, "the sequence of wrapped keys");
  check_stored_text(wraps, "set of wrapped keys");
  require(cancel);
  Bson wanted = by_id(numbered_id(key_id, sequence));
  wanted.str("wraps", wraps);
  Bson fields;
  fields.str("key_id", key_id).i64("sequence", sequence);
  clients_->run(cancel, [&](Session& session) {
    if (put_once(session, kWraps, wanted, fields)) return;
    throw Error(Status::conflict, "other wrapped keys are stored for key " + key_id + ", record " +
                                      std::to_string(sequence) + "; read them again");
  });
}

std::optional<std::string> MongodbStore::get_wraps(const std::string& key_id,
                                                   std::uint64_t sequence,
                                                   const CancelToken& cancel) {
  check_component(key_id, "key id");
  require(cancel);
  const Bson filter = by_id(numbered_id(key_id, sequence));
  const auto row =
      clients_->run(cancel, [&](Session& session) { return session.find_one(kWraps, filter); });
  if (!row) return std::nullopt;
  auto wraps = row->view().str("wraps");
  if (!wraps) {
    throw Error(Status::corrupt, "the document of key " + key_id +
                                     " in ptsecure.wraps holds no wrapped keys; restore it from a "
                                     "backup");
  }
  return wraps;
}

void MongodbStore::remove_wraps(const std::string& key_id, const CancelToken& cancel) {
  check_component(key_id, "key id");
  require(cancel);
  Bson filter;
  filter.str("key_id", key_id);
  clients_->run(cancel, [&](Session& session) { session.remove(kWraps, filter); });
}

}  // namespace ptsecure::mongodb
