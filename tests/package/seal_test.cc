#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>

#include "memory_blob.hpp"

namespace ptsecure {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFirst = kSegmentSize - kTagSize - kHeaderSize;
constexpr std::size_t kNext = kSegmentSize - kTagSize;

class ModelFile {
 public:
  explicit ModelFile(const Bytes& bytes)
      : path_(fs::temp_directory_path() / ("ptsecure-seal-" + random_id())) {
    write(path_, bytes);
  }
  ~ModelFile() { fs::remove(path_); }
  std::string path() const { return path_.string(); }

  static void write(const fs::path& path, const Bytes& bytes) {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  // Writes one byte in place.
  void touch() const {
    const int fd = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    EXPECT_EQ(::pwrite(fd, "x", 1, 5), 1);
    ::close(fd);
  }

 private:
  fs::path path_;
};

Bytes seal(PlainInput& input, MemoryWriter& writer, ThreadPool& pool, const Progress& progress = {},
           const CancelToken& cancel = {}) {
  const SecretBytes dek = SecretBytes::random(kDekSize);
  return seal_payload(input, dek.view(), associated_data("digits", 7), writer, pool, progress,
                      cancel);
}

TEST(Seal, SizesAndDigestsAreThoseOfTheStoredSegments) {
  ThreadPool pool(3);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kFirst, kFirst + 1, kFirst + kNext,
                                 kFirst + kNext + 1, kFirst + 4 * kNext - 1}) {
    Sealed sealed = seal_bytes(noise(size), pool);
    EXPECT_EQ(sealed.stored.size(), stored_size(size));
    const Bytes digests = sealed.digests;
    EXPECT_EQ(digests.size(), 32 * segment_count(size));
    sealed.sign_again();
    EXPECT_EQ(digests, sealed.digests) << size;
  }
}

TEST(Seal, StoredBytesHoldNoPlaintext) {
  ThreadPool pool(2);
  const Bytes plain(3 * kNext, 'A');
  const Sealed sealed = seal_bytes(plain, pool);
  const Bytes run(8, 'A');
  EXPECT_EQ(std::search(sealed.stored.begin(), sealed.stored.end(), run.begin(), run.end()),
            sealed.stored.end());
}

TEST(Seal, SaltAndPrefixAreFreshEvenUnderOneKey) {
  ThreadPool pool(2);
  const Bytes plain = noise(100);
  const Sealed a = seal_bytes(plain, pool);
  const Sealed b = seal_bytes(plain, pool, a.dek.clone());
  EXPECT_FALSE(std::equal(a.stored.begin() + 1, a.stored.begin() + 33, b.stored.begin() + 1));
  EXPECT_FALSE(std::equal(a.stored.begin() + 33, a.stored.begin() + 40, b.stored.begin() + 33));
}

TEST(Seal, RefusesAllZeroAndShortKeys) {
  ThreadPool pool(1);
  const auto input = memory_input({});
  MemoryWriter writer;
  for (const Bytes& dek : {Bytes(32, 0), Bytes(31, 1), Bytes(33, 1), Bytes()}) {
    expect_error(Status::invalid_argument, "32 random bytes",
                 [&] { seal_payload(*input, dek, "a", writer, pool, {}, {}); });
  }
  EXPECT_FALSE(writer.finished);
}

TEST(Seal, CallbackIsCalledInOrderByOneThreadAtATime) {
  ThreadPool pool(4);
  const Bytes plain = noise(9 * kNext);
  std::atomic<int> inside{0};
  std::uint64_t expected = 0;
  const auto input = callback_input(plain.size(), [&](std::uint64_t pos, void* dst, std::size_t n) {
    EXPECT_EQ(inside.fetch_add(1), 0);
    EXPECT_EQ(pos, expected);
    expected += n;
    std::copy_n(plain.begin() + static_cast<std::ptrdiff_t>(pos), n,
                static_cast<std::uint8_t*>(dst));
    inside.fetch_sub(1);
  });
  MemoryWriter writer;
  const SecretBytes dek = SecretBytes::random(kDekSize);
  Sealed sealed;
  sealed.digests =
      seal_payload(*input, dek.view(), associated_data("digits", 7), writer, pool, {}, {});
  EXPECT_EQ(expected, plain.size());
  sealed.stored = writer.bytes();
  sealed.entry = entry_for(dek, plain.size(), sealed.digests);
  sealed.dek = dek.clone();
  Bytes read(plain.size());
  open_sealed(sealed, pool).source->read(0, read.data(), read.size());
  EXPECT_EQ(read, plain);
}

TEST(Seal, FailingCallbackLeavesNothingVisible) {
  ThreadPool pool(3);
  const auto input = callback_input(5 * kNext, [](std::uint64_t pos, void*, std::size_t) {
    if (pos > 2 * kNext) throw Error(Status::io, "the callback returned too few bytes");
  });
  MemoryWriter writer;
  expect_error(Status::io, "too few bytes", [&] { seal(*input, writer, pool); });
  EXPECT_FALSE(writer.finished);
}

TEST(Seal, FailingWriterEndsTheSeal) {
  ThreadPool pool(3);
  const Bytes plain = noise(5 * kNext);
  const auto input = memory_input(plain);
  MemoryWriter writer;
  writer.before_write = [](std::uint64_t index) {
    if (index == 2) throw Error(Status::io, "no space left");
  };
  expect_error(Status::io, "no space left", [&] { seal(*input, writer, pool); });
  EXPECT_FALSE(writer.finished);

  MemoryWriter unfinished;
  unfinished.before_finish = [] { throw Error(Status::unavailable, "gone"); };
  expect_error(Status::unavailable, "gone", [&] { seal(*input, unfinished, pool); });
}

