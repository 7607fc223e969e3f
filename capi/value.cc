#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include "capi/guard.hpp"
#include "capi/handles.hpp"

using namespace ptsecure::capi;
using ptsecure::Dict;
using ptsecure::Error;
using ptsecure::List;
using ptsecure::Status;
using ptsecure::Tuple;
using ptsecure::Value;
using ptsecure::ValueKind;

namespace {

#define PTSECURE_SAME(c_name, cpp_name) \
  static_assert(PTS_##c_name == static_cast<pts_kind>(ValueKind::cpp_name))
PTSECURE_SAME(NONE, none);
PTSECURE_SAME(BOOL, boolean);
PTSECURE_SAME(INT, integer);
PTSECURE_SAME(FLOAT, real);
PTSECURE_SAME(STRING, string);
PTSECURE_SAME(TENSOR, tensor);
PTSECURE_SAME(LIST, list);
PTSECURE_SAME(TUPLE, tuple);
PTSECURE_SAME(DICT, dict);
#undef PTSECURE_SAME

// Trees are walked and freed by recursion, so their depth must be far below what a stack holds.
constexpr int kMaxDepth = 256;

void check_depth(const Value& value, int depth) {
  if (depth > kMaxDepth) {
    throw Error(Status::limit_exceeded,
                "values may be nested at most " + std::to_string(kMaxDepth) + " deep");
  }
  for (const Value& item : value.items()) check_depth(item, depth + 1);
  if (const Dict* dict = value.get_if<Dict>()) {
    for (const auto& [key, item] : dict->items) check_depth(item, depth + 1);
  }
}

[[noreturn]] void throw_kind(const Value& value, const char* expected) {
  throw Error(Status::invalid_argument,
              std::string("the value is a ") + kind_name(value.kind()) + ", not a " + expected);
}

// What a value of kind T holds.
template <typename T>
const T& content(const pts_value* self, const char* expected) {
  const Value& value = *unwrap(&need(self, "self"));
  const T* held = value.get_if<T>();
  if (held == nullptr) throw_kind(value, expected);
  return *held;
}

pts_status create_value(pts_value** out, pts_error* error, Value&& value) noexcept {
  return create(out, error, [&] { return give(std::move(value)); });
}

}  // namespace

pts_status pts_value_create_none(pts_value** out, pts_error* error) {
  return create_value(out, error, Value());
}

pts_status pts_value_create_bool(int32_t value, pts_value** out, pts_error* error) {
  return create_value(out, error, Value(value != 0));
}

pts_status pts_value_create_int(int64_t value, pts_value** out, pts_error* error) {
  return create_value(out, error, Value(value));
}

pts_status pts_value_create_float(double value, pts_value** out, pts_error* error) {
  return create_value(out, error, Value(value));
}

pts_status pts_value_create_string(const char* text, size_t size, pts_value** out,
                                   pts_error* error) {
  return create(out, error, [&] {
    if (size != 0) need_text(text, "text");
    const std::string_view checked =
        size == 0 ? std::string_view() : check_utf8({text, size}, "text");
    return give(Value(std::string(checked)));
  });
}

pts_status pts_value_create_list(pts_value** out, pts_error* error) {
  return create_value(out, error, Value(List{}));
}

pts_status pts_value_create_tuple(pts_value** out, pts_error* error) {
  return create_value(out, error, Value(Tuple{}));
}

pts_status pts_value_create_dict(pts_value** out, pts_error* error) {
  return create_value(out, error, Value(Dict{}));
}

pts_status pts_value_append(pts_value* self, const pts_value* item, pts_error* error) {
  return guard(error, [&] {
    Value& value = *unwrap(&need(self, "self"));
    const Value& child = *unwrap(&need(item, "item"));
    check_depth(child, 1);
    Value copy = child;
    if (List* list = value.get_if<List>()) {
      list->items.push_back(std::move(copy));
    } else if (Tuple* tuple = value.get_if<Tuple>()) {
      tuple->items.push_back(std::move(copy));
    } else {
      throw_kind(value, "list or tuple");
    }
  });
}

pts_status pts_value_put(pts_value* self, const char* key, const pts_value* item,
                         pts_error* error) {
  return guard(error, [&] {
    Value& value = *unwrap(&need(self, "self"));
    const std::string_view name = check_utf8(need_text(key, "key"), "key");
    const Value& child = *unwrap(&need(item, "item"));
    Dict* dict = value.get_if<Dict>();
    if (dict == nullptr) throw_kind(value, "dict");
    if (pts_value_find(self, key) != nullptr) {
      throw Error(Status::already_exists, "the dict has a key '" + std::string(name) + "' already");
    }
    check_depth(child, 1);
    Value copy = child;
    dict->items.emplace_back(std::string(name), std::move(copy));
  });
}

pts_kind pts_value_kind(const pts_value* self) {
  return self == nullptr ? PTS_NONE : static_cast<pts_kind>(unwrap(self)->kind());
}

pts_status pts_value_get_bool(const pts_value* self, int32_t* out, pts_error* error) {
  return produce(out, error, [&] { return content<bool>(self, "bool") ? 1 : 0; });
}

pts_status pts_value_get_int(const pts_value* self, int64_t* out, pts_error* error) {
  return produce(out, error, [&] { return content<std::int64_t>(self, "int"); });
}

pts_status pts_value_get_float(const pts_value* self, double* out, pts_error* error) {
  return produce(out, error, [&] { return content<double>(self, "float"); });
}

pts_status pts_value_get_string(const pts_value* self, const char** out, size_t* size,
                                pts_error* error) {
  if (size != nullptr) *size = 0;
  return create(out, error, [&] {
    const std::string& text = content<std::string>(self, "string");
    if (size != nullptr) *size = text.size();
    return text.c_str();
  });
}

size_t pts_value_size(const pts_value* self) {
  if (self == nullptr) return 0;
  const Dict* dict = unwrap(self)->get_if<Dict>();
  return dict != nullptr ? dict->items.size() : unwrap(self)->items().size();
}

const pts_value* pts_value_item(const pts_value* self, size_t index) {
  if (index >= pts_value_size(self)) return nullptr;
  const Dict* dict = unwrap(self)->get_if<Dict>();
  return lend(dict != nullptr ? &dict->items[index].second : &unwrap(self)->items()[index]);
}

const char* pts_value_key(const pts_value* self, size_t index) {
  const Dict* dict = self == nullptr ? nullptr : unwrap(self)->get_if<Dict>();
  if (dict == nullptr || index >= dict->items.size()) return nullptr;
  return dict->items[index].first.c_str();
}

const pts_value* pts_value_find(const pts_value* self, const char* key) {
  const Dict* dict = self == nullptr ? nullptr : unwrap(self)->get_if<Dict>();
  if (dict == nullptr || key == nullptr) return nullptr;
  const std::string_view name = key;
  const auto found = std::find_if(dict->items.begin(), dict->items.end(),
                                  [&](const auto& item) { return item.first == name; });
  return found == dict->items.end() ? nullptr : lend(&found->second);
}

pts_status pts_value_copy(const pts_value* self, pts_value** out, pts_error* error) {
  return create(out, error, [&] { return give(Value(*unwrap(&need(self, "self")))); });
}

void pts_value_destroy(pts_value** self) {
  if (self == nullptr) return;
  delete unwrap(*self);
  *self = nullptr;
}
