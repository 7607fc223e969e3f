#include "libptsecure/history/memory.hpp"

#include "libptsecure/store/component.hpp"

namespace ptsecure {
namespace {

void check_id(const StateFile::Content& state, const std::string& place,
              const std::string& store_id, const std::string& file) {
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

Memory::Memory(std::shared_ptr<const StateFile> file, const Store& store)
    : file_(std::move(file)), place_(StateFile::place_of(store.display_uri())) {}

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
  file_->update([&](StateFile::Content& state) {
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
      throw Error(Status::rollback, version_text(name, version.version) +
                                        " has another manifest than the one that " + file_->path() +
                                        " remembers: it was replaced");
    }
    return version.version > known.version;
  };
  if (const auto known = newest(store_id, name); known && !check(*known)) return;
  file_->update([&](StateFile::Content& state) {
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
