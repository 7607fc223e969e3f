#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/protocol/json_cursor.hpp"
#include "libptsecure/protocol/v2_json.hpp"
#include "libptsecure/value/tensor.hpp"
#include "libptsecure/value/value.hpp"

// Internal to the readers of requests: what the data of one input is read into.
namespace ptsecure {

// What is known of an input beside its data.
struct V2InputHead {
  std::string label;           // for messages
  std::optional<DType> dtype;  // nullopt = BYTES
  Dims shape;

  // Numbers, or strings, that its data takes.
  std::int64_t elements() const;
  // Whether `text_size` characters of JSON have room for them.
  bool fits(std::size_t text_size) const;
};

// A tensor, or the elements of BYTES.
struct V2Elements {
  std::optional<Tensor> tensor;
  std::vector<std::string> strings;
};

// What the tensors of one request may take together.
class V2Budget {
 public:
  explicit V2Budget(const V2Limits& limits) : limits_(limits) {}
  // Status::limit_exceeded when it is more than the limits leave.
  void take(const V2InputHead& head);

 private:
  const V2Limits& limits_;
  std::size_t used_ = 0;
};

// Takes the elements in order and checks them against datatype and shape. Everything that doesn't
// fit throws Status::invalid_input. `head` must outlive it.
class V2DataSink final : public JsonHandler {
 public:
  // `text_size`: characters of JSON that the data can at most come from. A shape that needs more of
  // them is refused before anything is allocated.
  V2DataSink(JsonCursor& cursor, const V2InputHead& head, std::size_t text_size);

  // An array around the elements that is not in the text.
  void open_array();
  void close_array();
  // After the last array was closed.
  V2Elements finish();

  bool start_array(std::size_t) override;
  bool end_array() override;
  bool boolean(bool value) override;
  bool number_integer(std::int64_t value) override;
  bool number_unsigned(std::uint64_t value) override;
  bool number_float(double value, const std::string& token) override;
  bool string(std::string& value) override;
  bool null() override { refuse("has null in its data"); }
  bool start_object(std::size_t) override { refuse("has an object in its data"); }
  bool key(std::string&) override { return false; }
  bool end_object() override { return false; }

 private:
  [[noreturn]] void refuse(const std::string& what) const;
  std::int64_t begin_element();
  // Numbers as they come in requests that are large: not by the parser, which takes several times
  // as long for each (tests/bench/bench_json.cc).
  void read_numbers();
  template <class T>
  void read_as();
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
