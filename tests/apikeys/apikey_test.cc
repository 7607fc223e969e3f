#include "libptsecure/apikeys/apikey.hpp"

#include <atomic>
#include <concepts>
#include <ctime>
#include <nlohmann/json.hpp>
#include <thread>

#include "libptsecure/apikeys/checker.hpp"
#include "libptsecure/apikeys/token_bucket.hpp"
#include "libptsecure/crypto/jws.hpp"
#include "tests/registry/registry_fixture.hpp"
#if PTSECURE_WITH_MONGODB
#include "tests/store/mongod.hpp"
#endif

namespace ptsecure {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

static_assert(!std::equality_comparable<ApiKeyDigest>,
              "digests of secrets are compared in constant time or not at all");

class ApiKeyTest : public RegistryTest {
 protected:
  struct Made {
    std::string id;
    std::string key;
  };

  static ApiKeyGrant grant() {
    ApiKeyGrant grant;
    grant.owner = "somebody";
    grant.models = {"digits"};
    return grant;
  }

  ApiKeys keys_of(const Keyring& keys) { return ApiKeys(registry_->access(keys, none_)); }

  Made create(const ApiKeyGrant& grant) {
    const NewApiKey made = keys_of(keys_).create(grant, "");
    return {made.info.id, std::string(made.key)};
  }

  std::unique_ptr<ApiKeyChecker> checker(milliseconds grace = 60s, milliseconds refresh = 20ms) {
    return std::make_unique<ApiKeyChecker>(open_store(store_path().string(), {}),
                                           keys_.public_part(),
                                           ApiKeyChecker::Options{grace, refresh});
  }

  static Status check(ApiKeyChecker& checker, const std::string& key, std::string* why = nullptr) {
    ApiKeyAnswer answer;
    ApiKeyRequest request;
    request.model = "digits";
    try {
      checker.check(key, request, answer);
      return Status::ok;
    } catch (const Error& error) {
      if (why != nullptr) *why = error.what();
      return error.status();
    }
  }

  // Whether checks come to say `expected` within two seconds.
  static bool becomes(ApiKeyChecker& checker, const std::string& key, Status expected) {
    const auto end = std::chrono::steady_clock::now() + 2s;
    while (check(checker, key) != expected) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(5ms);
    }
    return true;
  }
  // Gives the refreshes time to do something wrong.
  static void settle() { std::this_thread::sleep_for(120ms); }

  fs::path record(const std::string& id, int sequence) const {
    return store_path() / "records" / "apikey" / id / (std::to_string(sequence) + ".jws");
  }

  const CancelToken none_;
};

TEST_F(ApiKeyTest, RecordsThatSomebodyEditedRefuse) {
  const Made made = create(grant());
  const Bytes good = read_file(record(made.id, 1));
  ASSERT_EQ(check(*checker(), made.key), Status::ok);
  std::size_t refused = 0;
  for (std::size_t at = 0; at < good.size(); at += 7) {
    Bytes edited = good;
    edited[at] = edited[at] == 'A' ? 'B' : 'A';
    write_file(record(made.id, 1), edited);
    const Status status = check(*checker(), made.key);
    // The last character of a part may differ in bits that must be zero: still refused.
    EXPECT_TRUE(status == Status::untrusted || status == Status::corrupt ||
                status == Status::unsupported)
        << at << " " << status_name(status);
    ++refused;
  }
  EXPECT_GT(refused, 50U);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, good.size() / 2, good.size() - 1}) {
    write_file(record(made.id, 1), ByteView(good).first(size));
    EXPECT_NE(check(*checker(), made.key), Status::ok) << size;
  }
  write_file(record(made.id, 1), good);
  EXPECT_EQ(check(*checker(), made.key), Status::ok);
}

