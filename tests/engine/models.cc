#include "tests/engine/models.hpp"

#include <spawn.h>
#include <sys/wait.h>

#include <cstdlib>
#include <stdexcept>

extern char** environ;

namespace ptsecure::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class BytesOwner final : public TensorOwner {
 public:
  explicit BytesOwner(const std::string& bytes) : memory_(bytes.size() / 16 + 1) {
    std::memcpy(memory_.data(), bytes.data(), bytes.size());
  }
  void* data() { return memory_.data(); }

 private:
  struct alignas(16) Block {
    char bytes[16];
  };
  std::vector<Block> memory_;
};

std::string python() {
  if (const char* given = std::getenv("PTSECURE_PYTHON")) return given;
  return PTSECURE_SOURCE_DIR "/build/venv/bin/python";
}

std::string unhex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

DType dtype_named(const std::string& name) {
  static const std::vector<std::pair<std::string, DType>> kNames = {
      {"bool", DType::boolean},        {"uint8", DType::uint8},
      {"uint16", DType::uint16},       {"uint32", DType::uint32},
      {"uint64", DType::uint64},       {"int8", DType::int8},
      {"int16", DType::int16},         {"int32", DType::int32},
      {"int64", DType::int64},         {"float16", DType::float16},
      {"bfloat16", DType::bfloat16},   {"float32", DType::float32},
      {"float64", DType::float64},     {"complex32", DType::complex32},
      {"complex64", DType::complex64}, {"complex128", DType::complex128}};
  for (const auto& [known, dtype] : kNames) {
    if (known == name) return dtype;
  }
  throw std::runtime_error("unknown dtype " + name);
}

std::string tensor_difference(const Tensor& expected, const Tensor& found) {
  if (expected.dtype != found.dtype) return "dtype";
  if (!(expected.shape == found.shape)) return "shape";
  if (!found.contiguous()) return "strides";
  return bytes_of(expected) == bytes_of(found) ? "" : "elements";
}

std::string items_difference(std::span<const Value> expected, std::span<const Value> found) {
  if (expected.size() != found.size()) return "length";
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const std::string inner = difference(expected[i], found[i]);
    if (!inner.empty()) return "[" + std::to_string(i) + "] " + inner;
  }
  return "";
}

std::string dict_difference(const Dict& expected, const Dict& found) {
  if (expected.items.size() != found.items.size()) return "length";
  for (std::size_t i = 0; i < expected.items.size(); ++i) {
    const auto& [key, value] = expected.items[i];
    if (key != found.items[i].first) return "key " + key;
    const std::string inner = difference(value, found.items[i].second);
    if (!inner.empty()) return "." + key + " " + inner;
  }
  return "";
}

}  // namespace

void make_models(const fs::path& folder, const std::string& option) {
  std::string program = python();
  std::string script = PTSECURE_SOURCE_DIR "/tests/engine/make_models.py";
  std::string target = folder.string();
  std::string extra = option;
  std::vector<char*> arguments = {program.data(), script.data(), target.data()};
  if (!extra.empty()) arguments.push_back(extra.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  if (posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments.data(), environ) != 0) {
    throw std::runtime_error("cannot run " + program +
                             "; set PTSECURE_PYTHON to a Python with torch");
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) {
    throw std::runtime_error(script + " failed; it needs torch and torchvision in " + program);
  }
}

