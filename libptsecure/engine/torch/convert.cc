#include "libptsecure/engine/torch/convert.hpp"

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>
#include <ATen/core/jit_type.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

namespace ptsecure::torch_plugin {
namespace {

constexpr int kMaxDepth = 64;

// Its address marks tensors that this engine made.
constexpr char kEngineTag = 0;

class TorchOwner final : public TensorOwner {
 public:
  explicit TorchOwner(at::Tensor t) : tensor(std::move(t)) {}
  const void* engine() const noexcept override { return &kEngineTag; }
  const at::Tensor tensor;
};

[[noreturn]] void reject(const std::string& where, const std::string& expected,
                         const Value& found) {
  throw Error(Status::invalid_input,
              where + " must be " + expected + ", but is " + kind_name(found.kind()));
}

at::IntArrayRef as_array(const Dims& dims) {
  return {dims.data(), dims.size()};
}

bool is_view_of(const Tensor& tensor, const at::Tensor& of) {
  return tensor.data == of.data_ptr() && scalar_type(tensor.dtype) == of.scalar_type() &&
         as_array(tensor.shape) == of.sizes() && as_array(tensor.strides) == of.strides();
}

// Elements that are not aligned to their size can't be read in place.
at::Tensor copy_misaligned(const Tensor& tensor, const std::string& where) {
  if (tensor.device.type != DeviceType::cpu || !tensor.contiguous()) {
    throw Error(Status::invalid_input,
                where + " must be aligned to its element size; copy it into aligned memory first");
  }
  at::Tensor copy = at::empty(as_array(tensor.shape), scalar_type(tensor.dtype));
  std::memcpy(copy.data_ptr(), tensor.data, tensor.nbytes());
  return copy;
}

at::Tensor share_memory(const Tensor& tensor) {
  using Owner = std::shared_ptr<TensorOwner>;
  auto maker = at::for_blob(tensor.data, as_array(tensor.shape));
  maker.strides(as_array(tensor.strides));
  const at::Device device = at_device(tensor.device);
  maker.options(at::TensorOptions().dtype(scalar_type(tensor.dtype)).device(device));
  maker.target_device(device);
  if (tensor.owner) {
    maker.context(new Owner(tensor.owner), [](void* owner) { delete static_cast<Owner*>(owner); });
  }
  return maker.make_tensor();
}

at::Tensor take_tensor(const Tensor& tensor, const TakeOptions& options, const std::string& where,
                       std::vector<at::Tensor>& unowned) {
  const std::int64_t numel = tensor.numel();
  if (numel == 0) {
    return at::empty(as_array(tensor.shape),
                     at::TensorOptions().dtype(scalar_type(tensor.dtype)).device(options.device));
  }
  if (tensor.data == nullptr) {
    throw Error(Status::invalid_input, where + " has elements but no data");
  }
  if (tensor.owner && tensor.owner->engine() == &kEngineTag) {
    const at::Tensor& own = static_cast<const TorchOwner&>(*tensor.owner).tensor;
    if (is_view_of(tensor, own)) {
      at::Tensor taken = own.device() == options.device ? own : own.to(options.device);
      return options.copy_tensors && taken.is_same(own) ? own.clone() : taken;
    }
  }
  const bool aligned =
      reinterpret_cast<std::uintptr_t>(tensor.data) % dtype_size(tensor.dtype) == 0 ||
      tensor.dtype >= DType::complex32;  // checked by their parts, below
  const std::size_t part = tensor.dtype >= DType::complex32 ? dtype_size(tensor.dtype) / 2 : 1;
  if (!aligned || reinterpret_cast<std::uintptr_t>(tensor.data) % part != 0) {
    const at::Tensor copy = copy_misaligned(tensor, where);
    return copy.device() == options.device ? copy : copy.to(options.device);
  }
  at::Tensor shared = share_memory(tensor);
  if (shared.device() != options.device) return shared.to(options.device);
  if (options.copy_tensors || (options.copy_unowned && !tensor.owner)) return shared.clone();
  if (!tensor.owner) unowned.push_back(shared);
  return shared;
}

class Taker {
 public:
  Taker(const TakeOptions& options, const std::string& where, std::vector<at::Tensor>& unowned)
      : options_(options), where_(where), unowned_(unowned) {}

