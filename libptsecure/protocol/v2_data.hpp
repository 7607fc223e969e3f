#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/value/tensor.hpp"
#include "libptsecure/value/value.hpp"

// Internal to v2_request.cc: what the `data` member of one input is read into.
namespace ptsecure {

// What an input says of itself beside its data.
struct V2InputHead {
  std::string label;           // for messages
  std::optional<DType> dtype;  // nullopt = BYTES
  Dims shape;
};

// A tensor, or the elements of BYTES.
struct V2Elements {
  std::optional<Tensor> tensor;
  std::vector<std::string> strings;
};

// Skips plain numbers at the start of an array, as V2DataSink::read_numbers() reads them.
const char* skip_numbers(const char* at, const char* end) noexcept;

// Takes the elements in order and checks them against datatype and shape. Everything that doesn't
// fit throws Status::invalid_input.
class V2DataSink {
 public:
  // `text_size`: bytes of JSON that the data can at most come from. A shape that needs more of them
  // is refused before anything is allocated.
  V2DataSink(const V2InputHead& head, std::size_t text_size);

  void open_array();
  void close_array();
  void boolean(bool value);
  void integer(std::int64_t value);
  void unsigned_integer(std::uint64_t value);
  void real(double value, std::string_view token);
  void string(std::string& value);
  [[noreturn]] void refuse(const std::string& what) const;

  // Reads numbers at the start of an array, or up to anything but a plain number that fits, and
  // returns where it stopped: at the closing bracket, or at an element that has to come through the
  // functions above. What is left is an array in the grammar of JSON if and only if the whole was.
  const char* read_numbers(const char* at, const char* end);

  // After the last array was closed.
  V2Elements finish();

 private:
  std::int64_t begin_element();
  template <class T>
  const char* read_as(const char* at, const char* end);
  template <class T>
  void store(std::int64_t index, T value);
  template <class Integer>
  void store_integer(Integer value);
  template <class T, class Integer>
  void store_checked(std::int64_t index, Integer value);
  void store_real(std::int64_t index, double value, std::string_view token);
  bool floating() const noexcept;
  std::string datatype() const;

  const V2InputHead& head_;
  V2Elements elements_;
  std::optional<DType> component_;  // of the numbers; a complex element has two
  void* out_ = nullptr;
  std::int64_t expected_ = 0;
  std::int64_t count_ = 0;
  std::size_t rank_ = 0;
  std::size_t depth_ = 0;
  std::size_t element_depth_ = 0;  // 0 = no element yet
  bool nested_ = false;
  std::array<std::int64_t, Dims::kMaxRank + 1> extents_{};
  std::array<std::int64_t, Dims::kMaxRank + 1> counts_{};
};

}  // namespace ptsecure
