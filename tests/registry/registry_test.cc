#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/registry/registry_fixture.hpp"

namespace ptsecure {
namespace {

// About 40 places spread over a file, the first and the last byte among them.
std::vector<std::size_t> sampled_positions(std::size_t size) {
  std::vector<std::size_t> positions;
  for (std::size_t at = 0; at + 1 < size; at += std::max<std::size_t>(1, size / 40))
    positions.push_back(at);
  positions.push_back(size - 1);
  return positions;
}

TEST_F(RegistryTest, PublishesAndOpensWhatWasPublished) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1048520},
                                 std::size_t{1048521}, std::size_t{3 * 1048576 + 7}}) {
    const Bytes bytes = model_bytes(size);
    const std::uint64_t version = publish("digits", bytes);
    const std::string reference = "digits/" + std::to_string(version);
    EXPECT_EQ(decrypt(reference), bytes);
    EXPECT_EQ(decrypt(reference, nullptr, VerifyLevel::aead), bytes);
    EXPECT_FALSE(verify(reference)) << verify(reference)->what();
  }
}

TEST_F(RegistryTest, ReferencesMeanNewestNumberAndAlias) {
  PublishOptions production;
  production.alias = "production";
  EXPECT_EQ(publish("digits", model_bytes(10, 1), production), 1U);
  EXPECT_EQ(publish("digits", model_bytes(10, 2)), 2U);
  EXPECT_EQ(decrypt("digits"), model_bytes(10, 2));
  EXPECT_EQ(decrypt("digits/1"), model_bytes(10, 1));
  EXPECT_EQ(decrypt("digits@production"), model_bytes(10, 1));
  registry_->set_alias("digits", "production", 2, "better", keys_, {});
  EXPECT_EQ(decrypt("digits@production"), model_bytes(10, 2));
  const auto aliases = registry_->aliases("digits", keys_, {});
  ASSERT_EQ(aliases.size(), 1U);
  EXPECT_EQ(aliases[0].sequence, 2U);
  EXPECT_EQ(aliases[0].reason, "better");
}

TEST_F(RegistryTest, WhatIsNotThereIsNotFound) {
  EXPECT_EQ(status_of([&] { decrypt("digits"); }), Status::not_found);  // no store yet
  EXPECT_FALSE(fs::exists(store_path())) << "reading must not create a store";
  publish("digits", model_bytes(10));
  EXPECT_EQ(status_of([&] { decrypt("letters"); }), Status::not_found);
  EXPECT_EQ(status_of([&] { decrypt("digits/2"); }), Status::not_found);
  EXPECT_EQ(status_of([&] { decrypt("digits@production"); }), Status::not_found);
  EXPECT_EQ(status_of([&] { decrypt("digits/01"); }), Status::invalid_argument);
  EXPECT_EQ(status_of([&] { decrypt("../digits"); }), Status::invalid_argument);
  EXPECT_EQ(status_of([&] { registry_->set_alias("digits", "production", 9, "", keys_, {}); }),
            Status::not_found);
}

TEST_F(RegistryTest, RolesAreSeparate) {
  const Keyring publisher = keys_.split(Role::publisher);
  const Keyring opener = keys_.split(Role::opener);
  const Keyring verifier = keys_.split(Role::verifier);
  const Keyring operator_keys = keys_.split(Role::operator_);
  const Bytes bytes = model_bytes(100);

  EXPECT_EQ(publish("digits", bytes, {}, &publisher), 1U);
  EXPECT_EQ(status_of([&] { publish("digits", bytes, {}, &opener); }), Status::no_key);
  EXPECT_EQ(status_of([&] { publish("digits", bytes, {}, &operator_keys); }), Status::no_key);
  PublishOptions alias;
  alias.alias = "production";
  EXPECT_EQ(status_of([&] { publish("digits", bytes, alias, &publisher); }), Status::no_key);
  EXPECT_EQ(registry_->store().newest("digits", {})->version, 1U)
      << "refused before a number was taken";

  registry_->set_alias("digits", "production", 1, "", operator_keys, {});
  EXPECT_EQ(status_of([&] { registry_->set_alias("digits", "production", 1, "", publisher, {}); }),
            Status::no_key);

  EXPECT_EQ(decrypt("digits@production", &opener), bytes);
  EXPECT_EQ(status_of([&] { decrypt("digits", &publisher); }), Status::no_key);
  EXPECT_EQ(status_of([&] { decrypt("digits", &verifier); }), Status::no_key);
  EXPECT_FALSE(verify("digits@production", &verifier));
}

