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

TEST_P(History, OldAliasHeadsCantBeReplayed) {
  publish_two();
  const auto client = remembering();
  expect_honest(*client);
  const std::string first = record(kProduction, 1);
  const std::string second = record(kProduction, 2);

  place_->remove_record(kProduction, 2);
  expect_refused(Status::rollback, "was seen at record 2, and now ends with record 1",
                 [&] { fetch(*client, "digits@production"); });
  expect_refused(Status::rollback, "shows an older or another history",
                 [&] { set(*client, "production", 2); });
  expect_reported(*fresh(), Status::corrupt, "log record", "it was removed");
  place_->put_record(kProduction, 2, second);

  place_->put_record(kProduction, 2, first);
  for (const auto& reader : {client, fresh()}) {
    expect_refused(Status::untrusted, "was signed as record 1",
                   [&] { fetch(*reader, "digits@production"); });
  }
  place_->put_record(kProduction, 2, second);

  registry_->store().append_record(kProduction, 3, first, {});
  for (const auto& reader : {client, fresh()}) {
    expect_refused(Status::untrusted,
                   "record 3 of alias 'digits@production' was signed as record 1",
                   [&] { fetch(*reader, "digits@production"); });
  }
  expect_reported(*fresh(), Status::rollback, "alias 'digits@production', record 3",
                  "the log doesn't announce it");
  place_->remove_record(kProduction, 3);
  expect_honest(*client);
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

TEST_P(History, CutTailsOfTheLogAreNoticed) {
  publish_two();
  const auto client = remembering();
  EXPECT_FALSE(client->verify_log(keys_, std::nullopt, {}, {}));
  const RecordMark head = log_head();
  const std::string last = record(kLog, head.sequence);

  place_->remove_record(kLog, head.sequence);  // the confirmation of the last alias record
  const std::string seen = "record " + std::to_string(head.sequence) + ", ";
  expect_reported(*client, Status::rollback, "log head", seen + "remembered in");
  expect_reported(*fresh(), Status::rollback, "log head", seen + "which was given", head);
  expect_refused(Status::rollback, "the log was seen at record",
                 [&] { client->log(keys_, 1, 0, {}); });
  expect_refused(Status::rollback, "the log was seen at record",
                 [&] { set(*client, "production", 1); });

  // Shorter still: what the log no longer announces is in the store.
  const std::string announcement = record(kLog, head.sequence - 1);
  place_->remove_record(kLog, head.sequence - 1);
  expect_reported(*fresh(), Status::rollback, "alias 'digits@production', record 2",
                  "the log was cut");
  place_->put_record(kLog, head.sequence - 1, announcement);
  place_->put_record(kLog, head.sequence, last);
  expect_honest(*client);

  // To the last record, which leaves a log that is none.
  std::vector<std::string> all;
  for (std::uint64_t n = 1; n <= head.sequence; ++n) all.push_back(record(kLog, n));
  for (std::uint64_t n = 1; n <= head.sequence; ++n) place_->remove_record(kLog, n);
  expect_reported(*client, Status::rollback, "log head", "which has no records");
  expect_reported(*fresh(), Status::rollback, "digits/1", "the log doesn't announce it");
  for (std::uint64_t n = 1; n <= head.sequence; ++n) place_->put_record(kLog, n, all[n - 1]);
  expect_honest(*client);
}

TEST_P(History, CutTailsOfKeyChainsAreNoticed) {
  publish_two();
  const auto client = remembering();
  const std::string key = fresh()->fetch("digits/1", keys_, {})->manifest().payload("model").key_id;
  client->set_key_status("digits/1", KeyStatus::disabled, "leaked", keys_, {});
  expect_refused(Status::revoked, "disabled", [&] { fetch(*client, "digits/1"); });
  const std::string disabled = record({"key", key}, 2);

  place_->remove_record({"key", key}, 2);
  expect_refused(Status::rollback, "content key " + key + " was seen at record 2",
                 [&] { fetch(*client, "digits/1"); });
  expect_reported(*fresh(), Status::corrupt, "log record", "it was removed");

  // A publisher signs the first record and no later one; an operator's stays where it was signed
  // for.
  place_->put_record({"key", key}, 2, record({"key", key}, 1));
  for (const auto& reader : {client, fresh()}) {
    expect_refused(Status::untrusted, "doesn't trust for records of that kind",
                   [&] { fetch(*reader, "digits/1"); });
  }
  place_->remove_record({"key", key}, 2);
  place_->put_record({"key", key}, 2, disabled);
  place_->put_record({"key", key}, 3, disabled);
  for (const auto& reader : {client, fresh()}) {
    expect_refused(Status::untrusted, "was signed as record 2",
                   [&] { fetch(*reader, "digits/1"); });
  }
  place_->remove_record({"key", key}, 3);
  place_->remove_record({"key", key}, 2);
  const std::string first = record({"key", key}, 1);
  place_->remove_record({"key", key}, 1);
  for (const auto& reader : {client, fresh()}) {
    const Status status = status_of([&] { fetch(*reader, "digits/1"); });
    EXPECT_TRUE(status == Status::rollback || status == Status::corrupt) << status_name(status);
  }
  place_->put_record({"key", key}, 1, first);
  place_->put_record({"key", key}, 2, disabled);
  client->set_key_status("digits/1", KeyStatus::enabled, "false alarm", keys_, {});
  expect_honest(*client);
}

TEST_P(History, RecordsCantMoveBetweenNamesAliasesAndStores) {
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

  const auto try_at = [&](const ChainId& chain, std::uint64_t sequence, const std::string& text,
                          const std::string& phrase) {
    const std::string honest = record(chain, sequence);
    place_->put_record(chain, sequence, text);
    for (const auto& reader : {client, fresh()}) {
      expect_refused(Status::untrusted, phrase, [&] { fetch(*reader, chain[1] + "@" + chain[2]); });
    }
    EXPECT_TRUE(fresh()->verify_log(keys_, std::nullopt, {}, {}));
    place_->put_record(chain, sequence, honest);
  };
  const std::string canary = record({"alias", "digits", "canary"}, 1);
  const std::string letters = record({"alias", "letters", "production"}, 1);
  const ChainId other_alias = {"alias", "digits", "canary"};
  const ChainId other_name = {"alias", "letters", "production"};
  try_at(other_alias, 1, record(kProduction, 1), "was signed as record 1 of alias 'digits@prod");
  try_at(other_name, 1, record(kProduction, 1), "was signed as record 1 of alias 'digits@prod");
  try_at(kProduction, 2, letters, "was signed as record 1 of alias 'letters@production'");
  try_at(kProduction, 2, canary, "was signed as record 1 of alias 'digits@canary'");
  try_at(kProduction, 2, foreign, "was signed for another store");

  const std::string honest = record(kLog, 1);
  place_->put_record(kLog, 1, foreign_log);
  expect_reported(*fresh(), Status::untrusted, "log record 1", "was signed for another store");
  place_->put_record(kLog, 1, honest);
  expect_honest(*client);
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

TEST_P(History, LogVerifySaysWhichRecordIsWrong) {
  publish_two();
  publish("letters", model_bytes(100, 3));
  const std::uint64_t last = log_head().sequence;
  ASSERT_GE(last, 10U);
  const auto client = remembering();
  client->log(keys_, 1, 0, {});
  const auto with = [&](const std::map<std::uint64_t, std::string>& changed,
                        const std::function<void()>& expect) {
    std::map<std::uint64_t, std::string> honest;
    for (const auto& [n, text] : changed) {
      honest[n] = record(kLog, n);
      if (text.empty()) {
        place_->remove_record(kLog, n);
      } else {
        place_->put_record(kLog, n, text);
      }
    }
    expect();
    EXPECT_TRUE(fresh()->verify("digits", keys_, {}, {})) << "`verify` looks at the log too";
    for (const auto& [n, text] : honest) place_->put_record(kLog, n, text);
  };
  const auto report = [&](Status status, const char* check, const char* phrase) {
    return [=, this] { expect_reported(*fresh(), status, check, phrase); };
  };
  // Removed.
  with({{1, ""}}, report(Status::corrupt, "log record 1", "missing"));
  with({{5, ""}}, report(Status::corrupt, "log record 5", "missing"));
  with({{2, ""}, {3, ""}, {4, ""}}, report(Status::corrupt, "log records 2 to 4", "missing"));
  with({{3, ""}, {7, ""}}, [&] {
    expect_reported(*fresh(), Status::corrupt, "log record 3", "missing");
    expect_reported(*fresh(), Status::corrupt, "log record 7", "missing");
    const Status status = status_of([&] { client->log(keys_, 1, 0, {}); });
    EXPECT_TRUE(status == Status::rollback || status == Status::corrupt) << status_name(status);
  });
  // Reordered.
  with({{4, record(kLog, 5)}, {5, record(kLog, 4)}}, [&] {
    expect_reported(*fresh(), Status::untrusted, "log record 4", "was signed as record 5");
    expect_reported(*fresh(), Status::untrusted, "log record 5", "was signed as record 4");
  });
  // Altered: the signature, the payload, the whole.
  const auto altered = [&](std::uint64_t n, char part) {
    std::string text = record(kLog, n);
    const std::size_t at = part == 'p' ? text.find('.') + 40 : text.rfind('.') + 10;
    text[at] = text[at] == 'A' ? 'B' : 'A';
    return text;
  };
  with({{6, altered(6, 's')}}, report(Status::untrusted, "log record 6", "signature"));
  with({{6, altered(6, 'p')}}, [&] {
    const std::vector<Finding> all = findings(*fresh());
    EXPECT_TRUE(std::any_of(all.begin(), all.end(),
                            [](const Finding& f) { return f.check == "log record 6"; }));
  });
  with({{6, "x"}}, report(Status::corrupt, "log record 6", ""));
  with({{last, altered(last, 's')}}, [&] {
    expect_reported(*fresh(), Status::untrusted, "log record " + std::to_string(last), "");
  });
  // Signed by somebody with a key of their own: at its place, and as the newest.
  const Keyring stranger = Keyring::generate();
  const auto resigned = [&](std::uint64_t n) {
    return stranger.sign(RecordKind::log, "digits", jws_payload_unverified(record(kLog, n)));
  };
  with({{6, resigned(6)}},
       report(Status::untrusted, "log record 6", "was altered or put in its place"));
  with({{last, resigned(last)}}, [&] {
    expect_reported(*fresh(), Status::untrusted, "log record " + std::to_string(last),
                    "nothing after it vouches for it");
  });
  expect_honest(*client);
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
#if PTSECURE_WITH_MONGODB
INSTANTIATE_TEST_SUITE_P(Mongodb, History, testing::Values("Mongodb"));
#endif

}  // namespace
}  // namespace ptsecure
