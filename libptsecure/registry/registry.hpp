#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#include "libptsecure/base/thread_pool.hpp"
#include "libptsecure/engine/engine.hpp"
#include "libptsecure/history/access.hpp"
#include "libptsecure/history/announce.hpp"
#include "libptsecure/history/audit.hpp"
#include "libptsecure/history/bodies.hpp"
#include "libptsecure/history/memory.hpp"
#include "libptsecure/keyring/keyring.hpp"
#include "libptsecure/model/model.hpp"
#include "libptsecure/package/manifest.hpp"
#include "libptsecure/package/payload.hpp"
#include "libptsecure/package/reference.hpp"
#include "libptsecure/registry/resolve.hpp"
#include "libptsecure/store/store.hpp"
#include "libptsecure/value/value.hpp"

// Publishing, finding, verifying and opening models: what ties crypto, package, keyring, store and
// engine together. Everything that comes from a store is verified here before it is believed.
namespace ptsecure {

struct PublishOptions {
  std::string format;  // "torchscript", "aotinductor", "opaque"; empty = what the bytes seem to be
  std::string alias;   // empty = none
  std::map<std::string, std::string> labels;
  std::vector<Value> sample;  // inputs of forward; empty = datatypes and shapes stay unknown
  std::string sample_json;    // the same as a V2 JSON request; empty = none
  std::string weights_of;     // publish weights for the program of this reference; empty = a model
  std::string torch_dir;
  Progress progress;
  CancelToken cancel;
};

// What opens a foreign JWE, and what must come out.
struct ImportOptions {
  std::string_view jwk;                   // JSON, or
  PlainInput* jwk_input = nullptr;        // where it is read from
  std::optional<Sha256Digest> plaintext;  // looked at where given
};

struct OpenOptions {
  VerifyLevel level = VerifyLevel::signed_;
  std::string device;  // "cpu", "cuda", "cuda:N"; empty = cpu
  int intra_op_threads = 0;
  int warm_up_runs = 0;
  Optimize optimize = Optimize::none;
  std::string torch_dir;
  Expected expected;  // looked at when a reference is resolved
  Progress progress;
  CancelToken cancel;
  std::thread::id caller = std::this_thread::get_id();  // where progress is told
};

// Thrown instead of the alias's own error when the version was committed and only the alias failed.
class AliasError : public Error {
 public:
  AliasError(Status status, const std::string& message, std::uint64_t version)
      : Error(status, message), version_(version) {}
  std::uint64_t version() const noexcept { return version_; }

 private:
  std::uint64_t version_;
};

// One record of an alias.
struct AliasInfo {
  std::string alias;
  std::uint64_t version = 0;  // 0 = deleted by this record
  Sha256Digest manifest{};    // SHA-256 of the version's manifest's payload bytes
  std::uint64_t sequence = 0;
  Sha256Digest record{};  // SHA-256 of the record
  std::string time;
  std::string reason;
  std::string signer;          // kid
  bool signer_trusted = true;  // false: later records vouch for this one, the keyring no longer
};

// What the store's index says about a version.
struct VersionEntry {
  std::uint64_t version = 0;
  bool damaged = false;  // its manifest can't be read: there is nothing more
  std::string format;
  std::string created;
  std::uint64_t size = 0;  // plaintext bytes
  std::map<std::string, std::string> labels;
};

struct ModelEntry {
  std::string name;
  VersionEntry newest;
  std::vector<std::string> aliases;
};

// A version, verified, and what the signed records say of it.
struct ShownVersion {
  VerifiedVersion version;
  KeyStatus key_status = KeyStatus::enabled;
  std::vector<std::string> aliases;  // that point at it
};

struct LogEntry {
  ChainRecord record;
  LogBody body;
};

// "cpu", "cuda", "cuda:N"; empty = cpu. Throws Status::invalid_argument.
Device parse_device(std::string_view text);

// The program that weights are for; nothing = what is published is a whole model.
struct StoredProgram;
struct NewProgram;
using ProgramOfWeights = std::variant<std::monostate, StoredProgram, NewProgram>;

// A version whose manifest has been verified and whose content key is enabled. Thread-safe.
class Package {
 public:
  ~Package();
  const Manifest& manifest() const;
  const std::string& manifest_json() const;  // exactly as signed

  std::string example_json() const;  // a ready V2 infer request body

  // The model's plaintext, in order, each segment authenticated first.
  void stream(const OpenOptions& options,
              const std::function<void(std::uint64_t pos, ByteView plain)>& sink) const;
  // The plaintext as a whole, in secret-free ordinary memory zeroed by the caller.
  void decrypt(const OpenOptions& options, ByteSpan out) const;
  std::shared_ptr<LoadedModel> load(const OpenOptions& options) const;
  // Puts this version's weights under the program of a model that is open, which must be the same
  // program, and returns the model as this version. `running` answers with the new weights too.
  std::shared_ptr<LoadedModel> swap_into(const LoadedModel& running,
                                         const OpenOptions& options) const;
  // Writes payload.bin, key-N.jwe, manifest.jws, digests.bin and README.txt to a new or empty
  // folder.
  void export_to(const std::string& folder, const OpenOptions& options) const;

