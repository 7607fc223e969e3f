#include "libptsecure/engine/torch/files/archive.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "libptsecure/base/error.hpp"
#include "libptsecure/engine/torch/files/invalid.hpp"
#include "libptsecure/engine/torch/files/pickle_globals.hpp"

namespace ptsecure::torch_plugin {
namespace {

constexpr std::string_view kExportAdvice =
    "export it with torch.jit.script(model).save(path), or torch.jit.trace(model, example), and "
    "publish that file";
constexpr std::uint64_t kEndRecordSize = 22;
constexpr std::uint64_t kMaxCommentSize = 0xffff;
constexpr std::uint64_t kZip64LocatorSize = 20;
constexpr std::uint64_t kZip64EndRecordSize = 56;
constexpr std::uint64_t kDirectoryEntrySize = 46;
constexpr std::uint64_t kMaxTail = 16u << 20;
constexpr std::uint64_t kMaxSmallRecord = 64u << 20;
constexpr std::uint64_t kRecordAlignment = 64;
// PyTorch doesn't compress records; one that somebody has compressed may not unpack to more than
// this: tensors of noise hardly shrink, a bomb is a thousandfold.
constexpr std::uint64_t kMaxExpansion = 16;
constexpr std::uint64_t kFreeExpansion = 64u << 20;

template <class T>
T load_le(std::string_view bytes, std::size_t at) {
  T value{};
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value =
        static_cast<T>(value | static_cast<T>(static_cast<unsigned char>(bytes[at + i])) << 8 * i);
  }
  return value;
}

std::string read_range(ByteSource& source, std::uint64_t begin, std::uint64_t size) {
  std::string bytes(size, '\0');
  if (size != 0) source.read(begin, bytes.data(), bytes.size());
  return bytes;
}

// The zip64 extra field of a directory entry: 8-byte values for the fields that are all ones.
struct Zip64Extra {
  std::string_view values;
  std::uint64_t take(std::uint32_t narrow) {
    if (narrow != 0xffffffff) return narrow;
    if (values.size() < 8) invalid("the model file is damaged: a zip64 field is missing");
    const auto value = load_le<std::uint64_t>(values, 0);
    values.remove_prefix(8);
    return value;
  }
};

Zip64Extra zip64_extra(std::string_view extra) {
  while (extra.size() >= 4) {
    const auto id = load_le<std::uint16_t>(extra, 0);
    const auto size = load_le<std::uint16_t>(extra, 2);
    if (size > extra.size() - 4u) break;
    if (id == 1) return {extra.substr(4, size)};
    extra.remove_prefix(4u + size);
  }
  return {};
}

bool is_aotinductor(const Archive& archive) {
  return archive.has_prefix("data/aotinductor/");
}

bool is_tensor_record(std::string_view name) {
  return name.starts_with("data/");
}

// A pickle in a file that is refused anyway: empty when it can't be read.
std::string read_if_possible(ByteSource& source, const Record& record) {
  try {
    return read_record(source, record);
  } catch (const Error& error) {
    if (error.status() != Status::invalid_model) throw;
    return {};
  }
}

}  // namespace

Archive::Archive(ByteSource& source) {
  const Directory directory = locate(source);
  parse(source, directory);
  expect_layout(directory);

  std::uint64_t begin = directory.begin;
  for (auto record = records_.rbegin(); record != records_.rend(); ++record) {
    if (is_tensor_record(record->name)) break;
    begin = record->header;
  }
  if (begin < tail_begin_ && source.size() - begin <= kMaxTail) extend_tail(source, begin);
}

const Record* Archive::find(std::string_view name) const {
  const auto found = std::find_if(records_.begin(), records_.end(),
                                  [&](const Record& r) { return r.name == name; });
  return found == records_.end() ? nullptr : &*found;
}

bool Archive::has_prefix(std::string_view prefix) const {
  return std::any_of(records_.begin(), records_.end(),
                     [&](const Record& r) { return r.name.starts_with(prefix); });
}

void Archive::extend_tail(ByteSource& source, std::uint64_t begin) {
  if (begin >= tail_begin_) return;
  tail_.insert(0, read_range(source, begin, tail_begin_ - begin));
  tail_begin_ = begin;
}

