#include "libptsecure/store/directory/files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

#include "libptsecure/base/error.hpp"
#include "libptsecure/base/text.hpp"
#include "libptsecure/crypto/random.hpp"
#include "libptsecure/store/component.hpp"

namespace ptsecure::directory {
namespace {

constexpr char kNames[] = ".names";
constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
// Without O_NONBLOCK, opening a FIFO put into the store would wait for ever.
constexpr int kFileFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

struct Explanation {
  Status status;
  std::string text;
};

Explanation explain(int error) {
  switch (error) {
    case ENOSPC:
      return {Status::io, "the disk is full; free space or choose another place"};
    case EDQUOT:
      return {Status::io, "the disk quota is used up; raise it or free space"};
    case EFBIG:
      return {Status::io,
              "the file would be larger than the file system or this process (ulimit -f) allows"};
    case EACCES:
    case EPERM:
      return {Status::permission_denied,
              "access was denied; check the owner and the mode of the store's folders"};
    case EROFS:
      return {Status::permission_denied, "the file system is mounted read-only"};
    case EMFILE:
      return {Status::limit_exceeded,
              "this process has too many open files; raise its limit (ulimit -n)"};
    case ENFILE:
      return {Status::limit_exceeded, "the system has too many open files"};
    case ENOMEM:
      return {Status::out_of_memory, "the system has no memory left"};
    case ENAMETOOLONG:
      return {Status::invalid_argument, "the path is longer than the file system allows"};
    case ELOOP:
    case ENOTDIR:
      return {Status::corrupt,
              "it is a symbolic link or of another kind than a store holds; move it away"};
    default:
      return {Status::io, std::generic_category().message(error)};
  }
}

std::string descriptor_path(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

[[noreturn]] void throw_bad_claim(const Folder& names, const std::string& lower) {
  throw Error(Status::corrupt, "'" + names.path_of(lower) +
                                   "' doesn't hold the name it stands for; the store is damaged, "
                                   "restore that file");
}

bool can_link_descriptors() {
  static const bool mounted = access("/proc/self/fd", X_OK) == 0;
  return mounted;
}

}  // namespace

void throw_errno(int error, std::string_view doing, const std::string& path) {
  const Explanation why = explain(error);
  throw Error(why.status, std::string(doing) + " '" + path + "' failed: " + why.text);
}

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) close(fd_);
    fd_ = other.release();
  }
  return *this;
}

Fd::~Fd() {
  if (fd_ >= 0) close(fd_);
}

int Fd::release() noexcept {
  const int fd = fd_;
  fd_ = -1;
  return fd;
}

void write_at(int fd, ByteView bytes, std::uint64_t position, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite64(fd, bytes.data(), bytes.size(), static_cast<off64_t>(position));
    if (n < 0) {
      if (errno == EINTR) continue;
      throw_errno(errno, "writing", path);
    }
    if (n == 0) throw_errno(ENOSPC, "writing", path);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    position += static_cast<std::uint64_t>(n);
  }
}

std::size_t read_at(int fd, ByteSpan out, std::uint64_t position, const std::string& path) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n =
        pread64(fd, out.data() + done, out.size() - done, static_cast<off64_t>(position + done));
    if (n < 0) {
      if (errno == EINTR) continue;
      throw_errno(errno, "reading", path);
    }
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

void sync_file(int fd, const std::string& path) {
  while (fsync(fd) != 0) {
    if (errno == EINTR) continue;
    throw_errno(errno, "writing to disk", path);
  }
}

// --- Folder ---

std::optional<Folder> Folder::open(const std::string& path) {
  Fd fd(::open(path.c_str(), kFolderFlags));
  if (fd.valid()) return Folder(std::move(fd), path);
  if (errno == ENOENT) return std::nullopt;
  if (errno == ENOTDIR) {
    throw Error(Status::invalid_argument,
                "'" + path +
                    "' is no folder; a store is a folder: name a new or empty one, or one "
                    "that holds a store");
  }
  throw_errno(errno, "opening the store", path);
}

std::string Folder::path_of(std::string_view name) const {
  std::string path;
  path.reserve(path_.size() + 1 + name.size());
  path += path_;
  path += '/';
  path += name;
  return path;
}

std::optional<Folder> Folder::enter(const std::string& name) const {
  Fd fd(openat(fd_.get(), name.c_str(), kFolderFlags | O_NOFOLLOW));
  if (fd.valid()) return Folder(std::move(fd), path_of(name));
  if (errno == ENOENT) return std::nullopt;
  throw_errno(errno, "opening the folder", path_of(name));
}