  struct State;  // registry/package_state.hpp
  explicit Package(std::unique_ptr<State> state);
  const State& state() const { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

// One store and its thread pool. Thread-safe; packages and models made from it keep what they need.
class Registry {
 public:
  // threads: 0 = cores(). state: null = nothing is remembered.
  explicit Registry(std::shared_ptr<Store> store, unsigned threads = 0,
                    const std::shared_ptr<const StateFile>& state = nullptr);

  Store& store() const { return *store_; }
  // For what outlives the registry.
  const std::shared_ptr<Store>& shared_store() const { return store_; }
  // For one operation; the registry and the keys must outlive it.
  Access access(const Keyring& keys, const CancelToken& cancel) const;

  std::uint64_t publish(const std::string& name, PlainInput& input, const Keyring& keys,
                        const PublishOptions& options) const;
  // Of `options` those that a fetch looks at: `expected` and `cancel`.
  std::unique_ptr<Package> fetch(std::string_view reference, const Keyring& keys,
                                 const OpenOptions& options) const;
  // fetch() and load() as one, which is quicker: the last question about the key's status is asked
  // beside the rest, and answered before this returns.
  std::shared_ptr<LoadedModel> open(std::string_view reference, const Keyring& keys,
                                    const OpenOptions& options) const;
  // Publishes what a foreign JWE holds, `text` being its serialisation. It is decrypted to memory,
  // and nothing is done with it before its tag or MAC, and the digest where given, hold. Anybody
  // with the public key can make an asymmetrically wrapped one, so an asymmetric key needs the
  // digest of the plaintext; so does one that is read from where others may write, who can have
  // made both.
  std::uint64_t import_jwe(const std::string& name, PlainInput& text, const ImportOptions& import,
                           const Keyring& keys, const PublishOptions& options) const;
  // Re-seals a verified version into another store as its next version. Weights that share a
  // program take it along, or share that of options.weights_of there, which must be the same.
  std::uint64_t copy(std::string_view reference, const Keyring& keys, const Registry& target,
                     const Keyring& target_keys, const PublishOptions& options) const;

  // The store's index, not verified: models after a name ("" = from the first), and a model's
  // versions, the newest first, below one (0 = from the newest); at most `limit` (0 = all).
  std::vector<ModelEntry> list(const std::string& after, std::uint64_t limit,
                               const CancelToken& cancel) const;
  std::vector<VersionEntry> list_versions(const std::string& name, std::uint64_t before,
                                          std::uint64_t limit, const CancelToken& cancel) const;
  ShownVersion show(std::string_view reference, const Keyring& keys,
                    const CancelToken& cancel) const;

  // Each is a new signed record of the alias's chain, announced in the log before.
  // Status::conflict when another operator was faster.
  void set_alias(const std::string& name, const std::string& alias, std::uint64_t version,
                 const std::string& reason, const Keyring& keys, const CancelToken& cancel) const;
  // A record that says so: the history stays.
  void delete_alias(const std::string& name, const std::string& alias, const std::string& reason,
                    const Keyring& keys, const CancelToken& cancel) const;
  // Points the alias back at `version`, or (0) at the one it pointed at before the present one, and
  // returns it. Rolling back twice goes back twice. Empty alias = the model's only one.
  std::uint64_t roll_back(const std::string& name, const std::string& alias, std::uint64_t version,
                          const std::string& reason, const Keyring& keys,
                          const CancelToken& cancel) const;
  // Of the aliases that aren't deleted, the last record.
  std::vector<AliasInfo> aliases(const std::string& name, const Keyring& keys,
                                 const CancelToken& cancel) const;
  AliasInfo alias(const std::string& name, const std::string& alias, const Keyring& keys,
                  const CancelToken& cancel) const;
  // Every record, oldest first.
  std::vector<AliasInfo> alias_history(const std::string& name, const std::string& alias,
                                       const Keyring& keys, const CancelToken& cancel) const;

  void set_key_status(std::string_view reference, KeyStatus status, const std::string& reason,
                      const Keyring& keys, const CancelToken& cancel) const;

  // Verified log records from number `first` on, at most `limit` (0 = all).
  std::vector<LogEntry> log(const Keyring& keys, std::uint64_t first, std::uint64_t limit,
                            const CancelToken& cancel) const;
  // Every record of the log, every link, and every change that it announces against what is stored,
  // both ways (see pts_store_verify_log). Goes on after a finding and returns the first.
  std::optional<Error> verify_log(const Keyring& keys, const std::optional<RecordMark>& head,
                                  const CheckSink& check, const CancelToken& cancel) const;

  // Every check about a reference; goes on after a failed one and returns the first failed status
  // (with its detail), or nullopt when all hold.
  std::optional<Error> verify(std::string_view reference, const Keyring& keys,
                              const OpenOptions& options, const CheckSink& check) const;

 private:
  // A package's state before its version is known.
  std::unique_ptr<Package::State> package_state(const Keyring& keys) const;
  std::unique_ptr<Package> fetch(std::string_view reference, const Keyring& keys,
                                 const OpenOptions& options, ReadConcern key_concern) const;
  // Seals `input` as weights for the program of options.weights_of.
  std::uint64_t publish_weights(const std::string& name, PlainInput& input, const Keyring& keys,
                                const PublishOptions& options) const;
  // What publish and copy end with: seals `input` and, where it is weights, shares their program or
  // seals it along; commits; sets the alias.
  std::uint64_t commit(Manifest manifest, PlainInput& input, const ProgramOfWeights& program,
                       const Keyring& keys, const PublishOptions& options) const;
  // The program of options.weights_of here, which must be the one that `copied` shares elsewhere.
  StoredProgram same_program(const Package& copied, const Keyring& keys,
                             const PublishOptions& options) const;
  // The alias that a publish or copy asked for; a failure becomes an AliasError.
  void set_published_alias(const std::string& name, const std::string& alias, std::uint64_t version,
                           const Keyring& keys, const CancelToken& cancel) const;

  std::shared_ptr<Store> store_;
  std::shared_ptr<ThreadPool> pool_;
  std::shared_ptr<const Memory> memory_;  // null = nothing is remembered
};

}  // namespace ptsecure
