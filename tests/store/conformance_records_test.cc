#include <algorithm>
#include <atomic>
#include <numeric>

#include "libptsecure/base/error.hpp"
#include "tests/store/conformance.hpp"

namespace ptsecure::test {

// --- wrapped keys ---

TEST_P(StoreConformance, wraps_are_immutable) {
  store().put_wraps("KEY-1", 1, "{\"a\":1}", none_);
  store().put_wraps("KEY-1", 1, "{\"a\":1}", none_);
  EXPECT_EQ(status_of([&] { store().put_wraps("KEY-1", 1, "{\"a\":2}", none_); }),
            Status::conflict);
  store().put_wraps("KEY-1", 5, "{\"a\":5}", none_);
  store().put_wraps("key-1", 1, "{\"other\":1}", none_);
  store().put_wraps("-_underscored", 1, "{}", none_);
  const auto other = harness().reopen();
  EXPECT_EQ(other->get_wraps("KEY-1", 1, none_), "{\"a\":1}");
  EXPECT_EQ(other->get_wraps("KEY-1", 5, none_), "{\"a\":5}");
  EXPECT_EQ(other->get_wraps("key-1", 1, none_), "{\"other\":1}");
  EXPECT_FALSE(other->get_wraps("KEY-1", 2, none_));
  EXPECT_FALSE(other->get_wraps("KEY-2", 1, none_));
}

TEST_P(StoreConformance, removed_wraps_are_gone) {
  store().put_wraps("key", 1, "{}", none_);
  store().put_wraps("key", 2, "{}", none_);
  store().put_wraps("key2", 1, "{}", none_);
  store().remove_wraps("key", none_);
  EXPECT_FALSE(store().get_wraps("key", 1, none_));
  EXPECT_FALSE(store().get_wraps("key", 2, none_));
  EXPECT_TRUE(store().get_wraps("key2", 1, none_));
  store().remove_wraps("key", none_);
}

TEST_P(StoreConformance, racing_wraps_have_one_winner) {
  for (std::uint64_t sequence = 1; sequence <= 20; ++sequence) {
    std::vector<Status> results(4, Status::internal);
    together(4, [&](int i) {
      results[static_cast<std::size_t>(i)] = status_of(
          [&] { store().put_wraps("key", sequence, "{\"n\":" + std::to_string(i) + "}", {}); });
    });
    EXPECT_EQ(std::count(results.begin(), results.end(), Status::ok), 1);
    EXPECT_EQ(std::count(results.begin(), results.end(), Status::conflict), 3);
    const auto winner = std::find(results.begin(), results.end(), Status::ok) - results.begin();
    EXPECT_EQ(store().get_wraps("key", sequence, none_), "{\"n\":" + std::to_string(winner) + "}");
  }
}

// --- records ---

TEST_P(StoreConformance, records_form_a_chain) {
  const ChainId chain = {"alias", "digits", "production"};
  store().append_record(chain, 1, "one", none_);
  store().append_record(chain, 2, "two", none_);
  store().append_record(chain, 1, "one", none_);
  store().append_record(chain, 2, "two", none_);
  EXPECT_EQ(status_of([&] { store().append_record(chain, 2, "other", none_); }), Status::conflict);
  EXPECT_EQ(status_of([&] { store().append_record(chain, 1, "other", none_); }), Status::conflict);
  EXPECT_EQ(status_of([&] { store().append_record(chain, 4, "gap", none_); }), Status::conflict);
  EXPECT_EQ(status_of([&] { store().append_record({"log"}, 2, "gap", none_); }), Status::conflict);
  const auto other = harness().reopen();
  for (const ReadConcern concern : {ReadConcern::majority, ReadConcern::linearizable}) {
    EXPECT_EQ(last_of(other->last_record(chain, concern, none_)), "2:two");
    EXPECT_FALSE(other->last_record({"log"}, concern, none_));
    EXPECT_FALSE(other->last_record({"alias", "digits"}, concern, none_));
    EXPECT_FALSE(other->last_record({"alias", "digits", "staging"}, concern, none_));
  }
}

TEST_P(StoreConformance, heads_name_every_chain_and_its_last_record) {
  const auto heads = [&](const ChainId& prefix) {
    std::vector<std::string> out;
    for (const ChainHead& head : harness().reopen()->heads(prefix, none_)) {
      out.push_back(head.leaf + ":" + std::to_string(head.sequence));
    }
    return out;
  };
  EXPECT_TRUE(heads({"apikey"}).empty());
  for (std::uint64_t i = 1; i <= 5; ++i) {
    store().append_record({"apikey", "bb"}, i, "record " + std::to_string(i), none_);
  }
  store().append_record({"apikey", "aa"}, 1, "one", none_);
  store().append_record({"apikey", "cc", "deeper"}, 1, "one", none_);
  store().append_record({"log"}, 1, "one", none_);
  EXPECT_EQ(heads({"apikey"}), (std::vector<std::string>{"aa:1", "bb:5"}));
  EXPECT_EQ(store().chains({"apikey"}, none_), (std::vector<std::string>{"aa", "bb"}));
}

TEST_P(StoreConformance, records_come_in_pages) {
  const ChainId chain = {"log"};
  for (std::uint64_t i = 1; i <= 25; ++i) {
    store().append_record(chain, i, "record " + std::to_string(i), none_);
  }
  const auto page = [&](std::uint64_t first, std::size_t limit) {
    std::vector<std::uint64_t> out;
    for (const StoredRecord& row :
         store().records(chain, first, limit, ReadConcern::majority, none_)) {
      EXPECT_EQ(row.record, "record " + std::to_string(row.sequence));
      out.push_back(row.sequence);
    }
    return out;
  };
  std::vector<std::uint64_t> all(25);
  std::iota(all.begin(), all.end(), std::uint64_t{1});
  using Numbers = std::vector<std::uint64_t>;
  EXPECT_EQ(page(1, 1000), all);
  EXPECT_EQ(page(0, 1000), all);
  EXPECT_EQ(page(1, 3), (Numbers{1, 2, 3}));
  EXPECT_EQ(page(24, 3), (Numbers{24, 25}));
  EXPECT_EQ(page(26, 3), Numbers{});
  EXPECT_EQ(page(1, 0), Numbers{});
  EXPECT_EQ(last_of(store().last_record(chain, ReadConcern::majority, none_)), "25:record 25");
}

TEST_P(StoreConformance, of_racing_appends_exactly_one_wins) {
  const ChainId chain = {"alias", "digits", "live"};
  const auto other = harness().reopen();
  for (std::uint64_t sequence = 1; sequence <= 40; ++sequence) {
    std::vector<Status> results(4, Status::internal);
    together(4, [&](int i) {
      Store& handle = i % 2 == 0 ? store() : *other;
      results[static_cast<std::size_t>(i)] =
          status_of([&] { handle.append_record(chain, sequence, "by " + std::to_string(i), {}); });
    });
    EXPECT_EQ(std::count(results.begin(), results.end(), Status::ok), 1);
    EXPECT_EQ(std::count(results.begin(), results.end(), Status::conflict), 3);
    const auto winner = std::find(results.begin(), results.end(), Status::ok) - results.begin();
    EXPECT_EQ(last_of(store().last_record(chain, ReadConcern::linearizable, none_)),
              std::to_string(sequence) + ":by " + std::to_string(winner));
  }
}

TEST_P(StoreConformance, racing_appends_of_the_same_bytes_all_succeed) {
  for (std::uint64_t sequence = 1; sequence <= 20; ++sequence) {
    std::atomic<int> good{0};
    together(3, [&](int) {
      if (status_of([&] { store().append_record({"log"}, sequence, "same", {}); }) == Status::ok) {
        ++good;
      }
    });
    EXPECT_EQ(good, 3);
  }
  EXPECT_EQ(store().records({"log"}, 1, 100, ReadConcern::majority, none_).size(), 20u);
}

TEST_P(StoreConformance, chains_are_listed_under_their_prefix) {
  for (const char* alias : {"staging", "production", "Canary", "1.jws"}) {
    store().append_record({"alias", "digits", alias}, 1, "r", none_);
  }
  store().append_record({"alias", "digits-2", "live"}, 1, "r", none_);
  store().append_record({"key", "K1"}, 1, "r", none_);
  store().append_record({"log"}, 1, "r", none_);
  using Names = std::vector<std::string>;
  EXPECT_EQ(store().chains({"alias", "digits"}, none_),
            (Names{"1.jws", "Canary", "production", "staging"}));
  EXPECT_EQ(store().chains({"alias", "digits-2"}, none_), Names{"live"});
  EXPECT_EQ(store().chains({"alias"}, none_), Names{});
  EXPECT_EQ(store().chains({"key"}, none_), Names{"K1"});
  EXPECT_EQ(store().chains({"alias", "digits", "live"}, none_), Names{});
  EXPECT_EQ(store().chains({"nothing"}, none_), Names{});
}

TEST_P(StoreConformance, a_chain_that_differs_in_case_is_refused) {
  store().append_record({"alias", "digits", "Live"}, 1, "r", none_);
  EXPECT_EQ(status_of([&] { store().append_record({"alias", "digits", "live"}, 1, "r", none_); }),
            Status::already_exists);
  EXPECT_FALSE(store().last_record({"alias", "digits", "live"}, ReadConcern::majority, none_));
  EXPECT_TRUE(
      store().records({"alias", "digits", "LIVE"}, 1, 9, ReadConcern::majority, none_).empty());
  store().append_record({"alias", "digits", "Live"}, 2, "r", none_);
  store().append_record({"alias", "other", "live"}, 1, "r", none_);
}

}  // namespace ptsecure::test