Archive::Directory Archive::locate(ByteSource& source) {
  const std::uint64_t size = source.size();
  const std::string first = read_range(source, 0, std::min<std::uint64_t>(size, 8));
  if (!first.starts_with("PK\x03\x04")) invalid(describe_foreign_file(first));

  tail_begin_ = size - std::min(size, kEndRecordSize + kMaxCommentSize);
  tail_ = read_range(source, tail_begin_, size - tail_begin_);
  const auto end = tail_.rfind("PK\x05\x06");
  if (end == std::string::npos || tail_.size() - end < kEndRecordSize) {
    invalid("the model file is truncated: the directory at its end is missing; copy it again");
  }
  Directory directory{.begin = load_le<std::uint32_t>(tail_, end + 16),
                      .size = load_le<std::uint32_t>(tail_, end + 12),
                      .count = load_le<std::uint16_t>(tail_, end + 10)};
  const bool zip64 =
      end >= kZip64LocatorSize &&
      std::string_view(tail_).substr(end - kZip64LocatorSize).starts_with("PK\x06\x07");
  if (zip64) {
    const auto at = load_le<std::uint64_t>(tail_, end - kZip64LocatorSize + 8);
    if (at > size || size - at < kZip64EndRecordSize) {
      invalid("the model file is damaged: its zip64 end record lies outside of it");
    }
    const std::string record = read_range(source, at, kZip64EndRecordSize);
    if (!record.starts_with("PK\x06\x06")) {
      invalid("the model file is damaged: its zip64 end record is missing");
    }
    directory = {.begin = load_le<std::uint64_t>(record, 48),
                 .size = load_le<std::uint64_t>(record, 40),
                 .count = load_le<std::uint64_t>(record, 32)};
  }
  if (directory.begin > size || directory.size > size - directory.begin ||
      directory.count > directory.size / kDirectoryEntrySize) {
    invalid("the model file is damaged or truncated: its directory lies outside of it");
  }
  return directory;
}

void Archive::parse(ByteSource& source, const Directory& directory) {
  extend_tail(source, directory.begin);
  std::string_view rest(tail_);
  rest = rest.substr(directory.begin - tail_begin_, directory.size);
  records_.reserve(directory.count);
  std::string folder;
  std::uint64_t expansion = kFreeExpansion + kMaxExpansion * directory.begin;
  for (std::uint64_t i = 0; i < directory.count; ++i) {
    if (rest.size() < kDirectoryEntrySize || !rest.starts_with("PK\x01\x02")) {
      invalid("the model file is damaged: entry " + std::to_string(i) + " of its directory");
    }
    const auto flags = load_le<std::uint16_t>(rest, 8);
    const auto method = load_le<std::uint16_t>(rest, 10);
    const auto name_size = load_le<std::uint16_t>(rest, 28);
    const auto extra_size = load_le<std::uint16_t>(rest, 30);
    const auto comment_size = load_le<std::uint16_t>(rest, 32);
    const std::uint64_t entry_size = kDirectoryEntrySize + name_size + extra_size + comment_size;
    if (rest.size() < entry_size) invalid("the model file is damaged: its directory is cut short");

    const std::string_view name = rest.substr(kDirectoryEntrySize, name_size);
    if (i == 0) folder = name.substr(0, name.find('/') + 1);
    Zip64Extra extra = zip64_extra(rest.substr(kDirectoryEntrySize + name_size, extra_size));
    Record record;
    const std::uint64_t plain_size = extra.take(load_le<std::uint32_t>(rest, 24));
    record.size = extra.take(load_le<std::uint32_t>(rest, 20));
    record.header = extra.take(load_le<std::uint32_t>(rest, 42));
    record.full_name_size = name_size;
    record.stored = method == 0 && (flags & 1u) == 0 && plain_size == record.size;
    record.name = name.starts_with(folder) ? name.substr(folder.size()) : name;
    if (record.header > directory.begin || record.size > directory.begin - record.header) {
      invalid("the model file is damaged: record " + record.name + " lies outside of it");
    }
    if (method == 0 && (flags & 1u) == 0 && plain_size != record.size) {
      invalid("the model file is damaged: record " + record.name + " has two sizes");
    }
    if (method != 0) {
      if (plain_size > expansion) {
        invalid("the model file would unpack to far more than its size (record " + record.name +
                "); save it with torch.jit.save, which does not compress");
      }
      expansion -= plain_size;
    }
    records_.push_back(std::move(record));
    rest.remove_prefix(entry_size);
  }
  std::sort(records_.begin(), records_.end(),
            [](const Record& a, const Record& b) { return a.header < b.header; });
}

