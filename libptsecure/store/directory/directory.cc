#include "libptsecure/store/directory/directory.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/random.hpp"
#include "libptsecure/crypto/strict_json.hpp"

namespace ptsecure {
namespace directory {
namespace {

constexpr char kStoreFile[] = "ptsecure-store.json";
constexpr std::string_view kFormat = "ptsecure/1";

std::string store_file_text(const std::string& id) {
  return "{\"format\":\"" + std::string(kFormat) + "\",\"id\":\"" + id + "\"}\n";
}

[[noreturn]] void throw_damaged(const std::string& path) {
  throw Error(Status::corrupt, "'" + path +
                                   "' is damaged: it should hold the format and the id of the "
                                   "store and nothing else; restore it from a backup");
}

// The id in a store file, which has exactly one way to be written for each.
std::string parse_store_file(const std::string& text, const std::string& path) {
  std::string format;
  std::string id;
  try {
    const nlohmann::json document = parse_strict_json(text);
    format = document.at("format").get<std::string>();
    id = document.at("id").get<std::string>();
  } catch (const nlohmann::json::exception&) {
    throw_damaged(path);
  } catch (const Error&) {
    throw_damaged(path);
  }
  const std::string_view family = kFormat.substr(0, kFormat.find('/') + 1);
  if (format != kFormat && format.substr(0, family.size()) == family &&
      format.find_first_not_of("0123456789", family.size()) == std::string::npos) {
    throw Error(Status::unsupported, "'" + path + "' is of format '" + format +
                                         "'; this release knows '" + std::string(kFormat) +
                                         "' only: use a newer one");
  }
  try {
    if (base64url_decode(id).size() != 16 || text != store_file_text(id)) throw_damaged(path);
  } catch (const Error&) {
    throw_damaged(path);
  }
  return id;
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec &&
         a.st_ctim.tv_sec == b.st_ctim.tv_sec && a.st_ctim.tv_nsec == b.st_ctim.tv_nsec;
}

// What may lie in a folder that is about to become a store: what file systems put there, and files
// of another process that creates it right now.
bool is_foreign(const std::string& name) {
  return name != "lost+found" && name.compare(0, 5, ".tmp-") != 0;
}

void make_path(const std::filesystem::path& path) {
  if (mkdir(path.c_str(), 0777) != 0) {
    if (errno == EEXIST) return;
    if (errno != ENOENT || !path.has_relative_path()) {
      throw_errno(errno, "making the folder", path.string());
    }
    make_path(path.parent_path());
    if (mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) {
      throw_errno(errno, "making the folder", path.string());
    }
  }
  if (const auto parent = Folder::open(path.parent_path().string())) parent->sync();
}

}  // namespace

DirectoryStore::DirectoryStore(const std::string& path)
    : path_([&] {
        if (path.empty() || path.find('\0') != std::string::npos) {
          throw Error(Status::invalid_argument,
                      "the path of a store is empty or holds a NUL character; name a folder");
        }
        // One spelling of a path, as far as it can be told without looking: clients remember stores
        // by it. `..` stays, since it leads elsewhere behind a symbolic link.
        std::filesystem::path absolute;
        for (const auto& part : std::filesystem::absolute(path))
          if (part != "." && !part.empty()) absolute /= part;
        return absolute.string();
      }()) {}

void DirectoryStore::throw_no_store(const Folder* root) const {
  if (root != nullptr) {
    for (const Entry& entry : root->entries()) {
      if (!is_foreign(entry.name)) continue;
      throw Error(Status::invalid_argument,
                  "'" + path_ + "' is not a ptsecure store: it holds other files and no " +
                      kStoreFile + "; name an empty or new folder, or a store");
    }
  }
  throw Error(Status::not_found, "there is no store at '" + path_ +
                                     "' yet; the first publish creates one, or check the path");
}

DirectoryStore::Identity DirectoryStore::identity(const Folder& root) {
  Identity now;
  const bool present = fstatat(root.fd(), kStoreFile, &now.file, AT_SYMLINK_NOFOLLOW) == 0;
  if (!present) {
    if (errno != ENOENT) throw_errno(errno, "looking at", root.path_of(kStoreFile));
    throw_no_store(&root);
  }
  {
    const std::lock_guard lock(mutex_);
    if (identity_ && same_file(identity_->file, now.file)) return *identity_;
  }
  const std::optional<std::string> text = root.read_text(kStoreFile);
  if (!text) throw_no_store(&root);
  now.id = parse_store_file(*text, root.path_of(kStoreFile));
  const std::lock_guard lock(mutex_);
  identity_ = now;
  return now;
}

Folder DirectoryStore::root(const CancelToken& cancel) {
  cancel.check();
  std::optional<Folder> folder = Folder::open(path_);
  if (!folder) throw_no_store(nullptr);
  identity(*folder);
  return std::move(*folder);
}

void DirectoryStore::ensure_created(const CancelToken& cancel) {
  cancel.check();
  std::optional<Folder> folder = Folder::open(path_);
  if (!folder) {
    make_path(path_);
    folder = Folder::open(path_);
    if (!folder) throw_errno(ENOENT, "opening the new store", path_);
  }
  if (!folder->contains_file(kStoreFile)) {
    for (const Entry& entry : folder->entries()) {
      // Another process may have created the store since we looked.
      if (is_foreign(entry.name) && !folder->contains_file(kStoreFile)) throw_no_store(&*folder);
    }
    folder->put_text(kStoreFile, store_file_text(random_id()));
    folder->sync();
  }
  identity(*folder);
}

std::string DirectoryStore::id(const CancelToken& cancel) {
  cancel.check();
  const std::optional<Folder> folder = Folder::open(path_);
  if (!folder) throw_no_store(nullptr);
  return identity(*folder).id;
}

}  // namespace directory

std::shared_ptr<Store> open_directory_store(const std::string& path, const StoreOptions&) {
  return std::make_shared<directory::DirectoryStore>(path);
}

}  // namespace ptsecure
