#pragma once

#include <string>

#include "libptsecure/crypto/secret.hpp"
#include "libptsecure/registry/registry.hpp"

namespace ptsecure {

// The program that weights are for: one in the store, by its entry and content key, which the new
// version shares; or, with `input`, one that is sealed along with the weights under a new key.
struct SharedProgram {
  PayloadEntry entry;
  SecretBytes dek;
  PlainInput* input = nullptr;
};

// Seals `input` as the next version of `manifest.name` and commits it, in a store that is made
// if need be: reserve, payload, digests, wrapped key, key record, signed manifest, log. Fills in
// store id, version, time and payloads; the rest of the manifest is the caller's. With `program`
// the input is weights for it, and the program's content key is wrapped for this version. Whatever
// fails before the commit gives the number up.
std::uint64_t seal_and_commit(const Access& access, ThreadPool& pool, Manifest manifest,
                              PlainInput& input, const Progress& progress,
                              const SharedProgram* program = nullptr);

// Throws what publishing with these options would fail on, before anything is read or sealed.
void check_publish(const std::string& name, const Keyring& keys, const PublishOptions& options);

}  // namespace ptsecure