TEST_F(ApiKeyTest, UnsignedRecordsAndThoseOfStrangersRefuse) {
  const Made made = create(grant());
  const Bytes good = read_file(record(made.id, 1));
  const std::string jws(as_text(good));
  const std::string payload = jws.substr(jws.find('.') + 1, jws.rfind('.') - jws.find('.') - 1);
  const std::string none =
      "eyJhbGciOiJub25lIiwidHlwIjoicHRzZWN1cmUtYXBpa2V5K2p3cyJ9." + payload + ".";
  write_file(record(made.id, 1), as_bytes(none));
  EXPECT_NE(check(*checker(), made.key), Status::ok);

  // An admin key slipped in by somebody with write access and keys of their own.
  const Keyring stranger = trusting(Keyring::generate(), keys_);
  ApiKeyGrant admin = grant();
  admin.models = {"*"};
  admin.scopes = kAllApiKeyScopes;
  const NewApiKey slipped = ApiKeys(registry_->access(stranger, none_)).create(admin, "");
  std::string why;
  EXPECT_EQ(check(*checker(), std::string(slipped.key), &why), Status::untrusted);
  EXPECT_NE(why.find("doesn't hold"), std::string::npos) << why;

  // A publisher's key may sign manifests, not API keys.
  const Keyring publisher = keys_.split(Role::publisher);
  EXPECT_EQ(status_of([&] { keys_of(publisher).create(admin, ""); }), Status::no_key);
  write_file(record(made.id, 1),
             as_bytes(publisher.sign(RecordKind::manifest, "*", jws_payload_unverified(jws))));
  EXPECT_EQ(status_of([&] { keys_of(keys_).show(made.id); }), Status::untrusted);
}

TEST_F(ApiKeyTest, KeysTrustedForSomeNamesSignNoApiKeys) {
  const auto signer = nlohmann::json::parse(keys_.to_json());
  nlohmann::json narrowed = signer;
  for (auto& key : narrowed.at("keys")) {
    if (key.contains("ptsecure")) key["ptsecure"]["names"] = {"digits"};
  }
  const Keyring narrow = Keyring::parse(narrowed.dump(), {});
  EXPECT_EQ(status_of([&] { keys_of(narrow).create(grant(), ""); }), Status::no_key);
  const Made made = create(grant());
  EXPECT_EQ(status_of([&] { keys_of(narrow).show(made.id); }), Status::untrusted);
}

TEST_F(ApiKeyTest, RecordsCantMoveBetweenIdsAndStores) {
  const Made one = create(grant());
  const Made two = create(grant());
  const Bytes first = read_file(record(one.id, 1));
  write_file(record(one.id, 1), read_file(record(two.id, 1)));
  EXPECT_EQ(check(*checker(), one.key), Status::untrusted);
  // The id of one with the secret of the other.
  const std::string mixed = one.key.substr(0, 21) + two.key.substr(21);
  EXPECT_EQ(check(*checker(), mixed), Status::untrusted);
  write_file(record(one.id, 1), first);
  EXPECT_EQ(check(*checker(), mixed), Status::unauthenticated);

  const auto staging = open_store((root_ / "staging").string(), {});
  staging->ensure_created({});
  staging->append_record({"apikey", one.id}, 1, as_text(first), {});
  ApiKeyChecker there(staging, keys_.public_part(), {});
  EXPECT_EQ(check(there, one.key), Status::untrusted);
}

TEST_F(ApiKeyTest, WhatWasSeenDisabledStaysSo) {
  const Made made = create(grant());
  const auto server = checker();
  ASSERT_EQ(check(*server, made.key), Status::ok);
  keys_of(keys_).set_state(made.id, ApiKeyState::disabled, "leaked");
  ASSERT_TRUE(becomes(*server, made.key, Status::unauthenticated));
  // The newest record cut off: the old one alone is still signed.
  const Bytes disabled = read_file(record(made.id, 2));
  fs::remove(record(made.id, 2));
  ASSERT_TRUE(becomes(*server, made.key, Status::rollback));
  settle();
  std::string why;
  EXPECT_EQ(check(*server, made.key, &why), Status::rollback);
  EXPECT_NE(why.find("have gone from the store"), std::string::npos) << why;
  // The old one in place of the new one.
  write_file(record(made.id, 2), read_file(record(made.id, 1)));
  settle();
  EXPECT_NE(check(*server, made.key), Status::ok);
  // All of it gone.
  const Bytes first = read_file(record(made.id, 1));
  fs::remove_all(record(made.id, 1).parent_path());
  ASSERT_TRUE(becomes(*server, made.key, Status::rollback));
  // The honest records again.
  fs::create_directory(record(made.id, 1).parent_path());
  write_file(record(made.id, 1), first);
  write_file(record(made.id, 2), disabled);
  ASSERT_TRUE(becomes(*server, made.key, Status::unauthenticated));
  keys_of(keys_).set_state(made.id, ApiKeyState::active, "false alarm");
  EXPECT_TRUE(becomes(*server, made.key, Status::ok));
}

