#include "libptsecure/store/directory/directory.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <set>

#include "libptsecure/base/error.hpp"
#include "libptsecure/store/component.hpp"
#include "tests/store/directory/directory_harness.hpp"
#include "tests/store/io_faults.hpp"

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

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void spill(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

class DirectoryStoreTest : public testing::Test {
 protected:
  DirectoryStoreTest() : place_(folder_.path() / "store") {
    store_ = open_directory_store(place_.string(), {});
  }

  void publish(const std::string& name, const std::string& manifest) {
    store_->ensure_created({});
    const Reservation reservation = store_->reserve(name, {});
    const auto writer = store_->write_blob(reservation, "model", 5, {});
    writer->write(0, as_bytes("12345"));
    writer->finish();
    store_->commit(reservation, manifest, {});
  }

  // A store with one of everything.
  void fill() {
    publish("Digits", "the first manifest");
    store_->abandon(store_->reserve("Digits", {}), {});
    store_->put_wraps("K1", 1, "{}", {});
    store_->append_record({"key", "K1"}, 1, "key record", {});
    store_->append_record({"alias", "Digits", "Live"}, 1, "alias record", {});
    store_->append_record({"log"}, 1, "log record", {});
  }

  std::set<std::string> files() const {
    std::set<std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(place_)) {
      if (!entry.is_directory()) out.insert(fs::relative(entry.path(), place_).string());
    }
    return out;
  }

  TempFolder folder_;
  fs::path place_;
  std::shared_ptr<Store> store_;
};

// --- layout ---

TEST_F(DirectoryStoreTest, has_the_documented_layout) {
  fill();
  store_->reserve("Digits", {});
  EXPECT_EQ(
      files(),
      (std::set<std::string>{
          "ptsecure-store.json", "models/.names/digits", "models/Digits/1/manifest.jws",
          "models/Digits/1/model", "models/Digits/2/manifest.jws", "models/Digits/3/reserved",
          "wraps/K1/1.json", "records/.names/key", "records/key/.names/k1", "records/key/K1/1.jws",
          "records/.names/alias", "records/alias/.names/digits", "records/alias/Digits/.names/live",
          "records/alias/Digits/Live/1.jws", "records/.names/log", "records/log/1.jws"}));
  EXPECT_EQ(slurp(place_ / "ptsecure-store.json"),
            "{\"format\":\"ptsecure/1\",\"id\":\"" + store_->id({}) + "\"}\n");
  EXPECT_EQ(slurp(place_ / "models/.names/digits"), "Digits");
  EXPECT_EQ(slurp(place_ / "models/Digits/1/manifest.jws"), "the first manifest");
  EXPECT_EQ(slurp(place_ / "models/Digits/1/model"), "12345");
  EXPECT_EQ(slurp(place_ / "models/Digits/2/manifest.jws"), "dead\n");
  EXPECT_EQ(slurp(place_ / "records/alias/Digits/Live/1.jws"), "alias record");
}

TEST_F(DirectoryStoreTest, missing_parents_are_made) {
  const fs::path deep = folder_.path() / "a/b/c/store";
  open_directory_store(deep.string(), {})->ensure_created({});
  EXPECT_TRUE(fs::exists(deep / "ptsecure-store.json"));
}

TEST_F(DirectoryStoreTest, a_relative_path_is_resolved_when_opened) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  const auto relative = open_directory_store("here", {});
  fs::current_path("/");
  relative->ensure_created({});
  fs::current_path(before);
  EXPECT_TRUE(fs::exists(folder_.path() / "here/ptsecure-store.json"));
}

TEST_F(DirectoryStoreTest, a_store_replaced_under_a_handle_is_noticed) {
  store_->ensure_created({});
  const std::string first = store_->id({});
  fs::remove_all(place_);
  EXPECT_EQ(failure_of([&] { store_->newest("digits", {}); }).status, Status::not_found);
  open_directory_store(place_.string(), {})->ensure_created({});
  EXPECT_NE(store_->id({}), first);
}

// --- what is no store ---