void Archive::expect_layout(const Directory& directory) {
  // After the bytes of a record comes nothing, or a data descriptor of one of these sizes.
  constexpr std::array<std::uint64_t, 5> kDescriptorSizes = {16, 24, 0, 12, 20};
  for (std::size_t i = 0; i < records_.size(); ++i) {
    Record& record = records_[i];
    const std::uint64_t end = i + 1 < records_.size() ? records_[i + 1].header : directory.begin;
    const std::uint64_t least = record.header + kLocalHeaderSize + record.full_name_size;
    for (const std::uint64_t descriptor : kDescriptorSizes) {
      if (end < descriptor + record.size) continue;
      const std::uint64_t begin = end - descriptor - record.size;
      if (begin % kRecordAlignment == 0 && begin >= least && begin - least <= 0xffff) {
        record.expected_data = begin;
        break;
      }
    }
  }
}

std::uint64_t record_begin(ByteSource& source, const Record& record) {
  if (!record.stored) {
    invalid("the record " + record.name +
            " of the model file is compressed or encrypted; save the model with PyTorch itself, "
            "which stores records as they are");
  }
  const std::string damaged = "the model file is damaged: record " + record.name;
  if (record.header > source.size() || source.size() - record.header < kLocalHeaderSize) {
    invalid(damaged + " lies outside of it");
  }
  const std::string header = read_range(source, record.header, kLocalHeaderSize);
  if (!header.starts_with("PK\x03\x04")) invalid(damaged + " has no header");
  const std::uint64_t begin = record.header + kLocalHeaderSize +
                              load_le<std::uint16_t>(header, 26) +
                              load_le<std::uint16_t>(header, 28);
  if (begin > source.size() || record.size > source.size() - begin) {
    invalid(damaged + " reaches beyond its end");
  }
  return begin;
}

std::string read_record(ByteSource& source, const Record& record) {
  if (record.size > kMaxSmallRecord) {
    invalid("the record " + record.name + " of the model file is larger than 64 MiB");
  }
  return read_range(source, record_begin(source, record), record.size);
}

std::string detect_format(ByteSource& source) {
  try {
    return is_aotinductor(Archive(source)) ? "aotinductor" : "torchscript";
  } catch (const Error& error) {
    if (error.status() != Status::invalid_model) throw;
    return "torchscript";
  }
}

void require_torchscript(const Archive& archive, ByteSource& source) {
  const Record* data = archive.find("data.pkl");
  if (data != nullptr && archive.find("constants.pkl") != nullptr) return;
  if (archive.find("model.json") != nullptr && archive.has_prefix("tensors/")) {
    invalid(
        "the file is TorchScript as PyTorch before 1.4 wrote it; load it with torch.jit.load in "
        "a PyTorch that still can, save it again with torch.jit.save, and publish that file");
  }
  if (is_aotinductor(archive)) {
    invalid(
        "the file is an AOTInductor package (.pt2), not TorchScript; publish it with the format "
        "aotinductor, or with none");
  }
  if (archive.find("archive_format") != nullptr || archive.has_prefix("models/") ||
      archive.has_prefix("serialized_exported_program")) {
    invalid(
        "the file is a torch.export program (.pt2) that AOTInductor has not compiled; compile it "
        "with "
        "torch._inductor.aoti_compile_and_package(torch.export.load(path), package_path=\"….pt2\") "
        "and publish that package");
  }
  if (data != nullptr) {
    const auto globals = pickle_globals(read_if_possible(source, *data));
    if (const auto name = globals ? first_foreign_class(*globals) : std::nullopt) {
      invalid("the file is a pickle of the Python class " + *name +
              ", which only Python with that class can load; " + std::string(kExportAdvice));
    }
    invalid(
        "the file is a torch.save of tensors (a state_dict or checkpoint): it holds weights but "
        "no program; load them into the model, then " +
        std::string(kExportAdvice));
  }
  invalid("the file is a zip archive but no TorchScript: it has no data.pkl and constants.pkl; " +
          std::string(kExportAdvice));
}

std::string describe_foreign_file(std::string_view first) {
  std::string what = "the file is no TorchScript archive";
  if (first.empty()) {
    what = "the file is empty";
  } else if (first.starts_with("\x80\x02") || first.starts_with("\x80\x04")) {
    what = "the file is a pickle or a torch.save checkpoint of an old kind, not TorchScript";
  } else if (first.starts_with("PYTORCH1")) {
    what = "the file is TorchScript of a preview release that no libtorch reads any more";
  } else if (first.starts_with("\x7f"
                               "ELF")) {
    what = "the file is a compiled library, not TorchScript";
  } else if (first.size() == 8 && first.substr(3) == std::string_view("\0\0\0\0\0", 5)) {
    what = "the file looks like safetensors: weights without a program";
  }
  return what + "; " + std::string(kExportAdvice);
}

}  // namespace ptsecure::torch_plugin
