#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>

#include "libptsecure/base/error.hpp"
#include "tests/store/conformance.hpp"

namespace ptsecure::test {

// --- versions ---

TEST_P(StoreConformance, numbers_count_up_from_one) {
  for (std::uint64_t expected = 1; expected <= 20; ++expected) {
    const Reservation reservation = store().reserve("digits", none_);
    EXPECT_EQ(reservation.name, "digits");
    EXPECT_EQ(reservation.version, expected);
    EXPECT_GE(reservation.token.size(), 16u);
  }
  EXPECT_EQ(store().reserve("other", none_).version, 1u);
}

TEST_P(StoreConformance, an_abandoned_number_is_never_given_again) {
  const Reservation first = store().reserve("digits", none_);
  store().abandon(first, none_);
  const Reservation second = store().reserve("digits", none_);
  EXPECT_EQ(second.version, 2u);
  store().abandon(second, none_);
  EXPECT_EQ(harness().reopen()->reserve("digits", none_).version, 3u);
}

TEST_P(StoreConformance, threads_reserve_distinct_numbers) {
  std::mutex mutex;
  std::set<std::uint64_t> numbers;
  std::set<std::string> tokens;
  together(8, [&](int i) {
    const auto handle = harness().reopen();
    for (int n = 0; n < 12; ++n) {
      const Reservation reservation = (i % 2 != 0 ? *handle : store()).reserve("digits", {});
      const std::lock_guard lock(mutex);
      EXPECT_TRUE(numbers.insert(reservation.version).second) << reservation.version;
      EXPECT_TRUE(tokens.insert(reservation.token).second);
    }
  });
  EXPECT_EQ(numbers.size(), 96u);
  EXPECT_EQ(*numbers.rbegin(), 96u);
}

// The other process of the next test: prints the numbers it got.
TEST(StoreConformanceChild, DISABLED_reserves_numbers) {
  const char* uri = std::getenv("PTSECURE_TEST_STORE");
  ASSERT_NE(uri, nullptr);
  const auto handle = open_store(uri, {});
  for (int n = 0; n < 30; ++n) {
    std::printf("reserved %llu\n",
                static_cast<unsigned long long>(handle->reserve("digits", {}).version));
  }
  std::fflush(stdout);
}

std::vector<std::uint64_t> reserve_in_another_process(const std::string& uri) {
  const std::string command =
      "exec env -u GTEST_TOTAL_SHARDS -u GTEST_SHARD_INDEX -u GTEST_OUTPUT PTSECURE_TEST_STORE='" +
      uri + "' /proc/" + std::to_string(getpid()) +
      "/exe --gtest_also_run_disabled_tests "
      "--gtest_filter=StoreConformanceChild.DISABLED_reserves_numbers 2>&1";
  std::vector<std::uint64_t> numbers;
  FILE* pipe = popen(command.c_str(), "r");  // NOLINT(cert-env33-c): our own binary
  if (pipe == nullptr) return numbers;
  char line[512];
  std::string output;
  while (std::fgets(line, sizeof line, pipe) != nullptr) {
    unsigned long long number = 0;
    if (std::sscanf(line, "reserved %llu", &number) == 1) numbers.push_back(number);
    output += line;
  }
  EXPECT_EQ(pclose(pipe), 0) << output;
  return numbers;
}

TEST_P(StoreConformance, processes_reserve_distinct_numbers) {
  std::vector<std::vector<std::uint64_t>> results(3);
  together(3, [&](int i) {
    std::vector<std::uint64_t>& mine = results[static_cast<std::size_t>(i)];
    if (i < 2) {
      mine = reserve_in_another_process(harness().uri());
    } else {
      for (int n = 0; n < 30; ++n) mine.push_back(store().reserve("digits", {}).version);
    }
  });
  std::set<std::uint64_t> all;
  for (const auto& numbers : results) {
    EXPECT_EQ(numbers.size(), 30u);
    EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
    all.insert(numbers.begin(), numbers.end());
  }
  EXPECT_EQ(all.size(), 90u);
  EXPECT_EQ(*all.rbegin(), 90u);
}

TEST_P(StoreConformance, a_version_is_invisible_until_committed) {
  const Reservation reservation = store().reserve("digits", none_);
  write_all(store(), reservation, "model", pattern(10, 1));
  const auto other = harness().reopen();
  EXPECT_FALSE(other->find("digits", 1, none_));
  EXPECT_FALSE(other->newest("digits", none_));
  EXPECT_TRUE(other->versions("digits", 0, 10, none_).empty());
  EXPECT_TRUE(other->models("", 10, none_).empty());

  store().commit(reservation, "the manifest", none_);
  const auto row = other->find("digits", 1, none_);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->name, "digits");
  EXPECT_EQ(row->version, 1u);
  EXPECT_EQ(row->manifest, "the manifest");
  EXPECT_EQ(other->newest("digits", none_)->manifest, "the manifest");
  EXPECT_EQ(other->models("", 10, none_).size(), 1u);
  EXPECT_FALSE(other->find("digits", 2, none_));
  EXPECT_FALSE(other->find("digits", 0, none_));
  EXPECT_FALSE(other->find("digits", (std::uint64_t{1} << 53) - 1, none_));
}

