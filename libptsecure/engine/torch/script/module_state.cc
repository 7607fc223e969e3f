#include "libptsecure/engine/torch/script/module_state.hpp"

#include <ATen/core/jit_type.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "libptsecure/base/error.hpp"

namespace ptsecure::torch_plugin {
namespace {

// Calls `on_tensor` for every tensor reachable from a value.
template <class OnTensor>
class Walk {
 public:
  explicit Walk(OnTensor on_tensor, bool skip_parameters = false)
      : on_tensor_(std::move(on_tensor)), skip_parameters_(skip_parameters) {}

  void operator()(const c10::IValue& root) {
    pending_.push_back(root);
    while (!pending_.empty()) {
      const c10::IValue value = std::move(pending_.back());
      pending_.pop_back();
      visit(value);
    }
  }

 private:
  void visit(const c10::IValue& value) {
    if (value.isTensor()) {
      if (value.toTensor().defined()) on_tensor_(value.toTensor());
      return;
    }
    if (!value.isPtrType() || value.isString() || !seen_.insert(value.internalToPointer()).second) {
      return;
    }
    if (value.isObject()) {
      push_slots(value.toObjectRef());
    } else if (value.isList()) {
      for (const c10::IValue& item : value.toListRef()) pending_.push_back(item);
    } else if (value.isTuple()) {
      for (const c10::IValue& item : value.toTupleRef().elements()) pending_.push_back(item);
    } else if (value.isGenericDict()) {
      for (const auto& entry : value.toGenericDict()) pending_.push_back(entry.value());
    }
  }

  void push_slots(const c10::ivalue::Object& object) {
    const auto type = object.type();
    for (std::size_t i = 0; i < object.slots().size(); ++i) {
      const bool parameter =
          type->is_module() && i < type->numAttributes() && type->is_parameter(i);
      if (!parameter || !skip_parameters_) pending_.push_back(object.getSlot(i));
    }
  }

  OnTensor on_tensor_;
  const bool skip_parameters_;
  std::vector<c10::IValue> pending_;
  std::unordered_set<const void*> seen_;
};

class Forker {
 public:
  Forker(const torch::jit::Module& module, bool copy_parameters)
      : copy_parameters_(copy_parameters) {
    // A parameter that shares memory with a buffer is copied with it, so that they still do.
    Walk([this](const at::Tensor& tensor) { note_state(tensor); },
         /*skip_parameters=*/true)(module._ivalue());
  }

  c10::IValue fork(const c10::IValue& value) {
    if (value.isTensor()) return fork_tensor(value.toTensor());
    if (!value.isPtrType() || value.isString()) return value;
    const void* identity = value.internalToPointer();
    if (const auto found = copies_.find(identity); found != copies_.end()) return found->second;
    if (value.isCustomClass()) return value;  // e.g. packed weights: never changed
    if (value.isObject()) return fork_object(value, identity);
    if (value.isList()) return fork_list(value, identity);
    if (value.isGenericDict()) return fork_dict(value, identity);
    if (value.isTuple()) return fork_tuple(value);
    return value;
  }

 private:
  void note_state(const at::Tensor& tensor) {
    if (tensor.has_storage()) state_.insert(tensor.storage().unsafeGetStorageImpl());
  }

  c10::IValue fork_object(const c10::IValue& value, const void* identity) {
    const auto object = value.toObject();
    const auto copy = object->copy();
    copies_.emplace(identity, copy);
    const auto type = object->type();
    for (std::size_t i = 0; i < object->slots().size(); ++i) {
      const c10::IValue& slot = object->getSlot(i);
      const bool parameter = i < type->numAttributes() && type->is_module() &&
                             type->is_parameter(i) && slot.isTensor();
      copy->setSlot(i, parameter && !copy_parameters_ ? fork_parameter(slot) : fork(slot));
    }
    return copy;
  }

  c10::IValue fork_parameter(const c10::IValue& value) {
    const at::Tensor& tensor = value.toTensor();
    const bool with_state = tensor.defined() && tensor.has_storage() &&
                            state_.contains(tensor.storage().unsafeGetStorageImpl());
    return with_state ? c10::IValue(fork_tensor(tensor)) : value;
  }

  at::Tensor fork_tensor(const at::Tensor& tensor) {
    if (!tensor.defined()) return tensor;
    if (!tensor.has_storage()) return tensor.clone();
    at::Tensor copy = tensor.detach();
    copy.unsafeGetTensorImpl()->set_allow_tensor_metadata_change(true);
    copy.unsafeGetTensorImpl()->set_storage_keep_dtype(fork_storage(tensor.storage()));
    return copy;
  }

  const c10::Storage& fork_storage(const c10::Storage& storage) {
    const auto [entry, added] = storages_.try_emplace(storage.unsafeGetStorageImpl());
    if (added) {
      const auto bytes = static_cast<std::int64_t>(storage.nbytes());
      at::Tensor whole =
          at::empty({0}, at::TensorOptions().dtype(at::kByte).device(storage.device()));
      whole.set_(storage, 0, {bytes}, {1});
      entry->second = whole.clone().storage();
    }
    return entry->second;
  }

