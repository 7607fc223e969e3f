// Three servers: the primary dies in the middle of a publish and of an open; a secondary is behind.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "libptsecure/base/error.hpp"
#include "libptsecure/store/store.hpp"
#include "tests/store/mongod.hpp"

namespace ptsecure::test {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kSegments = 40;

Bytes segment(std::uint64_t index) {
  Bytes bytes(kSegmentSize);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(i * 31 + index * 7 + (i >> 12));
  }
  return bytes;
}

// Publishes, calling `at` before each segment.
template <class At>
std::uint64_t publish(Store& store, const At& at) {
  const Reservation reservation = store.reserve("digits", {});
  const auto writer = store.write_blob(reservation, "model", kSegments * kSegmentSize, {});
  for (std::uint64_t i = 0; i < kSegments; ++i) {
    at(i);
    writer->write(i, segment(i));
  }
  writer->finish();
  store.commit(reservation, "manifest", {});
  return reservation.version;
}

template <class At>
void expect_whole(Store& store, std::uint64_t version, const At& at) {
  const auto reader = store.read_blob({"digits", version, "model"}, {});
  ASSERT_EQ(reader->size(), kSegments * kSegmentSize);
  std::uint64_t seen = 0;
  reader->read(0, kSegments,
               [&](std::uint64_t index, ByteView bytes) {
                 at(index);
                 const Bytes wanted = segment(index);
                 EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), wanted.begin(), wanted.end()))
                     << index;
                 ++seen;
               },
               {});
  EXPECT_EQ(seen, kSegments);
}

void nothing(std::uint64_t) {}

class MongodbFailoverTest : public testing::Test {
 protected:
  MongodbFailoverTest() : members_(Mongod::start_set(3)) {
    store_ = open_store(Mongod::set_uri(members_, "models"), options());
    store_->ensure_created({});
  }

  static StoreOptions options() {
    StoreOptions out;
    out.connect_timeout = 20000ms;
    out.operation_timeout = 40000ms;
    return out;
  }

  std::vector<std::unique_ptr<Mongod>> members_;
  std::shared_ptr<Store> store_;
};

TEST_F(MongodbFailoverTest, the_primary_dies_while_publishing) {
  // Losing a segment that only the dead primary had ends the publish with a clear error; anything
  // else is survived. Either way the next publish succeeds and nothing half-written is visible.
  std::uint64_t version = 0;
  try {
    version = publish(*store_, [&](std::uint64_t i) {
      if (i == kSegments / 2) members_[0]->kill();
    });
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::unavailable) << error.what();
    EXPECT_FALSE(store_->newest("digits", {}));
  }
  const std::uint64_t next = publish(*store_, nothing);
  EXPECT_GT(next, version);
  EXPECT_EQ(store_->newest("digits", {})->version, next);
  if (version != 0) expect_whole(*store_, version, nothing);
  expect_whole(*store_, next, nothing);
  store_->check("digits", {});
}

TEST_F(MongodbFailoverTest, the_primary_dies_while_opening) {
  const std::uint64_t version = publish(*store_, nothing);
  store_->append_record({"alias", "digits", "live"}, 1, "r1", {});
  expect_whole(*store_, version, [&](std::uint64_t index) {
    if (index == 10) members_[0]->kill();
  });
  EXPECT_EQ(store_->last_record({"alias", "digits", "live"}, ReadConcern::linearizable, {})->record,
            "r1");
  store_->append_record({"alias", "digits", "live"}, 2, "r2", {});
}

// Another member could have been elected meanwhile, so that the primary has to prove that it is
// one.
TEST_F(MongodbFailoverTest, what_must_be_the_newest_is_read_linearizably) {
  store_->append_record({"log"}, 1, "r1", {});
  members_[0]->command("models", R"({"profile":2})");
  store_->last_record({"log"}, ReadConcern::linearizable, {});
  members_[0]->command("models", R"({"profile":0})");
  const std::string found = members_[0]->command(
      "models",
      R"({"count":"system.profile","query":{"command.readConcern.level":"linearizable"}})");
  EXPECT_EQ(nlohmann::json::parse(found)["n"].get<int>(), 1) << found;
}

TEST_F(MongodbFailoverTest, a_secondary_that_is_behind_is_not_mistaken_for_damage) {
  store_->reserve("digits", {});  // the database exists on all
  for (int behind : {1, 2}) {
    const auto fail_point = [&](const char* mode) {
      members_[static_cast<std::size_t>(behind)]->command(
          "admin",
          R"({"configureFailPoint":"rsSyncApplyStop","mode":")" + std::string(mode) + "\"}");
    };
    fail_point("alwaysOn");
    const std::uint64_t version = publish(*store_, nothing);
    for (const char* preference : {"secondary", "nearest", "primary"}) {
      const auto reader = open_store(
          Mongod::set_uri(members_, "models",
                          std::string("localThresholdMS=1000&readPreference=") + preference),
          options());
      for (int round = 0; round < 3; ++round) expect_whole(*reader, version, nothing);
      EXPECT_EQ(reader->newest("digits", {})->version, version);
    }
    fail_point("off");
  }
}

}  // namespace
}  // namespace ptsecure::test
