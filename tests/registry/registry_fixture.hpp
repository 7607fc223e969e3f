#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

#include "libptsecure/registry/publish.hpp"
#include "libptsecure/registry/registry.hpp"

namespace ptsecure {

namespace fs = std::filesystem;

inline Bytes read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

inline void write_file(const fs::path& path, ByteView bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(out.good()) << path;
}

inline std::vector<fs::path> files_below(const fs::path& root) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  return files;
}

// Bytes that don't repeat, so that a segment in the wrong place shows.
inline Bytes model_bytes(std::size_t size, std::uint32_t seed = 1) {
  Bytes bytes(size);
  std::uint32_t state = seed * 2654435761U + 1;
  for (auto& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  return bytes;
}

// `own` with the public keys of `others`: whoever writes to a store's log trusts its other writers.
inline Keyring trusting(const Keyring& own, const Keyring& others) {
  const auto array = [](const Keyring& keys) {
    const SecretString json = keys.to_json();
    const std::string text(json.begin(), json.end());
    return text.substr(text.find('[') + 1, text.rfind(']') - text.find('[') - 1);
  };
  return Keyring::parse("{\"keys\":[" + array(own) + "," + array(others.public_part()) + "]}", {});
}

template <class Call>
Status status_of(Call call) {
  try {
    call();
    return Status::ok;
  } catch (const Error& error) {
    return error.status();
  }
}

// The call is refused with this status, in a sentence that holds these words.
template <class Call>
void expect_refused(Status status, const std::string& phrase, Call call) {
  try {
    call();
    ADD_FAILURE() << "not refused: " << phrase;
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), status) << error.what();
    EXPECT_NE(std::string(error.what()).find(phrase), std::string::npos) << error.what();
  }
}

// A folder store of opaque models and one keyring with every role.
class RegistryTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "ptsecure-registry-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    registry_ = std::make_unique<Registry>(open_store(store_path().string(), {}), 2);
  }
  void TearDown() override { fs::remove_all(root_); }

  fs::path store_path() const { return root_ / "store"; }

  std::uint64_t publish(const std::string& name, const Bytes& bytes,
                        const PublishOptions& extra = {}, const Keyring* keys = nullptr) {
    PublishOptions options = extra;
    options.format = std::string(kOpaque);
    const auto input = memory_input(bytes);
    return registry_->publish(name, *input, keys ? *keys : keys_, options);
  }

  // A version of any format, which no engine looks at; with `program`, of weights for it.
  std::uint64_t seal(const std::string& name, const std::string& format, const Bytes& bytes,
                     const Bytes* program = nullptr) {
    ThreadPool pool(2);
    Manifest manifest;
    manifest.name = name;
    manifest.format = format;
    const auto input = memory_input(bytes);
    const auto access = registry_->access(keys_, {});
    if (program == nullptr) {
      return seal_and_commit(access, pool, std::move(manifest), *input, {}, Progress());
    }
    const auto along = memory_input(*program);
    return seal_and_commit(access, pool, std::move(manifest), *input, NewProgram{*along},
                           Progress());
  }

  Bytes decrypt(const std::string& reference, const Keyring* keys = nullptr,
                VerifyLevel level = VerifyLevel::signed_) {
    OpenOptions options;
    options.level = level;
    const auto package = registry_->fetch(reference, keys ? *keys : keys_, {});
    Bytes out(package->manifest().own_payload().plaintext_size);
    package->decrypt(options, out);
    return out;
  }

  std::optional<Error> verify(const std::string& reference, const Keyring* keys = nullptr) {
    return registry_->verify(reference, keys ? *keys : keys_, {}, {});
  }

  fs::path root_;
  Keyring keys_ = Keyring::generate();
  std::unique_ptr<Registry> registry_;
};

}  // namespace ptsecure
