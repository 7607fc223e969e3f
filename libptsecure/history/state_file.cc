#include "libptsecure/history/state_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "libptsecure/crypto/random.hpp"

namespace ptsecure {
namespace {

namespace fs = std::filesystem;

constexpr off_t kMaxSize = off_t{64} << 20;

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

}  // namespace

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

std::shared_ptr<const State> StateFile::read() const {
  const Fd fd(open_retrying(path_, O_RDONLY));
  if (fd.get() < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::make_shared<const State>();
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
  std::shared_ptr<const State> state;
  try {
    state = std::make_shared<const State>(State::from_json(read_all(fd.get(), status, path_)));
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

void StateFile::write(const State& state) const {
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

void StateFile::update(const std::function<bool(State&)>& change) const {
  make_folders(folder_of(path_));
  const Lock lock(path_ + ".lock");
  State state = *read();
  if (change(state)) write(state);
}

void StateFile::clear() const {
  make_folders(folder_of(path_));
  const Lock lock(path_ + ".lock");
  write(State());
}

}  // namespace ptsecure
