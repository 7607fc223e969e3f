#include "libptsecure/store/mongodb/bson.hpp"

namespace ptsecure::mongodb {

std::optional<std::uint64_t> integer_at(const bson_iter_t& it) {
  if (!BSON_ITER_HOLDS_INT64(&it) && !BSON_ITER_HOLDS_INT32(&it)) return std::nullopt;
  const std::int64_t value = bson_iter_as_int64(&it);
  if (value < 0) return std::nullopt;
  return static_cast<std::uint64_t>(value);
}

std::optional<std::string> View::str(const char* key) const {
  bson_iter_t it;
  if (!bson_iter_init_find(&it, document_, key) || !BSON_ITER_HOLDS_UTF8(&it)) return std::nullopt;
  std::uint32_t size = 0;
  const char* text = bson_iter_utf8(&it, &size);
  return std::string(text, size);
}

std::optional<std::uint64_t> View::integer(const char* key) const {
  bson_iter_t it;
  if (!bson_iter_init_find(&it, document_, key)) return std::nullopt;
  return integer_at(it);
}

std::optional<Bson> View::doc(const char* key) const {
  bson_iter_t it;
  if (!bson_iter_init_find(&it, document_, key) || !BSON_ITER_HOLDS_DOCUMENT(&it)) {
    return std::nullopt;
  }
  std::uint32_t size = 0;
  const std::uint8_t* data = nullptr;
  bson_t view;
  bson_iter_document(&it, &size, &data);
  if (!bson_init_static(&view, data, size)) return std::nullopt;
  return Bson(View(&view));
}

}  // namespace ptsecure::mongodb