Folder Folder::make(const std::string& name) const {
  if (auto present = enter(name)) return std::move(*present);
  if (make_new(name)) sync();
  if (auto made = enter(name)) return std::move(*made);
  throw_errno(ENOENT, "opening the new folder", path_of(name));
}

bool Folder::make_new(const std::string& name) const {
  if (mkdirat(fd_.get(), name.c_str(), 0777) == 0) return true;
  if (errno == EEXIST) return false;
  throw_errno(errno, "making the folder", path_of(name));
}

bool Folder::contains(const std::string& name, mode_t wanted) const {
  struct stat status = {};
  if (fstatat(fd_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return false;
    throw_errno(errno, "looking for", path_of(name));
  }
  const mode_t type = status.st_mode & S_IFMT;
  if (type != S_IFDIR && type != S_IFREG) throw_errno(ELOOP, "looking for", path_of(name));
  return type == wanted;
}

bool Folder::contains_folder(const std::string& name) const {
  return contains(name, S_IFDIR);
}
bool Folder::contains_file(const std::string& name) const {
  return contains(name, S_IFREG);
}

std::vector<Entry> Folder::entries() const {
  Fd again(openat(fd_.get(), ".", kFolderFlags));
  if (!again.valid()) throw_errno(errno, "listing", path_);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(again.get()), closedir);
  if (!stream) throw_errno(errno, "listing", path_);
  again.release();
  std::vector<Entry> out;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(stream.get());  // NOLINT(concurrency-mt-unsafe): own stream
    if (entry == nullptr) {
      if (errno != 0) throw_errno(errno, "listing", path_);
      return out;
    }
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    out.push_back({std::string(name), entry->d_type != DT_REG});
  }
}

std::optional<std::uint64_t> Folder::subfolder_count() const {
  struct stat status = {};
  if (fstat(fd_.get(), &status) != 0) throw_errno(errno, "looking at", path_);
  if (status.st_nlink < 2) return std::nullopt;
  return status.st_nlink - 2;
}

std::optional<Fd> Folder::open_file(const std::string& name, struct stat& status) const {
  Fd fd(openat(fd_.get(), name.c_str(), kFileFlags));
  if (!fd.valid()) {
    if (errno == ENOENT) return std::nullopt;
    throw_errno(errno, "opening", path_of(name));
  }
  if (fstat(fd.get(), &status) != 0) throw_errno(errno, "looking at", path_of(name));
  if (!S_ISREG(status.st_mode)) throw_errno(ENOTDIR, "opening", path_of(name));
  return fd;
}

std::optional<std::string> Folder::read_text(const std::string& name) const {
  struct stat status = {};
  const std::optional<Fd> fd = open_file(name, status);
  if (!fd) return std::nullopt;
  if (static_cast<std::uint64_t>(status.st_size) > kMaxStoredText) {
    throw Error(Status::corrupt, "'" + path_of(name) + "' has " + std::to_string(status.st_size) +
                                     " bytes, more than a store writes there; it is damaged");
  }
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  const ByteSpan out(reinterpret_cast<std::uint8_t*>(text.data()), text.size());
  if (read_at(fd->get(), out, 0, path_of(name)) != text.size()) {
    throw Error(Status::corrupt, "'" + path_of(name) + "' shrank while it was read");
  }
  return text;
}

bool Folder::put_text(const std::string& name, std::string_view text, bool durable) const {
  NewFile file(*this);
  write_at(file.fd(), as_bytes(text), 0, path_of(name));
  if (durable) sync_file(file.fd(), path_of(name));
  return file.appear_as(name);
}

bool Folder::try_remove_file(const std::string& name) const noexcept {
  return unlinkat(fd_.get(), name.c_str(), 0) == 0 || errno == ENOENT;
}

void Folder::remove_file(const std::string& name) const {
  if (!try_remove_file(name)) throw_errno(errno, "removing", path_of(name));
}

void Folder::remove_folder(const std::string& name) const {
  if (unlinkat(fd_.get(), name.c_str(), AT_REMOVEDIR) == 0) return;
  if (errno == ENOENT || errno == ENOTEMPTY || errno == EEXIST) return;
  throw_errno(errno, "removing the folder", path_of(name));
}

void Folder::sync() const {
  while (fsync(fd_.get()) != 0) {
    if (errno == EINTR) continue;
    // Some network and FUSE file systems have no fsync of a folder; their names are durable.
    if (errno == EINVAL || errno == EBADF) return;
    throw_errno(errno, "writing to disk", path_);
  }
}

