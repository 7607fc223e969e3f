#include "libptsecure/store/mongodb/client.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <sstream>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace ptsecure::mongodb {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMaxIdle = 32;
constexpr milliseconds kPause{200};
// Elections of a default replica set end well within this.
constexpr milliseconds kElection{30000};

// Error codes of the server, from its published list.
enum ServerCode : std::uint32_t {
  kHostUnreachable = 6,
  kHostNotFound = 7,
  kUserNotFound = 11,
  kUnauthorized = 13,
  kAuthenticationFailed = 18,
  kIllegalOperation = 20,
  kLockTimeout = 24,
  kMaxTimeExpired = 50,
  kCommandNotFound = 59,
  kWriteConcernFailed = 64,
  kInvalidOptions = 72,
  kNetworkTimeout = 89,
  kShutdownInProgress = 91,
  kWriteConflict = 112,
  kCommandNotSupported = 115,
  kFailedToSatisfyReadPreference = 133,
  kMajorityNotAvailableYet = 134,
  kPrimarySteppedDown = 189,
  kNetworkInterfaceExceededTimeLimit = 202,
  kExceededTimeLimit = 262,
  kAtlasError = 8000,
  kSocketException = 9001,
  kNotPrimaryLegacy = 10058,
  kNotWritablePrimary = 10107,
  kObjectTooLarge = 10334,
  kInterruptedAtShutdown = 11600,
  kInterruptedDueToReplStateChange = 11602,
  kNotPrimaryNoSecondaryOk = 13435,
  kNotPrimaryOrSecondary = 13436,
};

bool is_one_of(std::uint32_t code, std::initializer_list<std::uint32_t> codes) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

// The server answered, but may not take writes just now.
bool lost_its_role(std::uint32_t code) {
  return is_one_of(
      code, {kShutdownInProgress, kPrimarySteppedDown, kNotPrimaryLegacy, kNotWritablePrimary,
             kInterruptedAtShutdown, kInterruptedDueToReplStateChange, kNotPrimaryNoSecondaryOk,
             kNotPrimaryOrSecondary});
}

bool is_selection(const bson_error_t& error) {
  return error.domain == MONGOC_ERROR_SERVER_SELECTION &&
         error.code == MONGOC_ERROR_SERVER_SELECTION_FAILURE;
}

bool mentions_tls(std::string_view detail) {
  return detail.find("TLS") != std::string_view::npos;
}

bool is_from_server(const bson_error_t& error) {
  return error.domain == MONGOC_ERROR_SERVER || error.domain == MONGOC_ERROR_WRITE_CONCERN;
}

Status status_of_code(std::uint32_t code) {
  if (is_one_of(code, {kUnauthorized, kAuthenticationFailed, kUserNotFound, kAtlasError})) {
    return Status::permission_denied;
  }
  if (is_one_of(code, {kMaxTimeExpired, kWriteConcernFailed, kNetworkTimeout, kLockTimeout,
                       kNetworkInterfaceExceededTimeLimit, kExceededTimeLimit})) {
    return Status::timeout;
  }
  if (is_one_of(code, {kHostUnreachable, kHostNotFound, kSocketException,
                       kFailedToSatisfyReadPreference, kMajorityNotAvailableYet}) ||
      lost_its_role(code)) {
    return Status::unavailable;
  }
  if (is_one_of(code,
                {kIllegalOperation, kCommandNotFound, kCommandNotSupported, kInvalidOptions})) {
    return Status::unsupported;
  }
  if (code == kObjectTooLarge) return Status::limit_exceeded;
  if (code == MONGOC_ERROR_DUPLICATE_KEY || code == kWriteConflict) return Status::conflict;
  return Status::io;
}

// "No suitable servers found (...): [connection refused calling hello on 'h:1']" -> what is in the
// brackets.
std::string detail_of(const bson_error_t& error) {
  std::string text = error.message;
  const std::size_t open = text.find(": [");
  const std::size_t close = text.rfind(']');
  if (open != std::string::npos && close != std::string::npos && close > open) {
    return text.substr(open + 3, close - open - 3);
  }
  return text;
}

std::string seconds(milliseconds time) {
  std::ostringstream out;
  const auto tenths = time.count() / 100;
  out << static_cast<double>(tenths) / 10.0 << " s";
  return out.str();
}

}  // namespace

bool Failure::duplicate_key() const noexcept {
  return is_from_server(error_) && error_.code == MONGOC_ERROR_DUPLICATE_KEY;
}

bool Failure::connection_lost() const noexcept {
  return error_.domain == MONGOC_ERROR_STREAM || error_.domain == MONGOC_ERROR_SERVER_SELECTION;
}

bool Failure::transient() const noexcept {
  if (is_selection(error_) || error_.domain == MONGOC_ERROR_STREAM) return true;
  return is_from_server(error_) &&
         (lost_its_role(error_.code) ||
          is_one_of(error_.code, {kHostUnreachable, kHostNotFound, kSocketException, kWriteConflict,
                                  kMajorityNotAvailableYet, kFailedToSatisfyReadPreference}));
}

