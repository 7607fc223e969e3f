#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "tests/history/history_fixture.hpp"

// The file in which a client remembers what it has seen.
namespace ptsecure {
namespace {

class StateFileTest : public RegistryTest {
 protected:
  static Sha256Digest digest(std::uint64_t n) {
    const std::string text = std::to_string(n);
    return sha256(as_bytes(text));
  }
  std::string path() const { return (root_ / "a" / "b" / "state.json").string(); }
  static void count(const StateFile& file, const std::string& model) {
    file.update([&](StateFile::Content& state) {
      VersionMark& mark = state.stores["store"].versions[model];
      mark = {mark.version + 1, digest(mark.version + 1)};
      return true;
    });
  }
  void put(const std::string& text) const { write_file(path(), as_bytes(text)); }
  static mode_t mode_of(const fs::path& path) {
    struct stat status{};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 0777;
  }
};

TEST_F(StateFileTest, NothingIsMadeBeforeSomethingIsRemembered) {
  const StateFile file(path());
  EXPECT_TRUE(file.read()->stores.empty());
  EXPECT_FALSE(fs::exists(root_ / "a"));
  file.update([](StateFile::Content&) { return false; });
  EXPECT_FALSE(fs::exists(path()));
  count(file, "digits");
  EXPECT_EQ(file.read()->stores.at("store").versions.at("digits"), (VersionMark{1, digest(1)}));
  EXPECT_EQ(mode_of(path()), 0600U);
  EXPECT_EQ(mode_of(root_ / "a"), 0700U);
  EXPECT_EQ(mode_of(root_ / "a" / "b"), 0700U);
  EXPECT_EQ(files_below(root_ / "a").size(), 2U) << "the state and its lock, nothing temporary";
}

// No change is lost and no reader sees half a file, whoever writes: threads that share an object,
// threads with one each, processes.
TEST_F(StateFileTest, ThreadsAndProcessesAtOnce) {
  constexpr int kChanges = 40;
  constexpr int kProcesses = 3;
  constexpr int kThreads = 4;
  std::vector<pid_t> processes;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      try {
        const StateFile file(path());
        for (int n = 0; n < kChanges; ++n) count(file, "digits");
        ::_exit(0);
      } catch (...) {
        ::_exit(1);
      }
    }
    processes.push_back(child);
  }
  const StateFile shared(path());
  std::atomic<bool> done = false;
  std::atomic<int> failures = 0;
  std::thread reader([&] {
    std::uint64_t last = 0;
    while (!done) {
      try {
        const auto state = shared.read();
        const auto store = state->stores.find("store");
        if (store == state->stores.end()) continue;
        const VersionMark mark = store->second.versions.at("digits");
        if (mark.version < last || mark.manifest != digest(mark.version)) ++failures;
        last = mark.version;
      } catch (const std::exception&) {
        ++failures;
      }
    }
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, own = i % 2 == 0] {
      const StateFile mine(path());
      for (int n = 0; n < kChanges; ++n) count(own ? mine : shared, "digits");
    });
  }
  for (auto& thread : threads) thread.join();
  for (const pid_t child : processes) {
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  done = true;
  reader.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(StateFile(path()).read()->stores.at("store").versions.at("digits").version,
            static_cast<std::uint64_t>((kProcesses + kThreads) * kChanges));
  EXPECT_EQ(files_below(root_ / "a").size(), 2U);
}

TEST_F(StateFileTest, WhatCantBeTrustedIsRefusedAndKept) {
  const StateFile file(path());
  count(file, "digits");
  const Bytes good = read_file(path());
  const std::string text(as_text(good));
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string out = text;
    const std::size_t at = out.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return out.replace(at, from.size(), to);
  };
  const std::pair<std::string, Status> bad[] = {
      {"", Status::corrupt},
      {"{}", Status::corrupt},
      {"[]", Status::corrupt},
      {text.substr(0, text.size() / 2), Status::corrupt},
      {text + "x", Status::corrupt},
      {changed("\"places\"", "\"palaces\""), Status::corrupt},
      {changed("\"chains\": {}", "\"chains\": []"), Status::corrupt},
      {changed("\"chains\": {}", "\"chains\": {}, \"more\": 1"), Status::corrupt},
      {changed("\"chains\": {}", "\"chains\": {}, \"chains\": {}"), Status::corrupt},
      {changed("\"version\": 1", "\"version\": 0"), Status::corrupt},
      {changed("\"version\": 1", "\"version\": -1"), Status::corrupt},
      {changed("\"version\": 1", "\"version\": 1.5"), Status::corrupt},
      {changed("\"version\": 1", "\"version\": 9007199254740992"), Status::corrupt},
      {changed("\"manifest\": \"", "\"manifest\": \"A"), Status::corrupt},
      {changed("\"ptsecure\": 1", "\"ptsecure\": 2"), Status::unsupported},
  };
  for (const auto& [content, status] : bad) {
    SCOPED_TRACE(content);
    put(content);
    expect_refused(status, "ptsecure state reset --all", [&] { StateFile(path()).read(); });
    expect_refused(status, path(), [&] { count(file, "digits"); });
    EXPECT_EQ(as_text(read_file(path())), content) << "a refused file is left as it is";
  }
  file.clear();
  EXPECT_TRUE(file.read()->stores.empty());
  count(file, "digits");
}

