#include <mutex>
#include <stdexcept>

#include "libptsecure/base/error.hpp"
#include "tests/store/conformance.hpp"

namespace ptsecure::test {

// --- blobs ---

TEST_P(StoreConformance, blobs_of_every_size_come_back) {
  const Reservation reservation = store().reserve("digits", none_);
  const std::vector<std::size_t> sizes = {0,
                                          1,
                                          kSegmentSize - 1,
                                          kSegmentSize,
                                          kSegmentSize + 1,
                                          2 * kSegmentSize,
                                          3 * kSegmentSize + 17};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    write_all(store(), reservation, "role-" + std::to_string(i),
              pattern(sizes[i], static_cast<std::uint32_t>(i)));
  }
  store().commit(reservation, "m", none_);
  const auto other = harness().reopen();
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto reader = other->read_blob({"digits", 1, "role-" + std::to_string(i)}, none_);
    EXPECT_EQ(reader->size(), sizes[i]);
    EXPECT_GE(reader->preferred_run(), 1u);
    EXPECT_EQ(read_all(*reader), pattern(sizes[i], static_cast<std::uint32_t>(i)));
  }
  EXPECT_EQ(status_of([&] { other->read_blob({"digits", 1, "role-99"}, none_); }), Status::corrupt);
}

TEST_P(StoreConformance, segments_arrive_in_any_order_from_many_threads) {
  const Bytes bytes = pattern(21 * kSegmentSize + 999, 7);
  const Reservation reservation = store().reserve("digits", none_);
  const auto writer = store().write_blob(reservation, "model", bytes.size(), none_);
  together(4, [&](int i) {
    for (std::int64_t segment = 21 - i; segment >= 0; segment -= 4) {
      const auto index = static_cast<std::uint64_t>(segment);
      writer->write(index, nth_segment(bytes, index));
    }
  });
  writer->finish();
  store().commit(reservation, "m", none_);
  EXPECT_TRUE(read_all(*store().read_blob({"digits", 1, "model"}, none_)) == bytes);
}

TEST_P(StoreConformance, ranges_are_read_from_many_threads) {
  const Bytes bytes = pattern(17 * kSegmentSize + 5, 9);
  const Reservation reservation = publish(store(), "digits", "m", bytes);
  const auto reader = store().read_blob({"digits", reservation.version, "model"}, none_);
  std::vector<int> seen(18, 0);
  std::mutex mutex;
  together(6, [&](int i) {
    const auto first = static_cast<std::uint64_t>(i) * 3;
    std::uint64_t expected = first;
    reader->read(
        first, first + 3,
        [&](std::uint64_t index, ByteView segment) {
          EXPECT_EQ(index, expected++);
          const ByteView want = nth_segment(bytes, index);
          EXPECT_TRUE(std::equal(segment.begin(), segment.end(), want.begin(), want.end()));
          const std::lock_guard lock(mutex);
          ++seen[static_cast<std::size_t>(index)];
        },
        {});
  });
  EXPECT_EQ(seen, std::vector<int>(18, 1));
  int calls = 0;
  reader->read(5, 5, [&](std::uint64_t, ByteView) { ++calls; }, none_);
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(status_of([&] { reader->read(17, 19, [](std::uint64_t, ByteView) {}, none_); }),
            Status::invalid_argument);
}

TEST_P(StoreConformance, an_exception_from_the_sink_ends_the_read) {
  publish(store(), "digits", "m", pattern(6 * kSegmentSize, 2));
  const auto reader = store().read_blob({"digits", 1, "model"}, none_);
  int calls = 0;
  EXPECT_THROW(reader->read(
                   0, 6,
                   [&](std::uint64_t index, ByteView) {
                     ++calls;
                     if (index == 2) throw std::domain_error("enough");
                   },
                   none_),
               std::domain_error);
  EXPECT_EQ(calls, 3);
  const CancelToken cancel = CancelToken::make();
  EXPECT_EQ(status_of([&] {
              reader->read(0, 6, [&](std::uint64_t, ByteView) { cancel.cancel(); }, cancel);
            }),
            Status::cancelled);
  EXPECT_EQ(read_all(*reader).size(), 6 * kSegmentSize);
}

TEST_P(StoreConformance, a_sink_may_read_another_blob) {
  const Bytes model = pattern(3 * kSegmentSize, 2);
  const Bytes digests = pattern(2 * kSegmentSize, 3);
  const Reservation reservation = store().reserve("digits", none_);
  write_all(store(), reservation, "model", model);
  write_all(store(), reservation, "model.digests", digests);
  store().commit(reservation, "m", none_);
  const auto outer = store().read_blob({"digits", 1, "model"}, none_);
  const auto inner = store().read_blob({"digits", 1, "model.digests"}, none_);
  Bytes got;
  outer->read(
      0, 3,
      [&](std::uint64_t, ByteView segment) {
        EXPECT_TRUE(read_all(*inner) == digests);
        got.insert(got.end(), segment.begin(), segment.end());
      },
      none_);
  EXPECT_TRUE(got == model);
}

