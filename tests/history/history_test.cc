#include <algorithm>

#include "libptsecure/crypto/jws.hpp"
#include "libptsecure/history/announce.hpp"
#include "libptsecure/history/bodies.hpp"
#include "tests/history/history_fixture.hpp"

// What somebody who may write to the store, but holds no signing key, may try on its history: on a
// folder and on MongoDB.
namespace ptsecure {
namespace {

const ChainId kProduction = {"alias", "digits", "production"};
const ChainId kLog = {"log"};

// Somebody's change to one record; no text = it is removed.
struct Change {
  ChainId chain;
  std::uint64_t sequence;
  std::string record;
};
enum class Who { client, stranger, both };  // one that remembers the history; one that doesn't
struct Refusal {
  Who who;
  std::function<void(const Registry&)> call;
  std::vector<Status> statuses;  // one of these
  std::string phrase;
};
struct Report {  // a finding of `log verify`
  Who who;
  std::string check;
  Status status;
  std::string phrase;
  std::optional<RecordMark> head = {};
};
struct Damage {
  std::string name;
  std::vector<Change> changes;
  std::vector<Refusal> refusals;
  std::vector<Report> reports;
};

class Damaged : public History {
 protected:
  // Each alone: it is undone before the next.
  void expect_noticed(const std::shared_ptr<Registry>& client, const std::vector<Damage>& damages) {
    for (const Damage& damage : damages) {
      SCOPED_TRACE(damage.name);
      std::vector<Change> honest;
      for (const Change& change : damage.changes) {
        const auto found =
            registry_->store().records(change.chain, change.sequence, 1, kMajority, {});
        const bool there = !found.empty() && found[0].sequence == change.sequence;
        honest.push_back({change.chain, change.sequence, there ? found[0].record : ""});
      }
      for (const Change& change : damage.changes) make(change);
      for (const Refusal& refusal : damage.refusals) {
        for (const auto& reader : readers(refusal.who, client)) expect(refusal, *reader);
      }
      for (const Report& report : damage.reports) {
        for (const auto& reader : readers(report.who, client)) {
          expect_reported(*reader, report.status, report.check, report.phrase, report.head);
        }
      }
      for (const Change& change : honest) make(change);
    }
    expect_honest(*client);
  }

  std::function<void(const Registry&)> fetches(const std::string& reference) const {
    return [this, reference](const Registry& registry) { fetch(registry, reference); };
  }
  std::function<void(const Registry&)> sets(std::uint64_t version) const {
    return [this, version](const Registry& registry) { set(registry, "production", version); };
  }
  std::function<void(const Registry&)> reads_the_log() const {
    return [this](const Registry& registry) { registry.log(keys_, 1, 0, {}); };
  }

