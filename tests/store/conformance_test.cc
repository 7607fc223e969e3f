#include "tests/store/conformance.hpp"

#include <set>

#include "libptsecure/base/error.hpp"

namespace ptsecure::test {

namespace {

const std::vector<std::string> kBadNames = {"",
                                            ".",
                                            "..",
                                            ".hidden",
                                            "../models",
                                            "a/b",
                                            "/a",
                                            "$ne",
                                            "a$gt",
                                            std::string("a\0b", 3),
                                            "a\n",
                                            "a b",
                                            "a\\b",
                                            "{\"$ne\":1}",
                                            "a%2fb",
                                            "caf\xc3\xa9",
                                            std::string(129, 'a')};

}  // namespace

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(StoreConformance);

// --- creation ---

TEST_P(StoreConformance, nothing_exists_before_creation) {
  const auto fresh = harness().make_store();
  EXPECT_EQ(status_of([&] { fresh->id({}); }), Status::not_found);
  EXPECT_EQ(status_of([&] { fresh->find("digits", 1, {}); }), Status::not_found);
  EXPECT_EQ(status_of([&] { fresh->newest("digits", {}); }), Status::not_found);
  EXPECT_EQ(status_of([&] { fresh->models("", 10, {}); }), Status::not_found);
  EXPECT_EQ(status_of([&] { fresh->versions("digits", 0, 10, {}); }), Status::not_found);
  EXPECT_EQ(status_of([&] { fresh->get_wraps("key", 1, {}); }), Status::not_found);
  EXPECT_EQ(status_of([&] { fresh->last_record({"log"}, ReadConcern::majority, {}); }),
            Status::not_found);
  EXPECT_EQ(status_of([&] { fresh->chains({"alias"}, {}); }), Status::not_found);
  EXPECT_EQ(status_of([&] { fresh->read_blob({"digits", 1, "model"}, {}); }), Status::not_found);
  fresh->ensure_created({});
  EXPECT_TRUE(fresh->models("", 10, {}).empty());
}

TEST_P(StoreConformance, id_is_drawn_once) {
  const std::string id = store().id({});
  EXPECT_EQ(id.size(), 22u);
  store().ensure_created({});
  EXPECT_EQ(store().id({}), id);
  const auto again = harness().reopen();
  EXPECT_EQ(again->id({}), id);
  again->ensure_created({});
  EXPECT_EQ(again->id({}), id);
  const auto other = harness().make_store();
  other->ensure_created({});
  EXPECT_NE(other->id({}), id);
}

TEST_P(StoreConformance, concurrent_creation_agrees_on_one_id) {
  const auto first = harness().make_store();
  std::vector<std::string> ids(6);
  together(6, [&](int i) {
    const auto handle = harness().reopen();
    handle->ensure_created({});
    ids[static_cast<std::size_t>(i)] = handle->id({});
  });
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 1u);
  EXPECT_EQ(first->id({}), ids[0]);
}

TEST_P(StoreConformance, display_uri_names_the_place) {
  EXPECT_FALSE(store().display_uri().empty());
  EXPECT_EQ(harness().reopen()->display_uri(), store().display_uri());
}

TEST_P(StoreConformance, an_empty_store_answers_with_nothing) {
  EXPECT_FALSE(store().find("digits", 1, none_));
  EXPECT_FALSE(store().newest("digits", none_));
  EXPECT_TRUE(store().models("", 10, none_).empty());
  EXPECT_TRUE(store().versions("digits", 0, 10, none_).empty());
  EXPECT_FALSE(store().get_wraps("key", 1, none_));
  EXPECT_FALSE(store().last_record({"log"}, ReadConcern::linearizable, none_));
  EXPECT_TRUE(
      store().records({"alias", "digits", "live"}, 1, 10, ReadConcern::majority, none_).empty());
  EXPECT_TRUE(store().chains({"alias", "digits"}, none_).empty());
  EXPECT_EQ(status_of([&] { store().read_blob({"digits", 1, "model"}, none_); }),
            Status::not_found);
  store().remove_wraps("key", none_);
}

