#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

#include "libptsecure/base/error.hpp"
#include "libptsecure/store/store.hpp"
#include "tests/store/directory/directory_harness.hpp"
#include "tests/store/io_faults.hpp"

// A directory store on systems that fail, are full, forbid, or kill it.
namespace ptsecure::test {
namespace {

namespace fs = std::filesystem;

struct Failure {
  Status status = Status::ok;
  std::string message;
};

Failure failure_of(const std::function<void()>& call) {
  try {
    call();
    return {};
  } catch (const Error& error) {
    return {error.status(), error.what()};
  }
}

// Prints what is wrong and ends the child; the parent sees the exit status.
#define CHILD_EXPECT(condition, text)                                         \
  do {                                                                        \
    if (!(condition)) {                                                       \
      std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, \
                   std::string(text).c_str());                                \
      _exit(1);                                                               \
    }                                                                         \
  } while (false)

// The exit code of body() in a forked child.
int in_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

constexpr std::size_t kModelSize = kSegmentSize + 77;

std::string model_text(std::uint64_t version) {
  std::string text;
  text.reserve(kModelSize + 1000);
  for (std::uint64_t i = 0; text.size() < kModelSize; ++i) {
    text.append(1000, static_cast<char>('a' + (version * 7 + i) % 26));
  }
  text.resize(kModelSize);
  return text;
}

void put_blob(Store& store, const Reservation& reservation, const std::string& role,
              const std::string& text) {
  const auto writer = store.write_blob(reservation, role, text.size(), {});
  for (std::uint64_t i = 0; i < stored_segments(text.size()); ++i) {
    writer->write(i, as_bytes(std::string_view(text).substr(i * kSegmentSize, kSegmentSize)));
  }
  writer->finish();
}

std::string get_blob(Store& store, const BlobId& id) {
  std::string text;
  const auto reader = store.read_blob(id, {});
  reader->read(0, stored_segments(reader->size()),
               [&](std::uint64_t, ByteView segment) { text += as_text(segment); }, {});
  return text;
}

std::string manifest_of(std::uint64_t version) {
  return "manifest " + std::to_string(version);
}

// All a publish does, in its order.
Reservation publish(Store& store) {
  store.ensure_created({});
  const Reservation reservation = store.reserve("Digits", {});
  const std::string key = "K" + std::to_string(reservation.version);
  put_blob(store, reservation, "model", model_text(reservation.version));
  put_blob(store, reservation, "model.digests", "digests");
  store.put_wraps(key, 1, "{}", {});
  store.append_record({"key", key}, 1, "key record", {});
  store.commit(reservation, manifest_of(reservation.version), {});
  const auto last = store.last_record({"log"}, ReadConcern::majority, {});
  const std::uint64_t sequence = last ? last->sequence + 1 : 1;
  store.append_record({"log"}, sequence, "record " + std::to_string(sequence), {});
  return reservation;
}

// Whatever happened: what is visible is whole.
void expect_sound(Store& store) {
  for (const VersionRow& row : store.versions("Digits", 0, 1000000, {})) {
    EXPECT_EQ(row.manifest, manifest_of(row.version));
    EXPECT_TRUE(get_blob(store, {"Digits", row.version, "model"}) == model_text(row.version));
    EXPECT_EQ(get_blob(store, {"Digits", row.version, "model.digests"}), "digests");
    const std::string key = "K" + std::to_string(row.version);
    EXPECT_EQ(store.get_wraps(key, 1, {}), "{}");
    EXPECT_TRUE(store.last_record({"key", key}, ReadConcern::majority, {}));
  }
  std::uint64_t sequence = 0;
  for (const StoredRecord& row : store.records({"log"}, 1, 1000000, ReadConcern::majority, {})) {
    EXPECT_EQ(row.sequence, ++sequence);
    EXPECT_EQ(row.record, "record " + std::to_string(sequence));
  }
  store.check("Digits", {});
}

std::size_t open_descriptors() {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator{}));
}

std::size_t temporary_files(const fs::path& place) {
  std::size_t n = 0;
  for (const auto& entry : fs::recursive_directory_iterator(place)) {
    n += entry.path().filename().string().substr(0, 5) == ".tmp-" ? 1u : 0u;
  }
  return n;
}

// --- every call fails once ---

