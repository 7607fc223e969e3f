#include "libptsecure/engine/torch/compiled/aoti_weights.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/serialization/unpickler.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "libptsecure/base/error.hpp"
#include "libptsecure/engine/torch/convert.hpp"
#include "libptsecure/engine/torch/errors.hpp"
#include "libptsecure/engine/torch/files/invalid.hpp"
#include "libptsecure/engine/torch/files/pickle_globals.hpp"
#include "libptsecure/engine/torch/files/read_adapter.hpp"
#include "libptsecure/engine/torch/files/safetensors.hpp"

namespace ptsecure::torch_plugin {
namespace {

using caffe2::serialize::PyTorchStreamReader;

// A record seen as a source of its own.
class RecordSource final : public ByteSource {
 public:
  RecordSource(ByteSource& source, const Record& record)
      : source_(source), begin_(record_begin(source, record)), size_(record.size) {}
  std::uint64_t size() const override { return size_; }
  void read(std::uint64_t pos, void* dst, std::size_t n) override {
    check(pos, n);
    source_.read(begin_ + pos, dst, n);
  }
  void defer(std::uint64_t pos, void* dst, std::size_t n) override {
    check(pos, n);
    source_.defer(begin_ + pos, dst, n);
  }
  void discard_deferred() override { source_.discard_deferred(); }
  void finish() override { source_.finish(); }

 private:
  void check(std::uint64_t pos, std::size_t n) const {
    if (pos > size_ || n > size_ - pos) invalid("a weight of the package is cut short");
  }
  ByteSource& source_;
  std::uint64_t begin_;
  std::uint64_t size_;
};

// Elements of its storage that a tensor of this shape reaches; nullopt when that overflows.
std::optional<std::uint64_t> reach(std::span<const std::int64_t> shape,
                                   std::span<const std::int64_t> strides, std::int64_t offset) {
  std::int64_t last = offset;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) return 0;
    std::int64_t step = 0;
    if (__builtin_mul_overflow(shape[i] - 1, strides[i], &step) ||
        __builtin_add_overflow(last, step, &last)) {
      return std::nullopt;
    }
  }
  if (last < 0 || last == std::numeric_limits<std::int64_t>::max()) return std::nullopt;
  return static_cast<std::uint64_t>(last) + 1;
}

// A tensor of a constant's shape over a storage, `base` bytes into it.
at::Tensor view_of(const c10::Storage& storage, std::uint64_t base, const ConstantRule& rule) {
  const std::uint64_t item = dtype_size(rule.dtype);
  const auto elements = reach(rule.shape, rule.strides, rule.offset);
  if (!elements || base % item != 0 || *elements > rule.data_size / item ||
      base + rule.data_size > storage.nbytes()) {
    invalid("the weight " + rule.fqn + " of the package reaches beyond the bytes it has");
  }
  at::Tensor tensor = at::empty({0}, at::TensorOptions().dtype(scalar_type(rule.dtype)));
  tensor.set_(storage, static_cast<std::int64_t>(base / item) + rule.offset, rule.shape,
              rule.strides);
  return tensor;
}

bool wanted(const ConstantRule& rule, AotiWeights::Which which) {
  return !rule.folded && (which == AotiWeights::Which::all || rule.optional);
}

void require_plain(const ConstantRule& rule) {
  if (rule.plain) return;
  throw Error(Status::unsupported,
              "the weight " + rule.fqn +
                  " of the package is packed for one processor and kept outside of the library; "
                  "compile the model with aot_inductor.package_constants_in_so=True");
}

using RecordSizes = std::unordered_map<const void*, std::size_t>;

