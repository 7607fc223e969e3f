#include "libptsecure/engine/torch/files/safetensors.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "libptsecure/base/error.hpp"

namespace ptsecure::torch_plugin {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxHeader = 100'000'000;  // the format's own limit
constexpr std::size_t kPrefix = 8;

[[noreturn]] void not_safetensors(const std::string& what) {
  throw Error(Status::invalid_model, "the weights are no safetensors file: " + what);
}

std::optional<DType> dtype_named(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, DType>, 14> kNames = {{
      {"BOOL", DType::boolean},
      {"U8", DType::uint8},
      {"I8", DType::int8},
      {"U16", DType::uint16},
      {"I16", DType::int16},
      {"U32", DType::uint32},
      {"I32", DType::int32},
      {"U64", DType::uint64},
      {"I64", DType::int64},
      {"F16", DType::float16},
      {"BF16", DType::bfloat16},
      {"F32", DType::float32},
      {"F64", DType::float64},
      {"C64", DType::complex64},
  }};
  for (const auto& [known, dtype] : kNames) {
    if (known == name) return dtype;
  }
  return std::nullopt;
}

json parse_header(const std::string& text) {
  std::vector<std::set<std::string>> names;
  const json::parser_callback_t no_duplicates = [&](int depth, json::parse_event_t event,
                                                    json& parsed) {
    if (depth > 8) not_safetensors("its header is nested too deep");
    if (event == json::parse_event_t::object_start) names.emplace_back();
    if (event == json::parse_event_t::object_end) names.pop_back();
    if (event == json::parse_event_t::key &&
        !names.back().insert(parsed.get<std::string>()).second) {
      not_safetensors("its header names something twice");
    }
    return true;
  };
  try {
    json header = json::parse(text, no_duplicates);
    if (header.is_object()) return header;
  } catch (const json::exception&) {
  }
  not_safetensors("its header is not a JSON object");
}

std::uint64_t unsigned_number(const json& value) {
  if (!value.is_number_unsigned()) not_safetensors("a shape or an offset is no whole number");
  return value.get<std::uint64_t>();
}

SafetensorsEntry parse_entry(const std::string& name, const json& object, std::uint64_t data_begin,
                             std::uint64_t data_size) {
  const std::string of = " of " + name.substr(0, 100);
  if (!object.is_object() || !object.contains("dtype") || !object["dtype"].is_string() ||
      !object.contains("shape") || !object["shape"].is_array() ||
      !object.contains("data_offsets") || !object["data_offsets"].is_array() ||
      object["data_offsets"].size() != 2) {
    not_safetensors("the entry" + of + " needs a dtype, a shape and two data_offsets");
  }
  SafetensorsEntry entry;
  entry.dtype = dtype_named(object["dtype"].get<std::string>());
  std::uint64_t elements = 1;
  if (object["shape"].size() > Dims::kMaxRank)
    not_safetensors("the shape" + of + " has too many dimensions");
  for (const json& extent : object["shape"]) {
    const std::uint64_t value = unsigned_number(extent);
    if (value > (std::uint64_t{1} << 62) || __builtin_mul_overflow(elements, value, &elements)) {
      not_safetensors("the shape" + of + " is too large");
    }
    entry.shape.push_back(static_cast<std::int64_t>(value));
  }
  const std::uint64_t begin = unsigned_number(object["data_offsets"][0]);
  const std::uint64_t end = unsigned_number(object["data_offsets"][1]);
  if (begin > end || end > data_size) not_safetensors("the data" + of + " lies outside of it");
  entry.begin = data_begin + begin;
  entry.size = end - begin;
  std::uint64_t expected = 0;
  if (entry.dtype && (__builtin_mul_overflow(elements, dtype_size(*entry.dtype), &expected) ||
                      expected != entry.size)) {
    not_safetensors("the size of the data" + of + " is not that of its shape");
  }
  return entry;
}

void require_no_gaps(const std::map<std::string, SafetensorsEntry>& entries, std::uint64_t begin,
                     std::uint64_t end) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (const auto& [name, entry] : entries) ranges.emplace_back(entry.begin, entry.size);
  std::sort(ranges.begin(), ranges.end());
  for (const auto& [at, size] : ranges) {
    if (at != begin) not_safetensors("bytes of it belong to two tensors, or to none");
    begin += size;
  }
  if (begin != end) not_safetensors("it ends with bytes that belong to no tensor");
}

}  // namespace

std::map<std::string, SafetensorsEntry> read_safetensors(ByteSource& source) {
  std::array<unsigned char, kPrefix> prefix{};
  if (source.size() < kPrefix) not_safetensors("it is shorter than 8 bytes");
  source.read(0, prefix.data(), prefix.size());
  std::uint64_t length = 0;
  for (std::size_t i = kPrefix; i-- > 0;) length = length << 8 | prefix[i];
  if (length > kMaxHeader || length > source.size() - kPrefix) {
    not_safetensors("its header would be " + std::to_string(length) + " bytes long");
  }
  std::string text(length, '\0');
  if (length != 0) source.read(kPrefix, text.data(), text.size());
  const json header = parse_header(text);
  const std::uint64_t data_begin = kPrefix + length;
  std::map<std::string, SafetensorsEntry> entries;
  for (const auto& [name, object] : header.items()) {
    if (name == "__metadata__") continue;
    entries.emplace(name, parse_entry(name, object, data_begin, source.size() - data_begin));
  }
  require_no_gaps(entries, data_begin, source.size());
  return entries;
}

}  // namespace ptsecure::torch_plugin
