#include "libptsecure/history/bodies.hpp"
#include "libptsecure/keyring/key_policy.hpp"
#include "registry_fixture.hpp"
#include "tests/keyring/provider_fixture.hpp"

// Publishing and opening by keys that lie elsewhere than in this process.
namespace ptsecure {
namespace {

class ProviderTest : public RegistryTest {
 protected:
  std::shared_ptr<const CallbackSigner> signer() const {
    return std::make_shared<const CallbackSigner>(signing_);
  }
  Keyring signing_ring(std::shared_ptr<const Signer> signer) const {
    return Keyring().with_signer(
        std::move(signer), signing_.public_part(),
        KeyPolicy({RecordKind::manifest, RecordKind::alias, RecordKind::log}, {"*"}));
  }
  Keyring opening_ring(std::shared_ptr<const Unwrapper> unwrapper) const {
    return signing_ring(signer()).split(Role::verifier).with_unwrapper(std::move(unwrapper));
  }
  // One that answers as the vault does, after `before`.
  std::shared_ptr<const CallbackUnwrapper> unwrapper(
      std::function<void(const CancelToken&)> before) {
    return std::make_shared<const CallbackUnwrapper>(
        "vault", [inner = vault_.unwrapper(), before](const Wrap& wrap, const KeyContext& context,
                                                      const CancelToken& cancel) {
          before(cancel);
          return inner->unwrap(wrap, context, cancel);
        });
  }

  const Jwk signing_ = Jwk::generate_p256();
  const Bytes bytes_ = model_bytes(3000000);
  Vault vault_{"vault"};
};

TEST_F(ProviderTest, AModelIsPublishedAndOpenedWithoutAPrivateKeyHere) {
  const auto token = signer();
  const Keyring publisher = signing_ring(token).with_recipient(vault_.recipient());
  PublishOptions options;
  options.alias = "live";
  publish("digits", bytes_, options, &publisher);
  EXPECT_GE(token->calls, 4) << "manifest, key, log and alias";
  const Keyring opener = opening_ring(vault_.unwrapper());
  EXPECT_EQ(decrypt("digits@live", &opener), bytes_);
  EXPECT_EQ(verify("digits", &opener), std::nullopt);
  const auto contexts = vault_.contexts();
  ASSERT_EQ(contexts.size(), 1U);
  const auto package = registry_->fetch("digits", opener, {});
  const Manifest& manifest = package->manifest();
  EXPECT_EQ(contexts[0], manifest.store_id + '/' + manifest.payload("model").key_id + "/digits/1");
  // No entry is one that other tools open.
  package->export_to((root_ / "export").string(), {});
  EXPECT_FALSE(fs::exists(root_ / "export/key-1.jwe"));
}

TEST_F(ProviderTest, BothKindsOfRecipientStandSideBySide) {
  const Keyring publisher = keys_.with_recipient(vault_.recipient());
  publish("digits", bytes_, {}, &publisher);
  EXPECT_EQ(decrypt("digits"), bytes_);
  const Keyring opener = keys_.split(Role::verifier).with_unwrapper(vault_.unwrapper());
  EXPECT_EQ(decrypt("digits", &opener), bytes_);
  registry_->fetch("digits", keys_, {})->export_to((root_ / "export").string(), {});
  EXPECT_TRUE(fs::exists(root_ / "export/key-1.jwe"));
  EXPECT_FALSE(fs::exists(root_ / "export/key-2.jwe"));
}

TEST_F(ProviderTest, ABrokenSignerPublishesNothing) {
  const auto broken = std::make_shared<const CallbackSigner>(
      signing_.kid(), "ES256", [](ByteView, const CancelToken&) { return Bytes(64, 7); });
  const Keyring publisher = signing_ring(broken).with_recipient(vault_.recipient());
  EXPECT_EQ(status_of([&] { publish("digits", bytes_, {}, &publisher); }), Status::untrusted);
  const Keyring opener = opening_ring(vault_.unwrapper());
  EXPECT_EQ(status_of([&] { decrypt("digits", &opener); }), Status::not_found);
  const Keyring working = signing_ring(signer()).with_recipient(vault_.recipient());
  publish("digits", bytes_, {}, &working);
  EXPECT_EQ(decrypt("digits", &opener), bytes_);
}

TEST_F(ProviderTest, WhatTheProviderSaysReachesWhoeverOpens) {
  const Keyring publisher = signing_ring(signer()).with_recipient(vault_.recipient());
  publish("digits", bytes_, {}, &publisher);
  const Keyring down = opening_ring(
      unwrapper([](const CancelToken&) { throw Error(Status::unavailable, "the vault is down"); }));
  EXPECT_EQ(status_of([&] { decrypt("digits", &down); }), Status::unavailable);
  const auto wrong = verify("digits", &down);
  ASSERT_TRUE(wrong);
  EXPECT_EQ(wrong->status(), Status::unavailable);
  EXPECT_NE(std::string(wrong->what()).find("the vault is down"), std::string::npos);

  const Keyring slow = opening_ring(unwrapper([](const CancelToken& cancel) { hang(cancel); }));
  OpenOptions options;
  options.cancel = CancelToken().within(std::chrono::milliseconds(200));
  Bytes out(bytes_.size());
  const auto package = registry_->fetch("digits", slow, {});
  EXPECT_EQ(status_of([&] { package->decrypt(options, out); }), Status::timeout);
}

TEST(Wraps, TravelAsText) {
  const std::vector<Wrap> wraps = {{"a", "", "x.y.z"}, {"b", "vault", "v1:abc"}};
  const std::string text = wraps_to_json("id", wraps);
  EXPECT_EQ(text, R"({"ptsecure":1,"key_id":"id","recipients":[{"kid":"a","jwe":"x.y.z"},)"
                  R"({"kid":"b","provider":"vault","wrapped":"v1:abc"}]})");
  const auto read = wraps_from_json(text, "id");
  ASSERT_EQ(read.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read[i].kid, wraps[i].kid);
    EXPECT_EQ(read[i].provider, wraps[i].provider);
    EXPECT_EQ(read[i].wrapped, wraps[i].wrapped);
  }
  for (const char* recipient :
       {R"({"kid":"a"})", R"({"kid":"a","provider":"v","jwe":"x"})", R"({"jwe":"x"})", R"("a")",
        R"({"kid":"a","provider":7,"wrapped":"x"})", R"({"kid":"a","wrapped":"x"})", "[]"}) {
    EXPECT_EQ(status_of([&] {
                wraps_from_json(
                    R"({"ptsecure":1,"key_id":"id","recipients":[)" + std::string(recipient) + "]}",
                    "id");
              }),
              Status::corrupt)
        << recipient;
  }
}

}  // namespace
}  // namespace ptsecure
