#include "libptsecure/protocol/v2_data.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "libptsecure/value/half.hpp"
#include "libptsecure/value/tensor.hpp"

namespace ptsecure {
namespace {

// Element types that C++ has no number for.
struct Half {
  std::uint16_t bits;
};
struct BFloat16 {
  std::uint16_t bits;
};

template <class T>
bool parse(const char* at, const char* end, T& value) noexcept {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    double real = 0;
    if (!parse(at, end, real)) return false;
    const auto bits = std::is_same_v<T, Half> ? half_from_double(real) : bfloat16_from_double(real);
    value.bits = bits.value_or(0);
    return bits.has_value();
  } else {
    const auto result = std::from_chars(at, end, value);
    return result.ec == std::errc() && result.ptr == end;
  }
}

std::optional<DType> component_of(std::optional<DType> dtype) noexcept {
  if (dtype == DType::complex32) return DType::float16;
  if (dtype == DType::complex64) return DType::float32;
  if (dtype == DType::complex128) return DType::float64;
  return dtype;
}

}  // namespace

std::int64_t V2InputHead::elements() const {
  Tensor probe;
  probe.dtype = dtype.value_or(DType::uint8);
  probe.shape = shape;
  // A complex element is a pair of numbers.
  return component_of(dtype) != dtype ? 2 * probe.numel() : probe.numel();
}

// Every element but the last takes two characters: itself and a comma.
bool V2InputHead::fits(std::size_t text_size) const {
  return static_cast<std::uint64_t>(elements()) <= text_size / 2 + 1;
}

void V2Budget::take(const V2InputHead& head) {
  Tensor probe;
  probe.dtype = head.dtype.value_or(DType::uint8);
  probe.shape = head.shape;
  const std::size_t size = probe.nbytes();
  // Each element becomes an object of its own, far larger than what it was read from.
  if (!head.dtype && size > limits_.max_list_items) {
    throw Error(Status::limit_exceeded, "input `" + head.label + "` has " + std::to_string(size) +
                                            " elements of BYTES, but at most " +
                                            std::to_string(limits_.max_list_items) + " are taken");
  }
  if (size > limits_.max_bytes - used_) {
    throw Error(Status::limit_exceeded, "the request's tensors are larger than " +
                                            std::to_string(limits_.max_bytes) + " bytes");
  }
  used_ += size;
}

V2DataSink::V2DataSink(JsonCursor& cursor, const V2InputHead& head, std::size_t text_size)
    : JsonHandler(cursor),
      head_(head),
      component_(component_of(head.dtype)),
      expected_(head.elements()),
      rank_(head.shape.size()) {
  if (!head.fits(text_size)) {
    refuse("has shape " + shape_text(head.shape) + ", but its data has fewer elements");
  }
  std::copy(head.shape.begin(), head.shape.end(), extents_.begin());
  if (component_ != head.dtype) extents_[rank_++] = 2;
  if (head.dtype) {
    elements_.tensor = make_tensor(*head.dtype, head.shape);
    out_ = elements_.tensor->data;
  }
}

void V2DataSink::refuse(const std::string& what) const {
  throw Error(Status::invalid_input, "input `" + head_.label + "` " + what);
}

void V2DataSink::open_array() {
  if (depth_ >= 1) {
    nested_ = true;
    if (element_depth_ != 0 && element_depth_ <= depth_) {
      refuse("mixes numbers and arrays in its data");
    }
  }
  if (++depth_ > std::max<std::size_t>(rank_, 1)) {
    refuse("has data nested deeper than its shape " + shape_text(head_.shape));
  }
  counts_[depth_ - 1] = 0;
}

void V2DataSink::close_array() {
  const std::size_t level = --depth_;
  if (nested_ && counts_[level] != extents_[level]) {
    refuse("has nested data with " + std::to_string(counts_[level]) + " elements where shape " +
           shape_text(head_.shape) + " says " + std::to_string(extents_[level]));
  }
  if (level > 0) ++counts_[level - 1];
}

std::int64_t V2DataSink::begin_element() {
  if (element_depth_ == 0) {
    if (depth_ != 1 && depth_ != rank_) {
      refuse("has data that is neither flat nor nested as its shape " + shape_text(head_.shape));
    }
    element_depth_ = depth_;
  }
  if (depth_ != element_depth_ || (nested_ && depth_ < rank_)) {
    refuse("mixes numbers and arrays in its data");
  }
  if (count_ == expected_) {
    refuse("has more elements in its data than its shape " + shape_text(head_.shape) + " says");
  }
  ++counts_[depth_ - 1];
  return count_++;
}

V2Elements V2DataSink::finish() {
  if (count_ != expected_) {
    refuse("has shape " + shape_text(head_.shape) + ", which takes " + std::to_string(expected_) +
           " numbers, but its data has " + std::to_string(count_));
  }
  return std::move(elements_);
}

std::string V2DataSink::datatype() const {
  return head_.dtype ? v2_datatype(*head_.dtype) : "BYTES";
}

bool V2DataSink::start_array(std::size_t) {
  open_array();
  read_numbers();
  return true;
}

bool V2DataSink::end_array() {
  close_array();
  return true;
}

bool V2DataSink::floating() const noexcept {
  return component_ == DType::float16 || component_ == DType::bfloat16 ||
         component_ == DType::float32 || component_ == DType::float64;
}

