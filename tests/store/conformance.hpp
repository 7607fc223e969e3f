#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <barrier>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "libptsecure/base/error.hpp"
#include "libptsecure/store/store.hpp"

// What every store must do, whatever it is made of. The tests stand in conformance_*_test.cc; a
// store takes part by
//
//   INSTANTIATE_TEST_SUITE_P(Directory, StoreConformance,
//                            testing::Values(StoreKind{"directory", make_directory_harness}),
//                            store_kind_name);
//
// in its own test file.
namespace ptsecure::test {

// What damage() does to the stored bytes behind the store's back. Blobs have at least three
// segments.
enum class BlobDamage {
  remove,        // all of it
  cut_byte,      // the last byte
  append_byte,   // one more at the end
  cut_segment,   // the last segment
  drop_segment,  // segment 1, those after it keep their place where the store numbers them
};

class StoreHarness {
 public:
  virtual ~StoreHarness() = default;

  // A handle on a new place where no store has been created yet.
  virtual std::shared_ptr<Store> make_store() = 0;
  // Another handle on the place of the last make_store().
  virtual std::shared_ptr<Store> reopen() = 0;
  // The URI of that place: other processes open it.
  virtual std::string uri() = 0;
  virtual void damage(const BlobId& id, BlobDamage what) = 0;
  // How often races are tried.
  virtual int race_rounds() const { return 200; }
};

struct StoreKind {
  std::string name;
  std::function<std::unique_ptr<StoreHarness>()> make;
};

inline std::string store_kind_name(const testing::TestParamInfo<StoreKind>& info) {
  return info.param.name;
}

class StoreConformance : public testing::TestWithParam<StoreKind> {
 protected:
  void SetUp() override {
    harness_ = GetParam().make();
    store_ = harness_->make_store();
    store_->ensure_created(none_);
  }

  Store& store() { return *store_; }
  StoreHarness& harness() { return *harness_; }

  CancelToken none_;

 private:
  std::unique_ptr<StoreHarness> harness_;
  std::shared_ptr<Store> store_;
};

// --- what the tests are written with ---

inline Bytes pattern(std::size_t size, std::uint32_t seed) {
  Bytes bytes(size);
  std::uint32_t state = seed * 2654435761u + 1;
  for (std::uint8_t& byte : bytes) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  return bytes;
}

inline ByteView nth_segment(const Bytes& bytes, std::uint64_t index) {
  const std::size_t begin = static_cast<std::size_t>(index) * kSegmentSize;
  return ByteView(bytes).subspan(begin, std::min(kSegmentSize, bytes.size() - begin));
}

inline void write_all(Store& store, const Reservation& reservation, const std::string& role,
                      const Bytes& bytes) {
  const auto writer = store.write_blob(reservation, role, bytes.size(), {});
  for (std::uint64_t i = 0; i < stored_segments(bytes.size()); ++i)
    writer->write(i, nth_segment(bytes, i));
  writer->finish();
}

inline Bytes read_all(BlobReader& reader) {
  Bytes bytes;
  std::uint64_t expected = 0;
  reader.read(0, stored_segments(reader.size()),
              [&](std::uint64_t index, ByteView segment) {
                EXPECT_EQ(index, expected++);
                bytes.insert(bytes.end(), segment.begin(), segment.end());
              },
              {});
  return bytes;
}

inline Reservation publish(Store& store, const std::string& name, const std::string& manifest,
                           const Bytes& model = pattern(100, 1)) {
  Reservation reservation = store.reserve(name, {});
  write_all(store, reservation, "model", model);
  store.commit(reservation, manifest, {});
  return reservation;
}

// The status a call fails with, ok when it doesn't.
template <class Call>
Status status_of(const Call& call) {
  try {
    call();
    return Status::ok;
  } catch (const Error& error) {
    EXPECT_GT(std::string(error.what()).size(), 10u);
    return error.status();
  }
}

// Runs body(0) .. body(n - 1) on n threads that start together.
inline void together(int n, const std::function<void(int)>& body) {
  std::barrier start(n);
  std::vector<std::thread> threads;
  for (int i = 0; i < n; ++i) {
    threads.emplace_back([&, i] {
      start.arrive_and_wait();
      body(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

inline std::string last_of(const std::optional<StoredRecord>& record) {
  return record ? std::to_string(record->sequence) + ":" + record->record : "none";
}

}  // namespace ptsecure::test
