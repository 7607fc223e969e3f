#include "tests/history/history_fixture.hpp"
#include "tests/registry/forwarding_store.hpp"

// The index of a model with many versions, which several threads read.
namespace ptsecure {
namespace {

// One that has each version of "digits" many times, every seventh damaged.
class ManyVersions final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  std::vector<VersionRow> versions(const std::string& name, std::uint64_t before, std::size_t limit,
                                   const CancelToken& cancel) override {
    const VersionRow row = ForwardingStore::versions(name, before, limit, cancel).at(0);
    std::vector<VersionRow> rows;
    for (std::uint64_t version = 1000; version > 0; --version) {
      rows.push_back({name, version, version % 7 == 0 ? "no manifest" : row.manifest});
    }
    return rows;
  }
};

class Listing : public History {};

TEST_P(Listing, OfManyVersionsIsInTheirOrderAndSaysWhatIsDamaged) {
  publish_two();
  const Registry registry(std::make_shared<ManyVersions>(open_store(place_->uri(), {})), 4);
  const std::vector<VersionEntry> listed = registry.list_versions("digits", 0, 0, {});
  ASSERT_EQ(listed.size(), 1000U);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    ASSERT_EQ(listed[i].version, 1000 - i);
    ASSERT_EQ(listed[i].damaged, (1000 - i) % 7 == 0) << listed[i].version;
    ASSERT_EQ(listed[i].size, listed[i].damaged ? 0U : 100U) << listed[i].version;
  }
}

INSTANTIATE_TEST_SUITE_P(Folder, Listing, testing::Values("Folder"));

}  // namespace
}  // namespace ptsecure