template <class T>
void V2DataSink::store(std::int64_t index, T value) {
  static_cast<T*>(out_)[index] = value;
}

template <class T, class Integer>
void V2DataSink::store_checked(std::int64_t index, Integer value) {
  if (!std::in_range<T>(value)) {
    refuse("has " + std::to_string(value) + " in its data, which doesn't fit " + datatype());
  }
  store(index, static_cast<T>(value));
}

template <class Integer>
void V2DataSink::store_integer(Integer value) {
  const std::int64_t index = begin_element();
  if (!head_.dtype) refuse("has datatype BYTES, but its data holds a number");
  switch (*component_) {
    case DType::boolean:
      if (value != 0 && value != 1)
        refuse("has datatype BOOL: its data takes true, false, 0 and 1");
      return store(index, static_cast<std::uint8_t>(value));
    case DType::uint8:
      return store_checked<std::uint8_t>(index, value);
    case DType::uint16:
      return store_checked<std::uint16_t>(index, value);
    case DType::uint32:
      return store_checked<std::uint32_t>(index, value);
    case DType::uint64:
      return store_checked<std::uint64_t>(index, value);
    case DType::int8:
      return store_checked<std::int8_t>(index, value);
    case DType::int16:
      return store_checked<std::int16_t>(index, value);
    case DType::int32:
      return store_checked<std::int32_t>(index, value);
    case DType::int64:
      return store_checked<std::int64_t>(index, value);
    case DType::float32:
      return store(index, static_cast<float>(value));
    case DType::float64:
      return store(index, static_cast<double>(value));
    default:
      return store_real(index, static_cast<double>(value), {});
  }
}

bool V2DataSink::number_integer(std::int64_t value) {
  store_integer(value);
  return true;
}
bool V2DataSink::number_unsigned(std::uint64_t value) {
  store_integer(value);
  return true;
}

bool V2DataSink::boolean(bool value) {
  const std::int64_t index = begin_element();
  if (head_.dtype != DType::boolean) {
    refuse("has true or false in its data, but has datatype " + datatype());
  }
  store(index, static_cast<std::uint8_t>(value));
  return true;
}

bool V2DataSink::number_float(double value, const std::string& token) {
  const std::int64_t index = begin_element();
  if (!floating()) {
    refuse(
        "has a number with a fraction or exponent, or one that is too large, in its data, but has "
        "datatype " +
        datatype());
  }
  store_real(index, value, token);
  return true;
}

// `token`: the number as written, so that it is rounded once; empty for values that are no numbers.
void V2DataSink::store_real(std::int64_t index, double value, std::string_view token) {
  const auto too_large = [this] {
    refuse("has a number in its data that is too large for " + datatype());
  };
  if (component_ == DType::float64) return store(index, value);
  if (component_ == DType::float32) {
    float rounded = 0;
    if (token.empty() || !parse(token.data(), token.data() + token.size(), rounded)) {
      if (std::isfinite(value) && std::fabs(value) > 1) too_large();
      rounded = static_cast<float>(value);
    }
    return store(index, rounded);
  }
  const auto bits =
      component_ == DType::float16 ? half_from_double(value) : bfloat16_from_double(value);
  if (!bits) too_large();
  store(index, *bits);
}

bool V2DataSink::string(std::string& value) {
  const std::int64_t index = begin_element();
  if (!head_.dtype) {
    elements_.strings.push_back(std::move(value));
    return true;
  }
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (floating() && value == "NaN") {
    store_real(index, std::numeric_limits<double>::quiet_NaN(), {});
  } else if (floating() && value == "Infinity") {
    store_real(index, kInfinity, {});
  } else if (floating() && value == "-Infinity") {
    store_real(index, -kInfinity, {});
  } else {
    refuse("has a string in its data, but has datatype " + datatype() +
           " (only NaN, Infinity and -Infinity are written as strings, in floating-point data)");
  }
  return true;
}

template <class T>
void V2DataSink::read_as() {
  auto* out = static_cast<T*>(out_);
  std::int64_t count = count_;
  cursor_.take_numbers([&](const char* first, const char* last) {
    T value{};
    if (count == expected_ || !parse(first, last, value)) return false;
    out[count++] = value;
    return true;
  });
  counts_[depth_ - 1] += count - count_;
  count_ = count;
}

void V2DataSink::read_numbers() {
  const bool flat = depth_ == 1 && !nested_;
  if (!component_ || (!flat && depth_ != rank_)) return;
  const char next = cursor_.peek();
  if (next != '-' && !json_number::is_digit(next)) return;
  if (element_depth_ == 0) element_depth_ = depth_;
  switch (*component_) {
    case DType::uint8:
      return read_as<std::uint8_t>();
    case DType::uint16:
      return read_as<std::uint16_t>();
    case DType::uint32:
      return read_as<std::uint32_t>();
    case DType::uint64:
      return read_as<std::uint64_t>();
    case DType::int8:
      return read_as<std::int8_t>();
    case DType::int16:
      return read_as<std::int16_t>();
    case DType::int32:
      return read_as<std::int32_t>();
    case DType::int64:
      return read_as<std::int64_t>();
    case DType::float16:
      return read_as<Half>();
    case DType::bfloat16:
      return read_as<BFloat16>();
    case DType::float32:
      return read_as<float>();
    case DType::float64:
      return read_as<double>();
    default:
      return;
  }
}

}  // namespace ptsecure