TEST(Seal, FileIsReadWhole) {
  ThreadPool pool(2);
  const Bytes plain = noise(2 * kNext + 77);
  const ModelFile file(plain);
  const auto input = file_input(file.path());
  EXPECT_EQ(input->size(), plain.size());
  MemoryWriter writer;
  seal(*input, writer, pool);
  EXPECT_TRUE(writer.finished);
  Bytes read(plain.size());
  input->read(0, read.data(), read.size());
  EXPECT_EQ(read, plain);
}

TEST(Seal, FileThatChangesIsAConflictAndNothingIsVisible) {
  using Change = std::function<void(const ModelFile&)>;
  const std::vector<Change> changes = {
      [](const ModelFile& file) { file.touch(); },
      [](const ModelFile& file) { std::ofstream(file.path(), std::ios::app) << "more"; },
      [](const ModelFile& file) { EXPECT_EQ(::truncate(file.path().c_str(), 1000), 0); },
      [](const ModelFile& file) { fs::remove(file.path()); },
      [](const ModelFile& file) {
        ModelFile::write(file.path() + ".other", noise(3 * kNext, 2));
        fs::rename(file.path() + ".other", file.path());
      },
  };
  ThreadPool pool(2);
  for (const Change& change : changes) {
    const ModelFile file(noise(3 * kNext));
    const auto input = file_input(file.path());
    MemoryWriter writer;
    writer.before_write = [&, done = std::make_shared<std::once_flag>()](std::uint64_t) {
      std::call_once(*done, change, file);
    };
    expect_error(Status::conflict, "changed while it was being published",
                 [&] { seal(*input, writer, pool); });
    EXPECT_FALSE(writer.finished);
  }
}

TEST(Seal, OnlyRegularFilesAreModels) {
  expect_error(Status::not_found, "/nowhere/model.pt", [] { file_input("/nowhere/model.pt"); });
  expect_error(Status::invalid_argument, "regular file", [] { file_input("/tmp"); });
  const std::string fifo = (fs::temp_directory_path() / ("ptsecure-fifo-" + random_id())).string();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  expect_error(Status::invalid_argument, "regular file", [&] { file_input(fifo); });
  fs::remove(fifo);
}

TEST(Seal, CancelEndsItBeforeItIsVisible) {
  ThreadPool pool(2);
  const Bytes plain = noise(6 * kNext);
  const auto input = memory_input(plain);
  const CancelToken cancel = CancelToken::make();
  MemoryWriter writer;
  writer.before_write = [&](std::uint64_t index) {
    if (index == 1) cancel.cancel();
  };
  expect_error(Status::cancelled, "cancelled", [&] { seal(*input, writer, pool, {}, cancel); });
  EXPECT_FALSE(writer.finished);
}

TEST(Seal, ProgressRisesToTheTotal) {
  ThreadPool pool(3);
  const Bytes plain = noise(6 * kNext);
  const auto input = memory_input(plain);
  MemoryWriter writer;
  std::vector<std::uint64_t> reports;
  seal(*input, writer, pool, [&](std::uint64_t done, std::uint64_t total) {
    EXPECT_EQ(total, plain.size());
    reports.push_back(done);
  });
  EXPECT_TRUE(std::is_sorted(reports.begin(), reports.end()));
  ASSERT_FALSE(reports.empty());
  EXPECT_EQ(reports.back(), plain.size());
}

TEST(Seal, ExceptionFromProgressEndsIt) {
  ThreadPool pool(1);
  const Bytes plain = noise(6 * kNext);
  const auto input = memory_input(plain);
  MemoryWriter writer;
  int calls = 0;
  expect_error(Status::cancelled, "enough", [&] {
    seal(*input, writer, pool, [&](std::uint64_t, std::uint64_t) {
      ++calls;
      throw Error(Status::cancelled, "enough");
    });
  });
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(writer.finished);
}

TEST(PlainSource, ReadsAndFillsWhatIsDeferred) {
  ThreadPool pool(3);
  const Bytes plain = noise(11 * kNext);
  const auto memory = memory_input(plain);
  const auto callback = callback_input(
      plain.size(),
      [&](std::uint64_t pos, void* dst, std::size_t n) { memory->read(pos, dst, n); });
  for (PlainInput* input : {memory.get(), callback.get()}) {
    const auto source = plain_source(*input, pool);
    ASSERT_EQ(source->size(), plain.size());
    Bytes whole(plain.size()), part(1000), twice(1000), dropped(10);
    source->defer(0, dropped.data(), dropped.size());
    source->discard_deferred();
    source->defer(0, whole.data(), whole.size());
    source->defer(5, twice.data(), twice.size());
    source->read(5, part.data(), part.size());
    source->finish();
    EXPECT_EQ(whole, plain);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), plain.begin() + 5));
    EXPECT_EQ(part, twice);
    EXPECT_EQ(dropped, Bytes(10));
    EXPECT_ANY_THROW(source->read(plain.size() - 5, part.data(), 6));
    EXPECT_ANY_THROW(source->defer(UINT64_MAX, part.data(), 6));
  }
}

}  // namespace
}  // namespace ptsecure
