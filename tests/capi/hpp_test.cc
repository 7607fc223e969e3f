// ptsecure.hpp: ownership, exceptions and callbacks. What the calls do is tested in C.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>

#include "ptsecure/ptsecure.hpp"

namespace {

namespace fs = std::filesystem;

class HppTest : public testing::Test {
 protected:
  HppTest() {
    std::string name = (fs::temp_directory_path() / "ptsecure-hpp-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    folder_ = name;
  }
  ~HppTest() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  static pts::PublishOptions opaque() {
    pts::PublishOptions options;
    options.format = "opaque";
    return options;
  }

  pts::Source whole() const { return pts::Source::bytes(data_.data(), data_.size()); }

  std::string data_ = std::string(3'000'000, 'm');
  fs::path folder_;
  pts::Keyring keys_ = pts::Keyring::generate();
};

template <typename T>
constexpr bool kMoveOnly = std::is_nothrow_move_constructible_v<T> &&
                           std::is_nothrow_move_assignable_v<T> && !std::is_copy_constructible_v<T>;
static_assert(kMoveOnly<pts::Bytes> && kMoveOnly<pts::Cancel> && kMoveOnly<pts::Keyring>);
static_assert(kMoveOnly<pts::Store> && kMoveOnly<pts::Package> && kMoveOnly<pts::Model>);
static_assert(kMoveOnly<pts::Value> && kMoveOnly<pts::Source>);
static_assert(std::is_trivially_copyable_v<pts::ValueView>);
static_assert(pts::dtype_of<const float>() == PTS_DTYPE_FLOAT32);
static_assert(pts::dtype_of<bool>() == PTS_DTYPE_BOOL);
static_assert(pts::dtype_of<std::int64_t>() == PTS_DTYPE_INT64);
static_assert(pts::dtype_of<long long>() == PTS_DTYPE_INT64);
static_assert(pts::dtype_of<std::uint16_t>() == PTS_DTYPE_UINT16);
static_assert(pts::dtype_of<std::complex<double>>() == PTS_DTYPE_COMPLEX128);

TEST_F(HppTest, PublishesAndOpens) {
  const pts::Store store = pts::Store::open(path("store"));
  pts::PublishOptions options = opaque();
  options.alias = "production";
  options.labels = {{"run", "42"}};
  std::uint64_t done = 0;
  pts::Call call;
  call.progress = [&](std::uint64_t now, std::uint64_t) { done = now; };
  EXPECT_EQ(store.publish("m", whole(), keys_, options, call), 1u);
  EXPECT_EQ(done, data_.size());
  EXPECT_NE(store.list().find("\"m\""), std::string::npos);
  EXPECT_NE(store.list_versions("m").find("42"), std::string::npos);
  EXPECT_NE(store.show("m", keys_).find("production"), std::string::npos);
  EXPECT_NE(store.list_aliases("m", keys_).find("production"), std::string::npos);
  EXPECT_NE(store.describe().find("store"), std::string::npos);
  EXPECT_EQ(store.uri(), path("store"));

  const pts::Package package = store.fetch("m@production", keys_);
  EXPECT_EQ(package.name(), "m");
  EXPECT_EQ(package.version(), 1u);
  EXPECT_EQ(package.size(), data_.size());
  EXPECT_NE(package.manifest().find("42"), std::string::npos);
  EXPECT_EQ(package.decrypt().view(), data_);
  std::string streamed;
  package.stream([&](const void* bytes, std::size_t size) {
    streamed.append(static_cast<const char*>(bytes), size);
  });
  EXPECT_EQ(streamed, data_);
  package.export_to(path("parts"));
  EXPECT_TRUE(fs::exists(folder_ / "parts" / "payload.bin"));

  const pts::Store target = pts::Store::open(path("target"));
  EXPECT_EQ(store.copy("m", keys_, target, keys_), 1u);
  int checks = 0;
  target.verify("m", keys_, [&](const char*, pts_status status, const char*) {
    EXPECT_EQ(status, PTS_OK);
    ++checks;
  });
  EXPECT_GT(checks, 3);
  store.set_alias("m", "canary", 1, keys_, "try it");
  store.set_key_status("m", "disabled", keys_, "leaked");
  EXPECT_THROW(store.fetch("m", keys_), pts::Revoked);
}

TEST_F(HppTest, ReadsFromACallback) {
  const pts::Store store = pts::Store::open(path("store"));
  const auto read = [&](std::uint64_t position, void* to, std::size_t size) {
    std::memcpy(to, data_.data() + position, size);
  };
  store.publish("m", pts::Source::callback(data_.size(), read), keys_, opaque());
  EXPECT_EQ(store.fetch("m", keys_).decrypt().view(), data_);
}

TEST_F(HppTest, SourcesOfEveryKind) {
  const pts::Store store = pts::Store::open(path("store"));
  std::ofstream(path("model.bin")) << data_;
  store.publish("m", pts::Source::file(path("model.bin")), keys_, opaque());
  EXPECT_EQ(store.fetch("m", keys_).decrypt().view(), data_);
  EXPECT_THROW(pts::Source::file(path("none")), pts::NotFound);
  EXPECT_THROW(pts::Source::gridfs({"mongodb://127.0.0.1:1/models", "fs", "", ""}), pts::Error);

  pts::Source source;
  source.add_bytes("a", "abc", 3);
  EXPECT_THROW(source.add_bytes("a", "abc", 3), pts::AlreadyExists);
  EXPECT_EQ(store.publish("m", source, keys_, opaque()), 2u);
  pts::Source moved = std::move(source);
  moved.add_file("b", path("model.bin"));
  EXPECT_THROW(store.publish("m", moved, keys_, opaque()), pts::Error);

  // The callback lives as long as the source, and not longer.
  const auto alive = std::make_shared<int>(0);
  {
    const pts::Source lent = pts::Source::callback(
        3, [alive](std::uint64_t, void* to, std::size_t size) { std::memset(to, 'x', size); });
    EXPECT_EQ(alive.use_count(), 2);
    store.publish("m", lent, keys_, opaque());
  }
  EXPECT_EQ(alive.use_count(), 1);
  EXPECT_EQ(store.fetch("m", keys_).decrypt().view(), "xxx");
}

TEST_F(HppTest, ReadsOfSeveralThreadsThrowOnce) {
  pts::StoreOptions threads;
  threads.threads = 4;
  const pts::Store store = pts::Store::open(path("store"), threads);
  bool broken = true;
  const pts::Source source = pts::Source::callback(
      data_.size(),
      [&](std::uint64_t position, void* to, std::size_t size) {
        if (broken) throw std::out_of_range("of the disk");
        std::memcpy(to, data_.data() + position, size);
      },
      true);
  EXPECT_THROW(store.publish("m", source, keys_, opaque()), std::out_of_range);
  broken = false;
  store.publish("m", source, keys_, opaque());
  EXPECT_EQ(store.fetch("m", keys_).decrypt().view(), data_);
}

TEST_F(HppTest, CallsHaveTheirTime) {
  using namespace std::chrono_literals;
  const pts::Store store = pts::Store::open(path("store"));
  store.publish("m", whole(), keys_, opaque());
  const auto slow = [](const void*, std::size_t) { std::this_thread::sleep_for(20ms); };
  const pts::Package package = store.fetch("m", keys_);
  pts::Call call;
  call.timeout = 10ms;
  EXPECT_THROW(package.stream(slow, {}, call), pts::Timeout);
  call.timeout = 1ns;  // more than none: it isn't rounded to no limit
  EXPECT_THROW(package.stream(slow, {}, call), pts::Timeout);
  for (const auto negative : {std::chrono::nanoseconds(-1), std::chrono::nanoseconds(-1h)}) {
    call.timeout = negative;
    EXPECT_THROW(store.list({}, 0, call), pts::Error);
  }
  call.timeout = std::chrono::nanoseconds::max();
  EXPECT_NO_THROW(package.stream(slow, {}, call));
  pts::OpenOptions options;
  options.max_age = -1s;
  EXPECT_THROW(store.fetch("m", keys_, options), pts::Error);
}

TEST_F(HppTest, ApiKeysAreNamedByTheirText) {
  const pts::Store store = pts::Store::open(path("store"));
  pts::ApiKeyOptions options;
  options.owner = "somebody";
  options.models = {"*"};
  const pts::NewApiKey made = pts::ApiKeyManager(store, keys_).create(options);
  const pts::ApiKeys checker = pts::ApiKeys::open(store, keys_);
  const pts::ApiKeyResult checked = checker.check(made.key.view());
  EXPECT_TRUE(checked);
  EXPECT_EQ(pts::apikey_id(made.key.view()), checked.id);
  EXPECT_EQ(pts::apikey_id(made.key.view().substr(1)), "");
  EXPECT_EQ(pts::apikey_id({}), "");
}

TEST_F(HppTest, StatusesBecomeExceptions) {
  const pts::Store store = pts::Store::open(path("store"));
  try {
    store.fetch("m", keys_);
    FAIL();
  } catch (const pts::NotFound& error) {
    EXPECT_EQ(error.status(), PTS_NOT_FOUND);
    EXPECT_STREQ(error.status_name(), "not_found");
    EXPECT_NE(std::string(error.what()), "");
  }
  store.publish("m", pts::Source::bytes("abc", 3), keys_, opaque());
  EXPECT_THROW(store.fetch("m", pts::Keyring::generate()), pts::Untrusted);
  EXPECT_THROW(store.fetch("m", keys_.split("verifier")).decrypt(), pts::NoKey);
  EXPECT_THROW(pts::Keyring::load(path("none")), pts::NotFound);
  keys_.save(path("keys"));
  EXPECT_THROW(keys_.save(path("keys")), pts::AlreadyExists);
  fs::permissions(path("keys"), fs::perms::others_read, fs::perm_options::add);
  EXPECT_THROW(pts::Keyring::load(path("keys")), pts::PermissionDenied);
  pts::Cancel cancel;
  cancel.set();
  pts::Call cancelled;
  cancelled.cancel = &cancel;
  EXPECT_THROW(store.fetch("m", keys_, {}, cancelled), pts::Cancelled);
  EXPECT_THROW(store.publish("../m", pts::Source::bytes("abc", 3), keys_, opaque()), pts::Error);
}

TEST_F(HppTest, AliasThatCannotBeSetTellsTheVersion) {
  const pts::Store store = pts::Store::open(path("store"));
  pts::PublishOptions options = opaque();
  options.alias = "A";
  store.publish("m", pts::Source::bytes("abc", 3), keys_, options);
  options.alias = "a";
  try {
    store.publish("m", pts::Source::bytes("abc", 3), keys_, options);
    FAIL();
  } catch (const pts::AliasNotSet& error) {
    EXPECT_EQ(error.version(), 2u);
    EXPECT_EQ(error.status(), PTS_ALREADY_EXISTS);
  }
}

struct Own : std::runtime_error {
  using std::runtime_error::runtime_error;
};

TEST_F(HppTest, ExceptionsOfCallbacksComeOut) {
  const pts::Store store = pts::Store::open(path("store"));
  pts::Call call;
  call.progress = [](std::uint64_t, std::uint64_t) { throw Own("progress"); };
  EXPECT_THROW(store.publish("m", whole(), keys_, opaque(), call), Own);
  const auto read = [](std::uint64_t, void*, std::size_t) { throw Own("read"); };
  EXPECT_THROW(store.publish("m", pts::Source::callback(5, read), keys_, opaque()), Own);
  EXPECT_THROW(store.fetch("m", keys_), pts::NotFound);

  store.publish("m", whole(), keys_, opaque());
  const pts::Package package = store.fetch("m", keys_);
  EXPECT_THROW(package.stream([](const void*, std::size_t) { throw Own("sink"); }), Own);
  EXPECT_THROW(package.decrypt({}, call), Own);
  const auto check = [](const char*, pts_status, const char*) { throw Own("check"); };
  EXPECT_THROW(store.verify("m", keys_, check), Own);
}

TEST_F(HppTest, ChecksAllAndThrowsTheFirst) {
  const pts::Store store = pts::Store::open(path("store"));
  store.publish("m", pts::Source::bytes("abc", 3), keys_, opaque());
  int failed = 0;
  const auto count = [&](const char*, pts_status status, const char*) { failed += status != 0; };
  EXPECT_THROW(store.verify("m", pts::Keyring::generate(), count), pts::Untrusted);
  EXPECT_GT(failed, 0);
}

TEST_F(HppTest, KeyringsTravel) {
  const pts::Bytes json = keys_.export_keys();
  EXPECT_NE(pts::Keyring::parse(json.view()).describe(), "[]");
  keys_.save(path("locked"), "open sesame");
  EXPECT_THROW(pts::Keyring::load(path("locked")), pts::NoKey);
  pts::KeyringOptions options;
  options.passphrase = "open sesame";
  EXPECT_EQ(pts::Keyring::load(path("locked"), options).describe(), keys_.describe());
  EXPECT_EQ(keys_.public_part().describe().find("\"d\""), std::string::npos);
}

TEST(HppValue, Trees) {
  pts::Value dict = pts::Value::dict();
  pts::Value list = pts::Value::list();
  list.append(pts::Value::integer(-5));
  list.append(pts::Value::real(0.5));
  list.append(pts::Value::boolean(true));
  list.append(pts::Value::string(std::string_view("a\0b", 3)));
  list.append(pts::Value());
  dict.put("list", list);
  const pts::ValueView inner = dict["list"];
  ASSERT_EQ(inner.size(), 5u);
  EXPECT_EQ(inner[0].to_int(), -5);
  EXPECT_EQ(inner[1].to_float(), 0.5);
  EXPECT_TRUE(inner[2].to_bool());
  EXPECT_EQ(inner[3].to_string(), std::string_view("a\0b", 3));
  EXPECT_TRUE(inner[4].is_none());
  EXPECT_EQ(dict.key(0), "list");
  EXPECT_TRUE(dict.contains("list"));
  EXPECT_FALSE(dict.contains("tuple"));
  EXPECT_THROW(dict["tuple"], pts::NotFound);
  EXPECT_THROW(inner[5], pts::NotFound);
  EXPECT_THROW(dict.key(1), pts::NotFound);
  EXPECT_THROW(inner[0].to_string(), pts::Error);
  const pts::Value copy = pts::Value::copy(dict);
  dict = pts::Value::tuple();
  EXPECT_EQ(dict.kind(), PTS_TUPLE);
  EXPECT_EQ(copy["list"].size(), 5u);
}

TEST(HppValue, Tensors) {
  std::vector<float> data = {0, 1, 2, 3, 4, 5};
  const float* where = data.data();
  pts::Value owned = pts::Value::tensor_of(std::move(data), {2, 3});
  const pts::TensorView view = owned.tensor();
  EXPECT_EQ(view.data<float>(), where);  // kept, not copied
  EXPECT_EQ(view.shape(), (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(view.numel(), 6u);
  EXPECT_TRUE(view.contiguous());
  EXPECT_THROW(view.data<double>(), pts::Error);
  EXPECT_THROW(pts::Value::tensor_of(std::vector<int>{1}, {2}), pts::InvalidInput);

  pts_tensor transposed = view.raw();
  const std::int64_t shape[] = {3, 2};
  const std::int64_t strides[] = {1, 3};
  transposed.shape = shape;
  transposed.strides = strides;
  const pts::Value other = pts::Value::borrow(transposed);
  EXPECT_EQ(other.tensor().to_vector<float>(), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  EXPECT_FALSE(other.tensor().contiguous());

  const pts::Bytes npy = pts::to_npy(other);
  const pts::Value read = pts::Value::from_npy(npy.data(), npy.size());
  EXPECT_EQ(read.tensor().to_vector<float>(), (std::vector<float>{0, 3, 1, 4, 2, 5}));

  const bool flags[] = {true, false};
  const pts::Value copied = pts::Value::copy_of(flags, {2});
  EXPECT_EQ(copied.tensor().to_vector<bool>(), (std::vector<bool>{true, false}));
  const pts::Value constant = pts::Value::borrow(flags, {2});
  EXPECT_TRUE(constant.tensor().read_only());
  EXPECT_THROW(constant.tensor().data<bool>(), pts::Error);
  EXPECT_EQ(constant.tensor().data<const bool>(), flags);
}

TEST(HppValue, ReleasesOnceAndOnlyWhatItTook) {
  int released = 0;
  double number = 5;
  {
    const pts::Value value = pts::Value::borrow(&number, {}, [&] { ++released; });
    const pts::Value dlpack = pts::Value::from_dlpack(pts::to_dlpack(value));
    EXPECT_EQ(dlpack.tensor().data<double>(), &number);
    pts::Value moved = pts::Value::copy(value);
    moved = pts::Value::copy(dlpack);
    EXPECT_EQ(released, 0);
  }
  EXPECT_EQ(released, 1);
  EXPECT_THROW(pts::Value::borrow(&number, {-1}, [&] { ++released; }), pts::InvalidInput);
  EXPECT_EQ(released, 1);
}

TEST(HppLibrary, SaysWhatItIs) {
  EXPECT_EQ(pts::version(), pts_version());
  EXPECT_NE(pts::features().find("openssl"), std::string::npos);
  EXPECT_EQ(pts::cores(), pts_cores());
  EXPECT_EQ(pts::infer_alignment(), pts_infer_alignment());
}

}  // namespace