TEST_F(RegistryTest, KeysOfStrangersAreNotTrusted) {
  const Keyring nobody = Keyring::generate();
  publish("digits", model_bytes(100));
  EXPECT_EQ(status_of([&] { decrypt("digits", &nobody); }), Status::untrusted);
  EXPECT_EQ(status_of([&] { publish("digits", model_bytes(100), {}, &nobody); }), Status::untrusted)
      << "the log's records are by a key that this keyring doesn't hold";
  const Keyring stranger = trusting(nobody, keys_);
  EXPECT_EQ(publish("digits", model_bytes(100), {}, &stranger), 2U);
  EXPECT_EQ(status_of([&] { decrypt("digits/2"); }), Status::untrusted);
  EXPECT_EQ(status_of([&] { registry_->set_alias("digits", "production", 2, "", keys_, {}); }),
            Status::untrusted);
}

TEST_F(RegistryTest, DisabledKeysAreRefusedAndDestroyedOnesStayDestroyed) {
  publish("digits", model_bytes(100));
  registry_->set_key_status("digits", KeyStatus::disabled, "leaked", keys_, {});
  EXPECT_EQ(status_of([&] { decrypt("digits"); }), Status::revoked);
  EXPECT_TRUE(verify("digits"));
  registry_->set_key_status("digits", KeyStatus::enabled, "false alarm", keys_, {});
  EXPECT_EQ(decrypt("digits"), model_bytes(100));
  registry_->set_key_status("digits", KeyStatus::destroyed, "gone", keys_, {});
  EXPECT_EQ(status_of([&] { decrypt("digits"); }), Status::revoked);
  EXPECT_EQ(
      status_of([&] { registry_->set_key_status("digits", KeyStatus::enabled, "", keys_, {}); }),
      Status::revoked);
  for (const auto& file : files_below(store_path())) {
    EXPECT_EQ(as_text(read_file(file)).find("\"jwe\""), std::string_view::npos) << file;
  }
}

TEST_F(RegistryTest, PublishersCantReenableAKey) {
  publish("digits", model_bytes(100));
  registry_->set_key_status("digits", KeyStatus::disabled, "leaked", keys_, {});
  const Keyring publisher = keys_.split(Role::publisher);
  EXPECT_EQ(status_of([&] {
              registry_->set_key_status("digits", KeyStatus::enabled, "", publisher, {});
            }),
            Status::no_key);
}

// Whoever left: what they published under one keyring of all roles opens without the operator's
// key, and what they set the status of, once another operator has set it again.
TEST_F(RegistryTest, ModelsOutliveTheirOperatorsKey) {
  publish("digits", model_bytes(100));
  const auto without_operator = [this](const Keyring& own) {
    const SecretString text = own.to_json();
    auto set = nlohmann::json::parse(text.begin(), text.end());
    const std::string gone = nlohmann::json::parse(keys_.describe_json()).at(1).at("kid");
    auto& keys = set.at("keys");
    for (auto key = keys.begin(); key != keys.end();) {
      key = key->at("kid") == gone ? keys.erase(key) : key + 1;
    }
    return Keyring::parse(set.dump(), {});
  };
  const Keyring next = Keyring::generate();
  const Keyring opener = without_operator(keys_.split(Role::opener));
  EXPECT_EQ(decrypt("digits", &opener), model_bytes(100));
  EXPECT_FALSE(verify("digits", &opener));

  registry_->set_key_status("digits", KeyStatus::disabled, "a rumour", keys_, {});
  registry_->set_key_status("digits", KeyStatus::enabled, "nothing in it", keys_, {});
  EXPECT_EQ(status_of([&] { decrypt("digits", &opener); }), Status::untrusted);
  const Keyring successor = trusting(next.split(Role::operator_), keys_);
  registry_->set_key_status("digits", KeyStatus::enabled, "taken over", successor, {});
  const Keyring informed = trusting(opener, next);
  EXPECT_EQ(decrypt("digits", &informed), model_bytes(100));
  EXPECT_FALSE(verify("digits", &informed));
}

