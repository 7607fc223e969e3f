#include "libptsecure/registry/key_cache.hpp"

#include <thread>

#include "tests/registry/forwarding_store.hpp"
#include "tests/registry/registry_fixture.hpp"

namespace ptsecure {
namespace {

// Counts the reads of content keys' records.
class CountingStore final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  std::vector<StoredRecord> records(const ChainId& chain, std::uint64_t first, std::size_t limit,
                                    ReadConcern concern, const CancelToken& cancel) override {
    if (chain.front() == "key") ++keys_read[chain.back()];
    return ForwardingStore::records(chain, first, limit, concern, cancel);
  }

  std::map<std::string, int> keys_read;
};

// One version of weights, whose program is sealed along: two keys.
class KeyCacheTest : public RegistryTest {
 protected:
  void SetUp() override {
    RegistryTest::SetUp();
    store_ = std::make_shared<CountingStore>(open_store(store_path().string(), {}));
    registry_ = std::make_unique<Registry>(store_, 2);
    const Bytes program = model_bytes(50, 2);
    seal("digits", std::string(kAotInductor), model_bytes(100), &program);
    package_ = registry_->fetch("digits", keys_, {});
    store_->keys_read.clear();
  }
  Access access() const { return registry_->access(keys_, {}); }
  const PayloadEntry& weights() const { return package_->manifest().own_payload(); }
  const PayloadEntry& program() const { return package_->manifest().program(); }
  int reads(const PayloadEntry& entry) { return store_->keys_read[entry.key_id]; }

  std::shared_ptr<CountingStore> store_;
  std::unique_ptr<Package> package_;
};

TEST_F(KeyCacheTest, KnowsWhatWasReadAMomentAgoOfEachKey) {
  const KeyCache cache;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(cache.enabled(access(), weights()).status, KeyStatus::enabled);
    EXPECT_EQ(cache.enabled(access(), program()).status, KeyStatus::enabled);
  }
  EXPECT_EQ(reads(weights()), 1);
  EXPECT_EQ(reads(program()), 1);
  // By the key's id: another entry that says the same is the same key.
  const PayloadEntry copy = weights();
  cache.enabled(access(), copy);
  EXPECT_EQ(reads(weights()), 1);
}

TEST_F(KeyCacheTest, ForgetsWhatIsNoLongerFresh) {
  const KeyCache cache;
  cache.enabled(access(), weights());
  registry_->set_key_status("digits", KeyStatus::disabled, "leaked", keys_, {});
  std::this_thread::sleep_for(KeyCache::kFresh + std::chrono::milliseconds(50));
  EXPECT_EQ(status_of([&] { cache.enabled(access(), weights()); }), Status::revoked);
}

TEST_F(KeyCacheTest, NeverHoldsAKeyThatIsNotEnabled) {
  registry_->set_key_status("digits", KeyStatus::disabled, "leaked", keys_, {});
  const KeyCache cache;
  EXPECT_EQ(status_of([&] { cache.enabled(access(), weights()); }), Status::revoked);
  registry_->set_key_status("digits", KeyStatus::enabled, "false alarm", keys_, {});
  EXPECT_EQ(status_of([&] { cache.enabled(access(), weights()); }), Status::ok);
}

TEST_F(KeyCacheTest, SparesAPackageASecondRead) {
  const auto package = registry_->fetch("digits", keys_, {});
  Bytes out(100);
  package->decrypt({}, out);
  package->stream({}, [](std::uint64_t, ByteView) {});
  package->export_to((root_ / "export").string(), {});
  EXPECT_EQ(reads(weights()), 1);
  EXPECT_EQ(reads(program()), 0) << "nothing asked for it";
  EXPECT_EQ(out, model_bytes(100));
}

}  // namespace
}  // namespace ptsecure
