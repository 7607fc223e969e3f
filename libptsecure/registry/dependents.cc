#include "libptsecure/registry/dependents.hpp"

#include <algorithm>

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

// For good; a version whose status can't be told may be mended.
bool is_destroyed(const Access& access, const Manifest& manifest) {
  try {
    return read_key(access, manifest.own_payload()).status == KeyStatus::destroyed;
  } catch (const Error& error) {
    if (!refused(error)) throw;
    return false;
  }
}

// What can't be opened needs nothing: a version that doesn't verify, or whose key is destroyed.
bool still_needs(const Access& access, const VersionRow& row, const Manifest& base) {
  try {
    const VerifiedVersion version = verify_manifest(access, row);
    return needs(*version.manifest, base) && !is_destroyed(access, *version.manifest);
  } catch (const Error& error) {
    if (!refused(error)) throw;
    return false;
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
          if (!still_needs(access, row, manifest)) continue;
          found.push_back(row.name + "/" + std::to_string(row.version));
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