  c10::IValue take(const Value& value, const c10::TypePtr& type, int depth) {
    if (depth > kMaxDepth) {
      throw Error(Status::limit_exceeded, where_ + " is nested more than 64 levels deep");
    }
    switch (type->kind()) {
      case c10::TypeKind::TensorType:
        if (const auto* tensor = value.get_if<Tensor>()) {
          return take_tensor(*tensor, options_, where_, unowned_);
        }
        reject(where_, "a tensor", value);
      case c10::TypeKind::IntType:
        if (const auto* integer = value.get_if<std::int64_t>()) return *integer;
        reject(where_, "an int", value);
      case c10::TypeKind::FloatType:
        if (const auto* real = value.get_if<double>()) return *real;
        if (const auto* integer = value.get_if<std::int64_t>())
          return static_cast<double>(*integer);
        reject(where_, "a float", value);
      case c10::TypeKind::BoolType:
        if (const auto* boolean = value.get_if<bool>()) return *boolean;
        reject(where_, "a bool", value);
      case c10::TypeKind::NumberType:
        if (value.is(ValueKind::boolean) || value.is(ValueKind::integer) ||
            value.is(ValueKind::real)) {
          return take_any(value, depth);
        }
        reject(where_, "a number", value);
      case c10::TypeKind::StringType:
        if (const auto* text = value.get_if<std::string>()) return *text;
        reject(where_, "a string", value);
      case c10::TypeKind::NoneType:
        if (value.is(ValueKind::none)) return {};
        reject(where_, "none", value);
      case c10::TypeKind::OptionalType:
        if (value.is(ValueKind::none)) return {};
        return take(value, type->containedType(0), depth);
      case c10::TypeKind::ListType:
        return take_list(value, type, depth);
      case c10::TypeKind::TupleType:
        return take_tuple(value, type, depth);
      case c10::TypeKind::DictType:
        return take_dict(value, type, depth);
      case c10::TypeKind::UnionType:
        return take_union(value, type, depth);
      case c10::TypeKind::DeviceObjType:
        if (const auto* text = value.get_if<std::string>()) return c10::Device(*text);
        reject(where_, "a string naming a device", value);
      case c10::TypeKind::AnyType:
        return take_any(value, depth);
      default:
        throw Error(Status::unsupported, where_ + " is of the type " + type->repr_str() +
                                             ", which cannot be passed from outside TorchScript");
    }
  }

 private:
  bool is_sequence(const Value& value) {
    return value.is(ValueKind::list) || value.is(ValueKind::tuple);
  }

  c10::IValue take_list(const Value& value, const c10::TypePtr& type, int depth) {
    if (!is_sequence(value)) reject(where_, "a list", value);
    const c10::TypePtr& element = type->containedType(0);
    c10::impl::GenericList list(element);
    list.reserve(value.items().size());
    for (const Value& item : value.items()) list.emplace_back(take(item, element, depth + 1));
    return list;
  }

  c10::IValue take_tuple(const Value& value, const c10::TypePtr& type, int depth) {
    const auto types = type->containedTypes();
    if (!is_sequence(value) || value.items().size() != types.size()) {
      reject(where_, "a tuple of " + std::to_string(types.size()), value);
    }
    std::vector<c10::IValue> items;
    items.reserve(types.size());
    for (std::size_t i = 0; i < types.size(); ++i) {
      items.push_back(take(value.items()[i], types[i], depth + 1));
    }
    const auto& named = type->expectRef<c10::TupleType>();
    if (named.schema())
      return c10::ivalue::Tuple::createNamed(std::move(items), type->expect<c10::TupleType>());
    return c10::ivalue::Tuple::create(std::move(items));
  }

