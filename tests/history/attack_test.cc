#include <nlohmann/json.hpp>

#include "libptsecure/crypto/jws.hpp"
#include "tests/registry/place.hpp"

// What somebody who may write to the store, but holds no key, may try: on a folder and on MongoDB.
namespace ptsecure {
namespace {

constexpr std::size_t kModelSize = 2 * kSegmentSize + 100;

class Attack : public PlaceTest {
 protected:
  // Opening and verifying both notice, at both levels and without the key that unwraps.
  void expect_corrupt(const std::string& reference, const std::string& what) {
    SCOPED_TRACE(what);
    const Registry fresh(open_store(place_->uri(), {}), 2);
    for (const VerifyLevel level : {VerifyLevel::signed_, VerifyLevel::aead}) {
      EXPECT_EQ(status_of([&] { decrypt(reference, nullptr, level); }), Status::corrupt);
    }
    const Keyring verifier = keys_.split(Role::verifier);
    for (const Keyring* keys : std::initializer_list<const Keyring*>{&keys_, &verifier}) {
      const std::optional<Error> found = fresh.verify(reference, *keys, {}, {});
      ASSERT_TRUE(found);
      EXPECT_EQ(found->status(), Status::corrupt) << found->what();
    }
  }
};

TEST_P(Attack, ManifestsCantMoveBetweenVersionsNamesAndStores) {
  publish("digits", model_bytes(100, 1));
  publish("digits", model_bytes(100, 2));
  publish("letters", model_bytes(100, 3));
  Store& store = registry_->store();
  const VersionRow one = *store.find("digits", 1, {});
  const auto put = [&](const std::string& name, const std::string& manifest) {
    const Reservation reservation = store.reserve(name, {});
    store.commit(reservation, manifest, {});
    return name + "/" + std::to_string(reservation.version);
  };
  EXPECT_EQ(status_of([&] { decrypt(put("digits", one.manifest)); }),
            Status::untrusted);  // old as newest
  EXPECT_EQ(status_of([&] { decrypt(put("letters", one.manifest)); }),
            Status::untrusted);  // another name

  const auto other = open_store((root_ / "staging").string(), {});
  other->ensure_created({});
  const Reservation reservation = other->reserve("digits", {});
  other->commit(reservation, one.manifest, {});
  EXPECT_EQ(status_of([&] { Registry(other, 1).fetch("digits/1", keys_, {}); }), Status::untrusted);
}

TEST_P(Attack, UnsignedAndForeignManifestsAreRefused) {
  publish("digits", model_bytes(100));
  Store& store = registry_->store();
  const std::string good = store.find("digits", 1, {})->manifest;
  const std::string payload = good.substr(good.find('.') + 1, good.rfind('.') - good.find('.') - 1);
  const std::string none =
      "eyJhbGciOiJub25lIiwidHlwIjoicHRzZWN1cmUtbWFuaWZlc3QrandzIn0." + payload + ".";
  for (const std::string& bad : {none, payload, std::string("x"), std::string("..."), good + ".x",
                                 good.substr(0, good.size() - 2)}) {
    const Reservation reservation = store.reserve("digits", {});
    store.commit(reservation, bad, {});
    const Status status = status_of([&] { decrypt("digits"); });
    EXPECT_TRUE(status == Status::untrusted || status == Status::corrupt)
        << bad.substr(0, 20) << status_name(status);
  }
  // A manifest's payload signed as another kind of record.
  const Bytes manifest = jws_payload_unverified(good);
  const Reservation reservation = store.reserve("digits", {});
  store.commit(reservation, keys_.sign(RecordKind::alias, "digits", manifest), {});
  EXPECT_EQ(status_of([&] { decrypt("digits"); }), Status::untrusted);
}

TEST_P(Attack, WrappedKeysCantBeSwapped) {
  publish("digits", model_bytes(100, 1));
  publish("letters", model_bytes(100, 2));
  Store& store = registry_->store();
  const auto key_id = [&](const char* reference) {
    return registry_->fetch(reference, keys_, {})->manifest().payload("model").key_id;
  };
  const std::string digits = key_id("digits");
  const std::string letters = key_id("letters");
  const std::string foreign = *store.get_wraps(letters, 1, {});
  store.remove_wraps(digits, {});
  EXPECT_EQ(status_of([&] { decrypt("digits"); }), Status::corrupt);
  store.put_wraps(digits, 1, foreign, {});
  EXPECT_EQ(status_of([&] { decrypt("digits"); }), Status::corrupt);
}

TEST_P(Attack, RecordsCantMoveBetweenChains) {
  PublishOptions production;
  production.alias = "production";
  publish("digits", model_bytes(100, 1), production);
  Store& store = registry_->store();
  const std::string record =
      store.last_record({"alias", "digits", "production"}, ReadConcern::majority, {})->record;
  store.append_record({"alias", "digits", "canary"}, 1, record, {});
  EXPECT_EQ(status_of([&] { decrypt("digits@canary"); }), Status::untrusted);
  store.append_record({"alias", "digits", "production"}, 2, record, {});
  EXPECT_EQ(status_of([&] { decrypt("digits@production"); }), Status::untrusted);
}

TEST_P(Attack, PayloadsCantBeSwapped) {
  publish("digits", model_bytes(kModelSize, 1));
  publish("digits", model_bytes(kModelSize, 2));
  publish("letters", model_bytes(kModelSize, 3));
  for (const char* role : {"model", "model.digests"}) {
    for (const BlobId& other : {BlobId{"letters", 1, role}, BlobId{"digits", 2, role}}) {
      place_->swap_blobs({"digits", 1, role}, other);
      expect_corrupt("digits/1", std::string(role) + " of another");
      place_->swap_blobs({"digits", 1, role}, other);
    }
  }
  // With its digests too it is still another's: the manifest signs which.
  place_->swap_blobs({"digits", 1, "model"}, {"letters", 1, "model"});
  place_->swap_blobs({"digits", 1, "model.digests"}, {"letters", 1, "model.digests"});
  expect_corrupt("digits/1", "payload and digests of another");
}

TEST_P(Attack, SegmentsMissingDoubledOrResized) {
  using Edit = std::function<void(Place&, const BlobId&)>;
  const std::pair<const char*, Edit> edits[] = {
      {"last segment missing", [](Place& p, const BlobId& id) { p.remove_segment(id, 2); }},
      {"middle segment missing", [](Place& p, const BlobId& id) { p.remove_segment(id, 1); }},
      {"doubled", [](Place& p, const BlobId& id) { p.copy_segment(id, 0, 1); }},
      {"shorter",
       [](Place& p, const BlobId& id) { p.edit_segment(id, 1, [](Bytes& b) { b.pop_back(); }); }},
      {"longer",
       [](Place& p, const BlobId& id) { p.edit_segment(id, 2, [](Bytes& b) { b.push_back(0); }); }},
      {"empty",
       [](Place& p, const BlobId& id) { p.edit_segment(id, 0, [](Bytes& b) { b.clear(); }); }},
      {"gone", [](Place& p, const BlobId& id) { p.remove_blob(id); }},
      {"digests gone",
       [](Place& p, const BlobId& id) { p.remove_blob({id.name, id.version, "model.digests"}); }},
  };
  for (const auto& [what, edit] : edits) {
    const std::uint64_t version = publish("digits", model_bytes(kModelSize));
    edit(*place_, {"digits", version, "model"});
    expect_corrupt("digits/" + std::to_string(version), what);
  }
}

TEST_P(Attack, AnOldManifestInPlaceOfANewOne) {
  publish("digits", model_bytes(kModelSize, 1));
  publish("digits", model_bytes(kModelSize, 2));
  place_->replace_manifest("digits", 2, registry_->store().find("digits", 1, {})->manifest);
  EXPECT_EQ(status_of([&] { decrypt("digits"); }), Status::untrusted);
  EXPECT_EQ(verify("digits")->status(), Status::untrusted);
  EXPECT_EQ(decrypt("digits/1"), model_bytes(kModelSize, 1));
}

TEST_P(Attack, FailedOpensKeepNoFileOpen) {
  const auto open_files = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator{});
  };
  publish("digits", model_bytes(kModelSize));
  place_->edit_segment({"digits", 1, "model"}, 1, [](Bytes& bytes) { bytes[5] ^= 1; });
  const auto fail = [&] {
    EXPECT_EQ(status_of([&] { decrypt("digits"); }), Status::corrupt);
    EXPECT_EQ(status_of([&] { decrypt("letters"); }), Status::not_found);
  };
  for (int i = 0; i < 3; ++i) fail();  // connections are kept for the next call
  const auto before = open_files();
  for (int i = 0; i < 10; ++i) fail();
  EXPECT_LE(open_files(), before);
}