TEST_F(ApiKeyTest, ABranchOffTheSeenChainIsRefused) {
  const Made made = create(grant());
  const auto server = checker();
  ASSERT_EQ(check(*server, made.key), Status::ok);
  const Bytes first = read_file(record(made.id, 1));
  keys_of(keys_).set_state(made.id, ApiKeyState::disabled, "leaked");
  ASSERT_TRUE(becomes(*server, made.key, Status::unauthenticated));
  // An operator whose store was rolled back unnoticed signs other records after the first one.
  fs::remove(record(made.id, 2));
  ASSERT_TRUE(becomes(*server, made.key, Status::rollback));
  keys_of(keys_).rotate(made.id, 1000, "");
  keys_of(keys_).rotate(made.id, 1000, "");
  ASSERT_TRUE(becomes(*server, made.key, Status::untrusted));
  settle();
  EXPECT_EQ(check(*server, made.key), Status::untrusted);
  EXPECT_EQ(read_file(record(made.id, 1)), first);
}

TEST_F(ApiKeyTest, DeletedIsForGood) {
  const Made made = create(grant());
  keys_of(keys_).set_state(made.id, ApiKeyState::deleted, "");
  EXPECT_EQ(check(*checker(), made.key), Status::unauthenticated);
  EXPECT_EQ(status_of([&] { keys_of(keys_).set_state(made.id, ApiKeyState::active, ""); }),
            Status::revoked);
  // Not even a signed record brings it back.
  const ChainSubject subject = apikey_subject(made.id);
  const Records records(registry_->store(), keys_, none_);
  const auto chain = records.all(subject);
  ASSERT_EQ(chain.size(), 2U);
  records.append(subject, chain.back(), chain.front().body, "revived");
  EXPECT_EQ(check(*checker(), made.key), Status::unauthenticated);
  EXPECT_EQ(keys_of(keys_).show(made.id).body.state, ApiKeyState::deleted);
}

TEST_F(ApiKeyTest, AStoreThatIsGoneIsForgivenForTheGrace) {
  const Made made = create(grant());
  const Made unseen = create(grant());
  const auto lenient = checker(60s);
  const auto strict = checker(300ms);
  ASSERT_EQ(check(*lenient, made.key), Status::ok);
  ASSERT_EQ(check(*strict, made.key), Status::ok);
  fs::rename(store_path(), root_ / "elsewhere");
  EXPECT_EQ(check(*strict, made.key), Status::ok);
  EXPECT_TRUE(becomes(*strict, made.key, Status::unavailable));
  EXPECT_EQ(check(*lenient, made.key), Status::ok);
  EXPECT_EQ(check(*lenient, unseen.key), Status::unavailable) << "its records were never read";
  EXPECT_EQ(check(*lenient, "pts_0123456789abcdef_" + made.key.substr(21)), Status::unavailable);
  fs::rename(root_ / "elsewhere", store_path());
  EXPECT_TRUE(becomes(*strict, made.key, Status::ok));
  EXPECT_TRUE(becomes(*lenient, unseen.key, Status::ok));
}

TEST_F(ApiKeyTest, ManyThreadsCheckWhileKeysChange) {
  const Made steady = create(grant());
  const Made moving = create(grant());
  const auto server = checker(60s, 10ms);
  std::atomic<bool> stop{false};
  std::atomic<int> bad{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        if (check(*server, steady.key) != Status::ok) ++bad;
        const Status status = check(*server, moving.key);
        if (status != Status::ok && status != Status::unauthenticated) ++bad;
        server->charge(steady.id, 1);
        (void)server->usage();
      }
    });
  }
  for (int i = 0; i < 10; ++i) {
    keys_of(keys_).set_state(moving.id, i % 2 == 0 ? ApiKeyState::disabled : ApiKeyState::active,
                             "");
    std::this_thread::sleep_for(15ms);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(bad, 0);
  EXPECT_GT(server->usage().at(0).requests, 0U);
}