TEST_F(DirectoryStoreTest, a_folder_with_other_files_is_no_store) {
  spill(place_ / "notes.txt", "mine");
  for (const auto& call : std::vector<std::function<void()>>{
           [&] { store_->ensure_created({}); }, [&] { store_->id({}); },
           [&] { store_->newest("digits", {}); }, [&] { store_->reserve("digits", {}); }}) {
    const Failure failure = failure_of(call);
    EXPECT_EQ(failure.status, Status::invalid_argument);
    EXPECT_NE(failure.message.find("is not a ptsecure store: it holds other files and no "
                                   "ptsecure-store.json; name an empty or new folder, or a store"),
              std::string::npos)
        << failure.message;
  }
  EXPECT_EQ(files(), std::set<std::string>{"notes.txt"});
}

TEST_F(DirectoryStoreTest, a_fresh_disk_is_an_empty_folder) {
  fs::create_directories(place_ / "lost+found");
  EXPECT_EQ(failure_of([&] { store_->id({}); }).status, Status::not_found);
  store_->ensure_created({});
  EXPECT_EQ(store_->id({}).size(), 22u);
}

TEST_F(DirectoryStoreTest, a_file_is_no_store) {
  spill(place_, "a file");
  EXPECT_EQ(failure_of([&] { store_->ensure_created({}); }).status, Status::invalid_argument);
  EXPECT_EQ(failure_of([&] { store_->id({}); }).status, Status::invalid_argument);
  const auto below = open_directory_store((place_ / "below").string(), {});
  EXPECT_EQ(failure_of([&] { below->ensure_created({}); }).status, Status::invalid_argument);
}

// --- damage ---

// Calls probe() with every byte of the file changed in several ways, one at a time.
void with_each_byte_changed(const fs::path& path, const std::function<void()>& probe) {
  const std::string good = slurp(path);
  ASSERT_FALSE(good.empty());
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const int mask : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ mask);
      spill(path, bad);
      SCOPED_TRACE(path.filename().string() + " byte " + std::to_string(i) + " ^ " +
                   std::to_string(mask));
      probe();
    }
  }
  for (const std::string& bad : {std::string(), good + " ", good + good, good.substr(1)}) {
    SCOPED_TRACE(bad);
    spill(path, bad);
    probe();
  }
  spill(path, good);
}

TEST_F(DirectoryStoreTest, a_changed_store_file_is_corrupt_or_another_store) {
  store_->ensure_created({});
  const std::string id = store_->id({});
  with_each_byte_changed(place_ / "ptsecure-store.json", [&] {
    std::string seen;
    const Failure failure =
        failure_of([&] { seen = open_directory_store(place_.string(), {})->id({}); });
    EXPECT_TRUE(failure.status == Status::corrupt || failure.status == Status::unsupported ||
                (failure.status == Status::ok && seen != id))
        << failure.message << seen;
  });
  EXPECT_EQ(store_->id({}), id);
}

TEST_F(DirectoryStoreTest, a_later_format_is_named) {
  spill(place_ / "ptsecure-store.json",
        "{\"format\":\"ptsecure/2\",\"id\":\"AAAAAAAAAAAAAAAAAAAAAA\"}\n");
  const Failure failure = failure_of([&] { store_->id({}); });
  EXPECT_EQ(failure.status, Status::unsupported);
  EXPECT_NE(failure.message.find("ptsecure/2"), std::string::npos);
  EXPECT_EQ(failure_of([&] { store_->ensure_created({}); }).status, Status::unsupported);
}

TEST_F(DirectoryStoreTest, a_changed_name_claim_is_corrupt) {
  fill();
  with_each_byte_changed(place_ / "models/.names/digits", [&] {
    EXPECT_EQ(failure_of([&] { store_->newest("Digits", {}); }).status, Status::corrupt);
    EXPECT_EQ(failure_of([&] { store_->find("Digits", 1, {}); }).status, Status::corrupt);
    EXPECT_EQ(failure_of([&] { store_->models("", 10, {}); }).status, Status::corrupt);
    EXPECT_EQ(failure_of([&] { store_->reserve("Digits", {}); }).status, Status::corrupt);
    EXPECT_EQ(failure_of([&] { store_->check("Digits", {}); }).status, Status::corrupt);
  });
  EXPECT_TRUE(store_->newest("Digits", {}));
  fs::remove(place_ / "models/.names/digits");
  EXPECT_EQ(failure_of([&] { store_->newest("Digits", {}); }).status, Status::corrupt);
}

