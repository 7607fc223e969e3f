#include "libptsecure/history/memory.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/strict_json.hpp"
#include "libptsecure/package/reference.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::size_t kMaxKey = 4096;

[[noreturn]] void malformed(const std::string& what) {
  throw Error(Status::corrupt, "the state is malformed: " + what);
}

// The members of an object, which must be exactly these.
void require_members(const json& object, std::initializer_list<const char*> names,
                     const char* what) {
  bool exact = object.is_object() && object.size() == names.size();
  for (const char* name : names) exact = exact && object.contains(name);
  if (!exact) malformed(std::string(what) + " has other members than it must");
}

std::uint64_t number(const json& value, const char* what) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() == 0 ||
      value.get<std::uint64_t>() > kMaxVersion) {
    malformed(std::string(what) + " must be a whole number from 1 to 2^53-1");
  }
  return value.get<std::uint64_t>();
}

Sha256Digest digest(const json& value, const char* what) {
  Sha256Digest out{};
  const Bytes bytes =
      value.is_string() ? base64url_decode(value.get_ref<const std::string&>()) : Bytes();
  if (bytes.size() != out.size()) malformed(std::string(what) + " must be a SHA-256 in base64url");
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

const json::object_t& object(const json& value, const char* what) {
  if (!value.is_object()) malformed(std::string(what) + " must be an object");
  for (const auto& [key, _] : value.items()) {
    if (key.empty() || key.size() > kMaxKey) malformed(std::string("a name in ") + what);
  }
  return value.get_ref<const json::object_t&>();
}

State::OfStore store_from(const json& in) {
  require_members(in, {"chains", "versions"}, "a store");
  State::OfStore out;
  for (const auto& [chain, mark] : object(in["chains"], "chains")) {
    require_members(mark, {"sequence", "record"}, "a chain");
    out.chains.emplace(chain, RecordMark{.sequence = number(mark["sequence"], "a sequence"),
                                         .digest = digest(mark["record"], "a record")});
  }
  for (const auto& [name, mark] : object(in["versions"], "versions")) {
    require_members(mark, {"version", "manifest"}, "a version");
    out.versions.emplace(name, VersionMark{.version = number(mark["version"], "a version"),
                                           .manifest = digest(mark["manifest"], "a manifest")});
  }
  return out;
}

// What a store is remembered by: its URI without credentials and options, or its absolute path, so
// that it is the same from every working directory.
std::string place_of(const std::string& uri) {
  if (uri.find("://") != std::string::npos) return uri;
  std::filesystem::path path = std::filesystem::absolute(uri).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // a trailing slash
  return path.string();
}

}  // namespace

std::string chain_text(const ChainId& chain) {
  std::string text;
  for (const std::string& part : chain) text += (text.empty() ? "" : "/") + part;
  return text;
}

