#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "libptsecure/apikeys/apikey.hpp"
#include "libptsecure/apikeys/checker.hpp"
#include "libptsecure/registry/registry.hpp"

// The JSON that ptsecure.h promises, of the core's structs.
namespace ptsecure::capi {

nlohmann::ordered_json to_json(const AliasInfo& alias);
nlohmann::ordered_json to_json(const ModelEntry& model);
nlohmann::ordered_json to_json(const VersionEntry& version);
nlohmann::ordered_json to_json(const ShownVersion& shown);
nlohmann::ordered_json to_json(const LogEntry& entry);
nlohmann::ordered_json to_json(const ApiKeyInfo& key);
nlohmann::ordered_json to_json(const ListedApiKey& key);
nlohmann::ordered_json to_json(const ApiKeyUsage& usage);

template <typename T>
nlohmann::ordered_json to_json(const std::vector<T>& entries) {
  auto list = nlohmann::ordered_json::array();
  for (const T& entry : entries) list.push_back(to_json(entry));
  return list;
}

// For the caller, freed by pts_text_destroy; what isn't UTF-8 is replaced.
char* new_json(const nlohmann::ordered_json& json);

}  // namespace ptsecure::capi