// --- NewFile ---

NewFile::NewFile(const Folder& folder) : folder_(folder) {
  if (can_link_descriptors()) {
    fd_ = Fd(openat(folder.fd(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666));
    if (fd_.valid()) return;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL) {
      throw_errno(errno, "creating a file in", folder.path());
    }
  }
  std::string name = ".tmp-" + random_id();
  fd_ = Fd(
      openat(folder.fd(), name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!fd_.valid()) throw_errno(errno, "creating a file in", folder.path());
  temporary_ = std::move(name);
}

NewFile::~NewFile() {
  if (!temporary_.empty()) unlinkat(folder_.fd(), temporary_.c_str(), 0);
}

bool NewFile::link_as(const std::string& name) const {
  if (temporary_.empty()) {
    return linkat(AT_FDCWD, descriptor_path(fd_.get()).c_str(), folder_.fd(), name.c_str(),
                  AT_SYMLINK_FOLLOW) == 0;
  }
  return linkat(folder_.fd(), temporary_.c_str(), folder_.fd(), name.c_str(), 0) == 0;
}

bool NewFile::appear_as(const std::string& name) {
  if (link_as(name)) return true;
  if (errno == EEXIST) return false;
  const bool no_links = errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK;
  if (!no_links || temporary_.empty()) throw_errno(errno, "creating", folder_.path_of(name));
  if (renameat2(folder_.fd(), temporary_.c_str(), folder_.fd(), name.c_str(), RENAME_NOREPLACE) ==
      0) {
    temporary_.clear();
    return true;
  }
  if (errno == EEXIST) return false;
  if (errno == EINVAL || errno == ENOSYS) {
    throw Error(Status::unsupported,
                "the file system of '" + folder_.path() +
                    "' has neither hard links nor renaming without replacing, one of which a store "
                    "needs; choose another place");
  }
  throw_errno(errno, "creating", folder_.path_of(name));
}

// --- claimed names ---

std::optional<Folder> claims_of(const Folder& parent) {
  return parent.enter(kNames);
}

std::optional<Folder> enter_claimed(const Folder& parent, const std::string& name) {
  return enter_claimed(parent, claims_of(parent), name);
}

std::optional<Folder> enter_claimed(const Folder& parent, const std::optional<Folder>& names,
                                    const std::string& name) {
  std::optional<Folder> folder = parent.enter(name);
  if (!folder) return std::nullopt;
  const std::string lower = lower_case(name);
  const std::optional<std::string> claim = names ? names->read_text(lower) : std::nullopt;
  if (claim == name) return folder;
  // A file system that ignores case finds the folder under every spelling.
  if (claim && is_component(*claim) && lower_case(*claim) == lower &&
      parent.contains_folder(*claim)) {
    return std::nullopt;
  }
  throw Error(Status::corrupt, "'" + parent.path_of(kNames) + "/" + lower +
                                   "' should hold the name '" + name +
                                   "' and doesn't; the store is damaged, restore that file");
}

Folder make_claimed(const Folder& parent, const std::string& name, std::string_view what) {
  if (auto present = enter_claimed(parent, name)) return std::move(*present);
  const Folder names = parent.make(kNames);
  const std::string lower = lower_case(name);
  if (!names.put_text(lower, name)) {
    const std::string claim = names.read_text(lower).value_or("");
    if (lower_case(claim) != lower) throw_bad_claim(names, lower);
    if (claim != name) {
      throw Error(Status::already_exists, "the " + std::string(what) + " '" + name +
                                              "' differs only in case from '" + claim +
                                              "', which is taken; use that or another name");
    }
  }
  names.sync();
  return parent.make(name);
}

void check_claims(const Folder& parent) {
  const std::optional<Folder> names = claims_of(parent);
  for (const Entry& entry : parent.entries()) {
    if (entry.maybe_folder && is_component(entry.name)) enter_claimed(parent, names, entry.name);
  }
  if (!names) return;
  for (const Entry& entry : names->entries()) {
    if (!is_component(entry.name)) continue;
    const std::string claim = names->read_text(entry.name).value_or("");
    if (!is_component(claim) || lower_case(claim) != entry.name) {
      throw_bad_claim(*names, entry.name);
    }
  }
}

std::uint64_t highest_number(const std::function<bool(std::uint64_t)>& exists) {
  std::uint64_t low = 0;
  std::uint64_t high = 1;
  while (exists(high)) {
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    (exists(middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace ptsecure::directory
