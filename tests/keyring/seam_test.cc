#include <array>
#include <chrono>
#include <new>
#include <stdexcept>
#include <thread>

#include "keyring_fixture.hpp"
#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/jwe.hpp"
#include "libptsecure/keyring/key_policy.hpp"
#include "provider_fixture.hpp"

// Keys whose secret lies elsewhere, beside those of this process.
namespace ptsecure {
namespace {

using nlohmann::json;

constexpr RecordKind kManifest = RecordKind::manifest;

std::string sign(const Keyring& keyring, const CancelToken& cancel = {}) {
  return keyring.sign(kManifest, "digits", as_bytes("payload"), cancel);
}

Jwk wrapping_key() {
  return Jwk::generate_p256().with_members({{"use", "enc"}});
}

Keyring public_ring(const Jwk& key) {
  return parse_set({{"keys", {json::parse(key.public_part().public_json())}}});
}

// The text that a recipient is given.
SecretBytes document(const SecretBytes& dek, const char* kid) {
  const SecretString text =
      Jwk::from_secret(dek.view()).with_members({{"kid", kid}}).private_json();
  return SecretBytes::copy(as_bytes(text));
}

SecretBytes bytes_of(std::string_view text) {
  return SecretBytes::copy(as_bytes(text));
}

// --- signing -------------------------------------------------------------------------------------

class SignerTest : public testing::TestWithParam<const char*> {
 protected:
  SignerTest()
      : key_(GetParam() == std::string_view("EdDSA") ? Jwk::generate_ed25519()
                                                     : Jwk::generate_p256()) {}

  // A ring with nothing private, and the signer.
  Keyring ring(std::shared_ptr<const Signer> signer) const {
    return Keyring().with_signer(std::move(signer), key_.public_part(), policy_);
  }
  std::shared_ptr<const CallbackSigner> signer(CallbackSigner::Call call) const {
    return std::make_shared<const CallbackSigner>(key_.kid(), GetParam(), std::move(call));
  }

