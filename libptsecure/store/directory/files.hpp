#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/base/bytes.hpp"

// Files and folders as the directory store uses them: by descriptors relative to the folder above,
// never through a symbolic link, new files appearing whole or not at all.
namespace ptsecure::directory {

// Throws the Status that fits `error` (an errno) with "<doing> '<path>' failed: <why, what to do>".
[[noreturn]] void throw_errno(int error, std::string_view doing, const std::string& path);

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();

  int get() const noexcept { return fd_; }
  bool valid() const noexcept { return fd_ >= 0; }
  int release() noexcept;

 private:
  int fd_ = -1;
};

// Writes or reads all of it or throws; read_at returns what there was before the end of the file.
void write_at(int fd, ByteView bytes, std::uint64_t position, const std::string& path);
std::size_t read_at(int fd, ByteSpan out, std::uint64_t position, const std::string& path);
void sync_file(int fd, const std::string& path);

struct Entry {
  std::string name;
  bool maybe_folder = true;  // what readdir says, where the file system says it
};

// An open folder. Names given to it are checked names or our own constants: single components.
class Folder {
 public:
  // `path` may lead through symbolic links: it is the caller's, not the store's. Nothing if absent.
  static std::optional<Folder> open(const std::string& path);

  const std::string& path() const noexcept { return path_; }
  std::string path_of(std::string_view name) const;
  int fd() const noexcept { return fd_.get(); }

  // The folder below. Nothing if absent; Status::corrupt for what is no folder.
  std::optional<Folder> enter(const std::string& name) const;
  // The same, made durably when it isn't there.
  Folder make(const std::string& name) const;
  // False when the name is taken. Not yet durable: see sync().
  bool make_new(const std::string& name) const;

  // Status::corrupt for anything but files and folders.
  bool contains_folder(const std::string& name) const;
  bool contains_file(const std::string& name) const;
  std::vector<Entry> entries() const;
  // Sub-folders by the link count, where the file system keeps one.
  std::optional<std::uint64_t> subfolder_count() const;

  // A regular file, opened for reading. Nothing if absent; Status::corrupt for another kind.
  std::optional<Fd> open_file(const std::string& name, struct stat& status) const;
  // Its content. Status::corrupt over kMaxStoredText.
  std::optional<std::string> read_text(const std::string& name) const;

  // A new file with this content, whole or not at all; false when the name is taken. With `durable`
  // the content is on disk before the name appears; the name is once sync() was called.
  bool put_text(const std::string& name, std::string_view text, bool durable = true) const;
  // Nothing happens when it isn't there.
  void remove_file(const std::string& name) const;
  bool try_remove_file(const std::string& name) const noexcept;
  void remove_folder(const std::string& name) const;

  // Makes names added and removed durable.
  void sync() const;

 private:
  Folder(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  bool contains(const std::string& name, mode_t wanted) const;

  Fd fd_;
  std::string path_;
};

// A file that is written before it has a name: an O_TMPFILE, which vanishes with the process, where
// the file system has them, else ".tmp-<random>". `folder` must outlive it.
class NewFile {
 public:
  explicit NewFile(const Folder& folder);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  int fd() const noexcept { return fd_.get(); }
  // Gives it its name by link(2), or by rename(2) without replacing where there are no hard links;
  // false when the name is taken.
  bool appear_as(const std::string& name);

 private:
  bool link_as(const std::string& name) const;

  const Folder& folder_;
  Fd fd_;
  std::string temporary_;  // empty for an O_TMPFILE
};

// Folders whose names may not differ in case alone. `.names/<lower case>` beside them holds the
// exact spelling that came first; it is linked before the folder is made and never changes.
//
// Nothing if absent; Status::corrupt when the claim is missing or says something else.
std::optional<Folder> enter_claimed(const Folder& parent, const std::string& name);
// The same for many: `names` is what claims_of(parent) gave.
std::optional<Folder> claims_of(const Folder& parent);
std::optional<Folder> enter_claimed(const Folder& parent, const std::optional<Folder>& names,
                                    const std::string& name);
// Status::already_exists when another spelling was first.
Folder make_claimed(const Folder& parent, const std::string& name, std::string_view what);

// Status::corrupt for a folder below that is not claimed, or a claim that can't be one.
void check_claims(const Folder& parent);

// The highest n with exists(n), for numbers that are in use from 1 on without a gap; 0 for none.
// Asks about 2 * log2(n) times.
std::uint64_t highest_number(const std::function<bool(std::uint64_t)>& exists);

}  // namespace ptsecure::directory
