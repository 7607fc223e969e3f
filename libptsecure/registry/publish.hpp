#pragma once

#include <string>

#include "libptsecure/crypto/secret.hpp"
#include "libptsecure/registry/registry.hpp"

namespace ptsecure {

// A program that is in the store: weights for it share it under a wrap of their own.
struct StoredProgram {
  PayloadEntry entry;
  SecretBytes dek;
};
// One that is sealed along with its weights, under a key of its own.
struct NewProgram {
  PlainInput& input;
};

// Seals `input` as the next version of `manifest.name` and commits it, in a store that is made
// if need be: reserve, payloads, digests, wrapped keys, key records, signed manifest, log. Fills in
// store id, version, time and payloads; the rest of the manifest is the caller's. Whatever fails
// before the commit gives the number up.
std::uint64_t seal_and_commit(const Access& access, ThreadPool& pool, Manifest manifest,
                              PlainInput& input, const ProgramOfWeights& program,
                              const Progress& progress);

// Throws what publishing with these options would fail on, before anything is read or sealed.
void check_publish(const std::string& name, const Keyring& keys, const PublishOptions& options);

}  // namespace ptsecure