// libtorch takes the size of a tensor's memory from the pickle, however little the record has, and
// what the tensor reaches of it too.
bool is_whole(const at::Tensor& tensor, const RecordSizes& sizes) {
  if (tensor.layout() != at::kStrided || !tensor.has_storage()) return false;
  const c10::Storage& storage = tensor.storage();
  const auto found = sizes.find(storage.data());
  const auto& strides = tensor.strides();
  const auto elements = reach({tensor.sizes().data(), tensor.sizes().size()},
                              {strides.data(), strides.size()}, tensor.storage_offset());
  return storage.nbytes() <= (found == sizes.end() ? 0 : found->second) && elements &&
         *elements <= storage.nbytes() / tensor.element_size() && tensor.storage_offset() >= 0 &&
         std::all_of(strides.begin(), strides.end(), [](std::int64_t each) { return each >= 0; });
}

void require_whole(const c10::IValue& value, const RecordSizes& sizes, const std::string& what) {
  value.visit([&](const c10::IValue& each) {
    if (each.isTensor() && each.toTensor().defined() && !is_whole(each.toTensor(), sizes)) {
      invalid(what + " is damaged: a tensor reaches beyond the bytes that belong to it");
    }
    return false;
  });
}

// The value of a pickle whose tensors' bytes are records of the archive.
c10::IValue unpickle(std::string_view text, PyTorchStreamReader& reader, const std::string& what) {
  RecordSizes sizes;
  const auto read_text = [text](char* out, std::size_t n) mutable {
    n = std::min(n, text.size());
    std::copy_n(text.data(), n, out);
    text.remove_prefix(n);
    return n;
  };
  const auto read_tensor = [&](const std::string& name) {
    auto [data, size] = reader.getRecord("data/" + name);
    sizes[data.get()] = size;
    return std::move(data);
  };
  torch::jit::Unpickler unpickler(read_text, nullptr, nullptr, read_tensor, at::Device(at::kCPU));
  unpickler.set_version(reader.version());
  c10::IValue value = unpickler.parse_ivalue();
  require_whole(value, sizes, what);
  return value;
}

// What torch.save wrote, `text` being its data.pkl; tensors are read straight into their own
// memory.
c10::IValue read_saved(ByteSource& source, const Archive& archive, const std::string& text,
                       const std::string& what) {
  const auto adapter = std::make_shared<ReadAdapter>(source, archive, /*defer_tensors=*/false);
  try {
    PyTorchStreamReader reader(adapter);
    const auto plain = ordered_dict_as_dict(text);
    if (!plain) return unpickle(text, reader, what);
    return unpickle(*plain, reader, what).toTupleRef().elements().at(1);
  } catch (const Error&) {
    throw;
  } catch (...) {
    adapter->rethrow_source_error();
    try {
      rethrow_as_error(what + " could not be read");
    } catch (const Error& error) {
      if (error.status() != Status::engine) throw;
      invalid(error.what());
    }
  }
}

at::Tensor read_pickled_tensor(ByteSource& source, const Record& record) {
  RecordSource inner(source, record);
  const std::string what = "the record " + record.name + " of the package";
  const Archive archive(inner);
  const Record* pickle = archive.find("data.pkl");
  if (pickle == nullptr) invalid(what + " is no torch.save: it has no data.pkl");
  const c10::IValue value = read_saved(inner, archive, read_record(inner, *pickle), what);
  if (!value.isTensor()) invalid(what + " is no tensor");
  return value.toTensor().detach();
}

using NamedTensors = std::unordered_map<std::string, at::Tensor>;

NamedTensors read_state_dict(ByteSource& source) {
  constexpr const char* kAdvice = "; write safetensors, or torch.save(model.state_dict(), path)";
  const Archive archive(source);
  const Record* pickle = archive.find("data.pkl");
  if (pickle == nullptr || archive.find("constants.pkl") != nullptr) {
    invalid("the file of weights is no torch.save of a state_dict" + std::string(kAdvice));
  }
  const std::string text = read_record(source, *pickle);
  const auto globals = pickle_globals(text);
  if (const auto name = globals ? first_foreign_class(*globals) : std::nullopt) {
    invalid("the file of weights is a pickle of the Python class " + *name + kAdvice);
  }
  const c10::IValue value = read_saved(source, archive, text, "the file of weights");
  if (!value.isGenericDict()) {
    invalid("the file of weights holds a " + value.tagKind() + kAdvice);
  }
  NamedTensors tensors;
  for (const auto& entry : value.toGenericDict()) {
    if (!entry.key().isString() || !entry.value().isTensor()) {
      invalid("the file of weights holds more than tensors by their names" + std::string(kAdvice));
    }
    tensors.emplace(entry.key().toStringRef(), entry.value().toTensor().detach());
  }
  return tensors;
}