TEST_F(DirectoryStoreTest, changed_claims_of_chains_are_corrupt) {
  fill();
  with_each_byte_changed(place_ / "records/alias/Digits/.names/live", [&] {
    const ChainId chain = {"alias", "Digits", "Live"};
    EXPECT_EQ(failure_of([&] { store_->last_record(chain, ReadConcern::majority, {}); }).status,
              Status::corrupt);
    EXPECT_EQ(failure_of([&] { store_->chains({"alias", "Digits"}, {}); }).status, Status::corrupt);
    EXPECT_EQ(failure_of([&] { store_->check("Digits", {}); }).status, Status::corrupt);
  });
  for (const char* claim : {"records/.names/alias", "records/.names/log", "records/.names/key",
                            "records/alias/.names/digits"}) {
    with_each_byte_changed(place_ / claim, [&] {
      EXPECT_EQ(failure_of([&] { store_->check("Digits", {}); }).status, Status::corrupt);
    });
  }
  store_->check("Digits", {});
}

TEST_F(DirectoryStoreTest, a_changed_mark_of_a_dead_version_is_corrupt) {
  fill();
  with_each_byte_changed(place_ / "models/Digits/2/manifest.jws", [&] {
    const Failure failure = failure_of([&] {
      const auto row = store_->find("Digits", 2, {});
      // Of another length it may pass for a manifest, whose signature then fails.
      ASSERT_TRUE(row);
      EXPECT_NE(row->manifest.size(), 5u);
    });
    EXPECT_TRUE(failure.status == Status::corrupt || failure.status == Status::ok);
  });
  EXPECT_EQ(store_->newest("Digits", {})->version, 1u);
}

TEST_F(DirectoryStoreTest, versions_removed_by_hand_are_not_given_again) {
  // Needs a file system that counts the links of folders, as ext4, xfs and tmpfs do.
  const TempFolder counted;
  const auto store = open_directory_store((counted.path() / "store").string(), {});
  ASSERT_TRUE(directory::Folder::open(counted.path().string())->subfolder_count());
  store->ensure_created({});
  for (int i = 0; i < 11; ++i) store->commit(store->reserve("digits", {}), "manifest", {});
  for (const char* gone : {"1", "2", "8"}) {
    fs::remove_all(counted.path() / "store/models/digits" / gone);
  }
  EXPECT_EQ(store->newest("digits", {})->version, 11u);
  EXPECT_EQ(store->reserve("digits", {}).version, 12u);
  EXPECT_EQ(store->versions("digits", 0, 100, {}).size(), 8u);
  EXPECT_FALSE(store->find("digits", 8, {}));
}

TEST_F(DirectoryStoreTest, strangers_beside_the_models_are_left_alone) {
  fill();
  spill(place_ / "models/README", "not ours");
  spill(place_ / "models/.DS_Store", "not ours");
  fs::create_directories(place_ / "models/.hidden");
  fs::create_directories(place_ / "models/Digits/not-a-version");
  EXPECT_EQ(store_->models("", 10, {}).size(), 1u);
  EXPECT_EQ(store_->newest("Digits", {})->version, 1u);
  EXPECT_EQ(store_->reserve("Digits", {}).version, 3u);
}

TEST_F(DirectoryStoreTest, huge_texts_are_refused_both_ways) {
  publish("digits", "the manifest");
  const Reservation reservation = store_->reserve("digits", {});
  EXPECT_EQ(failure_of([&] {
              store_->commit(reservation, std::string(kMaxStoredText + 1, 'x'), {});
            }).status,
            Status::limit_exceeded);
  fs::resize_file(place_ / "models/digits/1/manifest.jws", std::uintmax_t{1} << 40);
  EXPECT_EQ(failure_of([&] { store_->find("digits", 1, {}); }).status, Status::corrupt);
}

