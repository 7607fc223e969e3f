#include "libptsecure/registry/dependents.hpp"

#include <algorithm>

#include "libptsecure/crypto/jws.hpp"

namespace ptsecure {
namespace {

constexpr std::size_t kPage = 256;

bool needs(const Manifest& manifest, const Manifest& base) {
  if (manifest.name == base.name && manifest.version == base.version) return false;
  return std::any_of(
      manifest.payloads.begin(), manifest.payloads.end(), [&](const PayloadEntry& entry) {
        return entry.sealed_name == base.name && entry.sealed_version == base.version;
      });
}

bool refused(const Error& error) {
  return error.status() == Status::untrusted || error.status() == Status::corrupt ||
         error.status() == Status::unsupported || error.status() == Status::not_found;
}

// What a manifest says that isn't trusted here: others may trust it, and open the version.
bool claims_to_need(const VersionRow& row, const Manifest& base) {
  try {
    return needs(Manifest::from_json(as_text(jws_payload_unverified(row.manifest))), base);
  } catch (const Error&) {
    return false;
  }
}

// For good; a version whose status can't be told may be mended.
bool is_destroyed(const Access& access, const Manifest& manifest) {
  try {
    return read_key(access, manifest.own_payload()).status == KeyStatus::destroyed;
  } catch (const Error& error) {
    if (!refused(error)) throw;
    return false;
  }
}

enum class Need { none, verified, untrusted };

// What nobody can open needs nothing: a damaged manifest, or a version whose key is destroyed.
Need need_of(const Access& access, const VersionRow& row, const Manifest& base) {
  try {
    const VerifiedVersion version = verify_manifest(access, row);
    const bool needed = needs(*version.manifest, base) && !is_destroyed(access, *version.manifest);
    return needed ? Need::verified : Need::none;
  } catch (const Error& error) {
    if (!refused(error)) throw;
    const bool untrusted = error.status() == Status::untrusted;
    return untrusted && claims_to_need(row, base) ? Need::untrusted : Need::none;
  }
}

}  // namespace

std::vector<std::string> dependents(const Access& access, const Manifest& manifest) {
  std::vector<std::string> found;
  std::string after;
  for (;;) {
    const std::vector<ModelRow> models = access.store.models(after, kPage, access.cancel);
    for (const ModelRow& model : models) {
      std::uint64_t before = 0;
      for (;;) {
        const auto rows = access.store.versions(model.name, before, kPage, access.cancel);
        for (const VersionRow& row : rows) {
          const Need need = need_of(access, row, manifest);
          if (need == Need::none) continue;
          found.push_back(
              row.name + "/" + std::to_string(row.version) +
              (need == Need::untrusted ? " (whose signer this keyring doesn't trust)" : ""));
        }
        if (rows.size() < kPage) break;
        before = rows.back().version;
      }
    }
    if (models.size() < kPage) return found;
    after = models.back().name;
  }
}

void require_no_dependents(const Access& access, const Manifest& manifest) {
  const std::vector<std::string> found = dependents(access, manifest);
  if (found.empty()) return;
  std::string names;
  for (std::size_t i = 0; i < std::min<std::size_t>(found.size(), 5); ++i) {
    names += (names.empty() ? "" : ", ") + found[i];
  }
  if (found.size() > 5) names += " and " + std::to_string(found.size() - 5) + " more";
  throw Error(Status::conflict, manifest.name + "/" + std::to_string(manifest.version) +
                                    " is still needed: " + names +
                                    " share its program; destroy those first");
}

}  // namespace ptsecure
