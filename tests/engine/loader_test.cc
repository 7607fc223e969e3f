#include "libptsecure/engine/loader.hpp"

#include <gtest/gtest.h>

#if PTSECURE_WITH_TORCH

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

// Each in a process of its own, whose program and plug-in lie in a folder of the test's own.
namespace ptsecure {
namespace {

namespace fs = std::filesystem;

struct Answer {
  int status = -1;
  std::string line;
};

class LoaderTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "ptsecure-loader-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    fs::create_directories(root_ / "bin");
    fs::create_directories(root_ / "lib");
    install("loader_probe");
    fs::create_symlink(built("lib/libptsecure_torch.so"), plugin());
  }
  void TearDown() override { fs::remove_all(root_); }

  static fs::path built(const std::string& file) {
    return fs::read_symlink("/proc/self/exe").parent_path().parent_path() / file;
  }
  fs::path plugin() const { return root_ / "lib" / "libptsecure_torch.so"; }

  // The program is found where it really lies, so a link won't do.
  void install(const std::string& probe) {
    fs::copy_file(built("tests/" + probe), root_ / "bin" / "probe",
                  fs::copy_options::overwrite_existing);
  }
  void write(const fs::path& path, const std::string& text) {
    fs::remove(path);
    std::ofstream(path) << text;
  }

  Answer run(const std::string& environment = "", const std::string& torch_dir = "") {
    const std::string command = "env -u LD_LIBRARY_PATH " + environment + " '" +
                                (root_ / "bin" / "probe").string() + "' '" + torch_dir + "' 2>&1";
    FILE* pipe = popen(command.c_str(), "r");
    Answer answer;
    if (pipe == nullptr) return answer;
    std::array<char, 4096> text{};
    while (fgets(text.data(), static_cast<int>(text.size()), pipe) != nullptr) {
      answer.line += text.data();
    }
    answer.status = pclose(pipe);
    return answer;
  }

  // One line of the engine's status that says both things.
  void expect_refused(const Answer& answer, const std::string& what, const std::string& advice) {
    EXPECT_NE(answer.status, 0);
    EXPECT_TRUE(answer.line.starts_with("engine: ")) << answer.line;
    EXPECT_NE(answer.line.find(what), std::string::npos) << answer.line;
    EXPECT_NE(answer.line.find(advice), std::string::npos) << answer.line;
    EXPECT_EQ(answer.line.find('\n'), answer.line.size() - 1) << answer.line;
  }

  fs::path root_;
};

TEST_F(LoaderTest, OpensWhatLiesBesideTheProgram) {
  const Answer answer = run();
  EXPECT_EQ(answer.status, 0) << answer.line;
  EXPECT_TRUE(answer.line.starts_with("libtorch ")) << answer.line;
}

TEST_F(LoaderTest, AMissingPluginIsNamedWithItsPlaces) {
  fs::remove(plugin());
  const Answer answer = run();
  expect_refused(answer, (root_ / "bin" / "libptsecure_torch.so").string(), "install it beside");
  expect_refused(answer, plugin().string(), "PTSECURE_TORCH=ON");
}

TEST_F(LoaderTest, NeitherVariablesNorTheWorkingDirectoryNameThePlugin) {
  fs::remove(plugin());
  const std::string lib = built("lib").string();
  expect_refused(run("-C '" + lib + "' LD_LIBRARY_PATH='" + lib + "'"), "was not found",
                 "install it beside");
}

TEST_F(LoaderTest, APluginOfAnotherBuildIsRefused) {
  install("loader_probe_other_build");
  expect_refused(run(), "refused to start", "reinstall both together");
}

TEST_F(LoaderTest, AnotherMinorOfTorchIsRefused) {
  install("loader_probe_other_torch");
  expect_refused(run(), "was built with libtorch 1.2.3 but found", "torch==1.2.*");
}

TEST_F(LoaderTest, WhatIsNoPluginIsRefused) {
  write(plugin(), "no library");
  expect_refused(run(), "could not be opened", "libptsecure_torch.so");
  fs::remove(plugin());
  fs::create_symlink("/lib/x86_64-linux-gnu/libz.so.1", plugin());
  expect_refused(run(), "is not a ptsecure plug-in", "reinstall");
}

TEST_F(LoaderTest, AMissingTorchIsNamedWithWhatToInstall) {
  const std::string nowhere = (root_ / "nowhere").string();
  expect_refused(run("PTSECURE_TORCH_DIR='" + nowhere + "'"),
                 nowhere + "/lib/libtorch_cpu.so (from PTSECURE_TORCH_DIR)", "pip install");
  expect_refused(run("", nowhere), "(given as the torch folder)", "pip install");
}

TEST_F(LoaderTest, ADamagedTorchIsRefused) {
  fs::create_directories(root_ / "torch" / "lib");
  for (const char* file : {"libc10.so", "libtorch_cpu.so"}) {
    write(root_ / "torch" / "lib" / file, "no library");
  }
  expect_refused(run("", (root_ / "torch").string()), "could not be opened", "pip install");
}

}  // namespace
}  // namespace ptsecure

#endif
