#include "tests/store/mongod.hpp"

#include <mongoc/mongoc.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace ptsecure::test {
namespace {

constexpr std::chrono::seconds kStartTime{120};

std::string program() {
  const char* given = std::getenv("PTSECURE_MONGOD");
  return given && *given ? given : "mongod";
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

struct ClientDeleter {
  void operator()(mongoc_client_t* client) const { mongoc_client_destroy(client); }
};

std::string run_command(const std::string& uri, const std::string& database,
                        const std::string& json) {
  bson_error_t error{};
  const std::unique_ptr<mongoc_client_t, ClientDeleter> client(mongoc_client_new(uri.c_str()));
  if (!client) throw std::runtime_error("cannot use " + uri);
  mongoc_client_set_error_api(client.get(), MONGOC_ERROR_API_VERSION_2);
  bson_t command;
  if (!bson_init_from_json(&command, json.data(), static_cast<ssize_t>(json.size()), &error)) {
    throw std::runtime_error("not JSON: " + json.substr(0, 200) + ": " + error.message);
  }
  bson_t reply;
  const bool ok = mongoc_client_command_simple(client.get(), database.c_str(), &command, nullptr,
                                               &reply, &error);
  char* text = bson_as_relaxed_extended_json(&reply, nullptr);
  const std::string out = text ? text : "";
  bson_free(text);
  bson_destroy(&command);
  bson_destroy(&reply);
  if (!ok) throw std::runtime_error(json.substr(0, 200) + ": " + error.message);
  if (out.find("\"writeErrors\"") != std::string::npos) throw std::runtime_error(out);
  return out;
}

}  // namespace

int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool bound = fd >= 0 && ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(fd);
  if (!bound) throw std::runtime_error("no free loopback port");
  return ntohs(address.sin_port);
}

Mongod::Mongod(Kind kind, std::vector<std::string> arguments, std::string uri_options)
    : kind_(kind), arguments_(std::move(arguments)), uri_options_(std::move(uri_options)) {
  start();
  if (kind_ == Kind::standalone) return;
  initiate({address()});
  wait_until_ready();
}

Mongod::Mongod(Member) : kind_(Kind::replica_set) {
  start();
}

void Mongod::start() {
  mongoc_init();
  std::string pattern =
      (std::filesystem::temp_directory_path() / "ptsecure-mongod-XXXXXX").string();
  if (!::mkdtemp(pattern.data())) throw std::runtime_error("cannot create " + pattern);
  folder_ = pattern;
  port_ = free_port();
  try {
    launch();
    wait_until_ready();
  } catch (...) {
    kill();
    std::filesystem::remove_all(folder_);
    throw;
  }
}

void Mongod::initiate(const std::vector<std::string>& addresses) const {
  std::string members;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    members += std::string(i == 0 ? "" : ",") + R"({"_id":)" + std::to_string(i) + R"(,"host":")" +
               addresses[i] + R"(","priority":)" + (i == 0 ? "2" : "1") + "}";
  }
  command("admin", R"({"replSetInitiate":{"_id":"rs0","members":[)" + members +
                       R"(],"settings":{"electionTimeoutMillis":1500}}})");
}