TEST_P(StoreConformance, commit_is_idempotent) {
  const Reservation reservation = publish(store(), "digits", "one");
  store().commit(reservation, "one", none_);
  harness().reopen()->commit(reservation, "one", none_);
  EXPECT_EQ(status_of([&] { store().commit(reservation, "two", none_); }), Status::conflict);
  Reservation stranger = reservation;
  stranger.token = "AAAAAAAAAAAAAAAAAAAAAA";
  EXPECT_EQ(status_of([&] { store().commit(stranger, "the third", none_); }), Status::conflict);
  EXPECT_EQ(store().find("digits", 1, none_)->manifest, "one");
}

TEST_P(StoreConformance, only_the_reserver_may_commit_or_abandon) {
  const Reservation reservation = store().reserve("digits", none_);
  Reservation stranger = reservation;
  stranger.token = store().reserve("digits", none_).token;
  EXPECT_EQ(status_of([&] { store().commit(stranger, "forged", none_); }), Status::conflict);
  EXPECT_EQ(status_of([&] { store().abandon(stranger, none_); }), Status::conflict);
  Reservation never = reservation;
  never.version = 77;
  EXPECT_EQ(status_of([&] { store().commit(never, "forged", none_); }), Status::conflict);
  EXPECT_FALSE(store().newest("digits", none_));
  store().commit(reservation, "mine", none_);
  EXPECT_EQ(store().newest("digits", none_)->manifest, "mine");
}

TEST_P(StoreConformance, commit_after_abandon_is_refused) {
  const Reservation reservation = store().reserve("digits", none_);
  store().abandon(reservation, none_);
  EXPECT_EQ(status_of([&] { store().commit(reservation, "late", none_); }), Status::conflict);
  EXPECT_FALSE(store().find("digits", 1, none_));
  store().abandon(reservation, none_);
}

TEST_P(StoreConformance, abandon_after_commit_is_refused) {
  const Bytes model = pattern(3000, 1);
  const Reservation reservation = publish(store(), "digits", "kept", model);
  EXPECT_EQ(status_of([&] { store().abandon(reservation, none_); }), Status::conflict);
  EXPECT_EQ(store().find("digits", 1, none_)->manifest, "kept");
  EXPECT_EQ(read_all(*store().read_blob({"digits", 1, "model"}, none_)), model);
}

TEST_P(StoreConformance, abandoning_what_never_was_is_quiet) {
  store().abandon({"nobody", 3, "token"}, none_);
  store().reserve("digits", none_);
  store().abandon({"digits", 9, "token"}, none_);
}

