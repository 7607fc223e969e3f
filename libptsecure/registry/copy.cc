#include "libptsecure/registry/package_state.hpp"
#include "libptsecure/registry/publish.hpp"

namespace ptsecure {

std::uint64_t Registry::copy(std::string_view reference, const Keyring& keys,
                             const Registry& target, const Keyring& target_keys,
                             const PublishOptions& options) const {
  OpenOptions open;
  open.cancel = options.cancel;
  const auto package = fetch(reference, keys, open);
  const Manifest& source = package->manifest();
  if (source.shares_program()) {
    const PayloadEntry& program = source.payload("model");
    throw Error(Status::unsupported,
                source.name + "/" + std::to_string(source.version) + " is of weights alone; copy " +
                    program.sealed_name + "/" + std::to_string(program.sealed_version) +
                    ", whose program it shares, then publish the decrypted weights for that");
  }
  check_publish(source.name, target_keys, options);
  const auto plain = package->open_source(open);
  const auto input = callback_input(
      plain->size(),
      [&plain](std::uint64_t pos, void* dst, std::size_t n) { plain->read(pos, dst, n); });
  Manifest manifest = source;
  for (const auto& [key, value] : options.labels) manifest.labels.insert_or_assign(key, value);
  const std::uint64_t version =
      seal_and_commit(target.access(target_keys, options.cancel), *target.pool_,
                      std::move(manifest), *input, options.progress);
  if (!options.alias.empty())
    target.set_published_alias(source.name, options.alias, version, target_keys, options.cancel);
  return version;
}

}  // namespace ptsecure