void fail_each_call_of_a_publish(int error, bool named_files) {
  const std::size_t descriptors = open_descriptors();
  std::uint64_t n = 0;
  for (bool reached = true; reached; ++n) {
    const TempFolder folder;
    const std::string place = (folder.path() / "store").string();
    const auto store = open_directory_store(place, {});
    SCOPED_TRACE("call " + std::to_string(n));
    Failure failure;
    {
      IoFaults faults;
      if (named_files) faults.fail_always("O_TMPFILE", EOPNOTSUPP);
      faults.fail_nth(n, error);
      failure = failure_of([&] { publish(*store); });
      reached = faults.failed();
    }
    if (failure.status != Status::ok) {
      EXPECT_TRUE(reached);
      EXPECT_EQ(failure.status, error == ENOSPC ? Status::io : Status::permission_denied)
          << failure.message;
      EXPECT_NE(failure.message.find(folder.path().string()), std::string::npos) << failure.message;
    }
    store->ensure_created({});
    expect_sound(*store);
    EXPECT_TRUE(failure.status != Status::ok || store->newest("Digits", {}));
    const std::uint64_t taken = store->reserve("Digits", {}).version;
    EXPECT_LE(taken, 2u);
    EXPECT_EQ(publish(*store).version, taken + 1);
    expect_sound(*store);
    // A temporary file may stay only when removing it is what failed.
    EXPECT_LE(temporary_files(place), named_files ? 1u : 0u);
  }
  EXPECT_GT(n, 50u);
  EXPECT_EQ(open_descriptors(), descriptors);
}

TEST(DirectoryFaults, a_publish_survives_any_one_failure) {
  fail_each_call_of_a_publish(ENOSPC, false);
}

TEST(DirectoryFaults, a_publish_survives_any_one_failure_without_unnamed_files) {
  fail_each_call_of_a_publish(EACCES, true);
}

TEST(DirectoryFaults, reads_report_any_one_failure) {
  const TempFolder folder;
  const auto writer = open_directory_store((folder.path() / "store").string(), {});
  publish(*writer);
  publish(*writer);
  const std::vector<std::function<void(Store&)>> reads = {
      [](Store& store) { EXPECT_EQ(store.newest("Digits", {})->version, 2u); },
      [](Store& store) { EXPECT_TRUE(store.find("Digits", 1, {})); },
      [](Store& store) { EXPECT_EQ(store.models("", 9, {}).size(), 1u); },
      [](Store& store) { EXPECT_EQ(store.versions("Digits", 0, 9, {}).size(), 2u); },
      [](Store& store) { EXPECT_TRUE(store.get_wraps("K1", 1, {})); },
      [](Store& store) {
        EXPECT_EQ(store.records({"log"}, 1, 9, ReadConcern::majority, {}).size(), 2u);
      },
      [](Store& store) {
        EXPECT_EQ(store.last_record({"log"}, ReadConcern::majority, {})->sequence, 2u);
      },
      [](Store& store) { EXPECT_EQ(store.chains({"key"}, {}).size(), 2u); },
      [](Store& store) { EXPECT_TRUE(get_blob(store, {"Digits", 2, "model"}) == model_text(2)); },
  };
  const std::size_t descriptors = open_descriptors();
  for (std::size_t i = 0; i < reads.size(); ++i) {
    for (std::uint64_t n = 0;; ++n) {
      SCOPED_TRACE("read " + std::to_string(i) + ", call " + std::to_string(n));
      const auto store = open_directory_store((folder.path() / "store").string(), {});
      IoFaults faults;
      faults.fail_nth(n, EIO);
      const Failure failure = failure_of([&] { reads[i](*store); });
      if (!faults.failed()) {
        EXPECT_EQ(failure.status, Status::ok) << failure.message;
        EXPECT_GE(n, 3u);
        break;
      }
      EXPECT_EQ(failure.status, Status::io) << failure.message;
    }
  }
  EXPECT_EQ(open_descriptors(), descriptors);
}