  const KeyPolicy policy_{{kManifest, RecordKind::log}, {"dig*"}};
  const Jwk key_;
};

INSTANTIATE_TEST_SUITE_P(Algorithms, SignerTest, testing::Values("EdDSA", "ES256"));

TEST_P(SignerTest, RecordsSignedElsewhereVerify) {
  const auto token = std::make_shared<const CallbackSigner>(key_);
  const Keyring keyring = ring(token);
  EXPECT_EQ(keyring.signer_of(kManifest, "digits"), key_.kid());
  const std::string jws = sign(keyring);
  EXPECT_EQ(token->calls, 1);
  EXPECT_EQ(jws_header(jws).alg, GetParam());
  EXPECT_EQ(jws_header(jws).kid, key_.kid());
  EXPECT_EQ(as_text(jws_verify(jws, key_, "ptsecure-manifest+jws")), "payload");
  for (const Keyring& each : {keyring, keyring.public_part(), keyring.split(Role::verifier),
                              parse_set(set_of(keyring.public_part()))}) {
    EXPECT_EQ(verify_text(each, kManifest, "digits", jws), "payload");
  }
}

TEST_P(SignerTest, WhatItMaySignStandsInTheKeyring) {
  const auto token = std::make_shared<const CallbackSigner>(key_);
  const Keyring keyring = ring(token);
  EXPECT_TRUE(keyring.can_sign(RecordKind::log, "digits"));
  EXPECT_FALSE(keyring.can_sign(RecordKind::alias, "digits"));
  EXPECT_FALSE(keyring.can_sign(kManifest, "letters"));
  expect_error(Status::no_key, "may sign a record of kind alias",
               [&] { keyring.sign(RecordKind::alias, "digits", as_bytes("x")); });
  EXPECT_EQ(token->calls, 0) << "it isn't asked what it may not sign";

  // The public key came with the key set, as its policy did.
  const Keyring from_file = parse_set(set_of(keyring.public_part()));
  EXPECT_FALSE(from_file.can_sign(kManifest, "digits"));
  const Keyring joined = from_file.with_signer(token);
  EXPECT_EQ(verify_text(from_file, kManifest, "digits", sign(joined)), "payload");
  EXPECT_FALSE(joined.can_sign(RecordKind::alias, "digits"));
}

TEST_P(SignerTest, ASignatureThatDoesNotHoldIsNotBelieved) {
  const Jwk other = key_.type() == KeyType::okp ? Jwk::generate_ed25519() : Jwk::generate_p256();
  const auto good = [this](ByteView input) { return jws_signature(jws_alg(key_), key_, input); };
  const auto changed = [&](const std::function<void(Bytes&)>& change) {
    return [&good, change](ByteView input, const CancelToken&) {
      Bytes signature = good(input);
      change(signature);
      return signature;
    };
  };
  const std::vector<std::pair<const char*, CallbackSigner::Call>> broken = {
      {"empty", changed([](Bytes& s) { s.clear(); })},
      {"one byte less", changed([](Bytes& s) { s.pop_back(); })},
      {"one byte more", changed([](Bytes& s) { s.push_back(0); })},
      {"all zero", changed([](Bytes& s) { s.assign(64, 0); })},
      {"a bit flipped", changed([](Bytes& s) { s[40] ^= 1; })},
      {"r and s swapped",
       changed([](Bytes& s) { std::rotate(s.begin(), s.begin() + 32, s.end()); })},
      {"DER", changed([](Bytes& s) {
         s.insert(s.begin() + 32, {0x02, 0x20});
         s.insert(s.begin(), {0x30, 0x44, 0x02, 0x20});
       })},
      {"another key",
       [&](ByteView in, const CancelToken&) { return jws_signature(jws_alg(other), other, in); }},
      {"a digest of it", [&](ByteView in, const CancelToken&) { return good(sha256(in)); }},
      {"megabytes", changed([](Bytes& s) { s.resize(std::size_t{1} << 22); })},
  };
  for (const auto& [what, call] : broken) {
    SCOPED_TRACE(what);
    expect_error(Status::untrusted, "the key " + key_.kid() + " can't sign",
                 [&] { sign(ring(signer(call))); });
  }
}

TEST_P(SignerTest, OnlyTheSignerOfThatKeyJoinsIt) {
  const auto token = std::make_shared<const CallbackSigner>(key_);
  const Keyring file = public_ring(key_.with_members({{"use", "sig"}}));
  expect_error(Status::no_key, "add it first", [&] { Keyring().with_signer(token); });
  expect_error(Status::invalid_argument, "already signs", [&] { ring(token).with_signer(token); });
  expect_error(Status::invalid_argument, "already signs", [&] {
    parse_set({{"keys", {json_of(key_.with_members({{"use", "sig"}}))}}}).with_signer(token);
  });
  expect_error(Status::invalid_argument, "another key",
               [&] { file.with_signer(token, key_.public_part(), policy_); });
  expect_error(Status::invalid_argument, "another key", [&] {
    Keyring().with_signer(token, key_.public_part().with_members({{"kid", "b"}}), policy_);
  });
  const auto confused = std::make_shared<const CallbackSigner>(
      key_.kid(), key_.type() == KeyType::okp ? "ES256" : "EdDSA",
      [](ByteView, const CancelToken&) { return Bytes(64); });
  expect_error(Status::invalid_argument, "another algorithm", [&] { file.with_signer(confused); });
  expect_error(Status::invalid_argument, "isn't meant", [&] {
    Keyring()
        .with_recipient(Vault("v").recipient())
        .with_signer(std::make_shared<const CallbackSigner>("v", GetParam(), nullptr));
  });
  expect_error(Status::invalid_argument, "isn't meant", [&] {
    ring(token).with_unwrapper(std::make_shared<const CallbackUnwrapper>(key_.kid(), nullptr));
  });
  EXPECT_EQ(verify_text(ring(token), kManifest, "digits", sign(ring(token))), "payload");
}

TEST_P(SignerTest, ItsFailuresAreToldByTheirOwnStatus) {
  const auto failing = [this](const Status status) {
    return ring(signer([status](ByteView, const CancelToken&) -> Bytes {
      throw Error(status, "the token was removed");
    }));
  };
  for (const Status status : {Status::unavailable, Status::timeout, Status::permission_denied,
                              Status::cancelled, Status::no_key}) {
    expect_error(status, key_.kid() + " can't sign: the token was removed",
                 [&] { sign(failing(status)); });
  }
  const Keyring throws = ring(signer([](ByteView, const CancelToken&) -> Bytes {
    throw std::runtime_error("PIN 1234 is wrong");
  }));
  expect_error(Status::internal, "a defect of the provider", [&] { sign(throws); });
  try {
    sign(throws);
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find("1234"), std::string::npos) << error.what();
  }
  const Keyring starved =
      ring(signer([](ByteView, const CancelToken&) -> Bytes { throw std::bad_alloc(); }));
  EXPECT_THROW(sign(starved), std::bad_alloc);
}

TEST_P(SignerTest, ACancelEndsIt) {
  const CancelToken cancel = CancelToken::make();
  const auto token = signer([](ByteView, const CancelToken& given) -> Bytes { hang(given); });
  std::thread later([&] {
    while (token->calls == 0) std::this_thread::yield();
    cancel.cancel();
  });
  expect_error(Status::cancelled, "", [&] { sign(ring(token), cancel); });
  later.join();
  expect_error(Status::cancelled, "", [&] { sign(ring(token), cancel); });
  EXPECT_EQ(token->calls, 1) << "who has cancelled asks nobody";
  expect_error(Status::timeout, "allow it more time",
               [&] { sign(ring(token), CancelToken().within(std::chrono::milliseconds(80))); });
  // What it says after that is no more than an echo.
  const CancelToken again = CancelToken::make();
  expect_error(Status::cancelled, "by the caller", [&] {
    sign(ring(signer([&](ByteView, const CancelToken&) -> Bytes {
           again.cancel();
           throw Error(Status::io, "the pipe broke");
         })),
         again);
  });
}

// --- wrapping and unwrapping ---------------------------------------------------------------------

class UnwrapperTest : public testing::Test {
 protected:
  SecretBytes open(const Keyring& keyring, const std::vector<Wrap>& wraps,
                   const CancelToken& cancel = {}) const {
    return keyring.unwrap(wraps, context_of("id-1"), key_commitment(dek_.view()), cancel);
  }
  bool opens(const Keyring& keyring, const std::vector<Wrap>& wraps) const {
    return equal_constant_time(open(keyring, wraps).view(), dek_.view());
  }
  // A token that does what jwe_decrypt does, with a key that no keyring holds.
  static std::shared_ptr<const CallbackUnwrapper> token(const Jwk& key) {
    return std::make_shared<const CallbackUnwrapper>(
        key.kid(), [key](const Wrap& wrap, const KeyContext&, const CancelToken&) {
          return jwe_decrypt(wrap.wrapped, key, JwePolicy::key_document);
        });
  }
  static std::shared_ptr<const CallbackUnwrapper> answering(std::string kid,
                                                            std::function<SecretBytes()> answer) {
    return std::make_shared<const CallbackUnwrapper>(
        std::move(kid),
        [answer](const Wrap&, const KeyContext&, const CancelToken&) { return answer(); });
  }
  static std::shared_ptr<const CallbackUnwrapper> failing(std::string kid, Status status) {
    return answering(std::move(kid), [status]() -> SecretBytes {
      throw Error(status, "it says " + std::string(status_name(status)));
    });
  }