// Room for the tensors of the file, to be filled by source.finish().
NamedTensors place_safetensors(ByteSource& source) {
  NamedTensors tensors;
  for (const auto& [name, entry] : read_safetensors(source)) {
    if (!entry.dtype) {
      throw Error(Status::unsupported,
                  "the weight " + name + " has a datatype that compiled programs don't take");
    }
    at::Tensor tensor =
        at::empty(entry.shape, at::TensorOptions().dtype(scalar_type(*entry.dtype)));
    if (entry.size != 0) {
      prefer_huge_pages(tensor.data_ptr(), entry.size);
      source.defer(entry.begin, tensor.data_ptr(), entry.size);
    }
    tensors.emplace(name, std::move(tensor));
  }
  return tensors;
}

// A weight that the program doesn't take is one that was compiled into its code: other values for
// it would change nothing, silently.
void require_known(const NamedTensors& tensors, std::span<const ConstantRule> rules) {
  std::unordered_set<std::string_view> known;
  for (const ConstantRule& rule : rules) known.insert(rule.fqn);
  for (const auto& [name, tensor] : tensors) {
    // Counts the training steps of a batch normalisation; nothing that is exported reads it.
    if (known.contains(name) || name.ends_with("num_batches_tracked")) continue;
    invalid("the program takes no weight " + name +
            ": it isn't used, or was compiled into the code as numbers; leave it out, or compile "
            "the program with always_keep_tensor_constants=True");
  }
}

void require_rule(const at::Tensor& tensor, const ConstantRule& rule) {
  const bool fits = tensor.scalar_type() == scalar_type(rule.dtype) &&
                    tensor.sizes() == at::IntArrayRef(rule.shape);
  if (!fits) {
    invalid("the weight " + rule.fqn + " is " + at::toString(tensor.scalar_type()) +
            shape_text(tensor.sizes()) + ", but the program was compiled with " +
            at::toString(scalar_type(rule.dtype)) + shape_text(rule.shape));
  }
}

}  // namespace

AotiWeights::AotiWeights(std::vector<at::Tensor> tensors) : tensors_(std::move(tensors)) {
  for (const at::Tensor& tensor : tensors_) {
    if (!tensor.defined() || !tensor.has_storage() || tensor.storage().nbytes() == 0) continue;
    const auto* begin = static_cast<const char*>(tensor.storage().data());
    ranges_.push_back({begin, begin + tensor.storage().nbytes()});
  }
  std::sort(ranges_.begin(), ranges_.end(),
            [](const Range& a, const Range& b) { return std::less<>()(a.begin, b.begin); });
  std::vector<Range> merged;
  for (const Range& range : ranges_) {
    if (!merged.empty() && !std::less<>()(merged.back().end, range.begin)) {
      merged.back().end = std::max(merged.back().end, range.end, std::less<>());
    } else {
      merged.push_back(range);
    }
  }
  ranges_ = std::move(merged);
}

bool AotiWeights::hold(const void* address) const {
  const auto* at = static_cast<const char*>(address);
  const auto after = std::upper_bound(
      ranges_.begin(), ranges_.end(), at,
      [](const char* a, const Range& range) { return std::less<>()(a, range.begin); });
  return after != ranges_.begin() && std::less<>()(at, std::prev(after)->end);
}

