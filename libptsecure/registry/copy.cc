#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/registry/package_state.hpp"
#include "libptsecure/registry/publish.hpp"

namespace ptsecure {
namespace {

std::string reference_of(const Manifest& manifest) {
  return manifest.name + "/" + std::to_string(manifest.version);
}

// Holds a reference to `source`.
std::unique_ptr<PlainInput> input_of(SealedSource& source) {
  return callback_input(source.size(), [&source](std::uint64_t pos, void* dst, std::size_t n) {
    source.read(pos, dst, n);
  });
}

Sha256Digest digest_of(SealedSource& source) {
  Sha256 hash;
  source.stream([&hash](std::uint64_t, ByteView plain) { hash.update(plain); });
  return hash.finish();
}

}  // namespace

std::uint64_t Registry::copy(std::string_view reference, const Keyring& keys,
                             const Registry& target, const Keyring& target_keys,
                             const PublishOptions& options) const {
  OpenOptions open;
  open.cancel = options.cancel;
  const auto package = fetch(reference, keys, open);
  const Manifest& source = package->manifest();
  check_publish(source.name, target_keys, options);
  Manifest manifest = source;
  for (const auto& [key, value] : options.labels) manifest.labels.insert_or_assign(key, value);
  const auto plain = package->state().open(open);
  const auto input = input_of(*plain);
  const auto commit = [&](const ProgramOfWeights& program) {
    return target.commit(std::move(manifest), *input, program, target_keys, options);
  };
  if (!options.weights_of.empty()) {
    return commit(target.same_program(*package, target_keys, options));
  }
  if (!source.shares_program()) return commit({});
  const auto program = package->state().open(source.program(), open);
  const auto along = input_of(*program);
  return commit(NewProgram{*along});
}

StoredProgram Registry::same_program(const Package& copied, const Keyring& keys,
                                     const PublishOptions& options) const {
  if (!copied.manifest().shares_program()) {
    throw Error(Status::invalid_argument,
                reference_of(copied.manifest()) +
                    " is a whole model, which shares no program; leave --weights-of off");
  }
  OpenOptions open;
  open.cancel = options.cancel;
  const auto base = fetch(options.weights_of, keys, open);
  const PayloadEntry& ours = copied.manifest().program();
  const PayloadEntry& theirs = base->manifest().program();
  const bool same =
      base->manifest().format == copied.manifest().format &&
      ours.plaintext_size == theirs.plaintext_size &&
      digest_of(*copied.state().open(ours, open)) == digest_of(*base->state().open(theirs, open));
  if (!same) {
    throw Error(Status::invalid_argument,
                reference_of(copied.manifest()) + " shares another program than " +
                    reference_of(base->manifest()) + " has; copy it with its own instead");
  }
  return StoredProgram{theirs, base->state().unwrap(theirs, options.cancel)};
}

}  // namespace ptsecure
