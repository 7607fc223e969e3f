#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/engine/byte_source.hpp"

// What a TorchScript file is made of: a zip archive of records under one folder. This reads the
// directory only to plan the load; libtorch reads the archive itself. No torch here.
namespace ptsecure::torch_plugin {

inline constexpr std::size_t kLocalHeaderSize = 30;

struct Record {
  std::string name;          // without the archive's folder, e.g. "data/0"
  std::uint64_t header = 0;  // where its local header begins
  std::uint64_t size = 0;    // its bytes as they are in the archive
  std::uint16_t full_name_size = 0;
  bool stored = false;  // neither compressed nor encrypted
  // Where its bytes begin if the archive is laid out as PyTorch's writer does (64-byte aligned,
  // record after record). To be checked against the local header before it is trusted.
  std::optional<std::uint64_t> expected_data;
};

class Archive {
 public:
  // Throws Error(Status::invalid_model) when the bytes are no complete zip archive.
  explicit Archive(ByteSource& source);

  // In the order in which they lie in the archive.
  const std::vector<Record>& records() const { return records_; }
  const Record* find(std::string_view name) const;
  bool has_prefix(std::string_view prefix) const;

  // The end of the archive, from the last tensor record on when that is short: directory, code and
  // pickles. Kept so that each is read once.
  std::uint64_t tail_begin() const { return tail_begin_; }
  const std::string& tail() const { return tail_; }

 private:
  struct Directory {
    std::uint64_t begin = 0, size = 0, count = 0;
  };
  Directory locate(ByteSource& source);
  void parse(ByteSource& source, const Directory& directory);
  void expect_layout(const Directory& directory);
  void extend_tail(ByteSource& source, std::uint64_t begin);

  std::vector<Record> records_;
  std::uint64_t tail_begin_ = 0;
  std::string tail_;
};

// Where the record's bytes begin, by its local header. Throws Error(Status::invalid_model) when the
// record is compressed or encrypted, or does not lie in the source.
std::uint64_t record_begin(ByteSource& source, const Record& record);
// The bytes of a small record: metadata, never weights. Throws like record_begin(), and when the
// record is larger than 64 MiB.
std::string read_record(ByteSource& source, const Record& record);

// "torchscript" or "aotinductor", by the names of the records; "torchscript" for anything else,
// whose loader says what the file is instead.
std::string detect_format(ByteSource& source);

// Throws Error(Status::invalid_model), saying what the file seems to be and how to export it,
// unless the archive holds the records of a TorchScript module.
void require_torchscript(const Archive& archive, ByteSource& source);

// Names what the first bytes of a file that is no zip archive look like, and what to do about it.
std::string describe_foreign_file(std::string_view first_bytes);

}  // namespace ptsecure::torch_plugin