TEST_F(ApiKeyTest, OfTwoOperatorsAtOnceOneIsTold) {
  const Made made = create(grant());
  std::atomic<int> changed{0};
  const auto operate = [&](ApiKeyState state) {
    for (int i = 0; i < 30; ++i) {
      const Status status = status_of([&] {
        keys_of(keys_).rotate(made.id, 0, "");
        keys_of(keys_).set_state(made.id, state, "");
      });
      EXPECT_TRUE(status == Status::ok || status == Status::conflict) << status_name(status);
      ++changed;
    }
  };
  std::thread other(operate, ApiKeyState::active);
  operate(ApiKeyState::disabled);
  other.join();
  EXPECT_EQ(changed, 60);
  keys_of(keys_).show(made.id);  // the chain holds
}

TEST(TokenBucket, GivesItsRateAndItsBurst) {
  using Clock = TokenBucket::Clock;
  const Clock::time_point start{};
  TokenBucket bucket(10, 3, start);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(bucket.wait_for(1, start), 0ms);
    bucket.take(1);
  }
  EXPECT_EQ(bucket.wait_for(1, start), 101ms);
  EXPECT_EQ(bucket.wait_for(1, start + 100ms), 0ms);
  bucket.take(21);
  EXPECT_EQ(bucket.wait_for(0, start + 100ms), 2001ms);
  EXPECT_EQ(bucket.wait_for(3, start + 1h), 0ms);
  EXPECT_GT(bucket.wait_for(4, start + 2h), 0ms) << "no more than the burst is kept";
}

#if PTSECURE_WITH_MONGODB

// What a server learns of a key that is disabled by another process, with a refresh that comes too
// late to be the reason.
class MongodbApiKeyWatch : public ApiKeyTest {
 protected:
  void use(test::Mongod::Kind kind) {
    server_ = std::make_unique<test::Mongod>(kind);
    registry_ = std::make_unique<Registry>(open_store(server_->uri("keys"), {}), 2);
    publish("digits", model_bytes(10));
  }
  // A key that the checker has found valid.
  Made checked(ApiKeyChecker& checker) {
    const Made made = create(grant());
    EXPECT_TRUE(becomes(checker, made.key, Status::ok));
    return made;
  }
  std::unique_ptr<ApiKeyChecker> watching(milliseconds refresh) {
    return std::make_unique<ApiKeyChecker>(open_store(server_->uri("keys"), {}),
                                           keys_.public_part(),
                                           ApiKeyChecker::Options{60s, refresh});
  }

  std::unique_ptr<test::Mongod> server_;
};

TEST_F(MongodbApiKeyWatch, AReplicaSetTellsOfADisabledKey) {
  use(test::Mongod::Kind::replica_set);
  const auto checker = watching(60s);
  const Made made = checked(*checker);
  keys_of(keys_).set_state(made.id, ApiKeyState::disabled, "");
  EXPECT_TRUE(becomes(*checker, made.key, Status::unauthenticated));
  keys_of(keys_).set_state(made.id, ApiKeyState::active, "");
  EXPECT_TRUE(becomes(*checker, made.key, Status::ok));
}

TEST_F(MongodbApiKeyWatch, AStreamThatBrokeOffIsTakenUpAgain) {
  use(test::Mongod::Kind::replica_set);
  const auto checker = watching(60s);
  const Made made = checked(*checker);
  server_->kill();
  server_->start_again();
  keys_of(keys_).set_state(made.id, ApiKeyState::disabled, "");
  const auto end = std::chrono::steady_clock::now() + 20s;  // looking for the server again
  while (check(*checker, made.key) != Status::unauthenticated) {
    ASSERT_LT(std::chrono::steady_clock::now(), end);
    std::this_thread::sleep_for(20ms);
  }
}

TEST_F(MongodbApiKeyWatch, AStandaloneServerIsAskedAgainAndAgain) {
  use(test::Mongod::Kind::standalone);
  const auto checker = watching(200ms);
  const Made made = checked(*checker);
  keys_of(keys_).set_state(made.id, ApiKeyState::disabled, "");
  EXPECT_TRUE(becomes(*checker, made.key, Status::unauthenticated));
}

TEST_F(MongodbApiKeyWatch, ItEndsAtOnce) {
  use(test::Mongod::Kind::replica_set);
  auto checker = watching(60s);
  settle();
  const auto begin = std::chrono::steady_clock::now();
  checker.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
}

#endif  // PTSECURE_WITH_MONGODB

}  // namespace
}  // namespace ptsecure
