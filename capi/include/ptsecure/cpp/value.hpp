// SPDX-License-Identifier: Apache-2.0
// Part of ptsecure/ptsecure.hpp; include that.
#ifndef PTSECURE_CPP_VALUE_HPP_
#define PTSECURE_CPP_VALUE_HPP_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "ptsecure/cpp/library.hpp"
#include "ptsecure/cpp/tensor.hpp"

namespace pts {

// A value to read, borrowed: from a Value, from the tree it is part of.
class ValueView {
 public:
  explicit ValueView(const pts_value* value = nullptr) noexcept : value_(value) {}

  pts_kind kind() const noexcept { return pts_value_kind(value_); }
  bool is_none() const noexcept { return kind() == PTS_NONE; }
  bool to_bool() const {
    std::int32_t out = 0;
    detail::run([&](pts_error* error) { return pts_value_get_bool(value_, &out, error); });
    return out != 0;
  }
  std::int64_t to_int() const {
    std::int64_t out = 0;
    detail::run([&](pts_error* error) { return pts_value_get_int(value_, &out, error); });
    return out;
  }
  double to_float() const {
    double out = 0;
    detail::run([&](pts_error* error) { return pts_value_get_float(value_, &out, error); });
    return out;
  }
  // Borrowed like the value.
  std::string_view to_string() const {
    const char* out = nullptr;
    std::size_t size = 0;
    detail::run([&](pts_error* error) { return pts_value_get_string(value_, &out, &size, error); });
    return {out, size};
  }
  // Borrowed like the value.
  TensorView tensor() const {
    pts_tensor out = PTS_TENSOR_INIT;
    detail::run([&](pts_error* error) { return pts_value_get_tensor(value_, &out, error); });
    return TensorView(out);
  }

  // Items of a list, tuple or dict; a dict's in insertion order.
  std::size_t size() const noexcept { return pts_value_size(value_); }
  ValueView operator[](std::size_t index) const {
    const pts_value* item = pts_value_item(value_, index);
    if (item == nullptr) {
      throw NotFound(PTS_NOT_FOUND, "the value has no item " + std::to_string(index) + ", only " +
                                        std::to_string(size()));
    }
    return ValueView(item);
  }
  std::string_view key(std::size_t index) const {
    const char* name = pts_value_key(value_, index);
    if (name == nullptr) {
      throw NotFound(PTS_NOT_FOUND, "the value has no key " + std::to_string(index));
    }
    return name;
  }
  bool contains(const std::string& name) const noexcept {
    return pts_value_find(value_, name.c_str()) != nullptr;
  }
  ValueView operator[](const std::string& name) const {
    const pts_value* item = pts_value_find(value_, name.c_str());
    if (item == nullptr) throw NotFound(PTS_NOT_FOUND, "the value has no key '" + name + "'");
    return ValueView(item);
  }

  const pts_value* get() const noexcept { return value_; }