Status Failure::status() const noexcept {
  switch (error_.domain) {
    case MONGOC_ERROR_STREAM:
      return Status::unavailable;
    case MONGOC_ERROR_SERVER_SELECTION:
      return is_selection(error_) ? Status::unavailable : Status::unsupported;
    case MONGOC_ERROR_CLIENT:
      return error_.code == MONGOC_ERROR_CLIENT_AUTHENTICATE ? Status::permission_denied
                                                             : Status::unavailable;
    case MONGOC_ERROR_SCRAM:
    case MONGOC_ERROR_SASL:
      return Status::permission_denied;
    case MONGOC_ERROR_BSON:
      return Status::limit_exceeded;
    case MONGOC_ERROR_SERVER:
    case MONGOC_ERROR_WRITE_CONCERN:
      return status_of_code(error_.code);
    default:
      return Status::io;
  }
}

// --- one client
// -----------------------------------------------------------------------------------

Client::Client(const Target& target, const LogSink& log) : target_(target), log_(log) {}

Client::~Client() {
  close();
}

bool Client::close() {
  if (!client_) return true;
  const QuietLog quiet(log_);
  // Ending the server-side sessions is a courtesy: not worth waiting for, least of all after a wait
  // that was cancelled or took too long.
  if (!watch_.cancelled && !watch_.expired) {
    watch_.begin(CancelToken(), Clock::now() + milliseconds(1000));
  }
  mongoc_client_destroy(client_);
  client_ = nullptr;
  return !watch_.expired;
}

void Client::give_up() {
  watch_.begin(CancelToken(), Clock::now());
  watch_.expired = true;
}

void Client::connect() {
  bson_error_t error{};
  initialise();
  client_ = mongoc_client_new_from_uri_with_error(target_.uri.get(), &error);
  if (!client_) throw Failure(error);
  mongoc_client_set_error_api(client_, MONGOC_ERROR_API_VERSION_2);
  mongoc_client_set_stream_initiator(client_, open_stream, &watch_);
  mongoc_write_concern_t* concern = mongoc_write_concern_new();
  mongoc_write_concern_set_w(concern, MONGOC_WRITE_CONCERN_W_MAJORITY);
  mongoc_write_concern_set_journal(concern, true);
  mongoc_write_concern_set_wtimeout_int64(concern, target_.operation_timeout.count());
  mongoc_client_set_write_concern(client_, concern);
  mongoc_write_concern_destroy(concern);
}

void Client::prepare(const CancelToken& cancel) {
  watch_.begin(cancel, Clock::now() + target_.connect_timeout + target_.operation_timeout);
  if (prepared_) return;
  if (!client_) connect();
  bson_error_t error{};
  mongoc_server_description_t* server = mongoc_client_select_server(client_, true, nullptr, &error);
  if (!server) throw Failure(error);
  const std::string type = mongoc_server_description_type(server);
  round_trip_ms_ = static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, mongoc_server_description_round_trip_time(server)));
  sole_candidate_ = is_sole_candidate(View(mongoc_server_description_hello_response(server)));
  mongoc_server_description_destroy(server);
  // A server that the URI addresses alone is taken whatever it is.
  constexpr std::array<std::string_view, 4> kWritable = {"Standalone", "RSPrimary", "Mongos",
                                                         "LoadBalancer"};
  if (std::find(kWritable.begin(), kWritable.end(), type) == kWritable.end()) {
    bson_set_error(&error, MONGOC_ERROR_SERVER_SELECTION, MONGOC_ERROR_SERVER_SELECTION_FAILURE,
                   "it is a member of type %s; name the replica set with replicaSet=NAME to find "
                   "the primary",
                   type.c_str());
    throw Failure(error);
  }
  standalone_ = type == "Standalone";
  prepared_ = true;
}

bool Client::any_server_known() const {
  if (!client_) return false;
  std::size_t count = 0;
  mongoc_server_description_t** all = mongoc_client_get_server_descriptions(client_, &count);
  bool known = false;
  for (std::size_t i = 0; i < count; ++i) {
    known = known || std::string_view(mongoc_server_description_type(all[i])) != "Unknown";
  }
  mongoc_server_descriptions_destroy_all(all, count);
  return known;
}

// --- all clients of a store
// -----------------------------------------------------------------------

// Clients nobody uses just now, of one process.
struct Clients::Idle {
  const pid_t process = ::getpid();
  std::mutex mutex;
  std::vector<std::unique_ptr<Client>> clients;
  std::atomic<unsigned> blob_readers{0};
};

std::atomic<unsigned>& Clients::blob_readers() {
  return idle().blob_readers;
}

Clients::Clients(Target target, StoreOptions options)
    : target_(std::move(target)), options_(std::move(options)), idle_(new Idle) {}