  c10::IValue take_dict(const Value& value, const c10::TypePtr& type, int depth) {
    const auto* dict = value.get_if<Dict>();
    if (dict == nullptr) reject(where_, "a dict", value);
    const c10::TypePtr& key = type->containedType(0);
    const c10::TypePtr& element = type->containedType(1);
    if (key->kind() != c10::TypeKind::StringType) {
      throw Error(Status::unsupported,
                  where_ + " is a dict with keys of type " + key->repr_str() +
                      "; only string keys can be passed from outside TorchScript");
    }
    c10::impl::GenericDict taken(key, element);
    taken.reserve(dict->items.size());
    for (const auto& [name, item] : dict->items) {
      taken.insert_or_assign(name, take(item, element, depth + 1));
    }
    return taken;
  }

  c10::IValue take_union(const Value& value, const c10::TypePtr& type, int depth) {
    for (const c10::TypePtr& member : type->containedTypes()) {
      try {
        return take(value, member, depth);
      } catch (const Error& error) {
        if (error.status() != Status::invalid_input) throw;
      }
    }
    reject(where_, "of the type " + type->repr_str(), value);
  }

  c10::IValue take_any(const Value& value, int depth) {
    if (depth > kMaxDepth) {
      throw Error(Status::limit_exceeded, where_ + " is nested more than 64 levels deep");
    }
    switch (value.kind()) {
      case ValueKind::none:
        return {};
      case ValueKind::boolean:
        return value.get<bool>();
      case ValueKind::integer:
        return value.get<std::int64_t>();
      case ValueKind::real:
        return value.get<double>();
      case ValueKind::string:
        return value.get<std::string>();
      case ValueKind::tensor:
        return take_tensor(value.get<Tensor>(), options_, where_, unowned_);
      case ValueKind::list:
        return take_any_list(value, depth);
      case ValueKind::tuple: {
        std::vector<c10::IValue> items;
        for (const Value& item : value.items()) items.push_back(take_any(item, depth + 1));
        return c10::ivalue::Tuple::create(std::move(items));
      }
      case ValueKind::dict: {
        c10::impl::GenericDict dict(c10::StringType::get(), c10::AnyType::get());
        for (const auto& [name, item] : value.get<Dict>().items) {
          dict.insert_or_assign(name, take_any(item, depth + 1));
        }
        return dict;
      }
    }
    reject(where_, "a value", value);
  }

  // Typed by its elements when they agree, as TorchScript types a list literal.
  c10::IValue take_any_list(const Value& value, int depth) {
    std::vector<c10::IValue> items;
    for (const Value& item : value.items()) items.push_back(take_any(item, depth + 1));
    c10::TypePtr element = c10::AnyType::get();
    if (!items.empty()) {
      const c10::TypePtr first = items.front().type();
      bool equal = true;
      for (const c10::IValue& item : items) {
        equal = equal && item.type()->kind() == first->kind();
      }
      if (equal && first->kind() == c10::TypeKind::TensorType)
        element = c10::TensorType::get();
      else if (equal && first->containedTypeSize() == 0)
        element = first;
    }
    c10::impl::GenericList list(element);
    for (c10::IValue& item : items) list.emplace_back(std::move(item));
    return list;
  }

