#include "libptsecure/base/time.hpp"
#include "libptsecure/history/bodies.hpp"
#include "tests/history/history_fixture.hpp"

// A reader who remembers nothing: what it may expect of a reference instead.
namespace ptsecure {
namespace {

class WithoutState : public History {
 protected:
  void SetUp() override {
    History::SetUp();
    publish_two();
  }

  void read(const std::string& reference, const Expected& expected) const {
    OpenOptions options;
    options.expected = expected;
    fresh()->fetch(reference, keys_, options);
  }

  static Expected at_least(std::uint64_t sequence) {
    Expected expected;
    expected.min_sequence = sequence;
    return expected;
  }
  static Expected at_most(std::int64_t age) {
    Expected expected;
    expected.max_age = age;
    return expected;
  }
  static Expected pin(const Sha256Digest& manifest) {
    Expected expected;
    expected.manifest = manifest;
    return expected;
  }

  // A record of production that its operator's clock dated so.
  void append_dated(std::int64_t seconds_from_now) {
    const ChainSubject subject = alias_subject("digits", "production");
    const auto last = registry_->access(keys_, none_).records().last(subject);
    ChainRecord next = *last;
    next.head.sequence = last->head.sequence + 1;
    next.head.previous = last->digest;
    next.head.time = rfc3339(std::time(nullptr) + seconds_from_now);
    registry_->store().append_record(
        subject.chain, next.head.sequence,
        keys_.sign(RecordKind::alias, "digits", as_bytes(encode_record(next))), {});
  }
};

TEST_P(WithoutState, AnOldBackupReadsUnlessMoreIsExpected) {
  const std::string newest = record({"alias", "digits", "production"}, 2);
  place_->remove_record({"alias", "digits", "production"}, 2);
  read("digits@production", {});  // nothing protects
  expect_refused(Status::rollback, "is at record 1, where at least 2 is expected",
                 [&] { read("digits@production", at_least(2)); });
  const Sha256Digest pinned =
      sha256(as_bytes(fresh()->fetch("digits/2", keys_, {})->manifest_json()));
  expect_refused(Status::rollback, "digits/1 has another manifest than the pinned one",
                 [&] { read("digits@production", pin(pinned)); });
  place_->put_record({"alias", "digits", "production"}, 2, newest);
  Expected all = at_least(2);
  all.max_age = 3600;
  all.manifest = pinned;
  read("digits@production", all);
}

TEST_P(WithoutState, MinimumSequence) {
  for (const std::uint64_t enough : {0, 1, 2}) {
    read("digits@production", at_least(enough));
  }
  expect_refused(Status::rollback, "where at least 3 is expected",
                 [&] { read("digits@production", at_least(3)); });
  expect_refused(Status::invalid_argument, "names none", [&] { read("digits/2", at_least(1)); });
  expect_refused(Status::invalid_argument, "names none", [&] { read("digits", at_most(1)); });
}

TEST_P(WithoutState, PinnedManifest) {
  const std::string text = fresh()->fetch("digits/1", keys_, {})->manifest_json();
  const Sha256Digest one = sha256(as_bytes(text));
  read("digits/1", pin(one));
  for (const char* other : {"digits/2", "digits", "digits@production"}) {
    expect_refused(Status::rollback, "another manifest than the pinned one",
                   [&] { read(other, pin(one)); });
  }
}

TEST_P(WithoutState, MaximumAgeOfAHead) {
  read("digits@production", at_most(60));
  append_dated(-7200);
  expect_refused(Status::rollback, "where at most 3600 are allowed",
                 [&] { read("digits@production", at_most(3600)); });
  read("digits@production", at_most(7800));
  append_dated(120);  // clocks differ a little
  read("digits@production", at_most(3600));
  append_dated(7200);
  expect_refused(Status::rollback, "which is in the future",
                 [&] { read("digits@production", at_most(3600)); });
  read("digits@production", {});
  set(*registry_, "production", 2);
  read("digits@production", at_most(3600));
}

INSTANTIATE_TEST_SUITE_P(Folder, WithoutState, testing::Values("Folder"));
#if PTSECURE_WITH_MONGODB
INSTANTIATE_TEST_SUITE_P(Mongodb, WithoutState, testing::Values("Mongodb"));
#endif

}  // namespace
}  // namespace ptsecure
