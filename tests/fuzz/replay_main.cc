// Stands in for libFuzzer where the compiler has none: runs every file of the corpus folders given
// through the target once. A corpus that is missing or empty is a failure, never a pass.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_under(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

bool run_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  // An exact-size buffer, so that a sanitizer sees a read one byte past the end.
  std::vector<std::uint8_t> input{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) return false;
  input.shrink_to_fit();
  LLVMFuzzerTestOneInput(input.data(), input.size());
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t runs = 0;
  for (int i = 1; i < argc; ++i) {
    std::error_code error;
    if (!fs::is_directory(argv[i], error)) {
      std::fprintf(stderr, "%s: no such corpus folder\n", argv[i]);
      return 1;
    }
    for (const auto& path : files_under(argv[i])) {
      std::printf("%s\n", path.filename().c_str());
      std::fflush(stdout);
      if (!run_file(path)) {
        std::fprintf(stderr, "%s: cannot be read\n", path.c_str());
        return 1;
      }
      ++runs;
    }
  }
  if (runs == 0) {
    std::fprintf(stderr, "the corpus is empty: give at least one folder with one input\n");
    return 1;
  }
  std::printf("%zu inputs\n", runs);
  return 0;
}
