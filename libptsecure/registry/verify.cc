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

}  // namespace

std::optional<Error> Registry::verify(std::string_view reference, const Keyring& keys,
                                      const OpenOptions& options, const CheckSink& sink) const {
  const Reference parsed = Reference::parse(reference);
  const CancelToken& cancel = options.cancel;
  Checks checks(sink, cancel);
  auto state = std::make_unique<Package::State>();
  state->store = store_;
  state->pool = pool_;
  state->memory = memory_;
  state->keys = keys;
  const Access access = state->access(cancel);

  checks.run("index", [&] {
    store_->check(parsed.name, cancel);
    return std::string("the store's own bookkeeping agrees with what is stored");
  });
  const bool resolved = checks.run("manifest", [&] {
    state->version = resolve(access, parsed, options.expected);
    return parsed.name + "/" + std::to_string(state->version.manifest->version) + ", signed by " +
           state->version.signer;
  });
  if (resolved) {
    const PayloadEntry& payload = state->payload();
    const bool key = checks.run("key records", [&] {
      state->key = read_key(access, payload);
      require_enabled(state->key, payload);
      return "key " + payload.key_id + " is enabled";
    });
    SecretBytes dek;
    if (key) {
      checks.run("wrapped keys", [&] {
        const auto wraps = read_wraps(*store_, state->key, payload, cancel);
        try {
          dek = keys.unwrap(wraps, payload.key_id);
        } catch (const Error& error) {
          if (error.status() != Status::no_key) throw;
          return std::to_string(wraps.size()) +
                 " recipients, as signed; this keyring opens none of them";
        }
        return std::to_string(wraps.size()) + " recipients, as signed, and this keyring opens one";
      });
    }
    checks.run("payload " + payload.role, [&] {
      OpenPayload open;
      open.entry = &payload;
      open.digests = read_digests(*store_, payload, cancel);
      open.blob = read_payload(*store_, payload, cancel);
      open.progress = options.progress;
      open.cancel = cancel;
      const std::string segments =
          std::to_string(stored_segments(payload.stored_size)) + " segments";
      if (dek.empty()) {
        verify_stored_segments(payload, *open.blob, open.digests, *pool_, open.progress, cancel);
        return segments + " match the signed digests";
      }
      open_payload(std::move(open), dek.view(), *pool_)->verify();
      return segments + " match the signed digests and decrypt";
    });
  }
  if (resolved && state->version.manifest->shares_program()) {
    checks.run("payload model", [&] { return state->verify_program(options); });
  }
  std::vector<std::string> aliases;
  checks.run("aliases", [&] {
    aliases = store_->chains({"alias", parsed.name}, cancel);
    return std::to_string(aliases.size()) + " of this model";
  });
  for (const std::string& alias : aliases) {
    checks.run("alias " + alias, [&] { return check_alias(access, parsed.name, alias); });
  }
  checks.run("log", [&] {
    std::uint64_t records = 0;
    if (const auto wrong = check_log(access, records)) throw Error(*wrong);
    return std::to_string(records) + " records, signed and linked";
  });
  return checks.first();
}

}  // namespace ptsecure