const fs::path& model_folder() {
  static std::string failure;
  if (!failure.empty()) throw std::runtime_error(failure);
  static const fs::path folder = [] {
    const char* build = std::getenv("PTSECURE_BUILD_DIR");
    const fs::path base = build != nullptr ? fs::path(build) : fs::temp_directory_path();
    std::string script;
    for (const char* file : {"make_models.py", "modules.py", "hostile_archives.py"}) {
      script += read_file(fs::path(PTSECURE_SOURCE_DIR "/tests/engine") / file);
    }
    const fs::path target =
        base / "ptsecure-test-models" / std::to_string(std::hash<std::string>()(script));
    if (fs::exists(target / "done")) return target;
    fs::remove_all(base / "ptsecure-test-models");
    try {
      make_models(target, "");
    } catch (const std::exception& error) {
      failure = error.what();
      throw;
    }
    std::ofstream(target / "done") << "ok";
    return target;
  }();
  return folder;
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  std::string bytes(fs::file_size(path), '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

json model_calls(const std::string& name) {
  return json::parse(read_file(model_folder() / (name + ".json")));
}

Value decode(const json& encoded) {
  if (encoded.is_null()) return {};
  if (encoded.is_boolean()) return encoded.get<bool>();
  if (encoded.is_number_integer()) return encoded.get<std::int64_t>();
  if (encoded.is_string()) return encoded.get<std::string>();
  if (encoded.is_array()) {
    List list;
    for (const json& item : encoded) list.items.push_back(decode(item));
    return list;
  }
  if (encoded.contains("float"))
    return std::strtod(encoded["float"].get<std::string>().c_str(), nullptr);
  if (encoded.contains("tuple")) {
    Tuple tuple;
    for (const json& item : encoded["tuple"]) tuple.items.push_back(decode(item));
    return tuple;
  }
  if (encoded.contains("dict")) {
    Dict dict;
    for (const json& item : encoded["dict"]) dict.items.emplace_back(item[0], decode(item[1]));
    return dict;
  }
  const auto shape = encoded["shape"].get<std::vector<std::int64_t>>();
  return make_tensor(dtype_named(encoded["tensor"]), Dims(shape),
                     unhex(encoded["bytes"].get<std::string>()));
}

std::string difference(const Value& expected, const Value& found) {
  if (expected.kind() != found.kind()) {
    return std::string(kind_name(expected.kind())) + " expected, not " + kind_name(found.kind());
  }
  switch (expected.kind()) {
    case ValueKind::none:
      return "";
    case ValueKind::boolean:
      return expected.get<bool>() == found.get<bool>() ? "" : "bool";
    case ValueKind::integer:
      return expected.get<std::int64_t>() == found.get<std::int64_t>() ? "" : "int";
    case ValueKind::real:
      return expected.get<double>() == found.get<double>() ? "" : "float";
    case ValueKind::string:
      return expected.get<std::string>() == found.get<std::string>() ? "" : "string";
    case ValueKind::tensor:
      return tensor_difference(expected.get<Tensor>(), found.get<Tensor>());
    case ValueKind::list:
    case ValueKind::tuple:
      return items_difference(expected.items(), found.items());
    case ValueKind::dict:
      return dict_difference(expected.get<Dict>(), found.get<Dict>());
  }
  return "unknown kind";
}

Tensor make_tensor(DType dtype, Dims shape, const std::string& bytes) {
  const auto owner = std::make_shared<BytesOwner>(bytes);
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.strides = Tensor::contiguous_strides(shape);
  tensor.shape = shape;
  tensor.data = owner->data();
  tensor.owner = owner;
  return tensor;
}

Tensor floats(Dims shape, std::initializer_list<float> elements) {
  std::string bytes(elements.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), elements.begin(), bytes.size());
  return make_tensor(DType::float32, shape, bytes);
}

std::string bytes_of(const Tensor& tensor) {
  return {static_cast<const char*>(tensor.data), tensor.nbytes()};
}

EngineLoadOptions torchscript_options() {
  EngineLoadOptions options;
  options.format = "torchscript";
  options.intra_op_threads = 1;
  return options;
}

std::unique_ptr<EngineModel> load(ByteSource& source, const EngineLoadOptions& options) {
  return torch_engine("").load(source, options);
}

std::unique_ptr<EngineModel> load(const std::string& name) {
  ByteSourceDouble source(model_bytes(name));
  return load(source);
}

void expect_answers(EngineModel& model, const json& calls) {
  for (std::size_t i = 0; i < calls.size(); ++i) {
    ValueVector arguments;
    for (const json& argument : calls[i]["arguments"]) arguments.push_back(decode(argument));
    const Value result = model.infer(calls[i]["method"], arguments);
    EXPECT_EQ(difference(decode(calls[i]["result"]), result), "") << "call " << i;
  }
}

}  // namespace ptsecure::testing
