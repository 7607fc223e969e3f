#include <algorithm>
#include <set>

#include "libptsecure/base/text.hpp"
#include "libptsecure/store/component.hpp"
#include "libptsecure/store/mongodb/store.hpp"

namespace ptsecure::mongodb {
namespace {

[[noreturn]] void damaged(const std::string& what) {
  throw Error(Status::corrupt, what + "; restore it from a backup");
}

std::string text(const View& row, const char* key) {
  return row.str(key).value_or("");
}

// Every version's place agrees with its fields. Returns the highest number.
std::uint64_t check_versions(Session& session, const std::string& name) {
  Bson filter;
  filter.str("name", name);
  Bson projection;
  projection.i32("name", 1).i32("version", 1).i32("state", 1);
  Find wanted;
  wanted.projection = &projection;
  std::uint64_t highest = 0;
  session.find(kVersions, filter, wanted, [&](const View& row) {
    const std::uint64_t version = row.integer("version").value_or(0);
    const std::string id = text(row, "_id");
    const std::string state = text(row, "state");
    if (version == 0 || id != numbered_id(name, version)) {
      damaged("the document '" + id + "' in ptsecure.versions says that it is version " +
              std::to_string(version) + " of '" + name + "'");
    }
    if (state != "writing" && state != "committed" && state != "dead") {
      damaged("version " + std::to_string(version) + " of '" + name +
              "' in ptsecure.versions is in no known state");
    }
    highest = std::max(highest, version);
  });
  return highest;
}

// No version stands under the name's key with another name in its field, where no search by name
// would find it.
void check_hidden(Session& session, const std::string& name) {
  Bson range;
  range.str("$gte", name + "/").str("$lt", name + "0");
  Bson other;
  other.str("$ne", name);
  Bson filter;
  filter.doc("_id", range).doc("name", other);
  if (const auto row = session.find_one(kVersions, filter)) {
    damaged("the document '" + text(row->view(), "_id") +
            "' in ptsecure.versions bears another model's name");
  }
}

void check_name(Session& session, const std::string& name, std::uint64_t highest) {
  const auto row = session.find_one(kNames, by_id(lower_case(name)));
  if (!row || text(row->view(), "name") != name) {
    damaged("the name '" + name + "' is not claimed in ptsecure.names, though it has versions");
  }
  if (row->view().integer("last").value_or(0) < highest) {
    damaged("the counter of '" + name + "' in ptsecure.names is behind its newest version");
  }
}

void check_files(Session& session, const std::string& name) {
  Bson range;
  range.str("$gte", name + "/").str("$lt", name + "0");
  Bson filter;
  filter.doc("_id", range);
  session.find(kFiles, filter, {}, [&](const View& row) {
    const std::string id = text(row, "_id");
    const auto metadata = row.doc("metadata");
    const std::string expected =
        !metadata ? ""
                  : numbered_id(text(metadata->view(), "name"),
                                metadata->view().integer("version").value_or(0)) +
                        "/" + text(metadata->view(), "role");
    if (id != text(row, "filename") || id != expected ||
        row.integer("chunkSize") != std::uint64_t{kSegmentSize} || !row.integer("length")) {
      damaged("the file '" + id + "' in ptsecure.payloads.files doesn't agree with its own name");
    }
  });
}

// Whatever stands under `place` in _id or says in `field` that it belongs to `value`.
Bson under(const std::string& place, const char* field, const std::string& value) {
  Bson range;
  range.str("$gte", place + "/").str("$lt", place + "0");
  Bson by_place;
  by_place.doc("_id", range);
  Bson by_field;
  by_field.str(field, value);
  Bson out;
  out.array("$or", array_of(by_place, by_field));
  return out;
}

std::string key_of(const std::string& parent, const std::string& leaf) {
  return parent.empty() ? leaf : parent + "/" + leaf;
}

[[noreturn]] void misplaced(const std::string& id, const char* collection) {
  damaged("the document '" + id + "' in " + collection + " doesn't agree with its place");
}

// Every record that `filter` finds is one of a chain right under `parent` and stands where its
// fields say. Returns those chains' last components.
std::set<std::string> check_records(Session& session, const Bson& filter,
                                    const std::string& parent) {
  Bson projection;
  projection.i32("record", 0);
  Find wanted;
  wanted.projection = &projection;
  std::set<std::string> leaves;
  session.find(kRecords, filter, wanted, [&](const View& row) {
    const std::string id = text(row, "_id");
    const std::string leaf = text(row, "leaf");
    const std::uint64_t sequence = row.integer("sequence").value_or(0);
    const std::string key = key_of(parent, leaf);
    if (text(row, "parent") != parent || text(row, "chain") != key ||
        id != numbered_id(key, sequence)) {
      misplaced(id, "ptsecure.records");
    }
    leaves.insert(leaf);
  });
  return leaves;
}

// The claims that `filter` finds stand where their fields say, one for each of `leaves`.
void check_claims(Session& session, const Bson& filter, const std::string& parent,
                  std::set<std::string> leaves) {
  session.find(kChains, filter, {}, [&](const View& row) {
    const std::string leaf = text(row, "leaf");
    if (text(row, "parent") != parent || text(row, "_id") != key_of(parent, lower_case(leaf))) {
      misplaced(text(row, "_id"), "ptsecure.chains");
    }
    leaves.erase(leaf);
  });
  if (leaves.empty()) return;
  damaged("the chain '" + key_of(parent, *leaves.begin()) + "' is not claimed in ptsecure.chains");
}

void check_aliases(Session& session, const std::string& name) {
  const std::string parent = "alias/" + name;
  const Bson filter = under(parent, "parent", parent);
  check_claims(session, filter, parent, check_records(session, filter, parent));
}

void check_log(Session& session) {
  const std::set<std::string> leaves = check_records(session, under("log", "chain", "log"), "");
  check_claims(session, by_id("log"), "", leaves);
}

}  // namespace

void MongodbStore::check(const std::string& name, const CancelToken& cancel) {
  check_component(name, "model name");
  (void)id(cancel);
  clients_->run(cancel, [&](Session& session) {
    const std::uint64_t highest = check_versions(session, name);
    check_hidden(session, name);
    if (highest > 0) check_name(session, name, highest);
    check_files(session, name);
    check_aliases(session, name);
    check_log(session);
  });
}

}  // namespace ptsecure::mongodb