std::string State::to_json() const {
  ordered_json out{{"ptsecure", kFormat},
                   {"places", ordered_json::object()},
                   {"stores", ordered_json::object()}};
  for (const auto& [place, id] : places) out["places"][place] = id;
  for (const auto& [id, store] : stores) {
    ordered_json& to = out["stores"][id];
    to = {{"chains", ordered_json::object()}, {"versions", ordered_json::object()}};
    for (const auto& [chain, mark] : store.chains) {
      to["chains"][chain] = {{"sequence", mark.sequence},
                             {"record", base64url_encode(mark.digest)}};
    }
    for (const auto& [name, mark] : store.versions) {
      to["versions"][name] = {{"version", mark.version},
                              {"manifest", base64url_encode(mark.manifest)}};
    }
  }
  return out.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

State State::from_json(std::string_view text) {
  const json in = parse_strict_json(text);
  if (!in.is_object() || !in.contains("ptsecure") || !in["ptsecure"].is_number_unsigned()) {
    malformed("it must be an object with the member \"ptsecure\"");
  }
  if (in["ptsecure"] != kFormat) {
    throw Error(Status::unsupported,
                "the state has a newer format than this library reads; upgrade ptsecure");
  }
  require_members(in, {"ptsecure", "places", "stores"}, "it");
  State state;
  for (const auto& [place, id] : object(in["places"], "places")) {
    if (!id.is_string()) malformed("a place must have the id of a store");
    state.places.emplace(place, id.get<std::string>());
  }
  for (const auto& [id, store] : object(in["stores"], "stores")) {
    state.stores.emplace(id, store_from(store));
  }
  return state;
}

Memory::Memory(std::shared_ptr<const StateFile> file, const Store& store)
    : file_(std::move(file)), place_(place_of(store.display_uri())) {}

namespace {

void check_id(const State& state, const std::string& place, const std::string& store_id,
              const std::string& file) {
  const auto known = state.places.find(place);
  if (known == state.places.end() || known->second == store_id) return;
  throw Error(Status::rollback,
              "the store at " + place + " has the id " + store_id + ", but " + file +
                  " remembers the id " + known->second +
                  " there: the store was swapped or made anew; if that is meant, forget the old "
                  "one with `ptsecure state reset --store " +
                  place + "`");
}

}  // namespace

void StateFile::forget(const std::string& store) const {
  std::string id = store;
  std::string place;
  const auto known = read();
  if (!known->stores.contains(store)) {
    place = place_of(open_store(store, {})->display_uri());
    const auto found = known->places.find(place);
    if (found == known->places.end()) {
      throw Error(Status::not_found, path_ + " remembers no store " + place);
    }
    id = found->second;
  }
  update([&](State& state) {
    state.stores.erase(id);
    std::erase_if(state.places,
                  [&](const auto& at) { return at.second == id || at.first == place; });
    return true;
  });
}

void Memory::check_place(const std::string& store_id) const {
  check_id(*file_->read(), place_, store_id, file_->path());
}

void Memory::check_no_store() const {
  const auto state = file_->read();
  const auto known = state->places.find(place_);
  if (known == state->places.end()) return;
  check_id(*state, place_, "(none: there is no store)", file_->path());
}

std::optional<RecordMark> Memory::record(const std::string& store_id, const ChainId& chain) const {
  const auto state = file_->read();
  check_id(*state, place_, store_id, file_->path());
  const auto store = state->stores.find(store_id);
  if (store == state->stores.end()) return std::nullopt;
  const auto mark = store->second.chains.find(chain_text(chain));
  return mark == store->second.chains.end() ? std::nullopt : std::optional(mark->second);
}

bool Memory::advance(const std::string& store_id, const ChainId& chain,
                     const std::optional<RecordMark>& before, const RecordMark& now) const {
  if (before == now) return true;
  bool done = false;
  file_->update([&](State& state) {
    check_id(state, place_, store_id, file_->path());
    auto& chains = state.stores[store_id].chains;
    const auto mark = chains.find(chain_text(chain));
    const auto current = mark == chains.end() ? std::nullopt : std::optional(mark->second);
    done = current == before || current == now;
    if (current != before) return false;
    chains.insert_or_assign(chain_text(chain), now);
    state.places.insert_or_assign(place_, store_id);
    return true;
  });
  return done;
}

std::optional<VersionMark> Memory::newest(const std::string& store_id,
                                          const std::string& name) const {
  const auto state = file_->read();
  check_id(*state, place_, store_id, file_->path());
  const auto store = state->stores.find(store_id);
  if (store == state->stores.end()) return std::nullopt;
  const auto mark = store->second.versions.find(name);
  return mark == store->second.versions.end() ? std::nullopt : std::optional(mark->second);
}

void Memory::saw(const std::string& store_id, const std::string& name,
                 const VersionMark& version) const {
  const auto check = [&](const VersionMark& known) {
    if (version.version == known.version && version.manifest != known.manifest) {
      throw Error(Status::rollback, name + "/" + std::to_string(version.version) +
                                        " has another manifest than the one that " + file_->path() +
                                        " remembers: it was replaced");
    }
    return version.version > known.version;
  };
  if (const auto known = newest(store_id, name); known && !check(*known)) return;
  file_->update([&](State& state) {
    check_id(state, place_, store_id, file_->path());
    auto& versions = state.stores[store_id].versions;
    const auto known = versions.find(name);
    if (known != versions.end() && !check(known->second)) return false;
    versions.insert_or_assign(name, version);
    state.places.insert_or_assign(place_, store_id);
    return true;
  });
}

}  // namespace ptsecure