std::vector<std::unique_ptr<Mongod>> Mongod::start_set(int members) {
  std::vector<std::unique_ptr<Mongod>> set;
  std::vector<std::string> addresses;
  for (int i = 0; i < members; ++i) {
    set.emplace_back(new Mongod(Member{}));
    addresses.push_back(set.back()->address());
  }
  set[0]->initiate(addresses);
  const auto until = std::chrono::steady_clock::now() + kStartTime;
  while (!set[0]->is_primary()) {
    if (std::chrono::steady_clock::now() > until)
      throw std::runtime_error("no primary was elected");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return set;
}

std::string Mongod::set_uri(const std::vector<std::unique_ptr<Mongod>>& members,
                            const std::string& database, const std::string& options) {
  std::string out = "mongodb://";
  for (const auto& member : members) out += (out.back() == '/' ? "" : ",") + member->address();
  return out + "/" + database + "?replicaSet=rs0" + (options.empty() ? "" : "&" + options);
}

Mongod::~Mongod() {
  kill();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void Mongod::launch() {
  std::vector<std::string> words = {program(),
                                    "--dbpath",
                                    folder_ / "",
                                    "--logpath",
                                    folder_ / "mongod.log",
                                    "--port",
                                    std::to_string(port_),
                                    "--bind_ip",
                                    "127.0.0.1",
                                    "--nounixsocket",
                                    "--wiredTigerCacheSizeGB",
                                    "0.5",
                                    "--setParameter",
                                    "diagnosticDataCollectionEnabled=false",
                                    "--setParameter",
                                    "enableTestCommands=1",
                                    "--setParameter",
                                    "reportOpWriteConcernCountersInServerStatus=true"};
  if (kind_ == Kind::replica_set) {
    words.insert(words.end(), {"--replSet", "rs0", "--oplogSize", "64"});
  }
  words.insert(words.end(), arguments_.begin(), arguments_.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  process_ = ::fork();
  if (process_ < 0) throw std::runtime_error("cannot fork");
  if (process_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    if (!std::freopen("/dev/null", "w", stdout)) ::_exit(1);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
}

bool Mongod::is_primary() const {
  const std::string reply = command("admin", R"({"hello":1})");
  return reply.find("\"isWritablePrimary\" : true") != std::string::npos;
}

// Takes writes, or waits for its set to be initiated, or is a member of one.
bool Mongod::ready() const {
  const std::string reply = command("admin", R"({"hello":1})");
  for (const char* sign : {"\"isWritablePrimary\" : true", "\"isreplicaset\" : true"}) {
    if (reply.find(sign) != std::string::npos) return true;
  }
  return false;
}

void Mongod::wait_until_ready() const {
  const auto until = std::chrono::steady_clock::now() + kStartTime;
  std::string why;
  while (std::chrono::steady_clock::now() < until) {
    int status = 0;
    if (::waitpid(process_, &status, WNOHANG) == process_) {
      throw std::runtime_error("'" + program() +
                               "' can't be run or ended; PTSECURE_MONGOD names the mongod: " +
                               contents(folder_ / "mongod.log").substr(0, 4000));
    }
    try {
      if (ready()) return;
    } catch (const std::runtime_error& error) {
      why = error.what();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  throw std::runtime_error("mongod was not ready in time: " + why);
}

std::string Mongod::uri(const std::string& database, const std::string& options) const {
  std::string out = "mongodb://" + address() + "/" + database;
  std::string all = uri_options_;
  if (!options.empty()) all += (all.empty() ? "" : "&") + options;
  return all.empty() ? out : out + "?" + all;
}

std::string Mongod::command(const std::string& database, const std::string& json,
                            const std::string& user, const std::string& options) const {
  std::string where =
      uri(database, "directConnection=true" + (options.empty() ? "" : "&" + options));
  if (!user.empty()) where.insert(std::string("mongodb://").size(), user + "@");
  return run_command(where, database, json);
}

void Mongod::edit_chunk(const std::string& database, const std::string& files_id, std::uint64_t n,
                        const std::function<void(Bytes&)>& edit) const {
  bson_error_t error{};
  const std::unique_ptr<mongoc_client_t, ClientDeleter> client(
      mongoc_client_new(uri(database, "directConnection=true").c_str()));
  mongoc_collection_t* chunks =
      mongoc_client_get_collection(client.get(), database.c_str(), "ptsecure.payloads.chunks");
  bson_t filter = BSON_INITIALIZER;
  bson_append_utf8(&filter, "files_id", -1, files_id.c_str(), -1);
  bson_append_int32(&filter, "n", -1, static_cast<std::int32_t>(n));
  mongoc_cursor_t* cursor = mongoc_collection_find_with_opts(chunks, &filter, nullptr, nullptr);
  const bson_t* row = nullptr;
  bson_iter_t it;
  Bytes bytes;
  const bool found = mongoc_cursor_next(cursor, &row) && bson_iter_init_find(&it, row, "data");
  if (found) {
    std::uint32_t size = 0;
    const std::uint8_t* data = nullptr;
    bson_iter_binary(&it, nullptr, &size, &data);
    bytes.assign(data, data + size);
  }
  edit(bytes);
  bson_t fields = BSON_INITIALIZER;
  bson_append_binary(&fields, "data", -1, BSON_SUBTYPE_BINARY, bytes.data(),
                     static_cast<std::uint32_t>(bytes.size()));
  bson_t change = BSON_INITIALIZER;
  bson_append_document(&change, "$set", -1, &fields);
  const bool ok = mongoc_collection_update_one(chunks, &filter, &change, nullptr, nullptr, &error);
  bson_destroy(&change);
  bson_destroy(&fields);
  bson_destroy(&filter);
  mongoc_cursor_destroy(cursor);
  mongoc_collection_destroy(chunks);
  if (!found || !ok)
    throw std::runtime_error("cannot edit the chunk: " + std::string(error.message));
}

void Mongod::stop_answering() {
  ::kill(process_, SIGSTOP);
  // It answers until the last of its threads has stopped.
  ::waitpid(process_, nullptr, WUNTRACED);
}

void Mongod::answer_again() {
  ::kill(process_, SIGCONT);
}

void Mongod::kill() {
  if (process_ <= 0) return;
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
  process_ = -1;
}

void Mongod::start_again() {
  launch();
  wait_until_ready();
}

Mongod& shared_mongod(Mongod::Kind kind) {
  if (kind == Mongod::Kind::standalone) {
    static Mongod standalone(kind);
    return standalone;
  }
  static Mongod replica_set(kind);
  return replica_set;
}

std::string fresh_database() {
  static std::atomic<int> count{0};
  return "t" + std::to_string(++count);
}

}  // namespace ptsecure::test