TEST_P(Attack, DeletionWhileOpeningGivesAllOrAnError) {
  const Bytes model = model_bytes(20 * kSegmentSize);
  for (const bool digests : {false, true}) {
    const std::uint64_t version = publish("digits", model);
    const BlobId id{"digits", version, digests ? "model.digests" : "model"};
    OpenOptions options;
    bool removed = false;
    options.progress = [&](std::uint64_t, std::uint64_t) {
      if (!removed) place_->remove_blob(id);
      removed = true;
    };
    Bytes out(model.size());
    const auto package = registry_->fetch("digits", keys_, {});
    const Status status = status_of([&] { package->decrypt(options, out); });
    EXPECT_TRUE(removed);
    EXPECT_TRUE(status == Status::corrupt || (status == Status::ok && out == model))
        << status_name(status);
  }
}

INSTANTIATE_TEST_SUITE_P(Folder, Attack, testing::Values("Folder"));
#if PTSECURE_WITH_MONGODB
// What may change without changing anything that is read: ids are how a document is found, dates
// say nothing, the token served the commit, and what repeats the id of a key's or the log's
// documents serves lists.
bool is_nobodys_claim(const nlohmann::json& document, const std::string& field) {
  const nlohmann::json& value = document.at(field);
  if (field == "_id" || field == "token" || value.contains("$date")) return true;
  if (!document["_id"].is_string()) return false;
  const std::string parent = document.value("parent", "");
  const bool listed = parent == "key" || document["_id"].get<std::string>().starts_with("log");
  return (listed && (field == "parent" || field == "leaf" || field == "format")) ||
         (document.contains("key_id") && (field == "key_id" || field == "sequence")) ||
         (parent.starts_with("alias/") && field == "format");
}