TEST_P(StoreConformance, abandoned_blobs_are_gone) {
  const Reservation reservation = store().reserve("digits", none_);
  write_all(store(), reservation, "model", pattern(kSegmentSize + 5, 1));
  write_all(store(), reservation, "model.digests", pattern(64, 2));
  store().abandon(reservation, none_);
  for (const char* role : {"model", "model.digests"}) {
    EXPECT_EQ(status_of([&] { store().read_blob({"digits", 1, role}, none_); }), Status::not_found);
  }
  EXPECT_NE(status_of([&] { write_all(store(), reservation, "model", pattern(9, 1)); }),
            Status::ok);
  EXPECT_EQ(status_of([&] { store().read_blob({"digits", 1, "model"}, none_); }),
            Status::not_found);
}

TEST_P(StoreConformance, a_blob_finished_after_abandon_stays_unreadable) {
  const Reservation reservation = store().reserve("digits", none_);
  const auto writer = store().write_blob(reservation, "model", 5, none_);
  writer->write(0, pattern(5, 1));
  harness().reopen()->abandon(reservation, none_);
  status_of([&] { writer->finish(); });  // may fail or be in vain
  EXPECT_EQ(status_of([&] { store().commit(reservation, "late", none_); }), Status::conflict);
  EXPECT_FALSE(store().find("digits", 1, none_));
}

TEST_P(StoreConformance, commit_and_abandon_exclude_each_other) {
  int committed = 0;
  const auto other = harness().reopen();
  for (int round = 0; round < harness().race_rounds(); ++round) {
    const Reservation reservation = store().reserve("digits", none_);
    Status commit = Status::internal;
    Status abandon = Status::internal;
    together(2, [&](int i) {
      if (i == 0) {
        commit = status_of([&] { store().commit(reservation, "manifest", {}); });
      } else {
        abandon = status_of([&] { other->abandon(reservation, {}); });
      }
    });
    const bool visible = store().find("digits", reservation.version, none_).has_value();
    if (visible) {
      ++committed;
      EXPECT_EQ(commit, Status::ok);
      EXPECT_EQ(abandon, Status::conflict);
    } else {
      EXPECT_EQ(commit, Status::conflict);
      EXPECT_EQ(abandon, Status::ok);
    }
  }
  const auto rows = store().versions("digits", 0, 100000, none_);
  EXPECT_EQ(rows.size(), static_cast<std::size_t>(committed));
}

TEST_P(StoreConformance, racing_commits_of_one_reservation_all_succeed) {
  const Reservation reservation = store().reserve("digits", none_);
  std::atomic<int> good{0};
  together(6, [&](int) {
    if (status_of([&] { store().commit(reservation, "same", {}); }) == Status::ok) ++good;
  });
  EXPECT_EQ(good, 6);
  EXPECT_EQ(store().newest("digits", none_)->manifest, "same");
}

TEST_P(StoreConformance, newest_is_the_highest_committed) {
  publish(store(), "digits", "m1");
  const Reservation second = store().reserve("digits", none_);
  publish(store(), "digits", "m3");
  const Reservation fourth = store().reserve("digits", none_);
  const Reservation fifth = store().reserve("digits", none_);
  store().abandon(fourth, none_);
  EXPECT_EQ(store().newest("digits", none_)->version, 3u);
  store().commit(second, "m2", none_);
  EXPECT_EQ(store().newest("digits", none_)->version, 3u);
  store().commit(fifth, "m5", none_);
  EXPECT_EQ(store().newest("digits", none_)->version, 5u);
  EXPECT_EQ(store().newest("digits", none_)->manifest, "m5");
}

TEST_P(StoreConformance, versions_come_newest_first_in_pages) {
  for (int i = 1; i <= 7; ++i) {
    const Reservation reservation = store().reserve("digits", none_);
    if (i != 4) store().commit(reservation, "m" + std::to_string(i), none_);
  }
  const auto numbers = [&](std::uint64_t before, std::size_t limit) {
    std::vector<std::uint64_t> out;
    for (const VersionRow& row : store().versions("digits", before, limit, none_)) {
      EXPECT_EQ(row.name, "digits");
      EXPECT_EQ(row.manifest, "m" + std::to_string(row.version));
      out.push_back(row.version);
    }
    return out;
  };
  using Numbers = std::vector<std::uint64_t>;
  EXPECT_EQ(numbers(0, 100), (Numbers{7, 6, 5, 3, 2, 1}));
  EXPECT_EQ(numbers(0, 2), (Numbers{7, 6}));
  EXPECT_EQ(numbers(6, 2), (Numbers{5, 3}));
  EXPECT_EQ(numbers(3, 100), (Numbers{2, 1}));
  EXPECT_EQ(numbers(1, 100), Numbers{});
  EXPECT_EQ(numbers(1000, 1), Numbers{7});
  EXPECT_EQ(numbers(0, 0), Numbers{});
}