TEST_P(StoreConformance, misuse_of_a_writer_is_refused) {
  const Reservation reservation = store().reserve("digits", none_);
  const Bytes segment = pattern(kSegmentSize, 1);
  const auto writer = store().write_blob(reservation, "model", 2 * kSegmentSize + 3, none_);
  EXPECT_NE(status_of([&] { writer->write(3, segment); }), Status::ok);
  EXPECT_NE(status_of([&] { writer->write(0, ByteView(segment).first(9)); }), Status::ok);
  EXPECT_NE(status_of([&] { writer->write(2, segment); }), Status::ok);
  writer->write(0, segment);
  EXPECT_NE(status_of([&] { writer->write(0, segment); }), Status::ok);
  EXPECT_NE(status_of([&] { writer->finish(); }), Status::ok);
  Reservation stranger = reservation;
  stranger.token = "AAAAAAAAAAAAAAAAAAAAAA";
  EXPECT_EQ(status_of([&] { write_all(store(), stranger, "other", segment); }), Status::conflict);
}

TEST_P(StoreConformance, a_writer_dropped_half_way_leaves_nothing_to_read) {
  const Reservation reservation = store().reserve("digits", none_);
  {
    const auto writer = store().write_blob(reservation, "model", 3 * kSegmentSize, none_);
    writer->write(0, pattern(kSegmentSize, 1));
    writer->write(2, pattern(kSegmentSize, 1));
  }
  EXPECT_NE(status_of([&] { store().read_blob({"digits", 1, "model"}, none_); }), Status::ok);
  const Bytes bytes = pattern(3 * kSegmentSize, 5);
  write_all(store(), reservation, "model", bytes);
  store().commit(reservation, "m", none_);
  EXPECT_TRUE(read_all(*store().read_blob({"digits", 1, "model"}, none_)) == bytes);
}

TEST_P(StoreConformance, blobs_of_a_committed_version_stay_as_they_are) {
  const Bytes bytes = pattern(kSegmentSize + 1, 5);
  const Reservation reservation = publish(store(), "digits", "m", bytes);
  EXPECT_EQ(status_of([&] { write_all(store(), reservation, "model", pattern(9, 1)); }),
            Status::conflict);
  EXPECT_EQ(status_of([&] { write_all(store(), reservation, "more", pattern(9, 1)); }),
            Status::conflict);
  EXPECT_TRUE(read_all(*store().read_blob({"digits", 1, "model"}, none_)) == bytes);
}

TEST_P(StoreConformance, damaged_blobs_are_noticed) {
  const Bytes bytes = pattern(4 * kSegmentSize + 100, 5);
  std::uint64_t version = 0;
  for (const BlobDamage damage : {BlobDamage::remove, BlobDamage::cut_byte, BlobDamage::append_byte,
                                  BlobDamage::cut_segment, BlobDamage::drop_segment}) {
    SCOPED_TRACE(static_cast<int>(damage));
    ++version;
    publish(store(), "digits", "m", bytes);
    const BlobId id{"digits", version, "model"};
    harness().damage(id, damage);
    std::uint64_t size = bytes.size();
    const Status status = status_of([&] {
      const auto reader = harness().reopen()->read_blob(id, {});
      size = reader->size();
      read_all(*reader);
    });
    // A store that can't know the right size says so by another size; the manifest has the right
    // one.
    EXPECT_TRUE(status == Status::corrupt || (status == Status::ok && size != bytes.size()))
        << status_name(status) << " " << size;
  }
}

TEST_P(StoreConformance, damage_under_an_open_reader_is_noticed) {
  const Bytes bytes = pattern(4 * kSegmentSize + 100, 5);
  std::uint64_t version = 0;
  for (const BlobDamage damage : {BlobDamage::cut_byte, BlobDamage::append_byte,
                                  BlobDamage::cut_segment, BlobDamage::drop_segment}) {
    SCOPED_TRACE(static_cast<int>(damage));
    ++version;
    publish(store(), "digits", "m", bytes);
    const auto reader = store().read_blob({"digits", version, "model"}, none_);
    harness().damage({"digits", version, "model"}, damage);
    EXPECT_EQ(status_of([&] { read_all(*reader); }), Status::corrupt);
  }
}

TEST_P(StoreConformance, deletion_while_reading_is_an_error_or_harmless) {
  const Bytes bytes = pattern(40 * kSegmentSize, 5);
  publish(store(), "digits", "m", bytes);
  const auto reader = store().read_blob({"digits", 1, "model"}, none_);
  Bytes got;
  const Status status = status_of([&] {
    for (std::uint64_t first = 0; first < 40; first += 4) {
      reader->read(first, first + 4,
                   [&](std::uint64_t, ByteView segment) {
                     got.insert(got.end(), segment.begin(), segment.end());
                   },
                   {});
      if (first == 8) harness().damage({"digits", 1, "model"}, BlobDamage::remove);
    }
  });
  EXPECT_TRUE(status == Status::corrupt || (status == Status::ok && got == bytes))
      << status_name(status);
}

}  // namespace ptsecure::test