// A changed field of any document: `verify` finds it, as it does in a folder's files.
TEST(MongodbAttack, EveryChangedFieldIsFound) {
  DatabasePlace place;
  const Keyring keys = Keyring::generate();
  const Registry registry(open_store(place.uri(), {}), 2);
  PublishOptions options;
  options.format = std::string(kOpaque);
  options.alias = "production";
  const Bytes model = model_bytes(5000);
  registry.publish("digits", *memory_input(model), keys, options);
  ASSERT_FALSE(registry.verify("digits", keys, {}, {}));
  const std::string last_of_log =
      "log/" +
      std::to_string(registry.store().last_record({"log"}, ReadConcern::majority, {})->sequence);
  std::size_t changes = 0;
  for (const char* collection : {"ptsecure.meta", "ptsecure.names", "ptsecure.versions",
                                 "ptsecure.records", "ptsecure.chains", "ptsecure.wraps",
                                 "ptsecure.payloads.files", "ptsecure.payloads.chunks"}) {
    const auto reply =
        nlohmann::json::parse(place.command(R"({"find":")" + std::string(collection) + R"("})"));
    const auto& documents = reply["cursor"]["firstBatch"];
    EXPECT_FALSE(documents.empty()) << collection;
    for (const auto& document : documents) {
      const std::string filter = R"({"_id":)" + document["_id"].dump() + "}";
      for (const auto& [field, value] : document.items()) {
        if (is_nobodys_claim(document, field)) continue;
        if (document["_id"] == last_of_log && field == "chain")
          continue;  // a cut tail: see History
        nlohmann::json changed = value;
        nlohmann::json& leaf = changed.is_object() && changed.contains("$binary")
                                   ? changed["$binary"]["base64"]
                               : changed.is_object() ? changed.front()
                                                     : changed;
        if (leaf.is_string()) {
          std::string text = leaf.get<std::string>();
          if (text.empty()) text = "-";
          char& middle = text[text.size() / 2];
          middle = middle == 'A' ? 'B' : 'A';
          leaf = text;
        } else {
          ASSERT_TRUE(leaf.is_number()) << collection << " " << field << " " << value;
          leaf = leaf.get<std::int64_t>() + (field == "sequence" ? 1000 : -1);  // not a neighbour's
        }
        const auto set = [&](const nlohmann::json& to) {
          place.update(collection, filter, R"({"$set":{")" + field + "\":" + to.dump() + "}}");
        };
        set(changed);
        EXPECT_TRUE(Registry(open_store(place.uri(), {}), 2).verify("digits", keys, {}, {}))
            << collection << " " << filter << " " << field;
        set(value);
        ++changes;
      }
    }
  }
  EXPECT_GT(changes, 30U);
  const auto left = registry.verify("digits", keys, {}, {});
  EXPECT_FALSE(left) << left->what();
}

INSTANTIATE_TEST_SUITE_P(Mongodb, Attack, testing::Values("Mongodb"));
#endif

}  // namespace
}  // namespace ptsecure