  c10::IValue fork_list(const c10::IValue& value, const void* identity) {
    const auto list = value.toList();
    c10::impl::GenericList copy(list.elementType());
    copy.reserve(list.size());
    copies_.emplace(identity, copy);
    for (std::size_t i = 0; i < list.size(); ++i) copy.push_back(fork(list.get(i)));
    return copy;
  }

  c10::IValue fork_dict(const c10::IValue& value, const void* identity) {
    const auto dict = value.toGenericDict();
    c10::impl::GenericDict copy(dict.keyType(), dict.valueType());
    copy.reserve(dict.size());
    copies_.emplace(identity, copy);
    for (const auto& entry : dict) copy.insert(entry.key(), fork(entry.value()));
    return copy;
  }

  c10::IValue fork_tuple(const c10::IValue& value) {
    std::vector<c10::IValue> items;
    for (const c10::IValue& item : value.toTupleRef().elements()) items.push_back(fork(item));
    const auto type = value.type()->expect<c10::TupleType>();
    if (type->schema()) return c10::ivalue::Tuple::createNamed(std::move(items), type);
    return c10::ivalue::Tuple::create(std::move(items));
  }

  const bool copy_parameters_;
  std::unordered_set<const c10::StorageImpl*> state_;
  std::unordered_map<const c10::StorageImpl*, c10::Storage> storages_;
  std::unordered_map<const void*, c10::IValue> copies_;
};

// Bytes of a storage that a tensor's elements reach, from the storage's beginning.
std::size_t reach(const at::Tensor& tensor) {
  if (tensor.numel() == 0) return 0;
  std::int64_t last = tensor.storage_offset();
  for (std::int64_t i = 0; i < tensor.dim(); ++i) {
    std::int64_t step = 0;
    if (tensor.size(i) < 0 || tensor.stride(i) < 0 ||
        __builtin_mul_overflow(tensor.size(i) - 1, tensor.stride(i), &step) ||
        __builtin_add_overflow(last, step, &last)) {
      return SIZE_MAX;
    }
  }
  std::int64_t bytes = 0;
  const auto itemsize = static_cast<std::int64_t>(tensor.itemsize());
  if (last < 0 || __builtin_mul_overflow(last + 1, itemsize, &bytes)) return SIZE_MAX;
  return static_cast<std::size_t>(bytes);
}

}  // namespace

ModuleStorages::ModuleStorages(const torch::jit::Module& module) {
  std::unordered_set<const c10::StorageImpl*> seen;
  Walk([&](const at::Tensor& tensor) {
    if (!tensor.has_storage()) return;
    tensors_.push_back(tensor);
    const c10::Storage& storage = tensor.storage();
    if (!seen.insert(storage.unsafeGetStorageImpl()).second) return;
    total_bytes_ += storage.nbytes();
    if (storage.device().is_cpu() && storage.data() != nullptr) {
      ranges_.push_back({storage.data(), storage.nbytes(), storage});
    }
  })(module._ivalue());
  std::sort(ranges_.begin(), ranges_.end(), before);
}

void ModuleStorages::check_bounds(const ReadAdapter& reads) const {
  const bool tensors_fit = std::all_of(tensors_.begin(), tensors_.end(), [](const at::Tensor& t) {
    if (t.storage().data() == nullptr && reach(t) != 0) return false;
    return reach(t) <= t.storage().nbytes();
  });
  const bool storages_fit = std::all_of(ranges_.begin(), ranges_.end(), [&](const Range& range) {
    return range.size <= reads.size_at(range.begin).value_or(range.size);
  });
  if (tensors_fit && storages_fit) return;
  throw Error(Status::invalid_model,
              "the model file is damaged: a tensor reaches beyond the bytes that belong to it");
}

bool ModuleStorages::hold(std::span<const PlacedRecord> records) const {
  // One record to one storage of just its size: memory that was freed and given out again while
  // loading would be named twice, or with another size.
  std::unordered_set<const void*> seen;
  return std::all_of(records.begin(), records.end(), [&](const PlacedRecord& record) {
    const auto at = find(record);
    return at != ranges_.end() && at->begin == record.destination && at->size == record.size &&
           seen.insert(record.destination).second;
  });
}

std::vector<ModuleStorages::Range>::const_iterator ModuleStorages::find(
    const PlacedRecord& record) const {
  const Range wanted{.begin = record.destination, .size = 0, .storage = {}};
  return std::lower_bound(ranges_.begin(), ranges_.end(), wanted, before);
}

void ModuleStorages::adopt(std::span<const PlacedRecord> records, TensorArena& arena) const {
  for (const PlacedRecord& record : records) {
    if (record.in_arena == nullptr) continue;
    find(record)->storage.set_data_ptr_noswap(arena.own(record.in_arena, record.size));
  }
}

torch::jit::Module fork_module(const torch::jit::Module& module, bool copy_parameters) {
  return torch::jit::Module(Forker(module, copy_parameters).fork(module._ivalue()).toObject());
}

}  // namespace ptsecure::torch_plugin
