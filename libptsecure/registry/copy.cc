#include "libptsecure/crypto/segment_aead.hpp"
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
  const auto plain = package->open_source(open);
  const auto input = input_of(*plain);
  const auto seal = [&](const SharedProgram* program) {
    return seal_and_commit(target.access(target_keys, options.cancel), *target.pool_,
                           std::move(manifest), *input, options.progress, program);
  };
  std::uint64_t version = 0;
  if (!options.weights_of.empty()) {
    const SharedProgram there = target.shared_program(*package, target_keys, options);
    version = seal(&there);
  } else if (source.shares_program()) {
    const auto program = package->open_source(source.payload("model"), open);
    const auto program_input = input_of(*program);
    const SharedProgram along{{}, SecretBytes::random(32), program_input.get()};
    version = seal(&along);
  } else {
    version = seal(nullptr);
  }
  if (!options.alias.empty())
    target.set_published_alias(source.name, options.alias, version, target_keys, options.cancel);
  return version;
}

SharedProgram Registry::shared_program(const Package& copied, const Keyring& keys,
                                       const PublishOptions& options) const {
  if (!copied.manifest().shares_program()) {
    throw Error(Status::invalid_argument,
                reference_of(copied.manifest()) +
                    " is a whole model, which shares no program; leave --weights-of off");
  }
  OpenOptions open;
  open.cancel = options.cancel;
  const auto base = fetch(options.weights_of, keys, open);
  const PayloadEntry& ours = copied.manifest().payload("model");
  const PayloadEntry& theirs = base->manifest().payload("model");
  const bool same =
      base->manifest().format == copied.manifest().format &&
      ours.plaintext_size == theirs.plaintext_size &&
      digest_of(*copied.open_source(ours, open)) == digest_of(*base->open_source(theirs, open));
  if (!same) {
    throw Error(Status::invalid_argument,
                reference_of(copied.manifest()) + " shares another program than " +
                    reference_of(base->manifest()) + " has; copy it with its own instead");
  }
  SharedProgram program{theirs, base->state_->unwrap(theirs, options.cancel), nullptr};
  if (!equal_constant_time(key_commitment(program.dek.view()), theirs.key_commitment)) {
    throw Error(Status::corrupt, "the wrapped key of the program of " +
                                     reference_of(base->manifest()) +
                                     " is another one than its manifest commits to");
  }
  return program;
}

}  // namespace ptsecure
