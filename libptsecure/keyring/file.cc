#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/jwe.hpp"
#include "libptsecure/crypto/random.hpp"
#include "libptsecure/crypto/secret_json.hpp"
#include "libptsecure/keyring/entry.hpp"

namespace ptsecure {
namespace {

constexpr std::size_t kMaxSize = std::size_t{1} << 20;
constexpr std::size_t kMaxKeys = 1024;
constexpr const char* kSetContentType = "jwk-set+json";
constexpr std::uint32_t kPasswordIterations = 600000;

[[noreturn]] void throw_errno(const std::string& what, int error) {
  const Status status = error == ENOENT || error == ENOTDIR ? Status::not_found
                        : error == EACCES || error == EPERM ? Status::permission_denied
                        : error == EEXIST                   ? Status::already_exists
                                                            : Status::io;
  throw Error(status, what + ": " + std::generic_category().message(error));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }
  // Reports what only closing finds out.
  bool close() { return ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

// The bytes of a secret file, and what its descriptor says about who else can read it. Links are
// followed: what counts is the file they lead to.
class KeyFile {
 public:
  explicit KeyFile(const std::string& path) : path_(path) {
    // Non-blocking, so that a pipe is refused and not waited for.
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (file.get() < 0) throw_errno("the key file " + path_ + " can't be opened", errno);
    if (::fstat(file.get(), &stat_) != 0) {
      throw_errno("the key file " + path_ + " can't be examined", errno);
    }
    if (!S_ISREG(stat_.st_mode)) {
      throw Error(Status::invalid_argument, "the key file " + path_ + " must be a regular file");
    }
    if (stat_.st_size > static_cast<off_t>(kMaxSize)) {
      throw Error(Status::limit_exceeded,
                  "the key file " + path_ + " is larger than 1 MiB: it must be a JWK Set");
    }
    read(file.get());
  }

  std::string_view text() const { return as_text({bytes_.data(), size_}); }

  // Anybody may read public keys, but who can add one to them decides what is trusted.
  void check_public() const {
    if ((stat_.st_mode & S_IWOTH) == 0) return;
    throw Error(Status::permission_denied, "the key file " + path_ +
                                               " says which keys are trusted and anybody can "
                                               "change it: run `chmod o-w " +
                                               path_ + "`");
  }
  void check_private(bool allow_group_read) const {
    if (stat_.st_uid != ::geteuid() && stat_.st_uid != 0) {
      throw Error(Status::permission_denied,
                  "the key file " + path_ + " belongs to another user (uid " +
                      std::to_string(stat_.st_uid) + "): run `chown " +
                      std::to_string(::geteuid()) + " " + path_ + "` if you trust its keys");
    }
    const mode_t allowed = S_IRWXU | (allow_group_read ? S_IRGRP : 0);
    const mode_t excess = stat_.st_mode & (S_IRWXG | S_IRWXO) & ~allowed;
    if (excess == 0) return;
    constexpr char kDigits[] = "01234567";
    const std::string mode = {'0', kDigits[(stat_.st_mode >> 6) & 7],
                              kDigits[(stat_.st_mode >> 3) & 7], kDigits[stat_.st_mode & 7]};
    std::string message = "the key file " + path_ + " holds private keys and its mode is " + mode +
                          ", so that others can read or change it: run `chmod 600 " + path_ + "`";
    if (excess == S_IRGRP) {
      message += ", or allow reading by its group where a mount can't have a stricter mode";
    }
    throw Error(Status::permission_denied, message);
  }

 private:
  void read(int fd) {
    bytes_ = SecretBytes(static_cast<std::size_t>(stat_.st_size) + 1);
    while (size_ < bytes_.size()) {
      const ssize_t got = ::read(fd, bytes_.data() + size_, bytes_.size() - size_);
      if (got == 0) return;
      if (got < 0) {
        if (errno == EINTR) continue;
        throw_errno("the key file " + path_ + " can't be read", errno);
      }
      size_ += static_cast<std::size_t>(got);
    }
    throw Error(Status::io, "the key file " + path_ + " grew while it was read: try again");
  }

  std::string path_;
  struct stat stat_{};
  SecretBytes bytes_;
  std::size_t size_ = 0;
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

bool is_encrypted(std::string_view text) {
  return !trimmed(text).starts_with('{');
}

SecretBytes decrypt_set(std::string_view text, const SecretString& passphrase) {
  if (jwe_header(text).cty != kSetContentType) {
    throw Error(Status::corrupt,
                "an encrypted key set must be a JWE with the content type jwk-set+json");
  }
  if (passphrase.empty()) {
    throw Error(Status::no_key, "the key set is protected by a passphrase: give it");
  }
  return jwe_decrypt_password(text, {passphrase.data(), passphrase.size()});
}

std::vector<Keyring::Entry> entries_from_json(std::string_view text) {
  const SecretJson set = parse_secret_json(text);
  const auto keys = set.is_object() ? set.find("keys") : set.end();
  if (keys == set.end() || !keys->is_array()) {
    throw Error(Status::corrupt,
                "a key set must be a JSON object with an array \"keys\" (a JWK Set)");
  }
  if (keys->empty() || keys->size() > kMaxKeys) {
    throw Error(Status::corrupt, "a key set must hold 1 to 1024 keys");
  }
  std::vector<Keyring::Entry> entries;
  for (const SecretJson& key : *keys) entries.emplace_back(Jwk::parse(key));
  return entries;
}

std::string unique_neighbour(const std::string& path) {
  return path + ".new-" + random_id();
}

void write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put < 0) {
      if (errno == EINTR) continue;
      throw_errno("the key file " + path + " can't be written", errno);
    }
    text.remove_prefix(static_cast<std::size_t>(put));
  }
}

// Gives a complete file its name unless the name is taken.
void publish_file(const std::string& temporary, const std::string& path) {
  if (::link(temporary.c_str(), path.c_str()) == 0) return;
  int error = errno;
  // Some file systems have no hard links.
  if (error == EPERM || error == EOPNOTSUPP || error == ENOSYS) {
    if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) {
      return;
    }
    error = errno;
  }
  if (error == EEXIST) {
    throw Error(Status::already_exists, "the key file " + path +
                                            " exists and is never replaced: choose another name, "
                                            "or move it away first");
  }
  throw_errno("the key file " + path + " can't be created", error);
}

