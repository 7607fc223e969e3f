#include <cstdlib>
#include <stdexcept>

#include "libptsecure/store/blob.hpp"
#include "tests/store/conformance.hpp"
#include "tests/store/directory/directory_harness.hpp"

namespace ptsecure::test {
namespace {

namespace fs = std::filesystem;

class DirectoryHarness final : public StoreHarness {
 public:
  std::shared_ptr<Store> make_store() override {
    place_ = folder_.path() / std::to_string(++places_) / "store";
    return reopen();
  }
  std::shared_ptr<Store> reopen() override { return open_directory_store(place_.string(), {}); }
  std::string uri() override { return "file://" + place_.string(); }

  void damage(const BlobId& id, BlobDamage what) override {
    const fs::path blob = place_ / "models" / id.name / std::to_string(id.version) / id.role;
    const std::uint64_t size = fs::file_size(blob);
    switch (what) {
      case BlobDamage::remove:
        fs::remove(blob);
        return;
      case BlobDamage::cut_byte:
        fs::resize_file(blob, size - 1);
        return;
      case BlobDamage::append_byte:
        fs::resize_file(blob, size + 1);
        return;
      case BlobDamage::cut_segment:
        fs::resize_file(blob, (size - 1) / kSegmentSize * kSegmentSize);
        return;
      case BlobDamage::drop_segment:
        fs::resize_file(blob, size - kSegmentSize);
        return;
    }
  }

 private:
  TempFolder folder_;
  fs::path place_;
  int places_ = 0;
};

}  // namespace

TempFolder::TempFolder() {
  std::string path = (fs::temp_directory_path() / "ptsecure-test-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temporary folder: " + path);
  path_ = path;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::unique_ptr<StoreHarness> make_directory_harness() {
  return std::make_unique<DirectoryHarness>();
}

INSTANTIATE_TEST_SUITE_P(Directory, StoreConformance,
                         testing::Values(StoreKind{"directory", make_directory_harness}),
                         store_kind_name);

}  // namespace ptsecure::test
