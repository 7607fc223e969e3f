#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <vector>

#include "libptsecure/base/error.hpp"
#include "libptsecure/store/directory/directory.hpp"

// Blobs: one file each, its bytes as they are.
namespace ptsecure::directory {
namespace {

class Writer final : public BlobWriter {
 public:
  Writer(Folder version, const std::string& role, std::uint64_t size, CancelToken cancel)
      : version_(std::move(version)),
        role_(role),
        path_(version_.path_of(role)),
        size_(size),
        cancel_(std::move(cancel)),
        file_(version_),
        groups_((stored_segments(size) + kGroup - 1) / kGroup) {
    reserve_space();
  }

  void write(std::uint64_t index, ByteView segment) override {
    cancel_.check();
    if (index >= stored_segments(size_) || segment.size() != stored_segment_size(size_, index)) {
      throw Error(Status::invalid_argument,
                  "segment " + std::to_string(index) + " of " + std::to_string(segment.size()) +
                      " bytes does not belong to a blob of " + std::to_string(size_) + " bytes");
    }
    const std::uint64_t group = index / kGroup;
    const std::uint32_t begun = std::uint32_t{1} << (index % kGroup);
    const std::uint32_t done = begun << kGroup;
    if ((groups_[group].fetch_or(begun) & begun) != 0) {
      throw Error(Status::invalid_argument,
                  "segment " + std::to_string(index) + " was written twice");
    }
    write_at(file_.fd(), segment, index * kSegmentSize, path_);
    if ((groups_[group].fetch_or(done) | done) == full_group(group)) start_writeback(group);
  }

  void finish() override {
    cancel_.check();
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      if (groups_[i].load() != full_group(i)) {
        throw Error(Status::invalid_argument,
                    "'" + path_ + "' was finished before all its segments were written");
      }
    }
    sync_file(file_.fd(), path_);
    check_open();
    if (!file_.appear_as(role_)) {
      throw Error(Status::conflict, "'" + path_ + "' was written already");
    }
    version_.sync();
    // Given up between the check and the link: nobody will clean up after us.
    if (outcome_of(version_, nullptr) == Outcome::dead) {
      version_.remove_file(role_);
      check_open();
    }
  }

 private:
  // Segments whose writing to disk is started together, once all of them have come.
  static constexpr std::uint64_t kGroup = 16;

  // A full disk is reported now, not after minutes of sealing.
  void reserve_space() {
    if (size_ == 0) return;
    int error = 0;
    do {
      error = fallocate64(file_.fd(), 0, 0, static_cast<off64_t>(size_)) == 0 ? 0 : errno;
    } while (error == EINTR);
    if (error != 0 && error != EOPNOTSUPP && error != ENOSYS) {
      throw_errno(error, "reserving " + std::to_string(size_) + " bytes for", path_);
    }
  }

  void check_open() const {
    if (outcome_of(version_, nullptr) == Outcome::open) return;
    throw Error(Status::conflict, "'" + version_.path() + "' was given up or committed while '" +
                                      role_ +
                                      "' was written; publish again, under the next number");
  }

  std::uint32_t full_group(std::uint64_t group) const {
    const std::uint64_t segments = std::min(kGroup, stored_segments(size_) - group * kGroup);
    const std::uint32_t begun = (std::uint32_t{1} << segments) - 1;
    return begun | (begun << kGroup);
  }

  // So that the disk works while the next segments are sealed, and fsync finds little left to do.
  void start_writeback(std::uint64_t group) const {
    sync_file_range(file_.fd(), static_cast<off64_t>(group * kGroup * kSegmentSize),
                    static_cast<off64_t>(kGroup * kSegmentSize), SYNC_FILE_RANGE_WRITE);
  }

  const Folder version_;
  const std::string role_;
  const std::string path_;
  const std::uint64_t size_;
  const CancelToken cancel_;
  NewFile file_;
  // Per group one bit for each segment begun, and above those one for each segment done.
  std::vector<std::atomic<std::uint32_t>> groups_;
};

// A segment's buffer, kept by each thread for its next read. Taken out while in use, as the sink
// may read another blob on the same thread.
class SegmentBuffer {
 public:
  SegmentBuffer() : bytes_(std::move(spare_)) {
    if (!bytes_) bytes_ = std::make_unique_for_overwrite<std::uint8_t[]>(kSegmentSize);
  }
  ~SegmentBuffer() { spare_ = std::move(bytes_); }
  SegmentBuffer(const SegmentBuffer&) = delete;
  SegmentBuffer& operator=(const SegmentBuffer&) = delete;

  ByteSpan first(std::size_t n) { return {bytes_.get(), n}; }

 private:
  static thread_local std::unique_ptr<std::uint8_t[]> spare_;
  std::unique_ptr<std::uint8_t[]> bytes_;
};
thread_local std::unique_ptr<std::uint8_t[]> SegmentBuffer::spare_;

class Reader final : public BlobReader {
 public:
  Reader(Fd fd, std::uint64_t size, std::string path)
      : fd_(std::move(fd)), size_(size), path_(std::move(path)) {
    posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  }

  std::uint64_t size() const override { return size_; }

  void read(std::uint64_t first, std::uint64_t last, const Sink& sink,
            const CancelToken& cancel) override {
    if (first > last || last > stored_segments(size_)) {
      throw Error(Status::invalid_argument, "'" + path_ + "' has no segments " +
                                                std::to_string(first) + " to " +
                                                std::to_string(last));
    }
    SegmentBuffer buffer;
    for (std::uint64_t index = first; index < last; ++index) {
      cancel.check();
      const ByteSpan segment = buffer.first(stored_segment_size(size_, index));
      if (read_at(fd_.get(), segment, index * kSegmentSize, path_) != segment.size())
        throw_changed();
      sink(index, segment);
    }
    struct stat status = {};
    if (fstat(fd_.get(), &status) != 0) throw_errno(errno, "looking at", path_);
    if (static_cast<std::uint64_t>(status.st_size) != size_) throw_changed();
    cancel.check();
  }

  std::uint64_t preferred_run() const override { return 4; }

 private:
  [[noreturn]] void throw_changed() const {
    throw Error(Status::corrupt, "'" + path_ + "' had " + std::to_string(size_) +
                                     " bytes when it was opened and has another size now; somebody "
                                     "changed the store");
  }

  const Fd fd_;
  const std::uint64_t size_;
  const std::string path_;
};

}  // namespace

std::unique_ptr<BlobWriter> make_blob_writer(Folder version, const std::string& role,
                                             std::uint64_t size, const CancelToken& cancel) {
  return std::make_unique<Writer>(std::move(version), role, size, cancel);
}

std::unique_ptr<BlobReader> make_blob_reader(const Folder& version, const std::string& role) {
  struct stat status = {};
  std::optional<Fd> fd = version.open_file(role, status);
  if (!fd) return nullptr;
  return std::make_unique<Reader>(std::move(*fd), static_cast<std::uint64_t>(status.st_size),
                                  version.path_of(role));
}

}  // namespace ptsecure::directory
