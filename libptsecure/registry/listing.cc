#include <limits>
#include <utility>
#include <vector>

#include "libptsecure/crypto/jws.hpp"
#include "libptsecure/registry/registry.hpp"
#include "libptsecure/registry/resolve.hpp"

namespace ptsecure {
namespace {

// From where on it pays to read them on several threads.
constexpr std::size_t kManyVersions = 200;

// What the index says about a version; a manifest that can't be read is shown as damaged, not
// hidden.
VersionEntry index_entry(const VersionRow& row) {
  VersionEntry entry;
  entry.version = row.version;
  try {
    Manifest manifest = Manifest::from_json(as_text(jws_payload_unverified(row.manifest)));
    entry.size = manifest.own_payload().plaintext_size;
    entry.format = std::move(manifest.format);
    entry.created = std::move(manifest.created);
    entry.labels = std::move(manifest.labels);
  } catch (const Error&) {
    entry.damaged = true;
  }
  return entry;
}

std::size_t page_size(std::uint64_t limit) {
  return limit == 0 ? std::numeric_limits<std::int32_t>::max() : static_cast<std::size_t>(limit);
}

// The aliases that don't end with a deletion, as far as can be told without verifying.
std::vector<std::string> live_aliases(Store& store, const std::string& name,
                                      const CancelToken& cancel) {
  std::vector<std::string> aliases = store.chains({"alias", name}, cancel);
  std::erase_if(aliases, [&](const std::string& alias) {
    const auto last = store.last_record({"alias", name, alias}, ReadConcern::majority, cancel);
    if (!last) return true;
    try {
      const Bytes payload = jws_payload_unverified(last->record);
      return AliasBody::from_record(decode_record(as_text(payload), "an alias")).deleted;
    } catch (const Error&) {
      return false;
    }
  });
  return aliases;
}

}  // namespace

std::vector<ModelEntry> Registry::list(const std::string& after, std::uint64_t limit,
                                       const CancelToken& cancel) const {
  std::vector<ModelEntry> models;
  for (const ModelRow& model : store_->models(after, page_size(limit), cancel)) {
    models.push_back({.name = model.name,
                      .newest = index_entry(model.newest),
                      .aliases = live_aliases(*store_, model.name, cancel)});
  }
  return models;
}

std::vector<VersionEntry> Registry::list_versions(const std::string& name, std::uint64_t before,
                                                  std::uint64_t limit,
                                                  const CancelToken& cancel) const {
  check_name(name, "model name");
  const auto rows = store_->versions(name, before, page_size(limit), cancel);
  if (rows.empty() && before == 0) {
    throw Error(Status::not_found, "there is no model '" + name + "' in " + store_->display_uri());
  }
  std::vector<VersionEntry> entries(rows.size());
  const auto read = [&](std::uint64_t i) { entries[i] = index_entry(rows[i]); };
  if (rows.size() >= kManyVersions) {
    pool_->for_each(rows.size(), read);
  } else {
    for (std::uint64_t i = 0; i < rows.size(); ++i) read(i);
  }
  return entries;
}

ShownVersion Registry::show(std::string_view reference, const Keyring& keys,
                            const CancelToken& cancel) const {
  const Access access = this->access(keys, cancel);
  ShownVersion shown;
  shown.version = resolve(access, Reference::parse(reference));
  const Manifest& manifest = *shown.version.manifest;
  shown.key_status = read_key(access, manifest.own_payload()).status;
  for (const AliasInfo& alias : aliases(manifest.name, keys, cancel)) {
    if (alias.version == manifest.version) shown.aliases.push_back(alias.alias);
  }
  return shown;
}

}  // namespace ptsecure
