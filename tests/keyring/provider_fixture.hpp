#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/jws.hpp"
#include "libptsecure/crypto/random.hpp"
#include "libptsecure/keyring/provider.hpp"

// Keys that lie elsewhere than in a keyring, as in a token or a service, each behind a callback
// that a test replaces to see what a broken one does. Real tokens and services are other tests'.
namespace ptsecure {

class CallbackSigner final : public Signer {
 public:
  using Call = std::function<Bytes(ByteView, const CancelToken&)>;
  CallbackSigner(std::string kid, std::string alg, Call call)
      : kid_(std::move(kid)), alg_(std::move(alg)), call_(std::move(call)) {}
  // That of a private key, which nobody else has.
  explicit CallbackSigner(const Jwk& key)
      : CallbackSigner(key.kid(), std::string(jws_alg(key)),
                       [key](ByteView input, const CancelToken&) {
                         return jws_signature(jws_alg(key), key, input);
                       }) {}

  const std::string& kid() const noexcept override { return kid_; }
  std::string_view alg() const noexcept override { return alg_; }
  Bytes sign(ByteView input, const CancelToken& cancel) const override {
    ++calls;
    return call_(input, cancel);
  }

  mutable std::atomic<int> calls{0};

 private:
  const std::string kid_;
  const std::string alg_;
  const Call call_;
};

class CallbackRecipient final : public Recipient {
 public:
  using Call = std::function<Wrap(ByteView, const KeyContext&, const CancelToken&)>;
  CallbackRecipient(std::string kid, Call call) : kid_(std::move(kid)), call_(std::move(call)) {}

  const std::string& kid() const noexcept override { return kid_; }
  Wrap wrap(ByteView key, const KeyContext& context, const CancelToken& cancel) const override {
    return call_(key, context, cancel);
  }

 private:
  const std::string kid_;
  const Call call_;
};

class CallbackUnwrapper final : public Unwrapper {
 public:
  using Call = std::function<SecretBytes(const Wrap&, const KeyContext&, const CancelToken&)>;
  // One that `holds_all` is asked for every entry.
  CallbackUnwrapper(std::string kid, Call call, bool holds_all = false)
      : kid_(std::move(kid)), call_(std::move(call)), holds_all_(holds_all) {}

  const std::string& kid() const noexcept override { return kid_; }
  bool may_open(const Wrap& wrap) const noexcept override {
    return holds_all_ || Unwrapper::may_open(wrap);
  }
  SecretBytes unwrap(const Wrap& wrap, const KeyContext& context,
                     const CancelToken& cancel) const override {
    ++calls;
    return call_(wrap, context, cancel);
  }

  mutable std::atomic<int> calls{0};

 private:
  const std::string kid_;
  const Call call_;
  const bool holds_all_;
};

// A service that keeps what it is given and answers with a handle, for the same context alone.
class Vault {
 public:
  explicit Vault(std::string kid) : kid_(std::move(kid)) {}

  std::shared_ptr<const CallbackRecipient> recipient() {
    return std::make_shared<const CallbackRecipient>(
        kid_, [this](ByteView key, const KeyContext& context, const CancelToken&) {
          const std::lock_guard lock(mutex_);
          const std::string handle = "vault:v1:" + random_id();
          kept_[handle] = {SecretBytes::copy(key), text(context)};
          return Wrap{kid_, "vault", handle};
        });
  }
  std::shared_ptr<const CallbackUnwrapper> unwrapper() {
    return std::make_shared<const CallbackUnwrapper>(
        kid_, [this](const Wrap& wrap, const KeyContext& context, const CancelToken&) {
          const std::lock_guard lock(mutex_);
          const auto found = kept_.find(wrap.wrapped);
          if (found == kept_.end()) throw Error(Status::corrupt, "the vault knows no such handle");
          if (found->second.context != text(context)) {
            throw Error(Status::permission_denied, "the vault holds this for another use");
          }
          return found->second.key.clone();
        });
  }
  // Of the content keys kept, "store/key id/name/version".
  std::vector<std::string> contexts() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> all;
    for (const auto& [handle, kept] : kept_) all.push_back(kept.context);
    return all;
  }

 private:
  struct Kept {
    SecretBytes key;
    std::string context;
  };
  static std::string text(const KeyContext& context) {
    return context.store_id + '/' + context.key_id + '/' + context.name + '/' +
           std::to_string(context.version);
  }

  const std::string kid_;
  mutable std::mutex mutex_;
  std::map<std::string, Kept> kept_;
};

// What a provider does that waits for somebody.
[[noreturn]] inline void hang(const CancelToken& cancel) {
  for (;;) cancel.sleep_for(std::chrono::milliseconds(50));
}

}  // namespace ptsecure