TEST_P(StoreConformance, a_cancelled_token_ends_every_call) {
  const CancelToken cancelled = CancelToken::make();
  cancelled.cancel();
  const Reservation reservation = store().reserve("digits", none_);
  EXPECT_EQ(status_of([&] { store().reserve("digits", cancelled); }), Status::cancelled);
  EXPECT_EQ(status_of([&] { store().commit(reservation, "m", cancelled); }), Status::cancelled);
  EXPECT_EQ(status_of([&] { store().newest("digits", cancelled); }), Status::cancelled);
  EXPECT_EQ(status_of([&] { store().models("", 10, cancelled); }), Status::cancelled);
  EXPECT_EQ(status_of([&] { store().append_record({"log"}, 1, "r", cancelled); }),
            Status::cancelled);
  EXPECT_EQ(status_of([&] { store().write_blob(reservation, "model", 1, cancelled)->finish(); }),
            Status::cancelled);
  EXPECT_FALSE(store().newest("digits", none_));
}

TEST_P(StoreConformance, bad_names_are_refused_at_every_door) {
  for (const std::string& bad : kBadNames) {
    SCOPED_TRACE(bad);
    const Reservation forged{bad, 1, "AAAAAAAAAAAAAAAAAAAAAA"};
    const auto refused = [&](const std::function<void()>& call) {
      EXPECT_EQ(status_of(call), Status::invalid_argument);
    };
    refused([&] { store().reserve(bad, none_); });
    refused([&] { store().commit(forged, "m", none_); });
    refused([&] { store().abandon(forged, none_); });
    refused([&] { store().write_blob(forged, "model", 1, none_); });
    refused([&] { store().read_blob({bad, 1, "model"}, none_); });
    refused([&] { store().read_blob({"digits", 1, bad}, none_); });
    refused([&] { store().find(bad, 1, none_); });
    refused([&] { store().newest(bad, none_); });
    refused([&] { store().versions(bad, 0, 1, none_); });
    refused([&] { store().put_wraps(bad, 1, "{}", none_); });
    refused([&] { store().get_wraps(bad, 1, none_); });
    refused([&] { store().remove_wraps(bad, none_); });
    refused([&] { store().append_record({"alias", bad, "live"}, 1, "r", none_); });
    refused([&] { store().append_record({bad}, 1, "r", none_); });
    refused([&] { store().records({"alias", bad}, 1, 1, ReadConcern::majority, none_); });
    refused([&] { store().last_record({bad}, ReadConcern::majority, none_); });
    refused([&] { store().chains({bad}, none_); });
  }
  const Reservation reservation = store().reserve("digits", none_);
  for (const std::string& bad : kBadNames) {
    EXPECT_EQ(status_of([&] { store().write_blob(reservation, bad, 1, none_); }),
              Status::invalid_argument);
  }
  EXPECT_EQ(status_of([&] { store().append_record({}, 1, "r", none_); }), Status::invalid_argument);
  EXPECT_EQ(status_of([&] { store().append_record({"log"}, 0, "r", none_); }),
            Status::invalid_argument);
  EXPECT_EQ(status_of([&] { store().commit(reservation, "", none_); }), Status::invalid_argument);
  EXPECT_TRUE(store().models("", 10, none_).empty());
}

TEST_P(StoreConformance, a_healthy_store_passes_its_check) {
  store().check("digits", none_);
  publish(store(), "digits", "first manifest");
  store().abandon(store().reserve("digits", none_), none_);
  publish(store(), "digits", "third manifest");
  store().reserve("digits", none_);
  publish(store(), "Other", "manifest");
  store().append_record({"alias", "digits", "Live"}, 1, "r", none_);
  store().append_record({"key", "K1"}, 1, "r", none_);
  store().put_wraps("K1", 1, "{}", none_);
  store().append_record({"log"}, 1, "r", none_);
  store().check("digits", none_);
  harness().reopen()->check("Other", none_);
  EXPECT_EQ(status_of([&] { store().check("../digits", none_); }), Status::invalid_argument);
}

}  // namespace ptsecure::test
