#include <algorithm>
#include <mutex>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/segment_aead.hpp"
#include "libptsecure/crypto/segment_digest.hpp"
#include "libptsecure/package/payload.hpp"
#include "libptsecure/package/plain_buffer.hpp"
#include "libptsecure/package/progress_meter.hpp"

namespace ptsecure {
namespace {

// Reads the segments of an input for several threads. An input that allows one reader only is read
// in ascending order, by whichever thread comes next.
class SegmentSource {
 public:
  explicit SegmentSource(PlainInput& input) : input_(input), size_(input.size()) {}

  std::uint64_t size() const noexcept { return size_; }

  // Reads segment `index`, or the next one, into `buffer` and says which it was.
  SegmentExtent read(std::uint64_t& index, PlainBuffer& buffer) {
    if (input_.concurrent()) return fill(index, buffer);
    const std::lock_guard lock(mutex_);
    index = next_++;
    return fill(index, buffer);
  }

 private:
  SegmentExtent fill(std::uint64_t index, PlainBuffer& buffer) {
    const SegmentExtent extent = segment_extent(index, size_);
    if (extent.plain_size != 0) input_.read(extent.plain_offset, buffer.data(), extent.plain_size);
    return extent;
  }

  PlainInput& input_;
  std::uint64_t size_;
  std::mutex mutex_;
  std::uint64_t next_ = 0;
};

}  // namespace

Bytes seal_payload(PlainInput& input, ByteView dek, std::string_view associated_data,
                   BlobWriter& writer, ThreadPool& pool, const Progress& progress,
                   const CancelToken& cancel) {
  SegmentSource source(input);
  SegmentSealer sealer(dek, as_bytes(associated_data), source.size());
  ProgressMeter meter(progress, source.size());
  BufferPool plain_buffers(kSegmentSize);
  BufferPool stored_buffers(kSegmentSize);
  const std::uint64_t segments = segment_count(source.size());
  const SegmentDigester digest_of(segments);
  Bytes digests(static_cast<std::size_t>(segments) * sizeof(Sha256Digest));
  pool.for_each(segments, [&](std::uint64_t index) {
    cancel.check();
    auto plain = plain_buffers.borrow();
    auto stored = stored_buffers.borrow();
    const SegmentExtent extent = source.read(index, *plain);
    const ByteSpan segment = stored->first(extent.stored_size);
    sealer.seal(index, plain->first(extent.plain_size), segment);
    const Sha256Digest digest = digest_of(segment);
    std::copy(digest.begin(), digest.end(),
              digests.begin() + static_cast<std::ptrdiff_t>(index * sizeof(Sha256Digest)));
    writer.write(index, segment);
    meter.add(extent.plain_size);
  });
  input.check_unchanged();
  cancel.check();
  writer.finish();
  meter.finish();
  return digests;
}

}  // namespace ptsecure