void write_new_file(const std::string& path, std::string_view text, mode_t mode) {
  const std::string temporary = unique_neighbour(path);
  Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                         S_IRUSR | S_IWUSR));
  if (file.get() < 0) throw_errno("the key file " + path + " can't be created", errno);
  try {
    write_all(file.get(), text, path);
    if (::fchmod(file.get(), mode) != 0 || ::fsync(file.get()) != 0 || !file.close()) {
      throw_errno("the key file " + path + " can't be written", errno);
    }
    publish_file(temporary, path);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  ::unlink(temporary.c_str());
  const auto folder = std::filesystem::path(path).parent_path();
  const Descriptor directory(
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());
}

}  // namespace

Keyring Keyring::parse(std::string_view text, const LoadOptions& options) {
  if (!is_encrypted(text)) return Keyring(entries_from_json(text));
  const SecretBytes json = decrypt_set(trimmed(text), options.passphrase);
  return Keyring(entries_from_json(as_text(json.view())));
}

Keyring Keyring::load(const std::string& path, const LoadOptions& options) {
  const KeyFile file(path);
  // What is encrypted is private; said before a passphrase is asked for.
  const bool encrypted = is_encrypted(file.text());
  if (encrypted) file.check_private(options.allow_group_read);
  std::optional<Keyring> keyring;
  try {
    keyring = parse(file.text(), options);
  } catch (const Error& error) {
    throw Error(error.status(), "the key file " + path + ": " + error.what());
  }
  if (!encrypted && keyring->has_private()) file.check_private(options.allow_group_read);
  if (!keyring->has_private()) file.check_public();
  return *keyring;
}

Keyring Keyring::from_env(const char* variable, const LoadOptions& options) {
  const char* text = std::getenv(variable);
  if (text == nullptr || *text == '\0') {
    throw Error(Status::not_found, "the environment variable " + std::string(variable) +
                                       " is not set: it must hold a JWK Set");
  }
  try {
    return parse(text, options);
  } catch (const Error& error) {
    throw Error(error.status(),
                "the environment variable " + std::string(variable) + ": " + error.what());
  }
}

void Keyring::save(const std::string& path, std::string_view passphrase) const {
  const SecretString json = to_json();
  if (passphrase.empty()) {
    write_new_file(path, json, has_private() ? 0600 : 0644);
    return;
  }
  const std::string jwe =
      jwe_encrypt_password(as_bytes(json), passphrase, kPasswordIterations, kSetContentType);
  write_new_file(path, jwe + "\n", 0600);
}

}  // namespace ptsecure
