#include <algorithm>
#include <nlohmann/json.hpp>

#include "libptsecure/base/error.hpp"
#include "libptsecure/base/number.hpp"
#include "libptsecure/base/time.hpp"
#include "libptsecure/crypto/random.hpp"
#include "libptsecure/crypto/strict_json.hpp"
#include "libptsecure/store/component.hpp"
#include "libptsecure/store/directory/directory.hpp"

// Reserving, committing, giving up and listing versions.
namespace ptsecure::directory {
namespace {

constexpr std::string_view kDead = "dead\n";

std::string title(const Reservation& reservation) {
  return version_text(reservation.name, reservation.version);
}

std::uint64_t highest_by_listing(const Folder& model) {
  std::uint64_t highest = 0;
  for (const Entry& entry : model.entries()) {
    highest = std::max(highest, parse_number(entry.name).value_or(0));
  }
  return highest;
}

std::uint64_t highest_version(const Folder& model) {
  const std::uint64_t highest =
      highest_number([&](std::uint64_t n) { return model.contains_folder(std::to_string(n)); });
  const std::optional<std::uint64_t> count = model.subfolder_count();
  return !count || *count == highest ? highest : highest_by_listing(model);
}

std::optional<VersionRow> committed_row(const Folder& model, const std::string& name,
                                        std::uint64_t number) {
  const std::optional<Folder> version = model.enter(std::to_string(number));
  if (!version) return std::nullopt;
  VersionRow row{name, number, {}};
  if (outcome_of(*version, &row.manifest) != Outcome::committed) return std::nullopt;
  return row;
}

std::optional<VersionRow> newest_row(const Folder& model, const std::string& name,
                                     const CancelToken& cancel) {
  for (std::uint64_t number = highest_version(model); number > 0; --number) {
    cancel.check();
    if (auto row = committed_row(model, name, number)) return row;
  }
  return std::nullopt;
}

enum class Owner { us, other, nobody };

// By the token in `reserved`, which goes away when the outcome is decided.
Owner owner_of(const Folder& version, const Reservation& reservation) {
  const std::optional<std::string> text = version.read_text(kReservedFile);
  if (!text) return Owner::nobody;
  const auto damaged = [&] {
    return Error(Status::corrupt, "'" + version.path_of(kReservedFile) +
                                      "' is damaged; publish again, under the next number");
  };
  try {
    const std::string token = parse_strict_json(*text).at("token").get<std::string>();
    return token == reservation.token ? Owner::us : Owner::other;
  } catch (const nlohmann::json::exception&) {
    throw damaged();
  } catch (const Error&) {
    throw damaged();
  }
}

[[noreturn]] void throw_not_ours(const Reservation& reservation) {
  throw Error(Status::conflict, "version " + title(reservation) +
                                    " is not reserved by this publish; publish again, under the "
                                    "next number");
}

// Removes whatever was written for a dead version; its folder and the verdict stay.
void remove_blobs(const Folder& version) {
  for (const Entry& entry : version.entries()) {
    if (entry.name != kManifestFile) version.remove_file(entry.name);
  }
  version.sync();
}

}  // namespace

Outcome outcome_of(const Folder& version, std::string* manifest) {
  std::optional<std::string> text = version.read_text(kManifestFile);
  if (!text) return Outcome::open;
  if (*text == kDead) return Outcome::dead;
  if (text->empty() || text->size() == kDead.size()) {
    throw Error(Status::corrupt, "'" + version.path_of(kManifestFile) +
                                     "' holds neither a manifest nor the mark of a version that "
                                     "was given up; the store is damaged, restore that file");
  }
  if (manifest != nullptr) *manifest = std::move(*text);
  return Outcome::committed;
}

std::optional<Folder> DirectoryStore::model(const std::string& name, const CancelToken& cancel) {
  check_component(name, "model name");
  const Folder store = root(cancel);
  const std::optional<Folder> models = store.enter(kModels);
  return models ? enter_claimed(*models, name) : std::nullopt;
}

std::optional<Folder> DirectoryStore::version(const std::string& name, std::uint64_t number,
                                              const CancelToken& cancel) {
  const std::optional<Folder> folder = model(name, cancel);
  if (!folder || number == 0) return std::nullopt;
  return folder->enter(std::to_string(number));
}

Reservation DirectoryStore::reserve(const std::string& name, const CancelToken& cancel) {
  check_component(name, "model name");
  const Folder folder = make_claimed(root(cancel).make(kModels), name, "name");
  std::uint64_t number = highest_version(folder);
  do {
    cancel.check();
    if (++number > kMaxNumber) {
      throw Error(Status::limit_exceeded, "all version numbers of '" + name + "' are used up");
    }
  } while (!folder.make_new(std::to_string(number)));
  Reservation reservation{name, number, random_id()};
  const std::optional<Folder> version = folder.enter(std::to_string(number));
  if (!version) throw_not_ours(reservation);
  // A token that a power failure takes is of no use to anybody; the number must outlive it.
  const nlohmann::json note = {{"created", now_rfc3339()}, {"token", reservation.token}};
  if (!version->put_text(kReservedFile, note.dump() + "\n", false)) throw_not_ours(reservation);
  folder.sync();
  return reservation;
}

void DirectoryStore::commit(const Reservation& reservation, std::string_view manifest,
                            const CancelToken& cancel) {
  check_stored_text(manifest, "manifest");
  if (manifest.size() == kDead.size()) {
    throw Error(Status::invalid_argument, "the manifest of " + title(reservation) + " is no JWS");
  }
  const std::optional<Folder> folder = version(reservation.name, reservation.version, cancel);
  if (!folder) throw_not_ours(reservation);
  // Our token is looked at before the outcome: it goes away only after the outcome is decided.
  const Owner owner = owner_of(*folder, reservation);
  if (outcome_of(*folder, nullptr) == Outcome::open) {
    if (owner != Owner::us) throw_not_ours(reservation);
    folder->put_text(kManifestFile, manifest);
  }
  std::string present;
  const Outcome outcome = outcome_of(*folder, &present);
  if (outcome != Outcome::committed) {
    throw Error(Status::conflict, "version " + title(reservation) +
                                      " was given up before it was committed; publish again, "
                                      "under the next number");
  }
  if (present != manifest) {
    throw Error(Status::conflict,
                "version " + title(reservation) + " is committed already, with another manifest");
  }
  folder->sync();
  // The version stands; a note that stays behind does no harm.
  folder->try_remove_file(kReservedFile);
}

void DirectoryStore::abandon(const Reservation& reservation, const CancelToken& cancel) {
  const std::optional<Folder> folder = version(reservation.name, reservation.version, cancel);
  if (!folder) return;
  const Owner owner = owner_of(*folder, reservation);
  if (outcome_of(*folder, nullptr) == Outcome::open) {
    if (owner == Owner::other) throw_not_ours(reservation);
    if (owner == Owner::nobody) return;
    folder->put_text(kManifestFile, kDead);
  }
  if (outcome_of(*folder, nullptr) == Outcome::committed) {
    throw Error(Status::conflict,
                "version " + title(reservation) + " is committed and can't be given up any more");
  }
  folder->sync();
  remove_blobs(*folder);
}

std::unique_ptr<BlobWriter> DirectoryStore::write_blob(const Reservation& reservation,
                                                       const std::string& role, std::uint64_t size,
                                                       const CancelToken& cancel) {
  check_component(role, "blob role");
  if (role == kManifestFile || role == kReservedFile) {
    throw Error(Status::invalid_argument, "'" + role + "' can't be the role of a blob");
  }
  std::optional<Folder> folder = version(reservation.name, reservation.version, cancel);
  if (!folder || owner_of(*folder, reservation) != Owner::us ||
      outcome_of(*folder, nullptr) != Outcome::open) {
    throw_not_ours(reservation);
  }
  return make_blob_writer(std::move(*folder), role, size, cancel);
}

std::unique_ptr<BlobReader> DirectoryStore::read_blob(const BlobId& id, const CancelToken& cancel) {
  check_component(id.role, "blob role");
  const std::optional<Folder> folder = version(id.name, id.version, cancel);
  if (folder) {
    if (auto reader = make_blob_reader(*folder, id.role)) return reader;
  }
  const std::string where = "version " + version_text(id.name, id.version);
  if (!folder || outcome_of(*folder, nullptr) != Outcome::committed) {
    throw Error(Status::not_found, where + " does not exist in '" + path_ + "'");
  }
  throw Error(Status::corrupt, where + " lacks its file '" + folder->path_of(id.role) +
                                   "'; restore it from a copy of the store");
}

std::optional<VersionRow> DirectoryStore::find(const std::string& name, std::uint64_t number,
                                               const CancelToken& cancel) {
  const std::optional<Folder> folder = model(name, cancel);
  if (!folder || number == 0) return std::nullopt;
  return committed_row(*folder, name, number);
}

std::optional<VersionRow> DirectoryStore::newest(const std::string& name,
                                                 const CancelToken& cancel) {
  const std::optional<Folder> folder = model(name, cancel);
  return folder ? newest_row(*folder, name, cancel) : std::nullopt;
}

std::vector<ModelRow> DirectoryStore::models(const std::string& after, std::size_t limit,
                                             const CancelToken& cancel) {
  const std::optional<Folder> models = root(cancel).enter(kModels);
  if (!models) return {};
  std::vector<std::string> names;
  for (Entry& entry : models->entries()) {
    if (entry.maybe_folder && is_component(entry.name) && entry.name > after) {
      names.push_back(std::move(entry.name));
    }
  }
  std::sort(names.begin(), names.end());
  std::vector<ModelRow> rows;
  const std::optional<Folder> claims = claims_of(*models);
  for (std::string& name : names) {
    if (rows.size() >= limit) break;
    cancel.check();
    const std::optional<Folder> folder = enter_claimed(*models, claims, name);
    if (!folder) continue;
    if (auto row = newest_row(*folder, name, cancel)) {
      rows.push_back({std::move(name), std::move(*row)});
    }
  }
  return rows;
}

std::vector<VersionRow> DirectoryStore::versions(const std::string& name, std::uint64_t before,
                                                 std::size_t limit, const CancelToken& cancel) {
  const std::optional<Folder> folder = model(name, cancel);
  std::vector<VersionRow> rows;
  if (!folder) return rows;
  std::uint64_t number = highest_version(*folder);
  if (before != 0) number = std::min(number, before - 1);
  for (; number > 0 && rows.size() < limit; --number) {
    cancel.check();
    if (auto row = committed_row(*folder, name, number)) rows.push_back(std::move(*row));
  }
  return rows;
}

void DirectoryStore::check(const std::string& name, const CancelToken& cancel) {
  check_component(name, "model name");
  {
    const std::lock_guard lock(mutex_);
    identity_.reset();
  }
  const std::optional<Folder> folder = model(name, cancel);
  if (!folder) return;
  for (std::uint64_t number = highest_version(*folder); number > 0; --number) {
    cancel.check();
    const std::optional<Folder> version = folder->enter(std::to_string(number));
    if (version) outcome_of(*version, nullptr);
  }
  const std::optional<Folder> records = root(cancel).enter(kRecords);
  if (!records) return;
  check_claims(*records);
  if (const auto aliases = chain_folder({"alias", name}, cancel)) check_claims(*aliases);
}

}  // namespace ptsecure::directory
