#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "libptsecure/base/cancel.hpp"
#include "libptsecure/store/mongodb/bson.hpp"
#include "libptsecure/store/mongodb/driver.hpp"
#include "libptsecure/store/mongodb/log.hpp"
#include "libptsecure/store/mongodb/stream.hpp"
#include "libptsecure/store/mongodb/uri.hpp"
#include "libptsecure/store/store.hpp"

namespace ptsecure::mongodb {

// A call of libmongoc that failed, before anybody has decided what it means.
class Failure : public std::exception {
 public:
  explicit Failure(const bson_error_t& error) : error_(error) {}

  const char* what() const noexcept override { return error_.message; }
  const bson_error_t& error() const noexcept { return error_; }
  bool duplicate_key() const noexcept;
  // The connection, the server or its role went away; asking again may help.
  bool transient() const noexcept;
  bool connection_lost() const noexcept;
  Status status() const noexcept;

 private:
  bson_error_t error_;
};

// One single-threaded libmongoc client and what its sockets look at.
class Client {
 public:
  Client(const Target& target, const LogSink& log);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Connects where that is still to be done, so that a server that takes writes is known. Throws
  // Failure.
  void prepare(const CancelToken& cancel);

  // Ends the sessions and the connections, waiting a second at most. False when the server did not
  // answer in that time.
  bool close();
  // From here on nothing is waited for: the server is known not to answer.
  void give_up();

  // After prepare().
  mongoc_client_t* get() const { return client_; }
  Watch& watch() { return watch_; }
  // One copy of the data, no replica set: it refuses read concerns other than local.
  bool standalone() const { return standalone_; }
  // By its greeting, when the server was found: see is_sole_candidate().
  bool greeted_as_sole_candidate() const { return sole_candidate_; }
  // Between sending a greeting and its answer, when the server was found.
  std::uint64_t round_trip_ms() const { return round_trip_ms_; }
  // Some server of the set answers, though none may take writes.
  bool any_server_known() const;

 private:
  void connect();

  const Target& target_;
  const LogSink& log_;
  Watch watch_;
  mongoc_client_t* client_ = nullptr;
  bool prepared_ = false;
  bool standalone_ = false;
  bool sole_candidate_ = false;
  std::uint64_t round_trip_ms_ = 0;
};

enum class Durability {
  majority,  // journalled by a majority: what must never be lost or taken back
  primary,   // taken by the primary; something later makes it durable and checks that it stayed
};

struct Find {
  const Bson* sort = nullptr;
  const Bson* projection = nullptr;
  std::uint64_t limit = 0;  // 0 = all
  ReadConcern concern = ReadConcern::majority;
};

struct UpdateResult {
  bool matched = false;
  bool inserted = false;
};

// Whether a server, by its answer to `hello`, is the primary of a replica set that has no other
// member which could be elected (passive, hidden and arbiting ones can't): then it can't be one
// that was replaced without knowing, and what it has by a majority is the newest there is.
bool is_sole_candidate(const View& hello);

// The operations of one checked-out client on the store's database. All of them throw Failure.
// Reads go to the primary and see only what can't be rolled back, whatever the URI says.
class Session {
 public:
  using Row = std::function<void(const View&)>;

  Session(Client& client, const Target& target) : client_(client), target_(target) {}

  bool standalone() const { return client_.standalone(); }

  void find(const char* collection, const Bson& filter, const Find& options, const Row& row);
  std::optional<Bson> find_one(const char* collection, const Bson& filter,
                               ReadConcern concern = ReadConcern::majority);
  void aggregate(const char* collection, const Bson& pipeline, const Row& row);
  std::uint64_t count(const char* collection, const Bson& filter);
  // Calls `changed` when the change stream begins and for what comes in, for a minute: what
  // libmongoc has to say is told when an operation ends. Throws Status::cancelled too.
  void watch(const char* collection, const Bson& pipeline, const std::function<void()>& changed,
             const CancelToken& cancel);

  // A read command that may go where the URI's read preference sends it.
  Bson read(const Bson& command, bool primary_only);

  void insert(const char* collection, const Bson& document, Durability durability);
  UpdateResult update(const char* collection, const Bson& filter, const Bson& change, bool upsert);
  // The document after the change, inserted when none matches the filter.
  Bson upsert_and_get(const char* collection, const Bson& filter, const Bson& change);
  void remove(const char* collection, const Bson& filter);
  void command(const Bson& command);

 private:
  // Starts the time limit of the next round trip.
  void begin() { client_.watch().deadline = Clock::now() + target_.operation_timeout; }
  Bson read_options(ReadConcern concern) const;
  // The level that gives what was asked for. A linearizable read makes the primary wait for a
  // majority's journal, about 100 ms, to prove that it still is one. One that was greeted as the
  // sole candidate is asked whether it is now, so that the others cost no round trip.
  ReadConcern level_for(ReadConcern concern);
  void each(mongoc_cursor_t* cursor, const Row& row);

  Client& client_;
  const Target& target_;
};

// The clients of one store. Thread-safe. After a fork the child makes its own: the parent's are
// left alone, so nothing is sent on its connections.
class Clients {
 public:
  Clients(Target target, StoreOptions options);
  ~Clients();
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  const Target& target() const { return target_; }
  std::uint64_t round_trip_ms() const { return round_trip_ms_; }
  // How many threads read blobs at the moment: they share what is in flight.
  std::atomic<unsigned>& blob_readers();

  // Calls work(Session&) and returns what it returns. After a failure that asking again may cure
  // (no primary, connection lost) the whole of `work` is called again, so it must be idempotent.
  // A Failure that is left becomes an Error.
  template <typename Work>
  auto run(const CancelToken& cancel, Work&& work) {
    for (Attempts attempts(*this, cancel);;) {
      Lease lease = checkout();
      try {
        const QuietLog quiet(options_.log);
        lease.client().prepare(cancel);
        reached_ = true;
        round_trip_ms_ = lease.client().round_trip_ms();
        Session session(lease.client(), target_);
        return work(session);
      } catch (const Failure& failure) {
        attempts.failed(lease, failure);
      }
    }
  }

 private:
  struct Idle;

  class Lease {
   public:
    Lease(Idle& idle, std::unique_ptr<Client> client) : idle_(idle), client_(std::move(client)) {}
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    Client& client() { return *client_; }
    // Closes the client, `all` the idle ones too.
    void discard(bool all);

   private:
    Idle& idle_;
    std::unique_ptr<Client> client_;
  };

  // How long one operation goes on asking.
  class Attempts {
   public:
    Attempts(Clients& owner, const CancelToken& cancel)
        : owner_(owner), cancel_(cancel), start_(Clock::now()) {}
    // Returns to try again, or throws the Error that the failure is.
    void failed(Lease& lease, const Failure& failure);

   private:
    Clients& owner_;
    const CancelToken& cancel_;
    Clock::time_point start_;
  };

  Idle& idle();
  Lease checkout();
  Error error_of(const Failure& failure, bool server_known, const std::string& detail) const;

  Target target_;
  StoreOptions options_;
  std::atomic<Idle*> idle_;
  std::atomic<std::uint64_t> round_trip_ms_{0};
  std::atomic<bool> reached_{false};  // a server has answered this store before
};

}  // namespace ptsecure::mongodb
