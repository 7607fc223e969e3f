// Damage to rows and to what only GridFS has.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/store/mongodb/mongodb_fixture.hpp"

namespace ptsecure::test {
namespace {

class MongodbDamageTest : public MongodbStoreTest {
 protected:
  void SetUp() override {
    store_ = open();
    publish(*store_, "digits", pattern(4 * kSegmentSize + 100, 1));
    publish(*store_, "other", pattern(4 * kSegmentSize + 100, 2));
  }

  void chunks(const std::string& filter, const std::string& change) {
    command(R"({"update":"ptsecure.payloads.chunks","updates":[{"q":)" + filter + R"(,"u":)" +
            change + "}]}");
  }
  void file(const std::string& change) {
    command(R"({"update":"ptsecure.payloads.files","updates":[{"q":{"_id":"digits/1/model"},"u":)" +
            change + "}]}");
  }
  void drop_index() {
    command(R"({"dropIndexes":"ptsecure.payloads.chunks","index":"files_id_1_n_1"})");
  }
  void insert_chunk(int n, const std::string& base64) {
    command(
        R"({"insert":"ptsecure.payloads.chunks","documents":[{"files_id":"digits/1/model","n":)" +
        std::to_string(n) + R"(,"data":{"$binary":{"base64":")" + base64 +
        R"(","subType":"00"}}}]})");
  }
  // All the ways to read it agree that it is damaged.
  void expect_corrupt(const std::string& part) {
    for (const std::uint64_t run : {1, 2, 5}) {
      const Outcome outcome = outcome_of([&] {
        const auto reader = store_->read_blob({"digits", 1, "model"}, {});
        for (std::uint64_t first = 0; first < 5; first += run) {
          reader->read(first, std::min<std::uint64_t>(5, first + run),
                       [](std::uint64_t, ByteView) {}, {});
        }
      });
      EXPECT_EQ(outcome.status, Status::corrupt) << run << " " << outcome.message;
      EXPECT_TRUE(mentions(outcome.message, part)) << run << " " << outcome.message;
    }
  }

  std::shared_ptr<Store> store_;
};

TEST_F(MongodbDamageTest, a_chunk_behind_the_end) {
  insert_chunk(5, "AAAA");
  expect_corrupt("segment 5 of digits/1/model is behind the end");
}

TEST_F(MongodbDamageTest, a_duplicated_chunk) {
  drop_index();
  insert_chunk(2, "AAAA");
  expect_corrupt("segment 2 of digits/1/model");
}

TEST_F(MongodbDamageTest, a_chunk_that_is_there_twice) {
  drop_index();
  chunks(R"({"files_id":"digits/1/model","n":3})", R"({"$set":{"n":2}})");
  expect_corrupt("segment 2 of digits/1/model is there twice");
}

TEST_F(MongodbDamageTest, a_duplicated_last_chunk) {
  drop_index();
  insert_chunk(4, "AAAA");
  expect_corrupt("segment 4 of digits/1/model");
}

TEST_F(MongodbDamageTest, a_missing_chunk) {
  command(
      R"({"delete":"ptsecure.payloads.chunks","deletes":[{"q":{"files_id":"digits/1/model","n":3},"limit":1}]})");
  expect_corrupt("segment 3 of digits/1/model is missing");
}

TEST_F(MongodbDamageTest, a_chunk_moved_to_another_place) {
  chunks(R"({"files_id":"digits/1/model","n":3})", R"({"$set":{"n":9}})");
  expect_corrupt("segment 3 of digits/1/model is missing");
}

TEST_F(MongodbDamageTest, a_chunk_with_a_number_of_another_type) {
  chunks(R"({"files_id":"digits/1/model","n":1})", R"({"$set":{"n":1.0}})");
  expect_corrupt("no number");
}

TEST_F(MongodbDamageTest, a_chunk_without_bytes) {
  chunks(R"({"files_id":"digits/1/model","n":1})", R"({"$unset":{"data":1}})");
  expect_corrupt("no bytes");
  chunks(R"({"files_id":"digits/1/model","n":1})", R"({"$set":{"data":"text"}})");
  expect_corrupt("no bytes");
}

TEST_F(MongodbDamageTest, a_resized_chunk) {
  for (const std::size_t size :
       {std::size_t{0}, kSegmentSize - 1, kSegmentSize + 1, 15 * kSegmentSize}) {
    server().edit_chunk(database(), "digits/1/model", 2, [&](Bytes& b) { b.resize(size); });
    expect_corrupt("segment 2 of digits/1/model has " + std::to_string(size) + " bytes");
  }
}

TEST_F(MongodbDamageTest, a_wrong_length_or_chunk_size) {
  file(R"({"$set":{"length":{"$numberLong":"4194305"}}})");
  expect_corrupt("segment 4 of digits/1/model has 100 bytes instead of 1");
  for (const char* length : {"-1", "9223372036854775807"}) {
    file(R"({"$set":{"length":{"$numberLong":")" + std::string(length) + "\"}}}");
    expect_corrupt("length");
  }
  file(R"({"$set":{"length":"4194404"}})");
  expect_corrupt("length");
  file(R"({"$set":{"length":{"$numberLong":"4194404"},"chunkSize":261120}})");
  expect_corrupt("chunk size");
}

