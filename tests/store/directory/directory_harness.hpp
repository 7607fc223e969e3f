#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "tests/store/conformance.hpp"

namespace ptsecure::test {

// A folder that goes away with the object.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::unique_ptr<StoreHarness> make_directory_harness();

}  // namespace ptsecure::test