  const TakeOptions& options_;
  const std::string& where_;
  std::vector<at::Tensor>& unowned_;
};

[[noreturn]] void cannot_give(const std::string& where, const std::string& what) {
  throw Error(Status::unsupported, where + " returned " + what);
}

Value give_tensor(at::Tensor tensor, const GiveOptions& options) {
  if (!tensor.defined()) return {};
  if (tensor.layout() != at::kStrided) {
    cannot_give(options.where, "a tensor that is not dense; let the model return .to_dense()");
  }
  const auto dtype = dtype_of(tensor.scalar_type());
  if (!dtype) {
    cannot_give(options.where, std::string("a tensor of type ") +
                                   c10::toString(tensor.scalar_type()) +
                                   "; let the model convert it, e.g. by .dequantize() or .float()");
  }
  Tensor given;
  given.dtype = *dtype;
  if (options.device.is_cpu() && tensor.is_cuda()) tensor = tensor.cpu();
  if (tensor.device().is_cuda()) {
    given.device = {.type = DeviceType::cuda, .index = tensor.device().index()};
  } else if (!tensor.device().is_cpu()) {
    cannot_give(options.where, "a tensor on the device " + tensor.device().str());
  }
  if (tensor.is_conj()) tensor = tensor.resolve_conj();
  if (tensor.is_neg()) tensor = tensor.resolve_neg();
  if (!tensor.is_contiguous()) {
    tensor = tensor.contiguous();
  } else if (tensor.use_count() > 1 || tensor.storage().use_count() > 1) {
    tensor = tensor.clone(at::MemoryFormat::Contiguous);
  }
  given.shape = Dims(std::span(tensor.sizes().data(), tensor.sizes().size()));
  given.strides = Dims(std::span(tensor.strides().data(), tensor.strides().size()));
  given.data = tensor.data_ptr();
  given.owner = std::make_shared<TorchOwner>(std::move(tensor));
  return given;
}

Value give(c10::IValue&& result, const GiveOptions& options, int depth);

// Whether a tensor in these values lies elsewhere than on the CPU. Deeper than a call's arguments
// may be is not looked at: taking them has refused that.
bool any_elsewhere(std::span<const Value> values, int depth = 0) {
  const auto elsewhere = [depth](const Value& value) {
    if (const auto* tensor = value.get_if<Tensor>()) return tensor->device.type != DeviceType::cpu;
    if (depth > kMaxDepth) return false;
    if (const auto* dict = value.get_if<Dict>()) {
      return std::any_of(dict->items.begin(), dict->items.end(), [depth](const auto& item) {
        return any_elsewhere(std::span(&item.second, 1), depth + 1);
      });
    }
    return any_elsewhere(value.items(), depth + 1);
  };
  return std::any_of(values.begin(), values.end(), elsewhere);
}

// Moves an element out of a container that nobody else refers to, so that a tensor in it is seen to
// be the only reference.
List give_list(c10::IValue&& result, const GiveOptions& options, int depth) {
  const bool only = result.use_count() == 1;
  const auto list = std::move(result).toList();
  ValueVector items;
  items.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    c10::IValue item = only ? c10::IValue(list.extract(i)) : c10::IValue(list.get(i));
    items.push_back(give(std::move(item), options, depth));
  }
  return {std::move(items)};
}

Value give_tuple(c10::IValue&& result, const GiveOptions& options, int depth) {
  const bool only = result.use_count() == 1;
  const auto tuple = std::move(result).toTuple();
  Tuple given;
  given.items.reserve(tuple->size());
  if (only) {
    for (c10::IValue& item : std::move(*tuple).elements().vec()) {
      given.items.push_back(give(std::move(item), options, depth));
    }
  } else {
    for (const c10::IValue& item : tuple->elements()) {
      given.items.push_back(give(c10::IValue(item), options, depth));
    }
  }
  return given;
}

Value give_dict(c10::IValue&& result, const GiveOptions& options, int depth) {
  const bool only = result.use_count() == 1;
  const auto dict = std::move(result).toGenericDict();
  if (dict.size() != 0 && dict.keyType()->kind() != c10::TypeKind::StringType) {
    for (const auto& entry : dict) {
      if (!entry.key().isString()) {
        cannot_give(options.where,
                    "a dict whose keys are no strings; let the model use string keys");
      }
    }
  }
  Dict given;
  given.items.reserve(dict.size());
  for (auto& entry : dict) {
    c10::IValue item = entry.value();
    if (only) entry.setValue(c10::IValue());
    given.items.emplace_back(entry.key().toStringRef(), give(std::move(item), options, depth));
  }
  return given;
}

Value give(c10::IValue&& result, const GiveOptions& options, int depth) {
  if (depth > kMaxDepth) {
    throw Error(Status::limit_exceeded,
                options.where + " returned a value nested more than 64 levels deep");
  }
  if (result.isTensor()) return give_tensor(std::move(result).toTensor(), options);
  if (result.isNone()) return {};
  if (result.isBool()) return result.toBool();
  if (result.isInt()) return result.toInt();
  if (result.isDouble()) return result.toDouble();
  if (result.isString()) return result.toStringRef();
  if (result.isTuple()) return give_tuple(std::move(result), options, depth + 1);
  if (result.isList()) return give_list(std::move(result), options, depth + 1);
  if (result.isGenericDict()) return give_dict(std::move(result), options, depth + 1);
  if (result.isDevice()) return result.toDevice().str();
  if (result.isFuture()) {
    const auto future = std::move(result).toFuture();
    future->waitAndThrow();
    return give(future->value(), options, depth + 1);
  }
  cannot_give(options.where, "a " + result.tagKind() + ", which cannot leave TorchScript");
}

}  // namespace