// --- links and special files ---

class PlantedLink : public DirectoryStoreTest, public testing::WithParamInterface<const char*> {};

// Whatever part of the store is replaced by a link to a place outside, nothing is read from there,
// written there or removed there.
TEST_P(PlantedLink, is_not_followed) {
  fill();
  const fs::path part = place_ / GetParam();
  const fs::path outside = folder_.path() / "outside";
  ASSERT_TRUE(fs::exists(part));
  fs::rename(part, outside);
  if (fs::is_directory(outside)) {
    fs::create_directory_symlink(outside, part);
  } else {
    fs::create_symlink(outside, part);
  }
  const auto snapshot = [&] {
    std::map<std::string, std::string> out;
    if (!fs::is_directory(outside)) return std::map<std::string, std::string>{{"", slurp(outside)}};
    for (const auto& entry : fs::recursive_directory_iterator(outside)) {
      out[entry.path().string()] = entry.is_regular_file() ? slurp(entry.path()) : "folder";
    }
    return out;
  };
  const auto before = snapshot();
  const auto handle = open_directory_store(place_.string(), {});
  const std::vector<std::function<void()>> calls = {
      [&] { handle->ensure_created({}); },
      [&] { handle->newest("Digits", {}); },
      [&] { handle->find("Digits", 1, {}); },
      [&] { handle->versions("Digits", 0, 9, {}); },
      [&] { handle->models("", 9, {}); },
      [&] { handle->read_blob({"Digits", 1, "model"}, {}); },
      [&] { handle->get_wraps("K1", 1, {}); },
      [&] { handle->last_record({"alias", "Digits", "Live"}, ReadConcern::majority, {}); },
      [&] { handle->records({"key", "K1"}, 1, 9, ReadConcern::majority, {}); },
      [&] { handle->last_record({"log"}, ReadConcern::majority, {}); },
      [&] { handle->check("Digits", {}); },
      [&] {
        const Reservation reservation = handle->reserve("Digits", {});
        handle->write_blob(reservation, "model", 0, {})->finish();
        handle->commit(reservation, "another manifest", {});
      },
      [&] { handle->abandon({"Digits", 1, "token"}, {}); },
      [&] { handle->put_wraps("K1", 2, "{}", {}); },
      [&] { handle->remove_wraps("K1", {}); },
      [&] { handle->append_record({"alias", "Digits", "Live"}, 2, "record", {}); },
      [&] { handle->append_record({"key", "K1"}, 2, "record", {}); },
      [&] { handle->append_record({"log"}, 2, "record", {}); },
  };
  int refused = 0;
  for (const auto& call : calls) {
    const Status status = failure_of(call).status;
    EXPECT_TRUE(status == Status::ok || status == Status::corrupt || status == Status::conflict ||
                status == Status::invalid_argument)
        << status_name(status);
    if (status == Status::corrupt || status == Status::invalid_argument) ++refused;
  }
  EXPECT_GE(refused, 1);
  EXPECT_EQ(snapshot(), before);
}

INSTANTIATE_TEST_SUITE_P(Everywhere, PlantedLink,
                         testing::Values("ptsecure-store.json", "models", "models/.names",
                                         "models/.names/digits", "models/Digits", "models/Digits/1",
                                         "models/Digits/1/manifest.jws", "models/Digits/1/model",
                                         "wraps", "wraps/K1", "wraps/K1/1.json", "records",
                                         "records/.names", "records/.names/log", "records/key",
                                         "records/key/K1", "records/alias/Digits/Live",
                                         "records/alias/Digits/Live/1.jws", "records/log",
                                         "records/log/1.jws"));

TEST_F(DirectoryStoreTest, a_symbolic_link_to_the_store_itself_is_the_users_choice) {
  fill();
  fs::create_directory_symlink(place_, folder_.path() / "link");
  EXPECT_TRUE(open_directory_store((folder_.path() / "link").string(), {})->newest("Digits", {}));
}