 private:
  void make(const Change& change) {
    if (change.record.empty()) {
      place_->remove_record(change.chain, change.sequence);
    } else {
      place_->put_record(change.chain, change.sequence, change.record);
    }
  }
  std::vector<std::shared_ptr<Registry>> readers(Who who,
                                                 const std::shared_ptr<Registry>& client) const {
    std::vector<std::shared_ptr<Registry>> readers;
    if (who != Who::stranger) readers.push_back(client);
    if (who != Who::client) readers.push_back(fresh());
    return readers;
  }
  static void expect(const Refusal& refusal, const Registry& reader) {
    try {
      refusal.call(reader);
      ADD_FAILURE() << "not refused: " << refusal.phrase;
    } catch (const Error& error) {
      EXPECT_NE(std::find(refusal.statuses.begin(), refusal.statuses.end(), error.status()),
                refusal.statuses.end())
          << status_name(error.status()) << ": " << error.what();
      EXPECT_NE(std::string(error.what()).find(refusal.phrase), std::string::npos) << error.what();
    }
  }
};

TEST_P(Damaged, OldAliasHeadsCantBeReplayed) {
  publish_two();
  const auto client = remembering();
  expect_honest(*client);
  const std::string first = record(kProduction, 1);
  expect_noticed(
      client,
      {{.name = "the newest is removed",
        .changes = {{kProduction, 2, ""}},
        .refusals =
            {{Who::client,
              fetches("digits@production"),
              {Status::rollback},
              "was seen at record 2, and now ends with record 1"},
             {Who::client, sets(2), {Status::rollback}, "shows an older or another history"}},
        .reports = {{Who::stranger, "log record", Status::corrupt, "it was removed"}}},
       {.name = "an older one in its place",
        .changes = {{kProduction, 2, first}},
        .refusals = {{Who::both,
                      fetches("digits@production"),
                      {Status::untrusted},
                      "was signed as record 1"}},
        .reports = {}},
       {.name = "an older one after it",
        .changes = {{kProduction, 3, first}},
        .refusals = {{Who::both,
                      fetches("digits@production"),
                      {Status::untrusted},
                      "record 3 of alias 'digits@production' was signed as record 1"}},
        .reports = {{Who::stranger, "alias 'digits@production', record 3", Status::rollback,
                     "the log doesn't announce it"}}}});
}

TEST_P(History, OldBackupsOfTheWholeStoreAreNoticed) {
  const auto client = remembering();
  publish("digits", model_bytes(100, 1));
  set(*client, "production", 1);
  place_->back_up();
  publish("digits", model_bytes(100, 2));
  set(*client, "production", 2);
  expect_honest(*client);
  const RecordMark head = log_head();

  place_->restore();
  for (const auto& reader : {client, remembering()}) {
    expect_refused(Status::rollback, "version 2 of digits was seen before, and now the newest is",
                   [&] { fetch(*reader, "digits"); });
    expect_refused(Status::rollback, "alias 'digits@production' was seen at record 2",
                   [&] { fetch(*reader, "digits@production"); });
    expect_refused(Status::rollback, "the log was seen at record",
                   [&] { publish_with(*reader, "digits", model_bytes(100, 3)); });
    expect_reported(*reader, Status::rollback, "log head", "its newest records were removed");
  }
  EXPECT_EQ(status_of([&] { fetch(*fresh(), "digits/1"); }), Status::ok);
  EXPECT_FALSE(fresh()->verify_log(keys_, std::nullopt, {}, {}))
      << "without a memory an old backup is as good as new";
  expect_reported(*fresh(), Status::rollback, "log head", "which was given", head);

  // An operator who remembers nothing goes on from the backup: another history from there on.
  publish_with(*fresh(), "digits", model_bytes(100, 4));
  set(*fresh(), "production", 2);
  expect_refused(Status::rollback, "now holds another record 2 than then",
                 [&] { fetch(*client, "digits@production"); });
  expect_refused(Status::rollback, "digits/2 has another manifest than the one",
                 [&] { fetch(*client, "digits"); });
  expect_reported(*client, Status::rollback, "log head", "the log was rewritten");
  expect_reported(*fresh(), Status::rollback, "log head", "the log was rewritten", head);

  // Who knows of the restore says so.
  state_->forget(place_->uri());
  EXPECT_EQ(status_of([&] { fetch(*remembering(), "digits@production"); }), Status::ok);
  EXPECT_FALSE(remembering()->verify_log(keys_, std::nullopt, {}, {}));
}

TEST_P(Damaged, CutTailsOfTheLogAreNoticed) {
  publish_two();
  const auto client = remembering();
  EXPECT_FALSE(client->verify_log(keys_, std::nullopt, {}, {}));
  const RecordMark head = log_head();
  const std::uint64_t last = head.sequence;  // the confirmation of the last alias record
  const std::string seen = "record " + std::to_string(last) + ", ";
  std::vector<Change> all;
  for (std::uint64_t n = 1; n <= last; ++n) all.push_back({kLog, n, ""});
  expect_noticed(
      client,
      {{.name = "the newest is removed",
        .changes = {{kLog, last, ""}},
        .refusals =
            {{Who::client, reads_the_log(), {Status::rollback}, "the log was seen at record"},
             {Who::client, sets(1), {Status::rollback}, "the log was seen at record"}},
        .reports = {{Who::client, "log head", Status::rollback, seen + "remembered in"},
                    {Who::stranger, "log head", Status::rollback, seen + "which was given", head}}},
       // What the log no longer announces is in the store.
       {.name = "the newest two are removed",
        .changes = {{kLog, last, ""}, {kLog, last - 1, ""}},
        .refusals = {},
        .reports = {{Who::stranger, "alias 'digits@production', record 2", Status::rollback,
                     "the log was cut"}}},
       {.name = "all are removed",
        .changes = all,
        .refusals = {},
        .reports = {
            {Who::client, "log head", Status::rollback, "which has no records"},
            {Who::stranger, "digits/1", Status::rollback, "the log doesn't announce it"}}}});
}

TEST_P(Damaged, CutTailsOfKeyChainsAreNoticed) {
  publish_two();
  const auto client = remembering();
  const std::string id = fresh()->fetch("digits/1", keys_, {})->manifest().own_payload().key_id;
  const ChainId key = {"key", id};
  client->set_key_status("digits/1", KeyStatus::disabled, "leaked", keys_, {});
  expect_refused(Status::revoked, "disabled", [&] { fetch(*client, "digits/1"); });
  const std::string first = record(key, 1);
  const std::string disabled = record(key, 2);
  expect_noticed(
      client,
      {{.name = "the newest is removed",
        .changes = {{key, 2, ""}},
        .refusals = {{Who::client,
                      fetches("digits/1"),
                      {Status::rollback},
                      "content key " + id + " was seen at record 2"}},
        .reports = {{Who::stranger, "log record", Status::corrupt, "it was removed"}}},
       // A publisher signs the first record and no later one; an operator's stays where it was
       // signed for.
       {.name = "the publisher's in the operator's place",
        .changes = {{key, 2, first}},
        .refusals = {{Who::both,
                      fetches("digits/1"),
                      {Status::untrusted},
                      "doesn't trust for records of that kind"}},
        .reports = {}},
       {.name = "the operator's once more",
        .changes = {{key, 3, disabled}},
        .refusals =
            {{Who::both, fetches("digits/1"), {Status::untrusted}, "was signed as record 2"}},
        .reports = {}},
       {.name = "all are removed",
        .changes = {{key, 1, ""}, {key, 2, ""}},
        .refusals = {{Who::both, fetches("digits/1"), {Status::rollback, Status::corrupt}, ""}},
        .reports = {}}});
  expect_refused(Status::revoked, "disabled", [&] { fetch(*client, "digits/1"); });
  client->set_key_status("digits/1", KeyStatus::enabled, "false alarm", keys_, {});
  expect_honest(*client);
}

TEST_P(Damaged, RecordsCantMoveBetweenNamesAliasesAndStores) {
  publish_two();
  publish("letters", model_bytes(100, 3));
  set(*registry_, "canary", 1);
  registry_->set_alias("letters", "production", 1, "", keys_, {});
  const auto client = remembering();
  expect_honest(*client);

  const auto staging = std::make_unique<Registry>(open_store((root_ / "staging").string(), {}), 2);
  publish_with(*staging, "digits", model_bytes(100, 5));
  set(*staging, "production", 1);
  const std::string foreign_log = staging->store().records(kLog, 1, 1, kMajority, {})[0].record;
  const std::string foreign = staging->store().last_record(kProduction, kMajority, {})->record;

  const ChainId canary = {"alias", "digits", "canary"};
  const ChainId letters = {"alias", "letters", "production"};
  const auto moved = [&](const std::string& name, const ChainId& chain, std::uint64_t sequence,
                         const std::string& text, const std::string& phrase) {
    return Damage{
        .name = name,
        .changes = {{chain, sequence, text}},
        .refusals = {{Who::both, fetches(chain[1] + "@" + chain[2]), {Status::untrusted}, phrase}},
        .reports = {{Who::stranger, "log record", Status::corrupt, "it was replaced"}}};
  };
  const std::string production = record(kProduction, 1);
  const std::string as_production = "was signed as record 1 of alias 'digits@production'";
  expect_noticed(
      client, {moved("to another alias", canary, 1, production, as_production),
               moved("to another name", letters, 1, production, as_production),
               moved("from another name", kProduction, 2, record(letters, 1),
                     "was signed as record 1 of alias 'letters@production'"),
               moved("from another alias", kProduction, 2, record(canary, 1),
                     "was signed as record 1 of alias 'digits@canary'"),
               moved("from another store", kProduction, 2, foreign, "was signed for another store"),
               {.name = "the log's from another store",
                .changes = {{kLog, 1, foreign_log}},
                .refusals = {},
                .reports = {{Who::stranger, "log record 1", Status::untrusted,
                             "was signed for another store"}}}});
}

TEST_P(History, TheIndexBesideTheRecordsProvesNothing) {
  publish_two();
  set(*registry_, "production", 1);
  set(*registry_, "production", 2);
  const auto client = remembering();
  expect_honest(*client);

  // A record that is found under another number than it signs.
  place_->renumber(kProduction, 4, 7);
  const Status renumbered = status_of([&] { fetch(*client, "digits@production"); });
  EXPECT_TRUE(renumbered == Status::untrusted || renumbered == Status::rollback)
      << status_name(renumbered);
  expect_reported(*fresh(), Status::corrupt, "log record", "it was removed");
  place_->renumber(kProduction, 7, 4);

  // A chain under another name: another alias's, or none at all.
  place_->rename_chain(kProduction, "canary");
  expect_refused(Status::rollback, "was seen at record 4, and now it has none",
                 [&] { fetch(*client, "digits@production"); });
  expect_refused(Status::untrusted, "somebody has moved it",
                 [&] { fetch(*fresh(), "digits@canary"); });
  expect_refused(Status::untrusted, "somebody has moved it",
                 [&] { fresh()->aliases("digits", keys_, {}); });
  expect_reported(*fresh(), Status::corrupt, "log record", "it was removed");
  place_->rename_chain({"alias", "digits", "canary"}, "production");
  expect_honest(*client);

  // The newest version is gone from the index.
  place_->back_up();
  place_->remove_version("digits", 2);
  expect_refused(Status::rollback, "version 2 of digits was seen before",
                 [&] { fetch(*client, "digits"); });
  EXPECT_EQ(status_of([&] { fetch(*fresh(), "digits@production"); }), Status::not_found);
  expect_reported(*fresh(), Status::corrupt, "log record", "it was removed");
  place_->restore();
  expect_honest(*remembering());
}

TEST_P(History, AStoreSwappedOrMadeAnewIsNoticed) {
  publish_two();
  expect_honest(*remembering());
  place_->back_up();

  place_->remove_store();
  expect_refused(Status::not_found, "", [&] { fetch(*remembering(), "digits"); });
  expect_refused(Status::rollback, "(none: there is no store)",
                 [&] { publish_with(*remembering(), "digits", model_bytes(100, 1)); });

  publish_with(*fresh(), "digits", model_bytes(100, 1));
  const auto client = remembering();
  const std::string phrase = "the store was swapped or made anew";
  expect_refused(Status::rollback, phrase, [&] { fetch(*client, "digits"); });
  expect_refused(Status::rollback, phrase, [&] { fetch(*client, "digits/1"); });
  expect_refused(Status::rollback, phrase, [&] { set(*client, "production", 1); });
  expect_refused(Status::rollback, phrase, [&] { client->log(keys_, 1, 0, {}); });
  expect_refused(Status::rollback, phrase,
                 [&] { client->verify_log(keys_, std::nullopt, {}, {}); });
  expect_refused(Status::rollback, phrase,
                 [&] { publish_with(*client, "digits", model_bytes(100, 1)); });

  place_->restore();
  expect_honest(*remembering());
}

TEST_P(Damaged, LogVerifySaysWhichRecordIsWrong) {
  publish_two();
  publish("letters", model_bytes(100, 3));
  const std::uint64_t last = log_head().sequence;
  ASSERT_GE(last, 10U);
  const auto client = remembering();
  client->log(keys_, 1, 0, {});

  // One character is another one: of the payload, or of the signature.
  const auto altered = [&](std::uint64_t n, char part) {
    std::string text = record(kLog, n);
    const std::size_t at = part == 'p' ? text.find('.') + 40 : text.rfind('.') + 10;
    text[at] = text[at] == 'A' ? 'B' : 'A';
    return text;
  };
  const Keyring stranger = Keyring::generate();
  const auto resigned = [&](std::uint64_t n) {
    return stranger.sign(RecordKind::log, "digits", jws_payload_unverified(record(kLog, n)));
  };
  struct Found {
    std::string check;
    Status status;
    std::string phrase;
  };
  const auto at = [](std::uint64_t n) { return "log record " + std::to_string(n); };
  const auto damage = [&](const std::string& name, const std::map<std::uint64_t, std::string>& log,
                          const std::vector<Found>& found) {
    Damage made{.name = name, .changes = {}, .refusals = {}, .reports = {}};
    for (const auto& [n, text] : log) made.changes.push_back({kLog, n, text});
    for (const Found& one : found) {
      made.reports.push_back({Who::stranger, one.check, one.status, one.phrase});
    }
    const auto any = {Status::corrupt, Status::untrusted, Status::rollback};
    // Whoever remembers nothing reads a log that a gap has made shorter.
    made.refusals = {{Who::client, reads_the_log(), any, ""},
                     {Who::stranger,  // which looks at the log too
                      [this](const Registry& registry) {
                        if (const auto wrong = registry.verify("digits", keys_, {}, {}))
                          throw Error(*wrong);
                      },
                      any, ""}};
    return made;
  };
  const std::string in_its_place = "was altered or put in its place";
  expect_noticed(
      client,
      {damage("the first is removed", {{1, ""}}, {{at(1), Status::corrupt, "missing"}}),
       damage("one is removed", {{5, ""}}, {{at(5), Status::corrupt, "missing"}}),
       damage("three in a row are removed", {{2, ""}, {3, ""}, {4, ""}},
              {{"log records 2 to 4", Status::corrupt, "missing"}}),
       damage("two apart are removed", {{3, ""}, {7, ""}},
              {{at(3), Status::corrupt, "missing"}, {at(7), Status::corrupt, "missing"}}),
       damage("two are exchanged", {{4, record(kLog, 5)}, {5, record(kLog, 4)}},
              {{at(4), Status::untrusted, "was signed as record 5"},
               {at(5), Status::untrusted, "was signed as record 4"}}),
       damage("a signature is altered", {{6, altered(6, 's')}},
              {{at(6), Status::untrusted, "signature"}}),
       damage("a payload is altered", {{6, altered(6, 'p')}}, {{at(6), Status::untrusted, ""}}),
       damage("one is no record", {{6, "x"}}, {{at(6), Status::corrupt, ""}}),
       damage("the last one's signature is altered", {{last, altered(last, 's')}},
              {{at(last), Status::untrusted, ""}}),
       damage("a stranger signs one", {{6, resigned(6)}},
              {{at(6), Status::untrusted, in_its_place}}),
       damage("a stranger signs the last one", {{last, resigned(last)}},
              {{at(last), Status::untrusted, "nothing after it vouches for it"}})});
}

// The signed record that lost a race, put where the winner's stood.
TEST_P(History, ALosersSignedRecordDoesntExtend) {
  publish_two();
  const auto client = remembering();
  const Access access = registry_->access(keys_, none_);
  const ChainSubject subject = alias_subject("digits", "production");
  const auto head = access.records().last(subject);
  const std::string older = AliasBody::from_record(access.records().all(subject)[0]).to_json();
  const std::string newer = AliasBody::from_record(*head).to_json();
  const SignedRecord loser = access.records().sign(subject, head, older, "loser");
  append_logged(access, subject, head, newer, "winner", alias_change(2));
  expect_honest(*client);
  const std::string winner = record(kProduction, 3);

  place_->put_record(kProduction, 3, loser.jws);
  expect_refused(Status::rollback, "now holds another record 3 than then",
                 [&] { fetch(*client, "digits@production"); });
  expect_reported(*fresh(), Status::corrupt, "log record", "it was replaced");
  place_->put_record(kProduction, 3, winner);

  // In the past of a longer chain.
  set(*registry_, "production", 2);
  place_->put_record(kProduction, 3, loser.jws);
  for (const auto& reader : {client, fresh()}) {
    const Status status = status_of([&] { fetch(*reader, "digits@production"); });
    EXPECT_TRUE(status == Status::untrusted || status == Status::rollback) << status_name(status);
  }
  expect_refused(Status::untrusted, "links to another record",
                 [&] { fresh()->alias_history("digits", "production", keys_, {}); });
  place_->put_record(kProduction, 3, winner);
  expect_honest(*client);

  // The loser goes on from its own record: it extends nothing.
  const SignedRecord next =
      access.records().sign(subject, loser.record, older, "on the loser's record");
  place_->put_record(kProduction, 5, next.jws);
  for (const auto& reader : {client, fresh()}) {
    EXPECT_EQ(status_of([&] { fetch(*reader, "digits@production"); }), Status::untrusted);
  }
  place_->remove_record(kProduction, 5);
  expect_honest(*client);
}

INSTANTIATE_TEST_SUITE_P(Folder, History, testing::Values("Folder"));
INSTANTIATE_TEST_SUITE_P(Folder, Damaged, testing::Values("Folder"));
#if PTSECURE_WITH_MONGODB
INSTANTIATE_TEST_SUITE_P(Mongodb, History, testing::Values("Mongodb"));
INSTANTIATE_TEST_SUITE_P(Mongodb, Damaged, testing::Values("Mongodb"));
#endif

}  // namespace
}  // namespace ptsecure
