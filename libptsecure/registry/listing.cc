#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "libptsecure/crypto/jws.hpp"
#include "libptsecure/registry/registry.hpp"
#include "libptsecure/registry/resolve.hpp"
#include "libptsecure/value/json_spec.hpp"

namespace ptsecure {
namespace {

using nlohmann::ordered_json;

// From where on it pays to read them on several threads.
constexpr std::size_t kManyVersions = 200;

// What the index says about a version; a manifest that can't be read is shown as damaged, not
// hidden.
ordered_json index_entry(const VersionRow& row) {
  ordered_json entry{{"version", row.version}};
  try {
    const Manifest manifest = Manifest::from_json(as_text(jws_payload_unverified(row.manifest)));
    entry["format"] = manifest.format;
    entry["created"] = manifest.created;
    entry["size"] = manifest.own_payload().plaintext_size;
    entry["labels"] = manifest.labels;
  } catch (const Error&) {
    entry["damaged"] = true;
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

std::string Registry::list_json(const std::string& after, std::uint64_t limit,
                                const CancelToken& cancel) const {
  ordered_json out{{"verified", false}, {"models", ordered_json::array()}};
  for (const ModelRow& model : store_->models(after, page_size(limit), cancel)) {
    ordered_json entry{{"name", model.name}};
    entry.update(index_entry(model.newest));
    entry["aliases"] = live_aliases(*store_, model.name, cancel);
    out["models"].push_back(std::move(entry));
  }
  return out.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::string Registry::list_versions_json(const std::string& name, std::uint64_t before,
                                         std::uint64_t limit, const CancelToken& cancel) const {
  check_name(name, "model name");
  const auto rows = store_->versions(name, before, page_size(limit), cancel);
  if (rows.empty() && before == 0) {
    throw Error(Status::not_found, "there is no model '" + name + "' in " + store_->display_uri());
  }
  std::vector<ordered_json> entries(rows.size());
  const auto read = [&](std::uint64_t i) { entries[i] = index_entry(rows[i]); };
  if (rows.size() >= kManyVersions) {
    pool_->for_each(rows.size(), read);
  } else {
    for (std::uint64_t i = 0; i < rows.size(); ++i) read(i);
  }
  ordered_json out{{"verified", false}, {"name", name}, {"versions", std::move(entries)}};
  return out.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::string Registry::show_json(std::string_view reference, const Keyring& keys,
                                const CancelToken& cancel) const {
  const Access access = this->access(keys, cancel);
  const VerifiedVersion version = resolve(access, Reference::parse(reference));
  ordered_json out = ordered_json::parse(version.json);
  const KeyBody key = read_key(access, version.manifest->own_payload());
  out["signer"] = version.signer;
  out["key_status"] = key_status_name(key.status);
  out["aliases"] = ordered_json::array();
  for (const AliasInfo& alias : aliases(version.manifest->name, keys, cancel)) {
    if (alias.version == version.manifest->version) out["aliases"].push_back(alias.alias);
  }
  return out.dump();
}

}  // namespace ptsecure
