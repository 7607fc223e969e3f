#pragma once

#include <bson/bson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/base/error.hpp"

namespace ptsecure::mongodb {

class Bson;

// Reads a document somebody else owns. A field that is absent or of another type is nothing.
class View {
 public:
  explicit View(const bson_t* document) : document_(document) {}

  const bson_t* get() const { return document_; }
  std::optional<std::string> str(const char* key) const;
  // Integers of either width, and never a negative one.
  std::optional<std::uint64_t> integer(const char* key) const;
  std::optional<Bson> doc(const char* key) const;

 private:
  const bson_t* document_;
};

// A BSON document. Values are appended with their type, so no text can turn into an operator.
class Bson {
 public:
  Bson() { bson_init(&bson_); }
  explicit Bson(const View& document) { bson_copy_to(document.get(), &bson_); }
  ~Bson() { bson_destroy(&bson_); }
  Bson(Bson&& other) noexcept {
    bson_steal(&bson_, &other.bson_);
    bson_init(&other.bson_);
  }
  Bson& operator=(Bson&& other) noexcept {
    if (this != &other) {
      bson_destroy(&bson_);
      bson_steal(&bson_, &other.bson_);
      bson_init(&other.bson_);
    }
    return *this;
  }
  Bson(const Bson&) = delete;
  Bson& operator=(const Bson&) = delete;

  const bson_t* get() const { return &bson_; }
  View view() const { return View(&bson_); }
  // For functions of libmongoc that initialise what they are given, also when they fail.
  bson_t* out() {
    bson_destroy(&bson_);
    return &bson_;
  }

  Bson& str(const char* key, std::string_view value) {
    return check(bson_append_utf8(&bson_, key, -1, value.data(), static_cast<int>(value.size())));
  }
  Bson& i32(const char* key, std::int32_t value) {
    return check(bson_append_int32(&bson_, key, -1, value));
  }
  Bson& i64(const char* key, std::uint64_t value) {
    return check(bson_append_int64(&bson_, key, -1, static_cast<std::int64_t>(value)));
  }
  Bson& boolean(const char* key, bool value) {
    return check(bson_append_bool(&bson_, key, -1, value));
  }
  Bson& oid(const char* key, const bson_oid_t& value) {
    return check(bson_append_oid(&bson_, key, -1, &value));
  }
  Bson& binary(const char* key, ByteView value) {
    return check(bson_append_binary(&bson_, key, -1, BSON_SUBTYPE_BINARY, value.data(),
                                    static_cast<std::uint32_t>(value.size())));
  }
  Bson& date(const char* key, std::int64_t milliseconds) {
    return check(bson_append_date_time(&bson_, key, -1, milliseconds));
  }
  // Of whatever type.
  Bson& value(const char* key, const bson_value_t& value) {
    return check(bson_append_value(&bson_, key, -1, &value));
  }
  Bson& doc(const char* key, const Bson& value) {
    return check(bson_append_document(&bson_, key, -1, value.get()));
  }
  Bson& array(const char* key, const Bson& value) {
    return check(bson_append_array(&bson_, key, -1, value.get()));
  }

 private:
  Bson& check(bool appended) {
    if (!appended) {
      throw Error(Status::limit_exceeded, "a document for MongoDB would be larger than it takes");
    }
    return *this;
  }

  bson_t bson_;
};

// The keys of an array: "0", "1", ...
template <typename... Documents>
Bson array_of(const Documents&... documents) {
  Bson out;
  int i = 0;
  (out.doc(std::to_string(i++).c_str(), documents), ...);
  return out;
}

std::optional<std::uint64_t> integer_at(const bson_iter_t& it);

}  // namespace ptsecure::mongodb
