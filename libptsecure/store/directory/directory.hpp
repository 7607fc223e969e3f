#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/store/directory/files.hpp"
#include "libptsecure/store/store.hpp"

// A store in a folder:
//
//   ptsecure-store.json                  {"format":"ptsecure/1","id":"..."} and a newline
//
//   models/.names/<lower case>           the exact name that owns this spelling, nothing else
//
//   models/<name>/<version>/             versions count up from 1 without a gap
//     reserved                           {"created":...,"token":...} while it is being written
//     model, model.digests, ...          blobs, each a file named by its role
//     manifest.jws                       the manifest; or "dead\n" for a number that was given up
//   wraps/<key id>/<sequence>.json       wrapped keys
//   records/<chain ...>/<sequence>.jws   signed records, counting up from 1 without a gap
//   records/.names/..., records/alias/.names/..., ...   as in models/, beside every chain component
//
// No locks: every step that could be contended is one atomic system call, so any number of
// processes may use the folder at once, also over NFS, and one that is killed holds up nobody.
// - A version is reserved by mkdir of the number after the highest. Its folder stays for ever, so a
//   number is never given twice.
// - Committing and giving up both link(2) a finished file to the one name manifest.jws, which never
//   replaces: whoever is first decides, for good.
// - Records, wraps and claimed names appear the same way. A file has all its bytes, and they are on
//   disk, before it has its name; where the file system can (O_TMPFILE), an unfinished one has no
//   name at all and vanishes with its process, elsewhere it is called ".tmp-<random>".
// - Folders are opened one below the other without following symbolic links.
//
// The highest version or record is found by doubling and halving, about 2 * log2(n) looks however
// long the history. Where the link count of a model's folder shows that numbers are missing
// (someone removed a version by hand), the folder is listed instead.
namespace ptsecure::directory {

class DirectoryStore final : public Store {
 public:
  explicit DirectoryStore(const std::string& path);

  const std::string& display_uri() const override { return path_; }
  bool linearizable_is_slow() const noexcept override { return false; }
  void watch(const ChainId&, const std::function<void()>&, const CancelToken&) override {
    throw Error(Status::unsupported, "a folder doesn't tell of its changes");
  }
  void ensure_created(const CancelToken& cancel) override;
  std::string id(const CancelToken& cancel) override;

  Reservation reserve(const std::string& name, const CancelToken& cancel) override;
  void commit(const Reservation& reservation, std::string_view manifest,
              const CancelToken& cancel) override;
  void abandon(const Reservation& reservation, const CancelToken& cancel) override;

  std::unique_ptr<BlobWriter> write_blob(const Reservation& reservation, const std::string& role,
                                         std::uint64_t size, const CancelToken& cancel) override;
  std::unique_ptr<BlobReader> read_blob(const BlobId& id, const CancelToken& cancel) override;

  std::optional<VersionRow> find(const std::string& name, std::uint64_t version,
                                 const CancelToken& cancel) override;
  std::optional<VersionRow> newest(const std::string& name, const CancelToken& cancel) override;
  std::vector<ModelRow> models(const std::string& after, std::size_t limit,
                               const CancelToken& cancel) override;
  std::vector<VersionRow> versions(const std::string& name, std::uint64_t before, std::size_t limit,
                                   const CancelToken& cancel) override;

  void put_wraps(const std::string& key_id, std::uint64_t sequence, std::string_view wraps,
                 const CancelToken& cancel) override;
  std::optional<std::string> get_wraps(const std::string& key_id, std::uint64_t sequence,
                                       const CancelToken& cancel) override;
  void remove_wraps(const std::string& key_id, const CancelToken& cancel) override;

  void append_record(const ChainId& chain, std::uint64_t sequence, std::string_view record,
                     const CancelToken& cancel) override;
  std::vector<StoredRecord> records(const ChainId& chain, std::uint64_t first, std::size_t limit,
                                    ReadConcern concern, const CancelToken& cancel) override;
  std::optional<StoredRecord> last_record(const ChainId& chain, ReadConcern concern,
                                          const CancelToken& cancel) override;
  std::vector<std::uint64_t> record_numbers(const ChainId& chain,
                                            const CancelToken& cancel) override;
  std::vector<std::string> chains(const ChainId& prefix, const CancelToken& cancel) override;
  std::vector<ChainHead> heads(const ChainId& prefix, const CancelToken& cancel) override;

  // Every claimed name about the model, every verdict on a version, and the store file, read
  // afresh.
  void check(const std::string& name, const CancelToken& cancel) override;

 private:
  // The store file as it was last read: the id is read again only when another file stands there.
  struct Identity {
    struct stat file = {};
    std::string id;
  };

  // The open store; throws when there is none.
  Folder root(const CancelToken& cancel);
  Identity identity(const Folder& root);
  [[noreturn]] void throw_no_store(const Folder* root) const;

  std::optional<Folder> model(const std::string& name, const CancelToken& cancel);
  std::optional<Folder> version(const std::string& name, std::uint64_t number,
                                const CancelToken& cancel);
  std::optional<Folder> chain_folder(const ChainId& chain, const CancelToken& cancel);

  const std::string path_;
  std::mutex mutex_;
  std::optional<Identity> identity_;  // guarded by mutex_
};

// What became of a version, by its manifest.jws.
enum class Outcome { open, committed, dead };

inline constexpr char kModels[] = "models";
inline constexpr char kWraps[] = "wraps";
inline constexpr char kRecords[] = "records";
inline constexpr char kManifestFile[] = "manifest.jws";
inline constexpr char kReservedFile[] = "reserved";

// Fills `manifest`, unless it is null, when committed.
Outcome outcome_of(const Folder& version, std::string* manifest);

std::unique_ptr<BlobWriter> make_blob_writer(Folder version, const std::string& role,
                                             std::uint64_t size, const CancelToken& cancel);
// Nothing if there is no such file.
std::unique_ptr<BlobReader> make_blob_reader(const Folder& version, const std::string& role);

}  // namespace ptsecure::directory