TEST_F(RegistryTest, OneFlippedByteInAnyFileIsFound) {
  PublishOptions options;
  options.alias = "production";
  options.labels = {{"run", "42"}};
  publish("digits", model_bytes(5000), options);
  registry_->set_alias("digits", "production", 1, "again", keys_, {});
  ASSERT_FALSE(verify("digits"));
  std::size_t flips = 0;
  for (const auto& file : files_below(store_path())) {
    const Bytes original = read_file(file);
    ASSERT_FALSE(original.empty()) << file << ": an empty file can't be checked by anybody";
    for (const std::size_t at : sampled_positions(original.size())) {
      for (const unsigned mask : {0x01U, 0x20U, 0x80U}) {
        Bytes flipped = original;
        flipped[at] = static_cast<std::uint8_t>(flipped[at] ^ mask);
        write_file(file, flipped);
        EXPECT_TRUE(
            Registry(open_store(store_path().string(), {}), 2).verify("digits", keys_, {}, {}))
            << file << " byte " << at << " xor " << mask;
        ++flips;
      }
    }
    write_file(file, original);
  }
  EXPECT_GT(flips, 500U);
  EXPECT_FALSE(verify("digits")) << verify("digits")->what();
}

TEST_F(RegistryTest, PlaintextInPlaceOfThePayloadIsRefused) {
  const Bytes plain = model_bytes(1500000);
  publish("digits", plain);
  const fs::path payload = store_path() / "models/digits/1/model";
  const std::size_t stored = read_file(payload).size();
  write_file(payload, plain);
  EXPECT_EQ(status_of([&] { decrypt("digits"); }), Status::corrupt);
  Bytes padded = plain;
  padded.resize(stored);
  write_file(payload, padded);
  EXPECT_EQ(status_of([&] { decrypt("digits"); }), Status::corrupt);
  EXPECT_EQ(status_of([&] { decrypt("digits", nullptr, VerifyLevel::aead); }), Status::corrupt);
}

TEST_F(RegistryTest, AnUnknownKeyStatusRefuses) {
  publish("digits", model_bytes(100));
  fs::remove_all(store_path() / "records" / "key");
  EXPECT_EQ(status_of([&] { decrypt("digits"); }), Status::corrupt);
}

TEST_F(RegistryTest, OfTwoOperatorsAtOnceOneIsTold) {
  publish("digits", model_bytes(100, 1));
  publish("digits", model_bytes(100, 2));
  constexpr int kMoves = 30;
  std::atomic<int> moved{0};
  std::atomic<int> told{0};
  const auto operate = [&](std::uint64_t version) {
    for (int i = 0; i < kMoves; ++i) {
      const Status status =
          status_of([&] { registry_->set_alias("digits", "production", version, "", keys_, {}); });
      EXPECT_TRUE(status == Status::ok || status == Status::conflict) << status_name(status);
      ++(status == Status::ok ? moved : told);
    }
  };
  std::thread other(operate, 1);
  operate(2);
  other.join();
  EXPECT_EQ(moved + told, 2 * kMoves);
  EXPECT_EQ(registry_->aliases("digits", keys_, {}).at(0).sequence,
            static_cast<std::uint64_t>(moved));
  EXPECT_FALSE(verify("digits@production"));
}

TEST_F(RegistryTest, CopiesAreSealedAndSignedAnew) {
  PublishOptions options;
  options.labels = {{"run", "42"}};
  publish("digits", model_bytes(3000000), options);
  Registry target(open_store((root_ / "production").string(), {}), 2);
  const Keyring target_keys = Keyring::generate();
  PublishOptions copy;
  copy.alias = "production";
  EXPECT_EQ(registry_->copy("digits", keys_, target, target_keys, copy), 1U);
  const auto package = target.fetch("digits@production", target_keys, {});
  Bytes out(package->manifest().payload("model").plaintext_size);
  package->decrypt({}, out);
  EXPECT_EQ(out, model_bytes(3000000));
  EXPECT_EQ(package->manifest().labels.at("run"), "42");
  EXPECT_NE(package->manifest().store_id,
            registry_->fetch("digits", keys_, {})->manifest().store_id);
  EXPECT_EQ(status_of([&] { target.fetch("digits", keys_, {}); }), Status::untrusted);
}