TEST_F(MongodbDamageTest, swapped_files_are_the_callers_to_notice_but_whole) {
  chunks(R"({"files_id":"digits/1/model","n":2})", R"({"$set":{"files_id":"x"}})");
  chunks(R"({"files_id":"other/1/model","n":2})", R"({"$set":{"files_id":"digits/1/model"}})");
  EXPECT_EQ(read_all(*store_, {"digits", 1, "model"}).size(), 4 * kSegmentSize + 100);
  EXPECT_EQ(outcome_of([&] { read_all(*store_, {"other", 1, "model"}); }).status, Status::corrupt);
}

TEST_F(MongodbDamageTest, check_compares_rows_with_their_places) {
  store_->append_record({"alias", "digits", "live"}, 1, "r", {});
  const auto status = [&] { return outcome_of([&] { store_->check("digits", {}); }).status; };
  const auto update = [&](const std::string& collection, const std::string& filter,
                          const std::string& change) {
    command(R"({"update":")" + collection + R"(","updates":[{"q":)" + filter + R"(,"u":)" + change +
            "}]}");
  };
  EXPECT_EQ(status(), Status::ok);
  const struct {
    const char* collection;
    const char* filter;
    const char* change;
    const char* undo;
  } damages[] = {
      {"ptsecure.versions", R"({"_id":"digits/1"})", R"({"$set":{"version":{"$numberLong":"2"}}})",
       R"({"$set":{"version":{"$numberLong":"1"}}})"},
      {"ptsecure.versions", R"({"_id":"digits/1"})", R"({"$set":{"name":"stolen"}})",
       R"({"$set":{"name":"digits"}})"},
      {"ptsecure.versions", R"({"_id":"digits/1"})", R"({"$set":{"state":"Committed"}})",
       R"({"$set":{"state":"committed"}})"},
      {"ptsecure.names", R"({"_id":"digits"})", R"({"$set":{"name":"Digits"}})",
       R"({"$set":{"name":"digits"}})"},
      {"ptsecure.names", R"({"_id":"digits"})", R"({"$set":{"last":{"$numberLong":"0"}}})",
       R"({"$set":{"last":{"$numberLong":"1"}}})"},
      {"ptsecure.payloads.files", R"({"_id":"digits/1/model"})", R"({"$set":{"filename":"x"}})",
       R"({"$set":{"filename":"digits/1/model"}})"},
      {"ptsecure.records", R"({"_id":"alias/digits/live/1"})",
       R"({"$set":{"sequence":{"$numberLong":"2"}}})",
       R"({"$set":{"sequence":{"$numberLong":"1"}}})"},
      {"ptsecure.chains", R"({"_id":"alias/digits/live"})", R"({"$set":{"leaf":"Live"}})",
       R"({"$set":{"leaf":"live"}})"},
  };
  for (const auto& damage : damages) {
    SCOPED_TRACE(damage.change);
    update(damage.collection, damage.filter, damage.change);
    EXPECT_EQ(status(), Status::corrupt);
    update(damage.collection, damage.filter, damage.undo);
    EXPECT_EQ(status(), Status::ok);
  }
}

TEST_F(MongodbDamageTest, numbers_stay_unique_without_indexes_and_counter) {
  for (const char* collection : {"versions", "records", "names", "wraps"}) {
    command(R"({"dropIndexes":"ptsecure.)" + std::string(collection) + R"(","index":"*"})");
  }
  command(R"({"drop":"ptsecure.names"})");
  EXPECT_EQ(publish(*store_, "digits"), 2u);
  EXPECT_EQ(publish(*store_, "digits"), 3u);
  store_->append_record({"log"}, 1, "one", {});
  EXPECT_EQ(outcome_of([&] { store_->append_record({"log"}, 1, "two", {}); }).status,
            Status::conflict);
}

TEST_F(MongodbStoreTest, a_store_of_another_format_is_refused) {
  const auto store = open();
  command(
      R"({"update":"ptsecure.meta","updates":[{"q":{"_id":"store"},"u":{"$set":{"format":2}}}]})");
  EXPECT_EQ(outcome_of([&] { open_store(uri(), {})->newest("digits", {}); }).status,
            Status::unsupported);
  EXPECT_EQ(outcome_of([&] { open_store(uri(), {})->ensure_created({}); }).status,
            Status::unsupported);
  command(
      R"({"update":"ptsecure.meta","updates":[{"q":{"_id":"store"},"u":{"$unset":{"id":1}}}]})");
  EXPECT_EQ(outcome_of([&] { open_store(uri(), {})->id({}); }).status, Status::corrupt);
}

}  // namespace
}  // namespace ptsecure::test
