#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "libptsecure/base/bytes.hpp"

namespace ptsecure::test {

// A private MongoDB server on a free loopback port, with its data in a folder of its own. It ends
// with the object, and with this process whatever happens to it. The program is $PTSECURE_MONGOD,
// else the mongod on the PATH.
class Mongod {
 public:
  enum class Kind { replica_set, standalone };

  // `arguments` go to mongod. `uri_options` are added to every URI, as in "tls=true&tlsCAFile=...".
  explicit Mongod(Kind kind, std::vector<std::string> arguments = {}, std::string uri_options = {});

  // A replica set of several; the first one is the primary.
  static std::vector<std::unique_ptr<Mongod>> start_set(int members);
  ~Mongod();
  Mongod(const Mongod&) = delete;
  Mongod& operator=(const Mongod&) = delete;

  // "mongodb://127.0.0.1:PORT/database?options".
  std::string uri(const std::string& database, const std::string& options = {}) const;
  static std::string set_uri(const std::vector<std::unique_ptr<Mongod>>& members,
                             const std::string& database, const std::string& options = {});
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  // Runs a command written as (extended) JSON and returns its reply as JSON. Throws
  // std::runtime_error when it fails. `user` is "name:password".
  std::string command(const std::string& database, const std::string& json,
                      const std::string& user = {}, const std::string& options = {}) const;

  // Rewrites the bytes of one stored chunk.
  void edit_chunk(const std::string& database, const std::string& files_id, std::uint64_t n,
                  const std::function<void(Bytes&)>& edit) const;

  void stop_answering();  // SIGSTOP: connections stay open, nothing is answered
  void answer_again();
  void kill();  // SIGKILL
  // On the same port and data. From the thread that outlives the server: it ends with its thread.
  void start_again();

 private:
  struct Member {};  // of a set that is initiated later
  explicit Mongod(Member);

  void start();
  void initiate(const std::vector<std::string>& addresses) const;
  void launch();
  void wait_until_ready() const;
  bool ready() const;
  bool is_primary() const;

  Kind kind_;
  std::vector<std::string> arguments_;
  std::string uri_options_;
  std::filesystem::path folder_;
  int port_ = 0;
  pid_t process_ = -1;
};

// Started on first use, shared by all tests of this process. Tests use databases of their own.
Mongod& shared_mongod(Mongod::Kind kind);

// A database name that no other test of this process uses.
std::string fresh_database();

// A loopback port that nobody listens on just now.
int free_port();

}  // namespace ptsecure::test