 protected:
  const pts_value* value_;
};

// A value that is owned.
class Value : public ValueView {
 public:
  Value()
      : Value(make([](pts_value** out, pts_error* e) { return pts_value_create_none(out, e); })) {}
  explicit Value(pts_value* handle) noexcept : ValueView(handle) {}
  Value(Value&& other) noexcept : ValueView(std::exchange(other.value_, nullptr)) {}
  Value& operator=(Value&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Value() {
    auto* handle = get();
    pts_value_destroy(&handle);
  }

  static Value boolean(bool value) {
    return make([&](pts_value** out, pts_error* error) {
      return pts_value_create_bool(value ? 1 : 0, out, error);
    });
  }
  static Value integer(std::int64_t value) {
    return make(
        [&](pts_value** out, pts_error* error) { return pts_value_create_int(value, out, error); });
  }
  static Value real(double value) {
    return make([&](pts_value** out, pts_error* error) {
      return pts_value_create_float(value, out, error);
    });
  }
  static Value string(std::string_view text) {
    return make([&](pts_value** out, pts_error* error) {
      return pts_value_create_string(text.data(), text.size(), out, error);
    });
  }
  static Value list() { return make(pts_value_create_list); }
  static Value tuple() { return make(pts_value_create_tuple); }
  static Value dict() { return make(pts_value_create_dict); }

  // Copies of the items; their tensors share memory.
  void append(ValueView item) {
    detail::run([&](pts_error* error) { return pts_value_append(get(), item.get(), error); });
  }
  void put(const std::string& key, ValueView item) {
    detail::run(
        [&](pts_error* error) { return pts_value_put(get(), key.c_str(), item.get(), error); });
  }
  static Value copy(ValueView other) {
    return make(
        [&](pts_value** out, pts_error* error) { return pts_value_copy(other.get(), out, error); });
  }

  // A contiguous tensor over the caller's memory, which must stay valid and unchanged until
  // `release` is called, on any thread (without one: until all that shares it is gone).
  template <typename T>
  static Value borrow(T* data, const std::vector<std::int64_t>& shape,
                      std::function<void()> release = {}) {
    return borrow(describe(data, shape), std::move(release));
  }
  // The same from any description: strides, half floats, CUDA.
  static Value borrow(const pts_tensor& tensor, std::function<void()> release = {}) {
    std::unique_ptr<std::function<void()>> owner;
    if (release) owner = std::make_unique<std::function<void()>>(std::move(release));
    Value value = make([&](pts_value** out, pts_error* error) {
      return pts_value_borrow_tensor(&tensor, out, owner ? &on_release : nullptr, owner.get(),
                                     error);
    });
    static_cast<void>(owner.release());
    return value;
  }
  // A tensor that keeps the vector.
  template <typename T>
  static Value tensor_of(std::vector<T> data, const std::vector<std::int64_t>& shape) {
    check_count(data.size(), shape);
    auto kept = std::make_shared<std::vector<T>>(std::move(data));
    return borrow(kept->data(), shape, [kept] {});
  }
  // A tensor of the library's own memory with a copy of the elements.
  template <typename T>
  static Value copy_of(const T* data, const std::vector<std::int64_t>& shape) {
    return copy_of(describe(data, shape));
  }
  static Value copy_of(const pts_tensor& tensor) {
    return make([&](pts_value** out, pts_error* error) {
      return pts_value_copy_tensor(&tensor, out, error);
    });
  }
  // Takes `managed` over, unless this throws.
  static Value from_dlpack(DLManagedTensorVersioned* managed) {
    return make([&](pts_value** out, pts_error* error) {
      return pts_value_from_dlpack(managed, out, error);
    });
  }
  static Value from_npy(const void* data, std::size_t size) {
    return make([&](pts_value** out, pts_error* error) {
      return pts_value_from_npy(data, size, out, error);
    });
  }

  pts_value* get() const noexcept { return const_cast<pts_value*>(value_); }
  pts_value* release() noexcept { return const_cast<pts_value*>(std::exchange(value_, nullptr)); }

 private:
  template <typename Function>
  static Value make(Function&& call) {
    return detail::make<Value, pts_value>(std::forward<Function>(call));
  }
  template <typename T>
  static pts_tensor describe(T* data, const std::vector<std::int64_t>& shape) {
    pts_tensor tensor = PTS_TENSOR_INIT;
    tensor.dtype = dtype_of<T>();
    tensor.rank = static_cast<std::int32_t>(shape.size());
    tensor.shape = shape.empty() ? nullptr : shape.data();
    tensor.data = const_cast<std::remove_cv_t<T>*>(data);
    tensor.read_only = std::is_const_v<T> ? 1 : 0;
    return tensor;
  }
  static void check_count(std::size_t count, const std::vector<std::int64_t>& shape) {
    std::size_t expected = 1;
    for (const std::int64_t extent : shape) expected *= static_cast<std::size_t>(extent);
    if (count != expected) {
      throw InvalidInput(PTS_INVALID_INPUT, "the vector has " + std::to_string(count) +
                                                " elements where the shape asks for " +
                                                std::to_string(expected));
    }
  }
  static void on_release(void* user) {
    const std::unique_ptr<std::function<void()>> owner(static_cast<std::function<void()>*>(user));
    (*owner)();
  }
};

// The elements of a tensor value as an .npy file.
inline Bytes to_npy(ValueView value) {
  return detail::make<Bytes, pts_bytes>(
      [&](pts_bytes** out, pts_error* error) { return pts_value_to_npy(value.get(), out, error); });
}
// The caller calls its deleter.
inline DLManagedTensorVersioned* to_dlpack(ValueView value) {
  DLManagedTensorVersioned* out = nullptr;
  detail::run([&](pts_error* error) { return pts_value_to_dlpack(value.get(), &out, error); });
  return out;
}

}  // namespace pts

#endif  // PTSECURE_CPP_VALUE_HPP_