at::ScalarType scalar_type(DType dtype) {
  switch (dtype) {
    case DType::boolean:
      return at::kBool;
    case DType::uint8:
      return at::kByte;
    case DType::uint16:
      return at::kUInt16;
    case DType::uint32:
      return at::kUInt32;
    case DType::uint64:
      return at::kUInt64;
    case DType::int8:
      return at::kChar;
    case DType::int16:
      return at::kShort;
    case DType::int32:
      return at::kInt;
    case DType::int64:
      return at::kLong;
    case DType::float16:
      return at::kHalf;
    case DType::bfloat16:
      return at::kBFloat16;
    case DType::float32:
      return at::kFloat;
    case DType::float64:
      return at::kDouble;
    case DType::complex32:
      return at::kComplexHalf;
    case DType::complex64:
      return at::kComplexFloat;
    case DType::complex128:
      return at::kComplexDouble;
  }
  throw Error(Status::invalid_input, "a tensor has an unknown element type");
}

std::optional<DType> dtype_of(at::ScalarType type) {
  switch (type) {
    case at::kBool:
      return DType::boolean;
    case at::kByte:
      return DType::uint8;
    case at::kUInt16:
      return DType::uint16;
    case at::kUInt32:
      return DType::uint32;
    case at::kUInt64:
      return DType::uint64;
    case at::kChar:
      return DType::int8;
    case at::kShort:
      return DType::int16;
    case at::kInt:
      return DType::int32;
    case at::kLong:
      return DType::int64;
    case at::kHalf:
      return DType::float16;
    case at::kBFloat16:
      return DType::bfloat16;
    case at::kFloat:
      return DType::float32;
    case at::kDouble:
      return DType::float64;
    case at::kComplexHalf:
      return DType::complex32;
    case at::kComplexFloat:
      return DType::complex64;
    case at::kComplexDouble:
      return DType::complex128;
    default:
      return std::nullopt;
  }
}

at::Device at_device(Device device) {
  if (device.type == DeviceType::cpu) return at::kCPU;
  return {at::kCUDA, static_cast<c10::DeviceIndex>(device.index)};
}

std::string shape_text(at::IntArrayRef shape) {
  std::string text;
  for (const std::int64_t extent : shape) {
    text += (text.empty() ? "" : ",") + std::to_string(extent);
  }
  return "[" + text + "]";
}

std::optional<ValueKind> kind_of(const c10::Type& type) {
  switch (type.kind()) {
    case c10::TypeKind::TensorType:
      return ValueKind::tensor;
    case c10::TypeKind::IntType:
      return ValueKind::integer;
    case c10::TypeKind::FloatType:
      return ValueKind::real;
    case c10::TypeKind::BoolType:
      return ValueKind::boolean;
    case c10::TypeKind::StringType:
      return ValueKind::string;
    case c10::TypeKind::NoneType:
      return ValueKind::none;
    case c10::TypeKind::ListType:
      return ValueKind::list;
    case c10::TypeKind::TupleType:
      return ValueKind::tuple;
    case c10::TypeKind::DictType:
      return ValueKind::dict;
    case c10::TypeKind::OptionalType:
      return kind_of(*type.containedType(0));
    default:
      return std::nullopt;
  }
}

c10::IValue take_value(const Value& value, const c10::TypePtr& type, const TakeOptions& options,
                       const std::string& where, std::vector<at::Tensor>& unowned) {
  return Taker(options, where, unowned).take(value, type, 0);
}

at::Device device_of_answers(std::span<const Value> arguments, at::Device model) {
  return model.is_cpu() || !any_elsewhere(arguments) ? at::Device(at::kCPU) : model;
}

Value give_value(c10::IValue&& result, const GiveOptions& options) {
  return give(std::move(result), options, 0);
}

}  // namespace ptsecure::torch_plugin