TEST_F(RegistryTest, ListsShowTheNewestVersionsFirst) {
  publish("digits", model_bytes(100));
  publish("digits", model_bytes(200));
  publish("letters", model_bytes(300));
  registry_->set_alias("digits", "production", 1, "", keys_, {});
  const auto models = registry_->list("", 0, {});
  ASSERT_EQ(models.size(), 2U);
  EXPECT_EQ(models[0].name, "digits");
  EXPECT_EQ(models[0].newest.version, 2U);
  EXPECT_EQ(models[0].newest.size, 200U);
  EXPECT_EQ(models[0].newest.format, kOpaque);
  EXPECT_EQ(models[0].aliases, std::vector<std::string>{"production"});
  EXPECT_EQ(registry_->list("digits", 0, {}).at(0).name, "letters");
  const auto versions = registry_->list_versions("digits", 0, 0, {});
  ASSERT_EQ(versions.size(), 2U);
  EXPECT_EQ(versions[1].version, 1U);
  EXPECT_EQ(status_of([&] { registry_->list_versions("nothing", 0, 0, {}); }), Status::not_found);
}

TEST_F(RegistryTest, ShowsAVerifiedVersion) {
  publish("digits", model_bytes(100));
  publish("digits", model_bytes(200));
  registry_->set_alias("digits", "production", 1, "", keys_, {});
  registry_->set_alias("digits", "canary", 2, "", keys_, {});
  registry_->set_key_status("digits/1", KeyStatus::disabled, "leaked", keys_, {});
  const ShownVersion shown = registry_->show("digits/1", keys_, {});
  EXPECT_EQ(shown.version.manifest->version, 1U);
  EXPECT_EQ(shown.version.signer, nlohmann::json::parse(keys_.describe_json()).at(0).at("kid"));
  EXPECT_EQ(shown.key_status, KeyStatus::disabled);
  EXPECT_EQ(shown.aliases, std::vector<std::string>{"production"});
  EXPECT_EQ(status_of([&] { registry_->show("digits", Keyring::generate(), {}); }),
            Status::untrusted);
}

TEST_F(RegistryTest, TheLogIsGivenInParts) {
  publish("digits", model_bytes(100));
  registry_->set_alias("digits", "production", 1, "why", keys_, {});
  const auto all = registry_->log(keys_, 1, 0, {});
  ASSERT_EQ(all.size(), 4U);  // two changes, each announced and confirmed
  EXPECT_EQ(all[0].body.what, kLogPublish);
  EXPECT_EQ(all[2].body.what, kLogAlias);
  EXPECT_EQ(all[2].body.alias, "production");
  EXPECT_EQ(all[3].body.confirms, 3U);
  const auto part = registry_->log(keys_, 2, 2, {});
  ASSERT_EQ(part.size(), 2U);
  EXPECT_EQ(part[0].record.head.sequence, 2U);
  EXPECT_EQ(part[1].record.digest, all[2].record.digest);
}

TEST_F(RegistryTest, ExportedPartsAreWhatIsStored) {
  publish("digits", model_bytes(2500000));
  const fs::path folder = root_ / "export";
  registry_->fetch("digits", keys_, {})->export_to(folder.string(), {});
  for (const char* file :
       {"payload.bin", "digests.bin", "manifest.jws", "key-1.jwe", "README.txt"}) {
    EXPECT_GT(fs::file_size(folder / file), 0U) << file;
  }
  EXPECT_EQ(
      status_of([&] { registry_->fetch("digits", keys_, {})->export_to(folder.string(), {}); }),
      Status::already_exists);
}

TEST_F(RegistryTest, CancelledAndFailedPublishesLeaveNothingVisible) {
  PublishOptions cancelled;
  cancelled.cancel = CancelToken::make();
  cancelled.cancel.cancel();
  EXPECT_EQ(status_of([&] { publish("digits", model_bytes(100), cancelled); }), Status::cancelled);
  PublishOptions stops;
  stops.format = std::string(kOpaque);
  const auto failing = callback_input(5000000, [](std::uint64_t pos, void*, std::size_t) {
    if (pos > 2000000) throw Error(Status::io, "the disk is gone");
  });
  EXPECT_EQ(status_of([&] { registry_->publish("digits", *failing, keys_, stops); }), Status::io);
  EXPECT_EQ(status_of([&] { decrypt("digits"); }), Status::not_found);
  publish("digits", model_bytes(100));
  EXPECT_EQ(decrypt("digits"), model_bytes(100));
}

}  // namespace
}  // namespace ptsecure
