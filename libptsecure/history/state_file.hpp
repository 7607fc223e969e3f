#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "libptsecure/base/cancel.hpp"
#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/store/store.hpp"

// What a client remembers of the stores it has used, so that a store can't show it an older history
// than the one it has seen.
namespace ptsecure {

// A record of a chain: its number and the SHA-256 of its JWS text.
struct RecordMark {
  std::uint64_t sequence = 0;
  Sha256Digest digest{};
  bool operator==(const RecordMark&) const = default;
};

// A version of a model and the SHA-256 of its manifest's payload bytes.
struct VersionMark {
  std::uint64_t version = 0;
  Sha256Digest manifest{};
  bool operator==(const VersionMark&) const = default;
};

// A file (mode 0600) of what was seen last, for any number of threads and processes at once: a
// change is made under a lock (flock on "<path>.lock"), written beside the file, synced and renamed
// over it, so that a reader sees one whole content and a crash leaves the one before. Thread-safe.
class StateFile {
 public:
  struct OfStore {
    std::map<std::string, RecordMark> chains;     // the last record seen, by chain_text()
    std::map<std::string, VersionMark> versions;  // the newest version seen, by model
  };
  struct Content {
    static constexpr int kFormat = 1;

    std::map<std::string, std::string> places;  // which store's id was at a place
    std::map<std::string, OfStore> stores;      // by id

    std::string to_json() const;
    // Strict: what is missing, ill-typed, unknown or occurs twice is Status::corrupt, a newer
    // format Status::unsupported.
    static Content from_json(std::string_view json);
  };

  // What a store is remembered by: its URI without credentials and options, or its absolute path,
  // so that it is the same from every working directory.
  static std::string place_of(const std::string& display_uri);

  // Nothing is read or made yet.
  explicit StateFile(std::string path);

  const std::string& path() const noexcept { return path_; }
  // Nothing remembered when there is no file. Status::permission_denied for a file that others may
  // write, Status::corrupt for one that is none: what can't be trusted doesn't count as empty.
  std::shared_ptr<const Content> read() const;
  // Runs `change` on the current content; writes what it left unless it returned false.
  void update(const std::function<bool(Content&)>& change) const;
  // Forgets one store, by its id or by the URI or path of a place. Throws Status::not_found.
  void forget(const std::string& store) const;
  // Starts afresh, also where the file is damaged.
  void clear() const;

  // $XDG_STATE_HOME/ptsecure/state.json, or ~/.local/state/ptsecure/state.json. Throws
  // Status::not_found when the environment names no home.
  static std::string default_path();

 private:
  void write(const Content& state) const;

  std::string path_;
  mutable std::mutex mutex_;  // guards what was read last, and which file it was
  mutable std::shared_ptr<const Content> cached_;
  mutable std::string cached_file_;
};

// "alias/digits/production".
std::string chain_text(const ChainId& chain);

}  // namespace ptsecure