TEST_P(StoreConformance, models_come_by_name_in_pages) {
  for (const char* name : {"zebra", "Alpha", "mid-1", "mid.2", "beta_9", "x"}) {
    publish(store(), name, std::string("older ") + name);
    publish(store(), name, std::string("newer ") + name);
  }
  store().reserve("unfinished", none_);
  store().abandon(store().reserve("given-up", none_), none_);
  const auto names = [&](const std::string& after, std::size_t limit) {
    std::vector<std::string> out;
    for (const ModelRow& row : store().models(after, limit, none_)) {
      EXPECT_EQ(row.newest.name, row.name);
      EXPECT_EQ(row.newest.version, 2u);
      EXPECT_EQ(row.newest.manifest, "newer " + row.name);
      out.push_back(row.name);
    }
    return out;
  };
  using Names = std::vector<std::string>;
  const Names all = {"Alpha", "beta_9", "mid-1", "mid.2", "x", "zebra"};
  EXPECT_EQ(names("", 100), all);
  EXPECT_EQ(names("", 2), (Names{"Alpha", "beta_9"}));
  EXPECT_EQ(names("beta_9", 2), (Names{"mid-1", "mid.2"}));
  EXPECT_EQ(names("mid", 100), (Names{"mid-1", "mid.2", "x", "zebra"}));
  EXPECT_EQ(names("zebra", 100), Names{});
  EXPECT_EQ(names("", 0), Names{});
}

TEST_P(StoreConformance, a_name_that_differs_in_case_is_refused) {
  publish(store(), "Digits", "m");
  for (const char* name : {"digits", "DIGITS", "digitS"}) {
    EXPECT_EQ(status_of([&] { store().reserve(name, none_); }), Status::already_exists) << name;
    EXPECT_FALSE(store().find(name, 1, none_)) << name;
    EXPECT_FALSE(store().newest(name, none_)) << name;
  }
  EXPECT_EQ(store().reserve("Digits", none_).version, 2u);
  EXPECT_EQ(store().models("", 10, none_).size(), 1u);
}

TEST_P(StoreConformance, of_two_spellings_one_wins) {
  for (int round = 0; round < 20; ++round) {
    const std::string lower = "model-" + std::to_string(round) + "-a";
    std::string upper = lower;
    upper.back() = 'A';
    std::vector<Status> results(4, Status::internal);
    together(4, [&](int i) {
      results[static_cast<std::size_t>(i)] =
          status_of([&] { store().reserve(i % 2 == 0 ? lower : upper, {}); });
    });
    EXPECT_EQ(results[0], results[2]);
    EXPECT_EQ(results[1], results[3]);
    EXPECT_EQ(std::set<Status>(results.begin(), results.end()),
              (std::set<Status>{Status::ok, Status::already_exists}));
  }
}

TEST_P(StoreConformance, long_names_and_large_manifests_fit) {
  const std::string name = "N" + std::string(127, 'o');
  const std::string manifest = std::string(3 << 20, 'm');
  publish(store(), name, manifest);
  EXPECT_EQ(store().newest(name, none_)->manifest, manifest);
  store().append_record({"alias", name, name}, 1, "record", none_);
  EXPECT_EQ(last_of(store().last_record({"alias", name, name}, ReadConcern::majority, none_)),
            "1:record");
  EXPECT_EQ(store().chains({"alias", name}, none_), std::vector<std::string>{name});
}

}  // namespace ptsecure::test