AotiWeights AotiWeights::of_runner(const AotiRunner& runner, std::span<const ConstantRule> rules,
                                   Which which) {
  const auto given = runner.extract_constants_map(/*use_inactive=*/false);
  std::vector<at::Tensor> tensors;
  for (const ConstantRule& rule : rules) {
    if (!wanted(rule, which)) {
      tensors.emplace_back();
      continue;
    }
    at::Tensor tensor;
    if (const auto found = given.find(rule.fqn); found != given.end()) tensor = found->second;
    if (!tensor.defined()) {
      invalid("the weight " + rule.fqn +
              " is missing: the model was compiled without its weights; compile it with "
              "aot_inductor.package_constants_on_disk_format=\"binary_blob\", which keeps them in "
              "the package beside the library");
    }
    tensors.push_back(std::move(tensor));
  }
  return AotiWeights(std::move(tensors));
}

at::Tensor AotiWeights::begin_blob(ByteSource& source, const Record& record) {
  const std::uint64_t begin = record_begin(source, record);
  at::Tensor whole = at::empty({static_cast<std::int64_t>(record.size)}, at::kByte);
  if (record.size != 0) {
    prefer_huge_pages(whole.data_ptr(), record.size);
    source.defer(begin, whole.data_ptr(), record.size);
  }
  return whole;
}

AotiWeights AotiWeights::of_blob(ByteSource& source, const Record& record,
                                 std::span<const ConstantRule> rules, Which which,
                                 at::Tensor whole) {
  std::uint64_t total = 0;
  for (const ConstantRule& rule : rules) {
    if (rule.folded) continue;
    require_plain(rule);
    if (__builtin_add_overflow(total, rule.data_size, &total)) total = ~std::uint64_t{0};
  }
  if (total != record.size) {
    invalid("the weights of the package have " + std::to_string(record.size) +
            " bytes, but the model was compiled with " + std::to_string(total));
  }
  if (which == Which::all && !whole.defined()) whole = begin_blob(source, record);
  const std::uint64_t begin = record_begin(source, record);
  std::vector<at::Tensor> tensors;
  std::uint64_t base = 0;
  for (const ConstantRule& rule : rules) {
    if (!wanted(rule, which)) {
      tensors.emplace_back();
    } else if (which == Which::all) {
      tensors.push_back(view_of(whole.storage(), base, rule));
    } else {
      const at::Tensor bytes = at::empty({static_cast<std::int64_t>(rule.data_size)}, at::kByte);
      tensors.push_back(view_of(bytes.storage(), 0, rule));
      if (rule.data_size != 0) source.defer(begin + base, bytes.data_ptr(), rule.data_size);
    }
    if (!rule.folded) base += rule.data_size;
  }
  return AotiWeights(std::move(tensors));
}

AotiWeights AotiWeights::of_pickles(ByteSource& source, const Archive& archive,
                                    const CompiledModel& model, std::span<const ConstantRule> rules,
                                    Which which) {
  std::map<std::string, at::Tensor> read;  // by record: several weights may share one
  std::vector<at::Tensor> tensors;
  for (const ConstantRule& rule : rules) {
    if (!wanted(rule, which)) {
      tensors.emplace_back();
      continue;
    }
    require_plain(rule);
    const auto entry = model.pickled.find(rule.fqn);
    if (entry == model.pickled.end()) {
      invalid("the package is incomplete: it has no weight " + rule.fqn);
    }
    const PickledWeight& weight = entry->second;
    at::Tensor& whole = read[weight.record];
    if (!whole.defined()) whole = read_pickled_tensor(source, *archive.find(weight.record));
    const auto elements = reach(weight.shape, weight.strides, weight.offset);
    if (!elements || *elements > whole.storage().nbytes() / whole.element_size()) {
      invalid("the weight " + rule.fqn + " of the package reaches beyond the bytes it has");
    }
    at::Tensor tensor = at::empty({0}, whole.options());
    tensor.set_(whole.storage(), weight.offset, weight.shape, weight.strides);
    require_rule(tensor, rule);
    tensors.push_back(std::move(tensor));
  }
  return AotiWeights(std::move(tensors));
}

