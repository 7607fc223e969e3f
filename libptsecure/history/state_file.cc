#include "libptsecure/history/state_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "libptsecure/base/text.hpp"
#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/json_members.hpp"
#include "libptsecure/crypto/random.hpp"
#include "libptsecure/crypto/strict_json.hpp"

namespace ptsecure {
namespace {

namespace fs = std::filesystem;

using nlohmann::json;
using nlohmann::ordered_json;

constexpr off_t kMaxSize = off_t{64} << 20;
constexpr std::size_t kMaxName = 4096;

[[noreturn]] void fail(int error, const char* doing, const std::string& path) {
  const bool refused = error == EACCES || error == EPERM || error == EROFS;
  throw Error(refused ? Status::permission_denied : Status::io,
              "the state file " + path + " can't be " + doing + ": " + std::strerror(error) +
                  "; name another one, or go without (then nothing is remembered)");
}

class Fd {
 public:
  explicit Fd(int fd) noexcept : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

int open_retrying(const std::string& path, int flags, mode_t mode = 0) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

std::string folder_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

// Every missing folder of the path, closed to others.
void make_folders(const std::string& folder) {
  if (folder.empty() || ::mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return;
  if (errno == ENOENT) {
    const std::string parent = folder_of(folder);
    if (parent != folder) make_folders(parent);
    if (::mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return;
  }
  fail(errno, "made a folder for", folder);
}

// Held until destroyed; the lock file stays, because removing it would let two hold it at once.
class Lock {
 public:
  explicit Lock(const std::string& path) : fd_(open_retrying(path, O_RDWR | O_CREAT, 0600)) {
    if (fd_.get() < 0) fail(errno, "locked", path);
    while (::flock(fd_.get(), LOCK_EX) != 0) {
      if (errno != EINTR) fail(errno, "locked", path);
    }
  }

 private:
  Fd fd_;
};

void check_owner(const struct stat& status, const std::string& path) {
  if (!S_ISREG(status.st_mode)) {
    throw Error(Status::corrupt, "the state file " + path + " is not a regular file");
  }
  if ((status.st_uid != ::geteuid() && status.st_uid != 0) || (status.st_mode & 022) != 0) {
    throw Error(Status::permission_denied,
                "the state file " + path +
                    " could have been written by others, so it can't be relied on: it must be "
                    "yours and closed to them (chmod 600)");
  }
}

std::string read_all(int fd, const struct stat& status, const std::string& path) {
  if (status.st_size > kMaxSize) {
    throw Error(Status::limit_exceeded, "the state file " + path + " is larger than 64 MiB");
  }
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::read(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(errno, "read", path);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  text.resize(done);
  return text;
}

void write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail(n < 0 ? errno : EIO, "written", path);
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

// Which file stands at the path, and which of its contents: every change is a new file.
std::string identity(const struct stat& status) {
  return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) + ":" +
         std::to_string(status.st_size) + ":" + std::to_string(status.st_mtim.tv_sec) + "." +
         std::to_string(status.st_mtim.tv_nsec) + ":" + std::to_string(status.st_ctim.tv_sec) +
         "." + std::to_string(status.st_ctim.tv_nsec);
}

// Names of stores, chains and models in the file.
const json& named(const JsonMembers& in, const char* member) {
  const json& object = in.object(member);
  for (const auto& [name, _] : object.items()) {
    if (name.empty() || name.size() > kMaxName)
      in.refuse(std::string("a name in ") + member + " is empty or too long");
  }
  return object;
}

StateFile::OfStore store_from(const json& object) {
  const JsonMembers in(object, "a store in the state");
  in.require_only({"chains", "versions"});
  StateFile::OfStore out;
  for (const auto& [chain, value] : named(in, "chains").items()) {
    const JsonMembers mark(value, "a chain in the state");
    mark.require_only({"sequence", "record"});
    out.chains.emplace(
        chain, RecordMark{.sequence = mark.number("sequence"), .digest = mark.digest("record")});
  }
  for (const auto& [name, value] : named(in, "versions").items()) {
    const JsonMembers mark(value, "a version in the state");
    mark.require_only({"version", "manifest"});
    out.versions.emplace(
        name, VersionMark{.version = mark.number("version"), .manifest = mark.digest("manifest")});
  }
  return out;
}

}  // namespace

std::string chain_text(const ChainId& chain) {
  return join(chain, "/");
}

std::string StateFile::Content::to_json() const {
  ordered_json out{{"ptsecure", kFormat},
                   {"places", ordered_json::object()},
                   {"stores", ordered_json::object()}};
  for (const auto& [place, id] : places) out["places"][place] = id;
  for (const auto& [id, store] : stores) {
    ordered_json& to = out["stores"][id];
    to = {{"chains", ordered_json::object()}, {"versions", ordered_json::object()}};
    for (const auto& [chain, mark] : store.chains) {
      to["chains"][chain] = {{"sequence", mark.sequence},
                             {"record", base64url_encode(mark.digest)}};
    }
    for (const auto& [name, mark] : store.versions) {
      to["versions"][name] = {{"version", mark.version},
                              {"manifest", base64url_encode(mark.manifest)}};
    }
  }
  return out.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

StateFile::Content StateFile::Content::from_json(std::string_view text) {
  const json object = parse_strict_json(text);
  const JsonMembers in(object, "the state");
  in.require_format(kFormat);
  in.require_only({"ptsecure", "places", "stores"});
  Content state;
  for (const auto& [place, id] : named(in, "places").items()) {
    if (!id.is_string()) in.refuse("a place must have the id of a store");
    state.places.emplace(place, id.get<std::string>());
  }
  for (const auto& [id, store] : named(in, "stores").items()) {
    state.stores.emplace(id, store_from(store));
  }
  return state;
}

StateFile::StateFile(std::string path) : path_(std::move(path)) {
  if (path_.empty()) throw Error(Status::invalid_argument, "the state file's path is empty");
}

std::string StateFile::default_path() {
  // XDG Base Directory Specification: a relative path there is to be ignored.
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && state[0] == '/') return std::string(state) + "/ptsecure/state.json";
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') {
    return std::string(home) + "/.local/state/ptsecure/state.json";
  }
  throw Error(Status::not_found,
              "neither XDG_STATE_HOME nor HOME names a folder to remember a store's state in; name "
              "a state file, or go without (then nothing is remembered)");
}

std::string StateFile::place_of(const std::string& uri) {
  if (uri.find("://") != std::string::npos) return uri;
  fs::path path = fs::absolute(uri).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // a trailing slash
  return path.string();
}

std::shared_ptr<const StateFile::Content> StateFile::read() const {
  const Fd fd(open_retrying(path_, O_RDONLY));
  if (fd.get() < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::make_shared<const Content>();
    fail(errno, "read", path_);
  }
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) fail(errno, "read", path_);
  check_owner(status, path_);
  const std::string file = identity(status);
  {
    const std::lock_guard lock(mutex_);
    if (cached_ && cached_file_ == file) return cached_;
  }
  std::shared_ptr<const Content> state;
  try {
    state = std::make_shared<const Content>(Content::from_json(read_all(fd.get(), status, path_)));
  } catch (const Error& error) {
    throw Error(error.status(), path_ + ": " + error.what() +
                                    "; restore it, or forget everything with `ptsecure state "
                                    "reset --all --state " +
                                    path_ + "`");
  }
  const std::lock_guard lock(mutex_);
  cached_ = state;
  cached_file_ = file;
  return state;
}

void StateFile::write(const Content& state) const {
  const std::string temporary = path_ + "." + random_id() + ".tmp";
  try {
    const Fd fd(open_retrying(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600));
    if (fd.get() < 0) fail(errno, "written", path_);
    write_all(fd.get(), state.to_json(), path_);
    if (::fsync(fd.get()) != 0 || ::rename(temporary.c_str(), path_.c_str()) != 0) {
      fail(errno, "written", path_);
    }
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  const Fd folder(open_retrying(folder_of(path_), O_RDONLY | O_DIRECTORY));
  if (folder.get() >= 0 && ::fsync(folder.get()) != 0 && errno != EINVAL) {
    fail(errno, "written", path_);
  }
}

void StateFile::update(const std::function<bool(Content&)>& change) const {
  make_folders(folder_of(path_));
  const Lock lock(path_ + ".lock");
  Content state = *read();
  if (change(state)) write(state);
}

void StateFile::forget(const std::string& store) const {
  std::string id = store;
  std::string place;
  const auto known = read();
  if (!known->stores.contains(store)) {
    place = place_of(open_store(store, {})->display_uri());
    const auto found = known->places.find(place);
    if (found == known->places.end()) {
      throw Error(Status::not_found, path_ + " remembers no store " + place);
    }
    id = found->second;
  }
  update([&](Content& state) {
    state.stores.erase(id);
    std::erase_if(state.places,
                  [&](const auto& at) { return at.second == id || at.first == place; });
    return true;
  });
}

void StateFile::clear() const {
  make_folders(folder_of(path_));
  const Lock lock(path_ + ".lock");
  write(Content());
}

}  // namespace ptsecure
