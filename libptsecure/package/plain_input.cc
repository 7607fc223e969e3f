#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "libptsecure/base/error.hpp"
#include "libptsecure/package/payload.hpp"

namespace ptsecure {
namespace {

[[noreturn]] void throw_errno(const std::string& what, int error) {
  const Status status = error == ENOENT || error == ENOTDIR ? Status::not_found
                        : error == EACCES || error == EPERM ? Status::permission_denied
                                                            : Status::io;
  throw Error(status, what + ": " + std::generic_category().message(error));
}

void check_range(std::uint64_t size, std::uint64_t pos, std::size_t n) {
  if (n > size || pos > size - n) {
    throw Error(Status::internal, "a read past the end of the model was asked for");
  }
}

class FileInput final : public PlainInput {
 public:
  explicit FileInput(const std::string& path) : path_(path) {
    // Non-blocking, so that opening a pipe by mistake is refused below and doesn't wait.
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd_ < 0) throw_errno("the model file " + path_ + " can't be opened", errno);
    try {
      begin_ = stat_descriptor();
      if (!S_ISREG(begin_.st_mode)) {
        throw Error(Status::invalid_argument, "the model " + path_ + " must be a regular file");
      }
      wait_out_timestamp();
      begin_ = stat_descriptor();
    } catch (...) {
      ::close(fd_);
      throw;
    }
  }
  FileInput(const FileInput&) = delete;
  FileInput& operator=(const FileInput&) = delete;
  ~FileInput() override { ::close(fd_); }

  std::uint64_t size() const override { return static_cast<std::uint64_t>(begin_.st_size); }
  bool concurrent() const override { return true; }

  void read(std::uint64_t pos, void* dst, std::size_t n) override {
    check_range(size(), pos, n);
    auto* out = static_cast<std::uint8_t*>(dst);
    while (n > 0) {
      const ssize_t got = ::pread(fd_, out, n, static_cast<off_t>(pos));
      if (got == 0) throw_changed();
      if (got < 0) {
        if (errno == EINTR) continue;
        throw_errno("the model file " + path_ + " can't be read", errno);
      }
      out += got;
      pos += static_cast<std::uint64_t>(got);
      n -= static_cast<std::size_t>(got);
    }
  }

  void check_unchanged() override {
    struct stat by_path{};
    if (::stat(path_.c_str(), &by_path) != 0 || !same(by_path) || !same(stat_descriptor())) {
      throw_changed();
    }
  }

 private:
  struct stat stat_descriptor() const {
    struct stat now{};
    if (::fstat(fd_, &now) != 0) {
      throw_errno("the model file " + path_ + " can't be examined", errno);
    }
    return now;
  }

  bool same(const struct stat& now) const {
    return now.st_dev == begin_.st_dev && now.st_ino == begin_.st_ino &&
           now.st_size == begin_.st_size && now.st_mtim.tv_sec == begin_.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == begin_.st_mtim.tv_nsec;
  }

  // The kernel stamps writes with the time of its last tick: a second write within the tick of the
  // first would not show, so a file that was written just now is given a few milliseconds.
  void wait_out_timestamp() const {
    for (int i = 0; i < 10; ++i) {
      struct timespec now{};
      ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
      if (now.tv_sec != begin_.st_mtim.tv_sec || now.tv_nsec > begin_.st_mtim.tv_nsec) return;
      const struct timespec pause{0, 2'000'000};
      ::nanosleep(&pause, nullptr);
    }
  }

  [[noreturn]] void throw_changed() const {
    throw Error(Status::conflict, "the model file " + path_ +
                                      " changed while it was being published: publish it again "
                                      "when nothing writes to it");
  }

  std::string path_;
  int fd_ = -1;
  struct stat begin_{};
};

class MemoryInput final : public PlainInput {
 public:
  explicit MemoryInput(ByteView bytes) : bytes_(bytes) {}

  std::uint64_t size() const override { return bytes_.size(); }
  bool concurrent() const override { return true; }
  void read(std::uint64_t pos, void* dst, std::size_t n) override {
    check_range(size(), pos, n);
    if (n != 0) std::memcpy(dst, bytes_.data() + pos, n);
  }
  void check_unchanged() override {}

 private:
  ByteView bytes_;
};

class CallbackInput final : public PlainInput {
 public:
  CallbackInput(std::uint64_t size, std::function<void(std::uint64_t, void*, std::size_t)> read,
                bool concurrent)
      : size_(size), read_(std::move(read)), concurrent_(concurrent) {
    if (!read_) throw Error(Status::invalid_argument, "a read callback must be given");
  }

  std::uint64_t size() const override { return size_; }
  bool concurrent() const override { return concurrent_; }
  void read(std::uint64_t pos, void* dst, std::size_t n) override {
    check_range(size_, pos, n);
    if (n != 0) read_(pos, dst, n);
  }
  void check_unchanged() override {}

 private:
  std::uint64_t size_;
  std::function<void(std::uint64_t, void*, std::size_t)> read_;
  bool concurrent_;
};

// Splits what is large over the pool where the input allows it.
class PlainSource final : public ByteSource {
 public:
  PlainSource(PlainInput& input, ThreadPool& pool) : input_(input), pool_(pool) {}

  std::uint64_t size() const override { return input_.size(); }

  void read(std::uint64_t pos, void* dst, std::size_t n) override {
    check_range(size(), pos, n);
    if (!input_.concurrent()) return input_.read(pos, dst, n);
    pool_.for_each(n / kPart + (n % kPart != 0 ? 1 : 0), [&](std::uint64_t i) {
      const std::size_t offset = static_cast<std::size_t>(i) * kPart;
      input_.read(pos + offset, static_cast<std::uint8_t*>(dst) + offset,
                  std::min(kPart, n - offset));
    });
  }

  void defer(std::uint64_t pos, void* dst, std::size_t n) override {
    check_range(size(), pos, n);
    deferred_.push_back({pos, dst, n});
  }
  void discard_deferred() override { deferred_.clear(); }

  void finish() override {
    const std::vector<Destination> deferred = std::exchange(deferred_, {});
    for (const Destination& to : deferred) read(to.pos, to.dst, to.n);
  }

 private:
  struct Destination {
    std::uint64_t pos;
    void* dst;
    std::size_t n;
  };
  static constexpr std::size_t kPart = std::size_t{4} << 20;

  PlainInput& input_;
  ThreadPool& pool_;
  std::vector<Destination> deferred_;
};

}  // namespace

std::unique_ptr<PlainInput> file_input(const std::string& path) {
  return std::make_unique<FileInput>(path);
}

std::unique_ptr<PlainInput> memory_input(ByteView bytes) {
  return std::make_unique<MemoryInput>(bytes);
}

std::unique_ptr<PlainInput> callback_input(
    std::uint64_t size, std::function<void(std::uint64_t, void*, std::size_t)> read,
    bool concurrent) {
  return std::make_unique<CallbackInput>(size, std::move(read), concurrent);
}

std::unique_ptr<ByteSource> plain_source(PlainInput& input, ThreadPool& pool) {
  return std::make_unique<PlainSource>(input, pool);
}

}  // namespace ptsecure
