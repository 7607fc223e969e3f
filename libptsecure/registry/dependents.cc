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

// What doesn't verify can't be opened, so it needs nothing.
bool verified_needs(const Access& access, const VersionRow& row, const Manifest& base) {
  try {
    return needs(*verify_manifest(access, row).manifest, base);
  } catch (const Error& error) {
    const bool refused = error.status() == Status::untrusted || error.status() == Status::corrupt ||
                         error.status() == Status::unsupported;
    if (!refused) throw;
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
          if (!verified_needs(access, row, manifest)) continue;
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
