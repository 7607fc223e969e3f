#include <algorithm>

#include "libptsecure/base/error.hpp"
#include "libptsecure/base/number.hpp"
#include "libptsecure/store/component.hpp"
#include "libptsecure/store/directory/directory.hpp"

// Wrapped keys and chains of signed records.
namespace ptsecure::directory {
namespace {

std::string wraps_file(std::uint64_t sequence) {
  return std::to_string(sequence) + ".json";
}
constexpr std::string_view kRecordEnding = ".jws";

std::string record_file(std::uint64_t sequence) {
  return std::to_string(sequence).append(kRecordEnding);
}

void check_chain(const ChainId& chain) {
  if (chain.empty()) throw Error(Status::invalid_argument, "a chain of records has no name");
  for (const std::string& part : chain) check_component(part, "part of a record's chain");
}

std::uint64_t last_number(const Folder& chain) {
  return highest_number([&](std::uint64_t n) { return chain.contains_file(record_file(n)); });
}

// Puts the file, or finds it there with the same content; false when it holds something else.
bool put_same(const Folder& folder, const std::string& name, std::string_view text) {
  const bool done = folder.put_text(name, text) || folder.read_text(name) == text;
  // The one who wrote it first may not have come to this yet.
  if (done) folder.sync();
  return done;
}

}  // namespace

void DirectoryStore::put_wraps(const std::string& key_id, std::uint64_t sequence,
                               std::string_view wraps, const CancelToken& cancel) {
  check_component(key_id, "key id");
  check_stored_text(wraps, "set of wrapped keys");
  const Folder folder = root(cancel).make(kWraps).make(key_id);
  if (!put_same(folder, wraps_file(sequence), wraps)) {
    throw Error(Status::conflict, "the store holds other wrapped keys for '" + key_id +
                                      "', record " + std::to_string(sequence) +
                                      "; read the key's record again");
  }
}

std::optional<std::string> DirectoryStore::get_wraps(const std::string& key_id,
                                                     std::uint64_t sequence,
                                                     const CancelToken& cancel) {
  check_component(key_id, "key id");
  const std::optional<Folder> wraps = root(cancel).enter(kWraps);
  const std::optional<Folder> folder = wraps ? wraps->enter(key_id) : std::nullopt;
  return folder ? folder->read_text(wraps_file(sequence)) : std::nullopt;
}

void DirectoryStore::remove_wraps(const std::string& key_id, const CancelToken& cancel) {
  check_component(key_id, "key id");
  const std::optional<Folder> wraps = root(cancel).enter(kWraps);
  const std::optional<Folder> folder = wraps ? wraps->enter(key_id) : std::nullopt;
  if (!folder) return;
  for (const Entry& entry : folder->entries()) folder->remove_file(entry.name);
  folder->sync();
  wraps->remove_folder(key_id);
  wraps->sync();
}

std::optional<Folder> DirectoryStore::chain_folder(const ChainId& chain,
                                                   const CancelToken& cancel) {
  check_chain(chain);
  std::optional<Folder> folder = root(cancel).enter(kRecords);
  for (const std::string& part : chain) {
    if (!folder) break;
    folder = enter_claimed(*folder, part);
  }
  return folder;
}

void DirectoryStore::append_record(const ChainId& chain, std::uint64_t sequence,
                                   std::string_view record, const CancelToken& cancel) {
  check_chain(chain);
  check_stored_text(record, "record");
  if (sequence == 0) throw Error(Status::invalid_argument, "records are counted from 1");
  Folder folder = root(cancel).make(kRecords);
  for (const std::string& part : chain) folder = make_claimed(folder, part, "name");
  if (sequence > 1 && !folder.contains_file(record_file(sequence - 1))) {
    throw Error(Status::conflict, "record " + std::to_string(sequence) + " of '" + chain.back() +
                                      "' can't be appended: the one before it is missing; read the "
                                      "chain again");
  }
  if (!put_same(folder, record_file(sequence), record)) {
    throw Error(Status::conflict, "record " + std::to_string(sequence) + " of '" + chain.back() +
                                      "' was written by somebody else; read the chain again");
  }
}

std::vector<StoredRecord> DirectoryStore::records(const ChainId& chain, std::uint64_t first,
                                                  std::size_t limit, ReadConcern /*concern*/,
                                                  const CancelToken& cancel) {
  std::vector<StoredRecord> rows;
  const std::optional<Folder> folder = chain_folder(chain, cancel);
  if (!folder) return rows;
  for (std::uint64_t sequence = std::max<std::uint64_t>(first, 1); rows.size() < limit;
       ++sequence) {
    cancel.check();
    std::optional<std::string> text = folder->read_text(record_file(sequence));
    if (!text) break;
    rows.push_back({sequence, std::move(*text)});
  }
  return rows;
}

std::optional<StoredRecord> DirectoryStore::last_record(const ChainId& chain,
                                                        ReadConcern /*concern*/,
                                                        const CancelToken& cancel) {
  const std::optional<Folder> folder = chain_folder(chain, cancel);
  if (!folder) return std::nullopt;
  const std::uint64_t last = last_number(*folder);
  if (last == 0) return std::nullopt;
  std::optional<std::string> text = folder->read_text(record_file(last));
  if (!text) return std::nullopt;
  return StoredRecord{last, std::move(*text)};
}

std::vector<std::uint64_t> DirectoryStore::record_numbers(const ChainId& chain,
                                                          const CancelToken& cancel) {
  std::vector<std::uint64_t> numbers;
  const std::optional<Folder> folder = chain_folder(chain, cancel);
  if (!folder) return numbers;
  for (const Entry& entry : folder->entries()) {
    if (!entry.name.ends_with(kRecordEnding)) continue;
    const auto number = parse_number(
        std::string_view(entry.name).substr(0, entry.name.size() - kRecordEnding.size()));
    if (number) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::vector<std::string> DirectoryStore::chains(const ChainId& prefix, const CancelToken& cancel) {
  std::vector<std::string> names;
  for (ChainHead& head : heads(prefix, cancel)) names.push_back(std::move(head.leaf));
  return names;
}

std::vector<ChainHead> DirectoryStore::heads(const ChainId& prefix, const CancelToken& cancel) {
  std::vector<ChainHead> heads;
  const std::optional<Folder> folder = chain_folder(prefix, cancel);
  if (!folder) return heads;
  const std::optional<Folder> claims = claims_of(*folder);
  for (Entry& entry : folder->entries()) {
    if (!entry.maybe_folder || !is_component(entry.name)) continue;
    cancel.check();
    const std::optional<Folder> chain = enter_claimed(*folder, claims, entry.name);
    const std::uint64_t last = chain ? last_number(*chain) : 0;
    if (last > 0) heads.push_back({std::move(entry.name), last});
  }
  std::sort(heads.begin(), heads.end(),
            [](const ChainHead& a, const ChainHead& b) { return a.leaf < b.leaf; });
  return heads;
}

}  // namespace ptsecure::directory