TEST_F(StateFileTest, AClientDoesNothingWithAStateItCantRead) {
  publish("digits", model_bytes(100));
  const auto state = std::make_shared<StateFile>(path());
  const auto client = std::make_unique<Registry>(open_store(store_path().string(), {}), 1, state);
  client->fetch("digits", keys_, {});
  put("{");
  EXPECT_EQ(status_of([&] { client->fetch("digits", keys_, {}); }), Status::corrupt);
  EXPECT_EQ(status_of([&] { client->fetch("digits/1", keys_, {}); }), Status::corrupt);
  EXPECT_EQ(status_of([&] { client->set_alias("digits", "a", 1, "", keys_, {}); }),
            Status::corrupt);
}

TEST_F(StateFileTest, AFileThatOthersMayWriteIsRefused) {
  const StateFile file(path());
  count(file, "digits");
  for (const mode_t mode : {0620U, 0602U, 0666U}) {
    ASSERT_EQ(::chmod(path().c_str(), mode), 0);
    expect_refused(Status::permission_denied, "chmod 600", [&] { file.read(); });
    expect_refused(Status::permission_denied, "chmod 600", [&] { count(file, "digits"); });
  }
  ASSERT_EQ(::chmod(path().c_str(), 0644), 0);
  EXPECT_EQ(file.read()->stores.size(), 1U);
  count(file, "digits");
  EXPECT_EQ(mode_of(path()), 0600U);

  fs::rename(path(), root_ / "elsewhere");
  fs::create_symlink(root_ / "elsewhere", path());
  EXPECT_NE(status_of([&] { file.read(); }), Status::ok) << "a link is not followed";
  fs::remove(path());
  fs::create_directory(path());
  EXPECT_EQ(status_of([&] { file.read(); }), Status::corrupt);
}

TEST_F(StateFileTest, ForgettingOneStore) {
  const auto state = std::make_shared<StateFile>(path());
  const std::string other = (root_ / "other").string();
  for (const std::string& uri : {store_path().string(), other}) {
    const Registry client(open_store(uri, {}), 1, state);
    PublishOptions options;
    options.format = std::string(kOpaque);
    client.publish("digits", *memory_input(model_bytes(10)), keys_, options);
  }
  EXPECT_EQ(state->read()->stores.size(), 2U);
  EXPECT_EQ(state->read()->places.size(), 2U);
  EXPECT_EQ(status_of([&] { state->forget((root_ / "unknown").string()); }), Status::not_found);
  state->forget(other + "/");
  EXPECT_EQ(state->read()->places.size(), 1U);
  const std::string id = state->read()->places.at(store_path().string());
  EXPECT_TRUE(state->read()->stores.contains(id));
  state->forget(id);
  EXPECT_TRUE(state->read()->stores.empty() && state->read()->places.empty());
  EXPECT_EQ(status_of([&] { state->forget(id); }), Status::not_found);
}

// The environment of this process, as it was when the test ends.
class Environment {
 public:
  explicit Environment(const char* name) : name_(name) {
    if (const char* value = std::getenv(name)) before_ = value;
  }
  ~Environment() { set(before_ ? before_->c_str() : nullptr); }
  void set(const char* value) const {
    if (value == nullptr) {
      ::unsetenv(name_);
    } else {
      ::setenv(name_, value, 1);
    }
  }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

TEST_F(StateFileTest, DefaultPath) {
  const Environment xdg("XDG_STATE_HOME");
  const Environment home("HOME");
  home.set("/home/somebody");
  xdg.set("/var/lib/state");
  EXPECT_EQ(StateFile::default_path(), "/var/lib/state/ptsecure/state.json");
  for (const char* ignored : {static_cast<const char*>(nullptr), "", "relative/state"}) {
    xdg.set(ignored);
    EXPECT_EQ(StateFile::default_path(), "/home/somebody/.local/state/ptsecure/state.json");
  }
  for (const char* none : {static_cast<const char*>(nullptr), "", "somewhere"}) {
    home.set(none);
    expect_refused(Status::not_found, "neither XDG_STATE_HOME nor HOME",
                   [] { StateFile::default_path(); });
  }
}

}  // namespace
}  // namespace ptsecure
