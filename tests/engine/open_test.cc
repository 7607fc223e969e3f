#include "libptsecure/registry/registry.hpp"
#include "tests/engine/models.hpp"
#include "tests/registry/forwarding_store.hpp"

#if PTSECURE_WITH_TORCH

namespace ptsecure::testing {
namespace {

// A folder that answers like a replica set whose other half knows more: what a majority has is the
// first record of each chain, and only a linearizable read finds the rest.
class BehindStore final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  bool linearizable_is_slow() const noexcept override { return true; }
  std::vector<StoredRecord> records(const ChainId& chain, std::uint64_t first, std::size_t limit,
                                    ReadConcern concern, const CancelToken& cancel) override {
    auto found = ForwardingStore::records(chain, first, limit, concern, cancel);
    if (concern == ReadConcern::majority && found.size() > 1) found.resize(1);
    return found;
  }
  std::unique_ptr<BlobReader> read_blob(const BlobId& id, const CancelToken& cancel) override {
    ++blobs_read;
    return ForwardingStore::read_blob(id, cancel);
  }

  int blobs_read = 0;
};

class OpenBeside : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "ptsecure-open-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    store_ = std::make_shared<BehindStore>(open_store(folder_ + "/store", {}));
    registry_ = std::make_unique<Registry>(store_, 2);
    const std::string model = model_bytes("linear");
    registry_->publish("linear", *memory_input(as_bytes(model)), keys_, {});
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
  std::shared_ptr<BehindStore> store_;
  std::unique_ptr<Registry> registry_;
  const Keyring keys_ = Keyring::generate();
};

TEST_F(OpenBeside, GivesTheModelWhenTheKeyIsStillEnabled) {
  EXPECT_EQ(registry_->open("linear", keys_, {})->manifest().version, 1U);
}

TEST_F(OpenBeside, RefusesAKeyThatOnlyTheLinearizableReadFindsDisabled) {
  registry_->set_key_status("linear", KeyStatus::disabled, "leaked", keys_, {});
  store_->blobs_read = 0;
  const auto [status, message] = error_of([&] { registry_->open("linear", keys_, {}); });
  EXPECT_EQ(status, Status::revoked) << message;
  EXPECT_GT(store_->blobs_read, 0) << "it was opened meanwhile, and not handed out";
  EXPECT_EQ(error_of([&] { registry_->fetch("linear", keys_, {}); }).first, Status::revoked);
}

TEST_F(OpenBeside, RunsNothingBeforeTheLinearizableReadAllowsIt) {
  OpenOptions options;
  options.warm_up_runs = 1;
  const auto open = [&] { registry_->open("linear", keys_, options); };
  const auto [status, message] = error_of(open);
  EXPECT_EQ(status, Status::invalid_argument) << "no sample was published: " << message;
  registry_->set_key_status("linear", KeyStatus::disabled, "leaked", keys_, {});
  EXPECT_EQ(error_of(open).first, Status::revoked) << "the warm-up isn't reached";
}

}  // namespace
}  // namespace ptsecure::testing

#endif  // PTSECURE_WITH_TORCH
