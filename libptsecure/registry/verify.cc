#include "libptsecure/history/audit.hpp"
#include "libptsecure/registry/package_state.hpp"

namespace ptsecure {
namespace {

// Runs checks one after the other, reports each, and remembers the first that failed.
class Checks {
 public:
  Checks(const CheckSink& sink, const CancelToken& cancel) : sink_(sink), cancel_(cancel) {}

  // True when `check` held. `check` returns one sentence about what it found.
  template <class Check>
  bool run(const std::string& name, Check check) {
    try {
      report(name, Status::ok, check());
      return true;
    } catch (const Error& error) {
      if (error.status() == Status::cancelled || cancel_.cancelled()) throw;
      if (!first_) first_.emplace(error.status(), name + ": " + error.what());
      report(name, error.status(), error.what());
      return false;
    }
  }

  const std::optional<Error>& first() const { return first_; }

 private:
  void report(const std::string& name, Status status, const std::string& detail) const {
    if (sink_) sink_(name, status, detail);
  }

  const CheckSink& sink_;
  const CancelToken& cancel_;
  std::optional<Error> first_;
};

std::string check_alias(const Access& access, const std::string& name, const std::string& alias) {
  const auto chain = access.records().all(alias_subject(name, alias));
  if (chain.empty()) throw Error(Status::corrupt, "the alias has no records");
  const AliasBody body = AliasBody::from_record(chain.back());
  if (body.deleted) return "deleted, record " + std::to_string(chain.size());
  follow_alias(access, name, alias, body);
  return "points at version " + std::to_string(body.version) + ", record " +
         std::to_string(chain.size());
}

std::string check_log_of(const Access& access) {
  std::uint64_t records = 0;
  if (const auto wrong = check_log(access, records)) throw Error(*wrong);
  return std::to_string(records) + " records, signed and linked";
}

// The checks of one payload. Without a key that unwraps, the signed digests alone are compared.
class PayloadChecks {
 public:
  PayloadChecks(Checks& checks, const Package::State& state, const PayloadEntry& entry,
                const OpenOptions& options)
      : checks_(checks), state_(state), entry_(entry), options_(options) {
    const Manifest& manifest = state.manifest();
    of_ = entry.role == manifest.own_role() ? "" : " of " + entry.role;
    shared_ = entry.sealed_name != manifest.name || entry.sealed_version != manifest.version;
  }

  void run() {
    if (checks_.run("key records" + of_, [this] { return key_records(); })) {
      checks_.run("wrapped keys" + of_, [this] { return wrapped_keys(); });
    }
    checks_.run("payload " + entry_.role, [this] { return segments(); });
  }

 private:
  std::string key_records() {
    key_ = read_key(state_.access(options_.cancel), entry_);
    require_enabled(key_, entry_);
    return "key " + entry_.key_id + " is enabled";
  }

  std::string wrapped_keys() {
    const auto wraps = read_wraps(*state_.store, key_, entry_, options_.cancel);
    const std::string recipients = std::to_string(wraps.size()) + " recipients, as signed";
    try {
      dek_ = state_.unwrap(entry_, wraps, options_.cancel);
    } catch (const Error& error) {
      if (error.status() != Status::no_key) throw;
      return recipients + "; this keyring opens none of them";
    }
    return recipients + ", and this keyring opens one";
  }

  std::string segments() {
    OpenPayload open = state_.open_payload_of(entry_, options_);
    open.level = VerifyLevel::signed_;
    const std::string found = (shared_ ? "the program of " + entry_.sealed_name + "/" +
                                             std::to_string(entry_.sealed_version) + ", "
                                       : "") +
                              std::to_string(stored_segments(entry_.stored_size)) +
                              " segments match the signed digests";
    if (dek_.empty()) {
      verify_stored_segments(entry_, *open.blob, open.digests, *state_.pool, open.progress,
                             open.cancel);
      return found;
    }
    open_payload(std::move(open), dek_.view(), *state_.pool)->verify();
    return found + " and decrypt";
  }

  Checks& checks_;
  const Package::State& state_;
  const PayloadEntry& entry_;
  const OpenOptions& options_;
  std::string of_;  // " of model"; empty for what was sealed for this version
  bool shared_ = false;
  KeyBody key_;
  SecretBytes dek_;  // empty: this keyring doesn't open it
};

void check_aliases(Checks& checks, const Access& access, const std::string& name) {
  std::vector<std::string> aliases;
  checks.run("aliases", [&] {
    aliases = access.store.chains({"alias", name}, access.cancel);
    return std::to_string(aliases.size()) + " of this model";
  });
  for (const std::string& alias : aliases) {
    checks.run("alias " + alias, [&] { return check_alias(access, name, alias); });
  }
}

}  // namespace

std::optional<Error> Registry::verify(std::string_view reference, const Keyring& keys,
                                      const OpenOptions& options, const CheckSink& sink) const {
  const Reference parsed = Reference::parse(reference);
  const auto state = package_state(keys);
  const Access access = state->access(options.cancel);
  Checks checks(sink, options.cancel);
  checks.run("index", [&] {
    store_->check(parsed.name, options.cancel);
    return std::string("the store's own bookkeeping agrees with what is stored");
  });
  const bool resolved = checks.run("manifest", [&] {
    state->version = resolve(access, parsed, options.expected);
    return parsed.name + "/" + std::to_string(state->manifest().version) + ", signed by " +
           state->version.signer;
  });
  if (resolved) {
    for (const PayloadEntry& entry : state->manifest().payloads) {
      PayloadChecks(checks, *state, entry, options).run();
    }
  }
  check_aliases(checks, access, parsed.name);
  checks.run("log", [&] { return check_log_of(access); });
  return checks.first();
}

}  // namespace ptsecure
