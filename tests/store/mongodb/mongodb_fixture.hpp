// A store in a database of its own on the shared server, and what the tests of the MongoDB store do
// to servers.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "tests/store/conformance.hpp"
#include "tests/store/mongod.hpp"

namespace ptsecure::test {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

inline Bytes read_all(Store& store, const BlobId& id, const CancelToken& cancel = {}) {
  const auto reader = store.read_blob(id, cancel);
  Bytes bytes;
  reader->read(
      0, stored_segments(reader->size()),
      [&](std::uint64_t, ByteView segment) {
        bytes.insert(bytes.end(), segment.begin(), segment.end());
      },
      cancel);
  return bytes;
}

inline std::uint64_t publish(Store& store, const std::string& name,
                             const Bytes& model = pattern(9, 1)) {
  const Reservation reservation = store.reserve(name, {});
  write_all(store, reservation, "model", model);
  store.commit(reservation, "manifest of " + std::to_string(reservation.version), {});
  return reservation.version;
}

struct Outcome {
  Status status = Status::ok;
  std::string message;
  std::chrono::milliseconds time{};
};

template <class Call>
Outcome outcome_of(const Call& call) {
  Outcome out;
  const auto start = Clock::now();
  try {
    call();
  } catch (const Error& error) {
    out.status = error.status();
    out.message = error.what();
  }
  out.time = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
  return out;
}

inline bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline StoreOptions limits(std::chrono::milliseconds connect, std::chrono::milliseconds operation) {
  StoreOptions options;
  options.connect_timeout = connect;
  options.operation_timeout = operation;
  return options;
}

// Stops the server for the life of this object.
class Stall {
 public:
  explicit Stall(Mongod& server) : server_(server) { server_.stop_answering(); }
  ~Stall() { server_.answer_again(); }
  Stall(const Stall&) = delete;
  Stall& operator=(const Stall&) = delete;

 private:
  Mongod& server_;
};

// Cancels `token` after `delay`.
class CancelLater {
 public:
  CancelLater(const CancelToken& token, std::chrono::milliseconds delay)
      : thread_([token, delay] {
          std::this_thread::sleep_for(delay);
          token.cancel();
        }) {}
  ~CancelLater() { thread_.join(); }
  CancelLater(const CancelLater&) = delete;
  CancelLater& operator=(const CancelLater&) = delete;

 private:
  std::thread thread_;
};

class MongodbStoreTest : public testing::Test {
 protected:
  Mongod& server() { return shared_mongod(Mongod::Kind::replica_set); }
  const std::string& database() const { return database_; }
  std::string uri(const std::string& options = {}) { return server().uri(database_, options); }
  std::shared_ptr<Store> open(const StoreOptions& options = {}) {
    auto store = open_store(uri(), options);
    store->ensure_created({});
    return store;
  }
  std::string command(const std::string& json) { return server().command(database_, json); }
  void TearDown() override { command(R"({"dropDatabase":1})"); }

 private:
  std::string database_ = fresh_database();
};

}  // namespace ptsecure::test