TEST_F(DirectoryStoreTest, special_files_neither_hang_nor_pass) {
  fill();
  for (const char* file : {"models/Digits/1/manifest.jws", "models/Digits/1/model"}) {
    fs::remove(place_ / file);
    ASSERT_EQ(mkfifo((place_ / file).c_str(), 0600), 0);
  }
  EXPECT_EQ(failure_of([&] { store_->find("Digits", 1, {}); }).status, Status::corrupt);
  EXPECT_EQ(failure_of([&] { store_->read_blob({"Digits", 1, "model"}, {}); }).status,
            Status::corrupt);
}

// --- cost ---

TEST(HighestNumber, is_found_with_few_looks) {
  for (std::uint64_t n = 0; n <= 3000; ++n) {
    ASSERT_EQ(directory::highest_number([&](std::uint64_t i) { return i <= n; }), n);
  }
  int looks = 0;
  const auto counted = [&](std::uint64_t i) {
    ++looks;
    return i <= 10000;
  };
  EXPECT_EQ(directory::highest_number(counted), 10000u);
  EXPECT_LE(looks, 29);
}

TEST_F(DirectoryStoreTest, long_histories_cost_no_more_system_calls) {
  fill();
  publish("short", "the manifest");
  publish("long", "the manifest");
  store_->append_record({"alias", "long", "a"}, 1, "record", {});
  store_->append_record({"alias", "short", "a"}, 1, "record", {});
  for (int i = 2; i <= 10000; ++i) {
    const std::string number = std::to_string(i);
    fs::create_directory(place_ / "models/long" / number);
    if (i > 9990) spill(place_ / "models/long" / number / "manifest.jws", "the manifest");
    spill(place_ / "records/alias/long/a" / (number + ".jws"), "record " + number);
  }
  const auto cost = [&](const std::function<void(const std::string&)>& call) {
    std::vector<std::uint64_t> calls;
    for (const char* name : {"short", "long"}) {
      const IoFaults counter;
      call(name);
      calls.push_back(counter.calls());
    }
    EXPECT_LE(calls[1], calls[0] + 35) << calls[0];
  };
  EXPECT_EQ(store_->newest("long", {})->version, 10000u);
  EXPECT_EQ(store_->last_record({"alias", "long", "a"}, ReadConcern::majority, {})->record,
            "record 10000");
  cost([&](const std::string& name) { store_->newest(name, {}); });
  cost([&](const std::string& name) { store_->find(name, 1, {}); });
  cost([&](const std::string& name) { store_->reserve(name, {}); });
  cost([&](const std::string& name) {
    store_->last_record({"alias", name, "a"}, ReadConcern::linearizable, {});
  });
  cost([&](const std::string& name) { store_->versions(name, 0, 3, {}); });
  EXPECT_EQ(store_->reserve("long", {}).version, 10002u);
}

TEST_F(DirectoryStoreTest, it_says_that_it_cant_tell_of_changes) {
  const auto failure = failure_of([&] { store_->watch({"apikey"}, [] {}, {}); });
  EXPECT_EQ(failure.status, Status::unsupported) << failure.message;
}

TEST_F(DirectoryStoreTest, offsets_have_64_bits) {
  publish("digits", "the manifest");
  const fs::path blob = place_ / "models/digits/1/model";
  const std::uint64_t size = (std::uint64_t{6} << 30) + 3;
  fs::resize_file(blob, size);
  std::fstream(blob, std::ios::in | std::ios::out | std::ios::binary).seekp(6ll << 30) << "end";
  const auto reader = store_->read_blob({"digits", 1, "model"}, {});
  EXPECT_EQ(reader->size(), size);
  std::string seen;
  reader->read(6143, 6145,
               [&](std::uint64_t index, ByteView segment) {
                 if (index == 6144) seen = as_text(segment);
               },
               {});
  EXPECT_EQ(seen, "end");
}

}  // namespace
}  // namespace ptsecure::test
