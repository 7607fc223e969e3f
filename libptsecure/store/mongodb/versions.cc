#include <algorithm>

#include "libptsecure/base/text.hpp"
#include "libptsecure/crypto/random.hpp"
#include "libptsecure/store/component.hpp"
#include "libptsecure/store/mongodb/store.hpp"

namespace ptsecure::mongodb {
namespace {

constexpr int kMaxTries = 100;

Bson current_date(const char* field) {
  Bson out;
  out.boolean(field, true);
  return out;
}

VersionRow row_of(const View& document) {
  const auto name = document.str("name");
  const auto version = document.integer("version");
  auto manifest = document.str("manifest");
  if (!name || !version || !manifest) {
    throw Error(Status::corrupt,
                "a document in ptsecure.versions lacks its name, version or "
                "manifest; restore it from a backup");
  }
  return {*name, *version, std::move(*manifest)};
}

// The counter of a name. Only a hint: the number is taken by inserting the version.
std::uint64_t next_number(Session& session, const std::string& name) {
  Bson place;
  place.str("_id", lower_case(name)).str("name", name);
  Bson one;
  one.i64("last", 1);
  Bson change;
  change.doc("$inc", one);
  for (int attempt = 0;; ++attempt) {
    try {
      const Bson row = session.upsert_and_get(kNames, place, change);
      const auto last = row.view().integer("last");
      if (last) return *last;
      throw Error(Status::corrupt, "the document of '" + name +
                                       "' in ptsecure.names holds no number; remove its field "
                                       "'last'");
    } catch (const Failure& failure) {
      if (!failure.duplicate_key()) throw;
    }
    const auto taken = session.find_one(kNames, by_id(lower_case(name)));
    const auto owner = taken ? taken->view().str("name") : std::nullopt;
    if ((owner && *owner != name) || attempt == kMaxTries) {
      throw Error(Status::already_exists,
                  "the name '" + name + "' differs only in case from the existing model '" +
                      owner.value_or("") + "'; use that name or another one");
    }
  }
}

// True when the number is this token's, now or since an earlier attempt.
bool take_number(Session& session, const Reservation& wanted) {
  Bson place;
  place.str("_id", numbered_id(wanted.name, wanted.version)).str("token", wanted.token);
  Bson fields;
  fields.str("name", wanted.name).i64("version", wanted.version).str("state", "writing");
  Bson dates;
  dates.boolean("created", true).boolean("lease", true);
  Bson change;
  change.doc("$setOnInsert", fields).doc("$currentDate", dates);
  try {
    session.update(kVersions, place, change, true);
    return true;
  } catch (const Failure& failure) {
    if (!failure.duplicate_key()) throw;
    return false;
  }
}

// After the counter was lost or set back: it continues behind the highest number there is.
void catch_up(Session& session, const std::string& name) {
  Bson filter;
  filter.str("name", name);
  Bson sort;
  sort.i32("version", -1);
  Find newest;
  newest.sort = &sort;
  newest.limit = 1;
  session.find(kVersions, filter, newest, [&](const View& document) {
    const auto version = document.integer("version");
    if (!version) return;
    Bson last;
    last.i64("last", *version);
    Bson change;
    change.doc("$max", last);
    session.update(kNames, by_id(lower_case(name)), change, false);
  });
}

// Sets the state of a reservation that is still being written.
bool set_state(Session& session, const Reservation& reservation, const Bson& fields) {
  Bson filter;
  filter.str("_id", numbered_id(reservation.name, reservation.version))
      .str("state", "writing")
      .str("token", reservation.token);
  Bson change;
  change.doc("$set", fields).doc("$currentDate", current_date("changed"));
  return session.update(kVersions, filter, change, false).matched;
}

Error not_yours(const Reservation& reservation, const std::string& state) {
  return {Status::conflict, "version " + std::to_string(reservation.version) + " of '" +
                                reservation.name + "' is " + state +
                                ", no longer reserved by this publish; publish again"};
}

void check_reservation(const Reservation& reservation) {
  check_component(reservation.name, "model name");
  check_number(reservation.version, "a version");
}

}  // namespace

Reservation MongodbStore::reserve(const std::string& name, const CancelToken& cancel) {
  check_component(name, "model name");
  require(cancel);
  Reservation wanted{name, 0, random_id()};
  clients_->run(cancel, [&](Session& session) {
    // The number of an attempt whose answer was lost is still ours.
    if (wanted.version != 0 && take_number(session, wanted)) return;
    for (int attempt = 0; attempt < kMaxTries; ++attempt) {
      wanted.version = next_number(session, name);
      check_number(wanted.version, "a version");
      if (take_number(session, wanted)) return;
      catch_up(session, name);
    }
    throw Error(Status::conflict, "no version number of '" + name + "' could be taken in " +
                                      std::to_string(kMaxTries) + " tries; publish again");
  });
  return wanted;
}

void MongodbStore::commit(const Reservation& reservation, std::string_view manifest,
                          const CancelToken& cancel) {
  check_reservation(reservation);
  check_stored_text(manifest, "manifest");
  require(cancel);
  Bson fields;
  fields.str("state", "committed").str("manifest", manifest);
  clients_->run(cancel, [&](Session& session) {
    if (set_state(session, reservation, fields)) return;
    // An earlier attempt of ours may have done it; the same update again, on what it would have
    // left, waits until that is durable.
    Bson done;
    done.str("_id", numbered_id(reservation.name, reservation.version))
        .str("state", "committed")
        .str("token", reservation.token)
        .str("manifest", manifest);
    Bson change;
    change.doc("$set", fields);
    if (session.update(kVersions, done, change, false).matched) return;
    const auto row =
        session.find_one(kVersions, by_id(numbered_id(reservation.name, reservation.version)));
    const auto state = row ? row->view().str("state") : std::nullopt;
    throw not_yours(reservation, state.value_or("gone"));
  });
}

void MongodbStore::abandon(const Reservation& reservation, const CancelToken& cancel) {
  check_reservation(reservation);
  require(cancel);
  clients_->run(cancel, [&](Session& session) {
    Bson dead;
    dead.str("state", "dead");
    if (set_state(session, reservation, dead)) return;
    const auto row =
        session.find_one(kVersions, by_id(numbered_id(reservation.name, reservation.version)));
    const auto state = row ? row->view().str("state") : std::nullopt;
    if (state && *state != "dead") throw not_yours(reservation, *state);
  });
  remove_blobs(*clients_, reservation.name, reservation.version, cancel);
}

void renew_lease(Clients& clients, const Reservation& reservation, const CancelToken& cancel) {
  Bson filter;
  filter.str("_id", numbered_id(reservation.name, reservation.version))
      .str("state", "writing")
      .str("token", reservation.token);
  Bson change;
  change.doc("$currentDate", current_date("lease"));
  clients.run(cancel, [&](Session& session) {
    if (!session.update(kVersions, filter, change, false).matched) {
      throw not_yours(reservation, "committed or given up");
    }
  });
}

std::optional<VersionRow> MongodbStore::find(const std::string& name, std::uint64_t version,
                                             const CancelToken& cancel) {
  check_component(name, "model name");
  require(cancel);
  Bson filter = by_id(numbered_id(name, version));
  filter.str("state", "committed");
  const auto row =
      clients_->run(cancel, [&](Session& session) { return session.find_one(kVersions, filter); });
  if (!row) return std::nullopt;
  return row_of(row->view());
}

std::optional<VersionRow> MongodbStore::newest(const std::string& name, const CancelToken& cancel) {
  std::vector<VersionRow> rows = versions(name, 0, 1, cancel);
  if (rows.empty()) return std::nullopt;
  return std::move(rows.front());
}

std::vector<VersionRow> MongodbStore::versions(const std::string& name, std::uint64_t before,
                                               std::size_t limit, const CancelToken& cancel) {
  check_component(name, "model name");
  require(cancel);
  if (limit == 0) return {};
  Bson filter;
  filter.str("state", "committed").str("name", name);
  if (before > 0) {
    Bson below;
    below.i64("$lt", before);
    filter.doc("version", below);
  }
  Bson sort;
  sort.i32("version", -1);
  Find wanted;
  wanted.sort = &sort;
  wanted.limit = limit;
  return clients_->run(cancel, [&](Session& session) {
    std::vector<VersionRow> rows;
    session.find(kVersions, filter, wanted,
                 [&rows](const View& document) { rows.push_back(row_of(document)); });
    return rows;
  });
}

namespace {

// names after `after` -> each with its newest committed version, found through the index.
Bson models_pipeline(const std::string& after, std::size_t limit) {
  Bson above;
  above.str("$gt", after);
  Bson match;
  match.doc("name", above);
  Bson by_name;
  by_name.i32("name", 1);

  Bson operands;
  operands.str("0", "$name").str("1", "$$model");
  Bson equal;
  equal.array("$eq", operands);
  Bson inner_match;
  inner_match.str("state", "committed").doc("$expr", equal);
  Bson newest_first;
  newest_first.i32("version", -1);
  Bson stage_match;
  stage_match.doc("$match", inner_match);
  Bson stage_sort;
  stage_sort.doc("$sort", newest_first);
  Bson stage_limit;
  stage_limit.i32("$limit", 1);
  Bson let;
  let.str("model", "$name");
  Bson lookup;
  lookup.str("from", kVersions)
      .doc("let", let)
      .array("pipeline", array_of(stage_match, stage_sort, stage_limit))
      .str("as", "newest");

  Bson first;
  first.doc("$match", match);
  Bson second;
  second.doc("$sort", by_name);
  Bson third;
  third.doc("$lookup", lookup);
  Bson fourth;
  fourth.str("$unwind", "$newest");
  Bson fifth;
  fifth.i64("$limit", limit);
  return array_of(first, second, third, fourth, fifth);
}

}  // namespace

std::vector<ModelRow> MongodbStore::models(const std::string& after, std::size_t limit,
                                           const CancelToken& cancel) {
  require(cancel);
  if (limit == 0) return {};
  const Bson pipeline = models_pipeline(after, std::min<std::size_t>(limit, INT32_MAX));
  return clients_->run(cancel, [&](Session& session) {
    std::vector<ModelRow> rows;
    session.aggregate(kNames, pipeline, [&rows](const View& document) {
      const std::optional<Bson> newest = document.doc("newest");
      if (!newest) return;
      VersionRow row = row_of(newest->view());
      rows.push_back({row.name, std::move(row)});
    });
    return rows;
  });
}

}  // namespace ptsecure::mongodb
