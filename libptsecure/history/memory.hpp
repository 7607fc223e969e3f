#pragma once

#include <memory>
#include <optional>
#include <string>

#include "libptsecure/history/state_file.hpp"
#include "libptsecure/store/store.hpp"

namespace ptsecure {

// What a state file says about one store. Thread-safe.
class Memory {
 public:
  Memory(std::shared_ptr<const StateFile> file, const Store& store);

  const std::string& file() const noexcept { return file_->path(); }

  // Throws Status::rollback when another store's id was remembered for this place.
  void check_place(const std::string& store_id) const;
  // The same before a store is made at this place: none may have been there.
  void check_no_store() const;

  std::optional<RecordMark> record(const std::string& store_id, const ChainId& chain) const;
  // Remembers `now`, a verified record that follows `before` (as record() gave it). False when the
  // state has moved on from `before` meanwhile: read both again.
  bool advance(const std::string& store_id, const ChainId& chain,
               const std::optional<RecordMark>& before, const RecordMark& now) const;

  std::optional<VersionMark> newest(const std::string& store_id, const std::string& name) const;
  // Remembers a verified version if it is newer than what is known. Throws Status::rollback when it
  // is the known one with another manifest.
  void saw(const std::string& store_id, const std::string& name, const VersionMark& version) const;

 private:
  std::shared_ptr<const StateFile> file_;
  std::string place_;
};

}  // namespace ptsecure
