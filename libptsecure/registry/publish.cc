#include "libptsecure/registry/publish.hpp"

#include <algorithm>
#include <chrono>
#include <new>

#include "libptsecure/base/text.hpp"
#include "libptsecure/base/time.hpp"
#include "libptsecure/crypto/secret.hpp"
#include "libptsecure/crypto/segment_aead.hpp"
#include "libptsecure/history/announce.hpp"
#include "libptsecure/history/bodies.hpp"
#include "libptsecure/registry/inspect.hpp"

namespace ptsecure {
namespace {

constexpr int kCommitTries = 3;

void write_digests(Store& store, const Reservation& reservation, const std::string& role,
                   ByteView digests, const CancelToken& cancel) {
  const auto writer = store.write_blob(reservation, role + ".digests", digests.size(), cancel);
  for (std::uint64_t segment = 0; segment < stored_segments(digests.size()); ++segment) {
    const std::size_t at = segment * kSegmentSize;
    writer->write(segment, digests.subspan(at, std::min(kSegmentSize, digests.size() - at)));
  }
  writer->finish();
}

PayloadEntry seal(Store& store, ThreadPool& pool, const Reservation& reservation,
                  std::string_view role, PlainInput& input, const SecretBytes& dek,
                  const Progress& progress, const CancelToken& cancel) {
  PayloadEntry entry;
  entry.role = role;
  entry.sealed_name = reservation.name;
  entry.sealed_version = reservation.version;
  entry.key_id = new_key_id();
  entry.key_commitment = key_commitment(dek.view());
  entry.plaintext_size = input.size();
  entry.stored_size = stored_size(input.size());
  const auto writer = store.write_blob(reservation, entry.role, entry.stored_size, cancel);
  const Bytes digests =
      seal_payload(input, dek.view(), associated_data(reservation.name, reservation.version),
                   *writer, pool, progress, cancel);
  entry.digests_sha256 = sha256(digests);
  write_digests(store, reservation, entry.role, digests, cancel);
  return entry;
}

void store_key(const Access& access, const PayloadEntry& entry, const SecretBytes& dek) {
  const Records records = access.records();
  const KeyContext context = key_context(records.store_id(), entry);
  const std::string wraps =
      wraps_to_json(entry.key_id, access.keys.wrap(dek.view(), context, access.cancel));
  access.store.put_wraps(entry.key_id, 1, wraps, access.cancel);
  const KeyBody body{.name = entry.sealed_name,
                     .version = entry.sealed_version,
                     .status = KeyStatus::enabled,
                     .wraps_sequence = 1,
                     .wraps = sha256(as_bytes(wraps))};
  records.append(key_subject(entry.sealed_name, entry.key_id), std::nullopt, body.to_json(),
                 "published");
}

// A lost answer is asked for again: the commit is idempotent by its token.
void commit(Store& store, const Reservation& reservation, const std::string& manifest,
            const CancelToken& cancel) {
  for (int attempt = 1;; ++attempt) {
    try {
      return store.commit(reservation, manifest, cancel);
    } catch (const Error& error) {
      const bool passing =
          error.status() == Status::unavailable || error.status() == Status::timeout;
      if (!passing || attempt == kCommitTries) throw;
    }
  }
}

// After a failure: gives the number up. True when the commit went through after all, its answer
// having been lost. A caller who cancelled isn't kept waiting by a server that doesn't answer.
bool committed_after_all(Store& store, const Reservation& reservation, const std::string& manifest,
                         const CancelToken& cancel) {
  constexpr std::chrono::milliseconds kWhenCancelled{700};
  constexpr std::chrono::minutes kOtherwise{2};
  try {
    const CancelToken limit =
        CancelToken().within(cancel.cancelled() ? kWhenCancelled : kOtherwise);
    try {
      store.abandon(reservation, limit);
    } catch (const Error& error) {
      if (error.status() != Status::conflict || manifest.empty()) return false;
      const auto row = store.find(reservation.name, reservation.version, limit);
      return row && row->manifest == manifest;
    }
  } catch (const Error&) {  // the failure that led here is the one to tell
  }
  return false;
}

struct SignedManifest {
  std::string jws;
  Sha256Digest digest{};  // of its payload bytes
};

SignedManifest sign_manifest(const Access& access, const Manifest& manifest) {
  const std::string payload = manifest.to_json();
  return {access.keys.sign(RecordKind::manifest, manifest.name, as_bytes(payload), access.cancel),
          sha256(as_bytes(payload))};
}

// Seals a payload under a key of its own, which is wrapped and recorded.
PayloadEntry add_payload(const Access& access, ThreadPool& pool, const Reservation& reservation,
                         std::string_view role, PlainInput& input, const Progress& progress) {
  const SecretBytes dek = SecretBytes::random(kDekSize);
  const PayloadEntry entry =
      seal(access.store, pool, reservation, role, input, dek, progress, access.cancel);
  store_key(access, entry, dek);
  return entry;
}

// The program that another version has, wrapped for this one.
PayloadEntry share_program(const Access& access, const StoredProgram& program) {
  PayloadEntry entry = program.entry;
  entry.key_id = new_key_id();
  store_key(access, entry, program.dek);
  return entry;
}

std::vector<PayloadEntry> add_payloads(const Access& access, ThreadPool& pool,
                                       const Reservation& reservation, PlainInput& input,
                                       const ProgramOfWeights& program, const Progress& progress) {
  const auto own = [&](std::string_view role) {
    return add_payload(access, pool, reservation, role, input, progress);
  };
  std::vector<PayloadEntry> payloads;
  if (std::holds_alternative<std::monostate>(program)) {
    payloads.push_back(own(kModelRole));
    return payloads;
  }
  if (const auto* stored = std::get_if<StoredProgram>(&program)) {
    payloads.push_back(share_program(access, *stored));
  } else {
    PlainInput& along = std::get<NewProgram>(program).input;
    payloads.push_back(add_payload(access, pool, reservation, kModelRole, along, Progress()));
  }
  payloads.push_back(own(kWeightsRole));
  return payloads;
}

void announce_and_commit(const Access& access, const Reservation& reservation,
                         const SignedManifest& manifest) {
  LogBody published;
  published.what = kLogPublish;
  published.name = reservation.name;
  published.version = reservation.version;
  published.manifest = manifest.digest;
  log_change(access, published, "", [&] {
    access.cancel.check();
    commit(access.store, reservation, manifest.jws, CancelToken());
  });
}

// Commits the manifest that `seal` signs, and returns its digest. Whatever fails gives the
// reserved number up.
Sha256Digest commit_or_give_up(const Access& access, const Reservation& reservation,
                               const std::function<SignedManifest()>& seal) {
  SignedManifest manifest;
  try {
    manifest = seal();
    announce_and_commit(access, reservation, manifest);
    return manifest.digest;
  } catch (...) {
    if (committed_after_all(access.store, reservation, manifest.jws, access.cancel)) {
      return manifest.digest;
    }
    throw;
  }
}

}  // namespace

void check_publish(const std::string& name, const Keyring& keys, const PublishOptions& options) {
  check_name(name, "model name");
  if (!options.alias.empty()) check_name(options.alias, "alias");
  if (!keys.can_sign(RecordKind::manifest, name)) {
    throw Error(Status::no_key, "the keyring holds no private key that may sign manifests of '" +
                                    name + "'; publishing needs the publisher's keyring");
  }
  if (!keys.can_sign(RecordKind::log, name)) {
    throw Error(Status::no_key, "the keyring holds no private key that may sign log records of '" +
                                    name +
                                    "', where a publish is announced: list \"log\" beside "
                                    "\"manifest\" in the publisher's key");
  }
  if (!keys.can_wrap()) {
    throw Error(Status::no_key,
                "the keyring holds no key to wrap content keys with; publishing needs "
                "the publisher's keyring");
  }
  if (!options.alias.empty() && !keys.can_sign(RecordKind::alias, name)) {
    throw Error(Status::no_key, "the keyring holds no private key that may sign aliases of '" +
                                    name +
                                    "'; publish without an alias, or use an operator's keyring");
  }
}

std::uint64_t seal_and_commit(const Access& access, ThreadPool& pool, Manifest manifest,
                              PlainInput& input, const ProgramOfWeights& program,
                              const Progress& progress) {
  ensure_created(access);
  access.records().last(log_subject());  // a log that can't be extended is told before sealing
  manifest.store_id = access.store.id(access.cancel);
  const Reservation reservation = access.store.reserve(manifest.name, access.cancel);
  const Sha256Digest digest = commit_or_give_up(access, reservation, [&] {
    manifest.payloads = add_payloads(access, pool, reservation, input, program, progress);
    manifest.version = reservation.version;
    manifest.created = now_rfc3339();
    return sign_manifest(access, manifest);
  });
  if (access.memory != nullptr) {
    access.memory->saw(manifest.store_id, manifest.name, {reservation.version, digest});
  }
  return reservation.version;
}

std::uint64_t Registry::publish(const std::string& name, PlainInput& input, const Keyring& keys,
                                const PublishOptions& options) const {
  if (!options.weights_of.empty()) return publish_weights(name, input, keys, options);
  check_publish(name, keys, options);
  Manifest manifest;
  manifest.name = name;
  manifest.format = options.format;
  manifest.labels = options.labels;
  const Format* format = find_format(manifest.format);
  if (format == nullptr && !manifest.format.empty()) {
    throw Error(Status::unsupported, "model format '" + printable_name(manifest.format) +
                                         "' is not supported; formats: " + format_names(false));
  }
  if (format == nullptr || !format->engine.empty()) {
    inspect_model(*plain_source(input, *pool_), nullptr, options, manifest);
  } else if (!options.sample.empty() || !options.sample_json.empty()) {
    throw Error(Status::invalid_argument, "a model of the format '" + manifest.format +
                                              "' can't be run, so it takes no sample");
  }
  return commit(std::move(manifest), input, {}, keys, options);
}

std::uint64_t Registry::commit(Manifest manifest, PlainInput& input,
                               const ProgramOfWeights& program, const Keyring& keys,
                               const PublishOptions& options) const {
  input.check_unchanged();
  options.cancel.check();
  const std::string name = manifest.name;
  const std::uint64_t version = seal_and_commit(
      access(keys, options.cancel), *pool_, std::move(manifest), input, program, options.progress);
  if (!options.alias.empty()) {
    set_published_alias(name, options.alias, version, keys, options.cancel);
  }
  return version;
}

void Registry::set_published_alias(const std::string& name, const std::string& alias,
                                   std::uint64_t version, const Keyring& keys,
                                   const CancelToken& cancel) const {
  try {
    set_alias(name, alias, version, "published", keys, cancel);
  } catch (const std::bad_alloc&) {
    throw AliasError(Status::out_of_memory,
                     "the version is published, but memory ran out before its alias was set",
                     version);
  } catch (const Error& error) {
    throw AliasError(error.status(),
                     "version " + std::to_string(version) + " is published, but alias '" + alias +
                         "' was not set: " + error.what(),
                     version);
  }
}

Registry::Registry(std::shared_ptr<Store> store, unsigned threads,
                   const std::shared_ptr<const StateFile>& state)
    : store_(std::move(store)), pool_(std::make_shared<ThreadPool>(threads)) {
  if (state) memory_ = std::make_shared<const Memory>(state, *store_);
}

Access Registry::access(const Keyring& keys, const CancelToken& cancel) const {
  return {*store_, keys, cancel, memory_.get()};
}

}  // namespace ptsecure