TEST(DirectoryFaults, what_must_last_is_synced) {
  const TempFolder folder;
  const auto store = open_directory_store((folder.path() / "store").string(), {});
  publish(*store);
  const Reservation reservation = store->reserve("Digits", {});
  const auto writer = store->write_blob(reservation, "model", 3, {});
  writer->write(0, as_bytes("abc"));
  const auto fresh = open_directory_store((folder.path() / "fresh").string(), {});
  const std::vector<std::function<void()>> calls = {
      [&] { fresh->ensure_created({}); },
      [&] { store->reserve("Digits", {}); },
      [&] { writer->finish(); },
      [&] { store->commit(reservation, "the manifest", {}); },
      [&] { store->put_wraps("K1", 2, "{}", {}); },
      [&] { store->append_record({"log"}, 2, "record 2", {}); },
  };
  for (std::size_t i = 0; i < calls.size(); ++i) {
    SCOPED_TRACE(i);
    IoFaults faults;
    faults.fail_always("fsync", EIO);
    EXPECT_EQ(failure_of(calls[i]).status, Status::io);
  }
}

TEST(DirectoryFaults, an_interrupted_call_is_repeated) {
  const TempFolder folder;
  const auto store = open_directory_store((folder.path() / "store").string(), {});
  publish(*store);
  const Reservation reservation = store->reserve("Digits", {});
  const auto writer = store->write_blob(reservation, "model", 3, {});
  IoFaults faults;
  faults.fail_nth(0, EINTR);
  writer->write(0, as_bytes("abc"));
  EXPECT_TRUE(faults.failed());
  faults.fail_nth(0, EINTR);
  writer->finish();
  EXPECT_TRUE(faults.failed());
}

TEST(DirectoryFaults, the_system_runs_out_of_descriptors) {
  const TempFolder folder;
  const auto store = open_directory_store((folder.path() / "store").string(), {});
  publish(*store);
  const rlimit few = {static_cast<rlim_t>(open_descriptors()), 4096};
  EXPECT_EQ(in_child([&] {
              CHILD_EXPECT(setrlimit(RLIMIT_NOFILE, &few) == 0, "setrlimit");
              const Failure failure = failure_of([&] { store->find("Digits", 1, {}); });
              CHILD_EXPECT(failure.status == Status::limit_exceeded, failure.message);
              CHILD_EXPECT(failure.message.find("ulimit -n") != std::string::npos, failure.message);
              return 0;
            }),
            0);
}

// --- file systems that can do less ---

TEST(DirectoryFaults, works_without_unnamed_files_and_without_hard_links) {
  for (const bool hard_links : {true, false}) {
    const TempFolder folder;
    const std::string place = (folder.path() / "store").string();
    const auto store = open_directory_store(place, {});
    IoFaults faults;
    faults.fail_always("O_TMPFILE", EOPNOTSUPP);
    if (!hard_links) faults.fail_always("linkat", EPERM);
    publish(*store);
    publish(*store);
    const Reservation reservation = store->reserve("Digits", {});
    put_blob(*store, reservation, "model", "text");
    EXPECT_EQ(failure_of([&] { put_blob(*store, reservation, "model", "text"); }).status,
              Status::conflict);
    store->abandon(reservation, {});
    EXPECT_EQ(failure_of([&] { store->commit(reservation, "manifest", {}); }).status,
              Status::conflict);
    EXPECT_EQ(failure_of([&] { store->append_record({"log"}, 2, "other", {}); }).status,
              Status::conflict);
    EXPECT_EQ(failure_of([&] { store->reserve("DIGITS", {}); }).status, Status::already_exists);
    expect_sound(*store);
    EXPECT_EQ(temporary_files(place), 0u);
  }
}

TEST(DirectoryFaults, a_file_system_that_can_do_neither_is_refused) {
  const TempFolder folder;
  const auto store = open_directory_store((folder.path() / "store").string(), {});
  IoFaults faults;
  faults.fail_always("O_TMPFILE", EOPNOTSUPP);
  faults.fail_always("linkat", EPERM);
  faults.fail_always("renameat2", EINVAL);
  const Failure failure = failure_of([&] { store->ensure_created({}); });
  EXPECT_EQ(failure.status, Status::unsupported) << failure.message;
}

// --- full, forbidden, read-only ---

TEST(DirectoryFaults, a_file_size_limit_is_reported) {
  const TempFolder folder;
  const auto store = open_directory_store((folder.path() / "store").string(), {});
  publish(*store);
  EXPECT_EQ(in_child([&] {
              signal(SIGXFSZ, SIG_IGN);
              const rlimit small = {kSegmentSize, kSegmentSize};
              CHILD_EXPECT(setrlimit(RLIMIT_FSIZE, &small) == 0, "setrlimit");
              const Failure failure = failure_of([&] { publish(*store); });
              CHILD_EXPECT(failure.status == Status::io, failure.message);
              CHILD_EXPECT(failure.message.find("ulimit -f") != std::string::npos, failure.message);
              return 0;
            }),
            0);
  EXPECT_EQ(store->newest("Digits", {})->version, 1u);
  EXPECT_EQ(publish(*store).version, 3u);
  expect_sound(*store);
}