Clients::~Clients() {
  Idle* idle_here = idle_.load();
  if (idle_here->process != ::getpid()) return;
  bool answers = true;
  for (const std::unique_ptr<Client>& client : idle_here->clients) {
    if (!answers) client->give_up();
    answers = client->close() && answers;
  }
  delete idle_here;
}

// The parent's set, its mutex included, may be in any state after a fork: the child lets go of it.
Clients::Idle& Clients::idle() {
  Idle* current = idle_.load(std::memory_order_acquire);
  if (current->process == ::getpid()) return *current;
  auto fresh = std::make_unique<Idle>();
  if (idle_.compare_exchange_strong(current, fresh.get())) return *fresh.release();
  return *current;
}

Clients::Lease Clients::checkout() {
  Idle& idle_here = idle();
  std::unique_ptr<Client> client;
  {
    const std::lock_guard lock(idle_here.mutex);
    if (!idle_here.clients.empty()) {
      client = std::move(idle_here.clients.back());
      idle_here.clients.pop_back();
    }
  }
  if (!client) client = std::make_unique<Client>(target_, options_.log);
  return {idle_here, std::move(client)};
}

Clients::Lease::~Lease() {
  if (!client_) return;
  if (idle_.process != ::getpid()) {
    (void)client_.release();
    return;
  }
  const std::lock_guard lock(idle_.mutex);
  if (idle_.clients.size() < kMaxIdle) idle_.clients.push_back(std::move(client_));
}

void Clients::Lease::discard(bool all) {
  std::vector<std::unique_ptr<Client>> others;
  if (all) {
    const std::lock_guard lock(idle_.mutex);
    others.swap(idle_.clients);
  }
  for (const std::unique_ptr<Client>& other : others) other->give_up();
  if (client_ && !client_->watch().cancelled) client_->give_up();
  client_.reset();
}

void Clients::Attempts::failed(Lease& lease, const Failure& failure) {
  const Watch watch = lease.client().watch();
  if (watch.cancelled) lease.discard(false);
  cancel_.check();
  if (watch.expired) {
    lease.discard(true);
    throw Error(Status::timeout, "the MongoDB server at " + owner_.target_.addresses +
                                     " did not answer within " +
                                     seconds(owner_.target_.operation_timeout) +
                                     "; try again, or allow a longer operation timeout");
  }
  const bool known = lost_its_role(failure.error().code) || lease.client().any_server_known();
  // What the sockets saw is more precise than what libmongoc makes of it.
  const bool unseen = is_selection(failure.error()) && !known && !watch.failure.empty() &&
                      !mentions_tls(failure.what());
  const std::string detail = unseen ? watch.failure : detail_of(failure.error());
  const Error error = owner_.error_of(failure, known, detail);
  if (failure.connection_lost() || !known) lease.discard(!known);
  if (!failure.transient() || (is_selection(failure.error()) && mentions_tls(detail))) {
    throw Error(error);
  }
  const Target& target = owner_.target_;
  const milliseconds window =
      known && owner_.reached_
          ? std::max(target.selection_timeout, std::min(target.operation_timeout, kElection))
          : target.selection_timeout;
  if (Clock::now() - start_ + kPause >= window) throw Error(error);
  cancel_.sleep_for(kPause);
}

Error Clients::error_of(const Failure& failure, bool server_known,
                        const std::string& detail) const {
  const std::string at = "the MongoDB server at " + target_.addresses;
  if (is_selection(failure.error()) && mentions_tls(detail)) {
    return {Status::unavailable,
            at + " could not be reached over TLS (" + detail +
                "); check that it speaks TLS, and tlsCAFile and the host name in the URI"};
  }
  if (is_selection(failure.error())) {
    const std::string waited = seconds(target_.selection_timeout);
    if (!server_known) {
      return {Status::unavailable, "no MongoDB server answered at " + target_.addresses +
                                       " within " + waited + " (" + detail +
                                       "); start it, or check the address and the firewall"};
    }
    return {Status::unavailable,
            at + " answers, but within " + waited +
                " no member could serve this: there is no primary, or none that the URI's "
                "readPreference allows (" +
                detail + ")"};
  }
  const Status status = failure.status();
  if (status == Status::permission_denied) {
    return {status, at + " refused access (" + detail +
                        "); check the user name, the password, the user's roles on the database '" +
                        target_.database + "', and authSource when the user is defined elsewhere"};
  }
  if (status == Status::unavailable && !server_known) {
    return {status, "no MongoDB server was found by the name " + target_.addresses + " (" + detail +
                        "); check the name in the URI and the name server"};
  }
  if (status == Status::unavailable) {
    return {status, "the connection to " + at + " was lost (" + detail + "); try again"};
  }
  return {status, at + " could not do what was asked: " + detail};
}

}  // namespace ptsecure::mongodb
