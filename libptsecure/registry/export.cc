#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "libptsecure/crypto/segment_aead.hpp"
#include "libptsecure/registry/package_state.hpp"

namespace ptsecure {
namespace {

namespace fs = std::filesystem;

// A new file that is written front to back.
class NewFile {
 public:
  explicit NewFile(fs::path path)
      : path_(std::move(path)),
        fd_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644)) {
    if (fd_ < 0) fail("created");
  }
  ~NewFile() { ::close(fd_); }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(ByteView bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) fail("written");
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
  }
  void sync() {
    if (::fsync(fd_) != 0) fail("written to disk");
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw Error(Status::io, path_.string() + " can't be " + what + ": " + std::strerror(errno));
  }

  fs::path path_;
  int fd_;
};

void write_file(const fs::path& path, ByteView bytes) {
  NewFile file(path);
  file.write(bytes);
  file.sync();
}

std::string readme(const Manifest& manifest, const PayloadEntry& payload, std::size_t keys) {
  std::string shared;
  if (manifest.shares_program()) {
    const PayloadEntry& program = manifest.program();
    const std::string of = program.sealed_name + "/" + std::to_string(program.sealed_version);
    shared = "\nThe payload is weights alone; their program is that of " + of +
             ", which is exported likewise.\n";
  }
  return "A sealed model: " + manifest.name + "/" + std::to_string(manifest.version) + "\n\n" +
         "Everything here is in a standard format; no ptsecure is needed to open it.\n\n"
         "manifest.jws  JWS compact (RFC 7515), Ed25519 or ES256, typ " +
         record_typ(RecordKind::manifest) +
         "\n"
         "key-N.jwe     JWE compact (RFC 7516), one per recipient (" +
         std::to_string(keys) +
         " here), of an oct JWK (RFC 7517):\n"
         "              its member \"k\" is the 32-byte content key\n"
         "payload.bin   Tink Streaming AEAD AES256_GCM_HKDF_1MB, no output prefix, associated "
         "data\n"
         "              \"" +
         associated_data(payload.sealed_name, payload.sealed_version) +
         "\"\n"
         "digests.bin   a digest for each 2^20 bytes of payload.bin: SHA-256 of the SHA-256 of "
         "each 2^15 bytes\n"
         "              of them; the manifest signs the SHA-256 of this file\n" +
         shared;
}

}  // namespace

void Package::export_to(const std::string& folder, const OpenOptions& options) const {
  const PayloadEntry& payload = manifest().own_payload();
  const KeyBody key = state_->cache.enabled(state_->access(options.cancel), payload);
  auto wraps = read_wraps(*state_->store, key, payload, options.cancel);
  (void)state_->unwrap(payload, wraps, options.cancel);
  std::erase_if(wraps, [](const Wrap& wrap) { return !wrap.is_jwe(); });
  const fs::path root(folder);
  std::error_code failed;
  fs::create_directories(root, failed);
  if (failed) throw Error(Status::io, folder + " can't be created: " + failed.message());
  if (!fs::is_empty(root, failed) || failed) {
    throw Error(Status::already_exists,
                folder + " is not empty; name a new or empty folder to export to");
  }
  const Bytes digests = read_digests(*state_->store, payload, options.cancel);
  const auto blob = read_payload(*state_->store, payload, options.cancel);

  NewFile file(root / "payload.bin");
  read_stored_segments(
      payload, *blob, digests,
      [&](std::uint64_t index, ByteView segment) {
        options.cancel.check();
        file.write(segment);
        if (options.progress)
          options.progress(index * kSegmentSize + segment.size(), payload.stored_size);
      },
      options.cancel);
  file.sync();
  write_file(root / "digests.bin", digests);
  write_file(root / "manifest.jws", as_bytes(state_->version.jws));
  for (std::size_t i = 0; i < wraps.size(); ++i) {
    write_file(root / ("key-" + std::to_string(i + 1) + ".jwe"), as_bytes(wraps[i].wrapped));
  }
  write_file(root / "README.txt",
             as_bytes(readme(*state_->version.manifest, payload, wraps.size())));
}

}  // namespace ptsecure