// In a mount namespace of its own: a real full disk and a real read-only one. Exit code 77: the
// system allows no mounts.
int full_and_read_only(const std::string& place) {
  const uid_t user = geteuid();
  if (unshare(user == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0) return 77;
  if (user != 0) std::ofstream("/proc/self/uid_map") << "0 " << user << " 1\n";
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
  if (mount("tmpfs", place.c_str(), "tmpfs", 0, "size=6m") != 0) return 77;

  const auto store = open_directory_store(place, {});
  publish(*store);
  const Reservation reservation = store->reserve("Digits", {});
  const Failure full =
      failure_of([&] { store->write_blob(reservation, "model", 64 * kSegmentSize, {}); });
  CHILD_EXPECT(full.status == Status::io, full.message);
  CHILD_EXPECT(full.message.find("the disk is full") != std::string::npos, full.message);
  store->abandon(reservation, {});
  Failure failure;
  for (std::uint64_t i = 1; failure.status == Status::ok && i < 100; ++i) {
    failure = failure_of([&] { store->put_wraps("K9", i, std::string(500000, '1'), {}); });
  }
  CHILD_EXPECT(failure.status == Status::io, failure.message);
  CHILD_EXPECT(store->newest("Digits", {})->version == 1, "newest");
  store->remove_wraps("K9", {});
  publish(*store);

  CHILD_EXPECT(mount(nullptr, place.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0,
               "remount");
  const Failure forbidden = failure_of([&] { store->reserve("Digits", {}); });
  CHILD_EXPECT(forbidden.status == Status::permission_denied, forbidden.message);
  CHILD_EXPECT(forbidden.message.find("read-only") != std::string::npos, forbidden.message);
  CHILD_EXPECT(get_blob(*store, {"Digits", 1, "model"}) == model_text(1), "blob");
  CHILD_EXPECT(store->newest("Digits", {})->version == 3, "newest");
  return 0;
}

TEST(DirectoryFaults, a_full_disk_and_a_read_only_one_are_reported) {
  const TempFolder folder;
  const int code = in_child([&] { return full_and_read_only(folder.path().string()); });
  if (code != 77) {
    EXPECT_EQ(code, 0);
    return;
  }
  // Without mounts the system's answer is made up; the rest is the same.
  for (const auto& [error, status, word] :
       {std::tuple{ENOSPC, Status::io, "the disk is full"},
        std::tuple{EROFS, Status::permission_denied, "read-only"}}) {
    const auto store = open_directory_store((folder.path() / word).string(), {});
    publish(*store);
    IoFaults faults;
    for (const char* call : {"O_TMPFILE", "mkdirat", "fallocate"}) faults.fail_always(call, error);
    const Failure failure = failure_of([&] { publish(*store); });
    EXPECT_EQ(failure.status, status);
    EXPECT_NE(failure.message.find(word), std::string::npos) << failure.message;
    EXPECT_EQ(store->newest("Digits", {})->version, 1u);
  }
}

TEST(DirectoryFaults, missing_permissions_are_reported) {
  const TempFolder folder;
  fs::permissions(folder.path(), static_cast<fs::perms>(0755));
  const fs::path place = folder.path() / "store";
  const auto store = open_directory_store(place.string(), {});
  umask(022);
  publish(*store);
  const auto as_nobody = [&](const std::function<int()>& body) {
    return in_child([&] {
      if (geteuid() == 0) {
        CHILD_EXPECT(setgid(65534) == 0 && setuid(65534) == 0, "setuid");
      }
      return body();
    });
  };
  if (geteuid() != 0) {
    for (const auto& entry : fs::recursive_directory_iterator(place)) {
      if (entry.is_directory()) fs::permissions(entry.path(), static_cast<fs::perms>(0555));
    }
  }
  EXPECT_EQ(as_nobody([&] {
              CHILD_EXPECT(get_blob(*store, {"Digits", 1, "model"}) == model_text(1),
                           "reading needs no more than reading");
              for (const auto& call : std::vector<std::function<void()>>{
                       [&] { store->reserve("Digits", {}); },
                       [&] { store->append_record({"log"}, 2, "record", {}); },
                       [&] { store->put_wraps("K1", 2, "{}", {}); },
                       [&] { store->remove_wraps("K1", {}); }}) {
                const Failure failure = failure_of(call);
                CHILD_EXPECT(failure.status == Status::permission_denied, failure.message);
                CHILD_EXPECT(failure.message.find("access was denied") != std::string::npos,
                             failure.message);
              }
              return 0;
            }),
            0);
  fs::permissions(place, static_cast<fs::perms>(0));
  EXPECT_EQ(as_nobody([&] {
              for (const auto& call : std::vector<std::function<void()>>{
                       [&] { store->newest("Digits", {}); }, [&] { store->ensure_created({}); }}) {
                const Failure failure = failure_of(call);
                CHILD_EXPECT(failure.status == Status::permission_denied, failure.message);
              }
              return 0;
            }),
            0);
  fs::permissions(place, static_cast<fs::perms>(0755));
  for (const auto& entry : fs::recursive_directory_iterator(place)) {
    if (entry.is_directory()) fs::permissions(entry.path(), static_cast<fs::perms>(0755));
  }
}

// --- killed ---

// A child does body() over and over and is killed at a random moment.
void kill_at_random(std::mt19937& random, const std::function<void()>& body) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    body();
    if (write(ready[1], "x", 1) != 1) _exit(2);
    for (;;) body();
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  close(ready[0]);
  close(ready[1]);
  usleep(static_cast<useconds_t>(random() % 12000));
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << status;
}

TEST(DirectoryFaults, a_killed_publish_leaves_nothing_half_done) {
  std::mt19937 random(20240607);  // NOLINT(bugprone-random-generator-seed): repeatable
  for (const bool named_files : {false, true}) {
    const TempFolder folder;
    const std::string place = (folder.path() / "store").string();
    const auto store = open_directory_store(place, {});
    store->ensure_created({});
    std::uint64_t highest = 0;
    for (int round = 0; round < 40; ++round) {
      kill_at_random(random, [&] {
        IoFaults faults;
        if (named_files) faults.fail_always("O_TMPFILE", EOPNOTSUPP);
        publish(*store);
      });
      const std::uint64_t next = store->reserve("Digits", {}).version;
      EXPECT_GT(next, highest);
      highest = next;
    }
    expect_sound(*store);
    EXPECT_GE(store->versions("Digits", 0, 100000, {}).size(), 40u);
    EXPECT_TRUE(named_files || temporary_files(place) == 0);
  }
}

TEST(DirectoryFaults, killed_before_the_commit_nothing_is_visible) {
  std::mt19937 random(7);  // NOLINT(bugprone-random-generator-seed): repeatable
  const TempFolder folder;
  const auto store = open_directory_store((folder.path() / "store").string(), {});
  store->ensure_created({});
  for (int round = 0; round < 40; ++round) {
    kill_at_random(random, [&] {
      const Reservation reservation = store->reserve("Digits", {});
      put_blob(*store, reservation, "model", model_text(1));
      if (reservation.version % 2 == 0) store->abandon(reservation, {});
    });
  }
  EXPECT_FALSE(store->newest("Digits", {}));
  EXPECT_TRUE(store->versions("Digits", 0, 100000, {}).empty());
  EXPECT_TRUE(store->models("", 10, {}).empty());
  store->commit(store->reserve("Digits", {}), "a manifest", {});
  EXPECT_TRUE(store->newest("Digits", {}));
}

TEST(DirectoryFaults, killed_while_creating_the_store) {
  std::mt19937 random(11);  // NOLINT(bugprone-random-generator-seed): repeatable
  const TempFolder folder;
  for (int round = 0; round < 20; ++round) {
    const fs::path place = folder.path() / std::to_string(round);
    const pid_t child = fork();
    if (child == 0) {
      open_directory_store(place.string(), {})->ensure_created({});
      _exit(0);
    }
    usleep(static_cast<useconds_t>(random() % 1500));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const auto store = open_directory_store(place.string(), {});
    store->ensure_created({});
    EXPECT_EQ(store->id({}).size(), 22u);
  }
}

}  // namespace
}  // namespace ptsecure::test