  const SecretBytes dek_ = SecretBytes::random(32);
};

TEST_F(UnwrapperTest, ATokenOpensWhatWasWrappedForItsPublicKey) {
  const Jwk key = wrapping_key();
  const auto wraps = wrap(public_ring(key), dek_, "id-1");
  expect_error(Status::no_key, key.kid(), [&] { open(public_ring(key), wraps); });
  const auto unwrapper = token(key);
  EXPECT_TRUE(opens(public_ring(key).with_unwrapper(unwrapper), wraps));
  EXPECT_TRUE(opens(Keyring().with_unwrapper(token(key)), wraps)) << "the public key isn't needed";
  EXPECT_EQ(unwrapper->calls, 1);
  const Keyring ring = public_ring(key).with_unwrapper(unwrapper);
  EXPECT_TRUE(opens(ring, wrap(ring, dek_, "id-1"))) << "and one ring does both";
}

TEST_F(UnwrapperTest, AServiceWrapsAndOpensInItsOwnForm) {
  Vault vault("arn:vault:1");
  const Keyring sealer = Keyring().with_recipient(vault.recipient());
  EXPECT_TRUE(sealer.can_wrap());
  const auto wraps = wrap(sealer, dek_, "id-1");
  ASSERT_EQ(wraps.size(), 1U);
  EXPECT_EQ(wraps[0].kid, "arn:vault:1");
  EXPECT_EQ(wraps[0].provider, "vault");
  EXPECT_EQ(vault.contexts(), std::vector<std::string>{"store-1/id-1/digits/3"});
  const Keyring opener = Keyring().with_unwrapper(vault.unwrapper());
  EXPECT_TRUE(opens(opener, wraps));
  EXPECT_FALSE(opener.can_wrap());
  EXPECT_TRUE(opens(sealer.with_unwrapper(vault.unwrapper()), wraps));
  KeyContext elsewhere = context_of("id-1");
  elsewhere.name = "letters";
  expect_error(Status::permission_denied, "for another use",
               [&] { opener.unwrap(wraps, elsewhere, key_commitment(dek_.view()), {}); });
}

TEST_F(UnwrapperTest, AKeyringHoldsAnyMix) {
  const Jwk here = wrapping_key(), in_token = wrapping_key();
  Vault vault("vault");
  const Keyring sealer = parse_set({{"keys",
                                     {json::parse(here.public_part().public_json()),
                                      json::parse(in_token.public_part().public_json())}}})
                             .with_recipient(vault.recipient());
  auto wraps = wrap(sealer, dek_, "id-1");
  ASSERT_EQ(wraps.size(), 3U);
  const Keyring local = parse_set({{"keys", {json_of(here)}}});
  const auto hardware = token(in_token);
  const auto service = vault.unwrapper();
  for (int turn = 0; turn < 3; ++turn) {
    std::rotate(wraps.begin(), wraps.begin() + 1, wraps.end());
    EXPECT_TRUE(opens(local, wraps));
    EXPECT_TRUE(opens(Keyring().with_unwrapper(hardware), wraps));
    EXPECT_TRUE(opens(Keyring().with_unwrapper(service), wraps));
  }
  const int before = hardware->calls + service->calls;
  const Keyring all = local.with_unwrapper(service).with_unwrapper(hardware);
  EXPECT_TRUE(opens(all, wraps));
  EXPECT_EQ(hardware->calls + service->calls, before) << "a key of this process is asked first";
  for (Wrap& wrap : wraps) {
    if (wrap.kid == here.kid()) wrap.wrapped[30] ^= 1;
  }
  EXPECT_TRUE(opens(all, wraps)) << "a damaged entry leads to the next key";
  EXPECT_EQ(hardware->calls + service->calls, before + 1);
}

TEST_F(UnwrapperTest, AJwkOpensNoEntryOfAProvider) {
  const Jwk key = wrapping_key();
  const Keyring ring = parse_set({{"keys", {json_of(key)}}});
  Wrap wrap = ptsecure::wrap(ring, dek_, "id-1").front();
  wrap.provider = "vault";
  expect_error(Status::no_key, "wrapped for " + key.kid(), [&] { open(ring, {wrap}); });
}

TEST_F(UnwrapperTest, LiesAboutTheKeyAreFoundOutAndHideNoOther) {
  const SecretBytes other = SecretBytes::random(32), shorter = SecretBytes::random(31);
  const std::vector<std::pair<const char*, std::function<SecretBytes()>>> lies = {
      {"another key of that id", [&] { return document(other, "id-1"); }},
      {"the key under another id", [&] { return document(dek_, "id-2"); }},
      {"a short key", [&] { return document(shorter, "id-1"); }},
      {"the bare key", [&] { return dek_.clone(); }},
      {"nothing", [] { return SecretBytes(); }},
      {"a list", [] { return bytes_of("[]"); }},
      {"no key", [] { return bytes_of(R"({"kid":"id-1"})"); }},
      {"a public key",
       [] {
         return bytes_of(
             Jwk::generate_p256().public_part().with_members({{"kid", "id-1"}}).public_json());
       }},
      {"members twice",
       [&] {
         const SecretBytes good = document(dek_, "id-1");
         std::string text(as_text(good.view()));
         text.insert(1, R"("kid":"id-1",)");
         return bytes_of(text);
       }},
      {"bytes after it",
       [&] {
         const SecretBytes good = document(dek_, "id-1");
         return bytes_of(std::string(as_text(good.view())) + "{}");
       }},
      {"a flood", [] { return SecretBytes(std::size_t{1} << 24); }},
      {"depth", [] { return bytes_of(std::string(60000, '[')); }},
  };
  const Wrap liars{"liar", "test", "x"};
  Vault vault("vault");
  const auto honest = wrap(Keyring().with_recipient(vault.recipient()), dek_, "id-1");
  for (const auto& [what, answer] : lies) {
    SCOPED_TRACE(what);
    const auto liar = answering("liar", answer);
    const Keyring keyring = Keyring().with_unwrapper(liar);
    expect_error(Status::corrupt, "with the key liar: ", [&] { open(keyring, {liars}); });
    EXPECT_TRUE(opens(keyring.with_unwrapper(vault.unwrapper()), {liars, honest[0]}));
    EXPECT_EQ(liar->calls, 2);
  }
}

// Damage is damage whoever else was asked; else the first that stood in the way says what to do.
TEST_F(UnwrapperTest, TheStatusIsWhatStoppedIt) {
  const auto told = [this](const std::vector<Status>& said) {
    Keyring keyring;
    std::vector<Wrap> wraps;
    for (std::size_t i = 0; i < said.size(); ++i) {
      const std::string kid = "key-" + std::to_string(i);
      keyring = keyring.with_unwrapper(failing(kid, said[i]));
      wraps.push_back({kid, "test", "x"});
    }
    try {
      open(keyring, wraps);
    } catch (const Error& error) {
      for (std::size_t i = 0; i < said.size(); ++i) {
        const std::string part =
            "with the key key-" + std::to_string(i) + ": it says " + status_name(said[i]);
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
      }
      return error.status();
    }
    return Status::ok;
  };
  using enum Status;
  for (const Status only : {unavailable, timeout, cancelled, permission_denied, corrupt, no_key}) {
    EXPECT_EQ(told({only}), only);
    EXPECT_EQ(told({only, only}), only);
    EXPECT_EQ(told({no_key, only}), only) << "whose key it isn't stops nobody";
    EXPECT_EQ(told({only, no_key}), only);
    EXPECT_EQ(told({only, corrupt}), corrupt);
    EXPECT_EQ(told({corrupt, only}), corrupt);
  }
  EXPECT_EQ(told({no_key, timeout, unavailable}), timeout);
}

TEST_F(UnwrapperTest, AThrowingProviderHidesNoOther) {
  const auto wild =
      answering("wild", []() -> SecretBytes { throw std::runtime_error("the secret is 42"); });
  const Wrap wilds{"wild", "test", "x"};
  const Keyring keyring = Keyring().with_unwrapper(wild);
  expect_error(Status::internal, "with the key wild: ", [&] { open(keyring, {wilds}); });
  Vault vault("vault");
  const auto honest = wrap(Keyring().with_recipient(vault.recipient()), dek_, "id-1");
  EXPECT_TRUE(opens(keyring.with_unwrapper(vault.unwrapper()), {wilds, honest[0]}));
  const auto starved = answering("wild", []() -> SecretBytes { throw std::bad_alloc(); });
  EXPECT_THROW(open(Keyring().with_unwrapper(starved), {wilds}), std::bad_alloc);
}

TEST_F(UnwrapperTest, ACancelEndsItAtOnce) {
  const CancelToken cancel = CancelToken::make();
  const auto hangs = std::make_shared<const CallbackUnwrapper>(
      "hangs",
      [](const Wrap&, const KeyContext&, const CancelToken& given) -> SecretBytes { hang(given); });
  Vault vault("vault");
  const auto honest = vault.unwrapper();
  auto wraps = wrap(Keyring().with_recipient(vault.recipient()), dek_, "id-1");
  wraps.insert(wraps.begin(), {"hangs", "test", "x"});
  const Keyring keyring = Keyring().with_unwrapper(hangs).with_unwrapper(honest);
  std::thread later([&] {
    while (hangs->calls == 0) std::this_thread::yield();
    cancel.cancel();
  });
  expect_error(Status::cancelled, "by the caller", [&] { open(keyring, wraps, cancel); });
  later.join();
  EXPECT_EQ(honest->calls, 0) << "nobody else is asked";
  expect_error(Status::cancelled, "by the caller", [&] { open(keyring, wraps, cancel); });
  EXPECT_EQ(hangs->calls, 1);
  expect_error(Status::timeout, "allow it more time",
               [&] { open(keyring, wraps, CancelToken().within(std::chrono::milliseconds(80))); });
  EXPECT_EQ(honest->calls, 0) << "nor when the time is over";
}

TEST_F(UnwrapperTest, AHolderOfSeveralKeysIsAskedForEach) {
  const Jwk a = wrapping_key(), b = wrapping_key();
  const auto holder = std::make_shared<const CallbackUnwrapper>(
      "agent",
      [&](const Wrap& wrap, const KeyContext&, const CancelToken&) {
        if (wrap.kid != b.kid()) throw Error(Status::no_key, "the agent doesn't hold it");
        return jwe_decrypt(wrap.wrapped, b, JwePolicy::key_document);
      },
      true);
  const Keyring keyring = Keyring().with_unwrapper(holder);
  auto wraps = wrap(public_ring(a), dek_, "id-1");
  expect_error(Status::no_key, a.kid() + " by agent: the agent doesn't hold it",
               [&] { open(keyring, wraps); });
  wraps.push_back(wrap(public_ring(b), dek_, "id-1").front());
  EXPECT_TRUE(opens(keyring, wraps));
  EXPECT_EQ(holder->calls, 3);
}

TEST_F(UnwrapperTest, ARecipientMustGiveItsOwnKidAndAText) {
  const Jwk key = wrapping_key();
  const std::vector<std::pair<const char*, Wrap>> broken = {
      {"another kid", {"b", "test", "x"}},
      {"no kid", {"", "test", "x"}},
      {"no text", {"a", "test", ""}},
      {"a line break", {"a", "test", "x\ny"}},
      {"a NUL", {"a", "test", std::string("x\0y", 3)}},
      {"a flood", {"a", "test", std::string(64 * 1024 + 1, 'x')}},
      {"a provider of two words", {"a", "te st", "x"}},
      {"no JWE", {"a", "", "x"}},
      {"a JWS", {"a", "", jws_sign(as_bytes("x"), Jwk::generate_ed25519(), "t")}},
      {"another cty", {"a", "", jwe_encrypt(as_bytes("x"), key, "json")}},
  };
  for (const auto& [what, made] : broken) {
    SCOPED_TRACE(what);
    const auto recipient = std::make_shared<const CallbackRecipient>(
        "a", [&made](ByteView, const KeyContext&, const CancelToken&) { return made; });
    expect_error(Status::corrupt, "for the key a: ", [&] {
      wrap(Keyring().with_recipient(recipient), dek_, "id-1");
    });
  }
  const auto removed = std::make_shared<const CallbackRecipient>(
      "a", [](ByteView, const KeyContext&, const CancelToken&) -> Wrap {
        throw Error(Status::unavailable, "the service is down");
      });
  expect_error(Status::unavailable, "for the key a: the service is down",
               [&] { wrap(Keyring::generate().with_recipient(removed), dek_, "id-1"); });
  const auto fits = std::make_shared<const CallbackRecipient>(
      key.kid(), [&key](ByteView text, const KeyContext&, const CancelToken&) {
        return Wrap{key.kid(), {}, jwe_encrypt(text, key, "jwk+json")};
      });
  EXPECT_TRUE(opens(parse_set({{"keys", {json_of(key)}}}),
                    wrap(Keyring().with_recipient(fits), dek_, "id-1")));
}

TEST_F(UnwrapperTest, OnePartOfEachAKey) {
  Vault vault("v");
  const auto both = Keyring().with_recipient(vault.recipient()).with_unwrapper(vault.unwrapper());
  expect_error(Status::invalid_argument, "already wraps",
               [&] { both.with_recipient(vault.recipient()); });
  expect_error(Status::invalid_argument, "already unwraps",
               [&] { both.with_unwrapper(vault.unwrapper()); });
  const Jwk key = wrapping_key();
  expect_error(Status::invalid_argument, "already unwraps",
               [&] { parse_set({{"keys", {json_of(key)}}}).with_unwrapper(token(key)); });
  for (const std::string& kid : {std::string(), std::string("two words"), std::string(129, 'k')}) {
    expect_error(Status::corrupt, "kid",
                 [&] { Keyring().with_unwrapper(failing(kid, Status::io)); });
  }
}

// --- the keyring as a whole ----------------------------------------------------------------------

class MixedRingTest : public testing::Test {
 protected:
  // A publisher's and an operator's signer, a token that unwraps, and a service that does both.
  MixedRingTest() {
    const auto signing = [](const Jwk& key, std::vector<RecordKind> kinds) {
      return std::pair{std::make_shared<const CallbackSigner>(key),
                       KeyPolicy(std::move(kinds), {"*"})};
    };
    const auto [publishes, published] = signing(publisher_, {kManifest, RecordKind::log});
    const auto [operates, operated] = signing(operator_, {RecordKind::alias, RecordKind::key});
    ring_ = public_ring(token_)
                .with_signer(publishes, publisher_.public_part(), published)
                .with_signer(operates, operator_.public_part(), operated)
                .with_unwrapper(std::make_shared<const CallbackUnwrapper>(
                    token_.kid(),
                    [this](const Wrap& wrap, const KeyContext&, const CancelToken&) {
                      return jwe_decrypt(wrap.wrapped, token_, JwePolicy::key_document);
                    }))
                .with_recipient(vault_.recipient())
                .with_unwrapper(vault_.unwrapper());
  }