AotiWeights AotiWeights::of_package(ByteSource& source, const Archive& archive,
                                    const CompiledModel& model, std::span<const ConstantRule> rules,
                                    Which which, at::Tensor whole) {
  if (model.blob != nullptr) return of_blob(source, *model.blob, rules, which, std::move(whole));
  return of_pickles(source, archive, model, rules, which);
}

AotiWeights AotiWeights::of_checkpoint(ByteSource& source, std::span<const ConstantRule> rules) {
  std::array<char, 4> first{};
  source.read(0, first.data(), std::min<std::uint64_t>(first.size(), source.size()));
  const bool zip = std::string_view(first.data(), first.size()) == "PK\x03\x04";
  auto found = zip ? read_state_dict(source) : place_safetensors(source);
  require_known(found, rules);
  std::vector<at::Tensor> tensors;
  for (const ConstantRule& rule : rules) {
    const auto tensor = found.find(rule.fqn);
    if (rule.folded || (tensor == found.end() && rule.optional)) {
      tensors.emplace_back();
      continue;
    }
    if (tensor == found.end()) {
      invalid("the weights have no " + rule.fqn + ", which the program was compiled with");
    }
    require_rule(tensor->second, rule);
    require_plain(rule);
    tensors.push_back(tensor->second);
  }
  return AotiWeights(std::move(tensors));
}

AotiWeights AotiWeights::completed_by(const AotiWeights& others) const {
  std::vector<at::Tensor> all = tensors_;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].defined() && others.tensors_[i].defined()) all[i] = others.tensors_[i].clone();
  }
  return AotiWeights(std::move(all));
}

AotiWeights AotiWeights::laid_out(std::span<const ConstantRule> rules) const {
  std::vector<at::Tensor> all = tensors_;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].defined() || all[i].strides() == at::IntArrayRef(rules[i].strides)) continue;
    at::Tensor copy = at::empty_strided(rules[i].shape, rules[i].strides, all[i].options());
    copy.copy_(all[i]);
    all[i] = std::move(copy);
  }
  return AotiWeights(std::move(all));
}

std::uint64_t AotiWeights::bytes() const {
  std::uint64_t total = 0;
  for (const at::Tensor& tensor : tensors_) {
    if (tensor.defined()) total += tensor.nbytes();
  }
  return total;
}

AotiWeights AotiWeights::on(at::Device device, std::span<const ConstantRule> rules) const {
  if (device.is_cpu()) return *this;
  std::vector<at::Tensor> moved = tensors_;
  for (std::size_t i = 0; i < moved.size(); ++i) {
    if (moved[i].defined() && !rules[i].on_cpu) moved[i] = moved[i].to(device);
  }
  return AotiWeights(std::move(moved));
}

AotiWeights AotiWeights::with_own_state(std::span<const ConstantRule> rules) const {
  std::vector<at::Tensor> own = tensors_;
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (own[i].defined() && rules[i].written) own[i] = own[i].clone();
  }
  return AotiWeights(std::move(own));
}

AotiWeights AotiWeights::copied() const {
  std::vector<at::Tensor> own = tensors_;
  for (at::Tensor& tensor : own) {
    if (tensor.defined()) tensor = tensor.clone();
  }
  return AotiWeights(std::move(own));
}

AotiWeights AotiWeights::optional_ones(std::span<const ConstantRule> rules) const {
  std::vector<at::Tensor> some = tensors_;
  for (std::size_t i = 0; i < some.size(); ++i) {
    if (!rules[i].optional) some[i].reset();
  }
  return AotiWeights(std::move(some)).with_own_state(rules);
}

AotiRunner::Constants AotiWeights::by_name(std::span<const ConstantRule> rules) const {
  AotiRunner::Constants constants;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (tensors_[i].defined()) constants.emplace(rules[i].name, tensors_[i]);
  }
  return constants;
}

}  // namespace ptsecure::torch_plugin