  const Jwk publisher_ = Jwk::generate_ed25519(), operator_ = Jwk::generate_p256();
  const Jwk token_ = wrapping_key();
  Vault vault_{"vault"};
  Keyring ring_;
};

TEST_F(MixedRingTest, RolesAreSeparate) {
  const SecretBytes dek = SecretBytes::random(32);
  const Keyring publisher = ring_.split(Role::publisher), opener = ring_.split(Role::opener);
  const Keyring verifier = ring_.split(Role::verifier), admin = ring_.split(Role::operator_);
  const auto wraps = wrap(publisher, dek, "id");
  EXPECT_EQ(wraps.size(), 2U) << "for the token and the service";
  EXPECT_TRUE(publisher.can_sign(kManifest, "m"));
  EXPECT_FALSE(publisher.can_sign(RecordKind::alias, "m"));
  EXPECT_TRUE(admin.can_sign(RecordKind::alias, "m"));
  EXPECT_FALSE(admin.can_sign(kManifest, "m"));
  for (const Keyring* ring : {&opener, &verifier}) EXPECT_FALSE(ring->can_sign(kManifest, "m"));
  for (const Keyring* ring : {&opener, &admin}) {
    for (const Wrap& each : wraps) {
      EXPECT_TRUE(equal_constant_time(unwrap(*ring, {&each, 1}, "id", dek).view(), dek.view()));
    }
  }
  for (const Keyring* ring : {&publisher, &verifier}) {
    expect_error(Status::no_key, "vault", [&] { unwrap(*ring, wraps, "id", dek); });
  }
  EXPECT_FALSE(verifier.can_wrap());
  const std::string jws = publisher.sign(kManifest, "m", as_bytes("x"));
  for (const Keyring* ring : {&publisher, &opener, &verifier, &admin}) {
    EXPECT_EQ(verify_text(*ring, kManifest, "m", jws), "x");
  }
  for (const Role role : {Role::publisher, Role::opener, Role::operator_}) {
    expect_error(Status::no_key, "can't become", [&] { verifier.split(role); });
  }
}

TEST_F(MixedRingTest, WhatIsNoJwkIsNotSaved) {
  expect_error(Status::unsupported, "is with a provider", [&] { ring_.to_json(); });
  expect_error(Status::unsupported, "is with a provider",
               [&] { ring_.save("/nowhere/keys.json"); });
  expect_error(Status::unsupported, "the key vault", [] {
    Vault vault("vault");
    Keyring::generate().with_recipient(vault.recipient()).to_json();
  });
  const json set = set_of(ring_.public_part());
  ASSERT_EQ(set["keys"].size(), 3U) << "the public keys are JWKs; the service has none";
  for (const json& key : set["keys"]) EXPECT_FALSE(key.contains("d"));
  EXPECT_EQ(set["keys"][1]["ptsecure"]["records"], json({"manifest", "log"}));
  EXPECT_EQ(set_of(ring_.split(Role::verifier))["keys"].size(), 2U);
}

TEST_F(MixedRingTest, DescribesItself) {
  EXPECT_FALSE(ring_.has_private()) << "nothing private lies here";
  const json lines = json::parse(ring_.describe_json());
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[0], json({{"kid", token_.kid()},
                            {"kty", "EC"},
                            {"crv", "P-256"},
                            {"private", false},
                            {"provider", true},
                            {"use", "enc"}}));
  EXPECT_EQ(lines[1]["provider"], true);
  EXPECT_EQ(lines[1]["records"], json({"manifest", "log"}));
  EXPECT_EQ(lines[3],
            json({{"kid", "vault"}, {"private", false}, {"provider", true}, {"use", "enc"}}));
  for (const json& line : json::parse(ring_.public_part().describe_json())) {
    EXPECT_FALSE(line.contains("provider"));
  }
  for (const json& line : json::parse(Keyring::generate().describe_json())) {
    EXPECT_FALSE(line.contains("provider"));
  }
}

TEST_F(MixedRingTest, TheRingItWasAddedToStaysAsItWas) {
  const Keyring before = Keyring::generate();
  const json set = set_of(before);
  const Keyring after = before.with_recipient(vault_.recipient());
  EXPECT_EQ(set_of(before), set);
  EXPECT_EQ(wrap(before, SecretBytes::random(32), "id").size(), 1U);
  EXPECT_EQ(wrap(after, SecretBytes::random(32), "id").size(), 2U);
}

TEST_F(MixedRingTest, ManyThreadsUseItAtOnce) {
  const SecretBytes dek = SecretBytes::random(32);
  const auto wraps = wrap(ring_, dek, "id");
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const Keyring copy = ring_;
      for (int turn = 0; turn < 25; ++turn) {
        const std::string jws = copy.sign(kManifest, "m", as_bytes("x"));
        const bool verified = verify_text(copy, kManifest, "m", jws) == "x";
        const Wrap& each = wraps[static_cast<std::size_t>(turn) % wraps.size()];
        const SecretBytes opened = unwrap(copy, {&each, 1}, "id", dek);
        right += verified && equal_constant_time(opened.view(), dek.view()) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 100);
}

}  // namespace
}  // namespace ptsecure
