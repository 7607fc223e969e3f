#include "libptsecure/engine/torch/compiled/pt2_package.hpp"

#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "libptsecure/base/error.hpp"
#include "libptsecure/engine/torch/files/invalid.hpp"

namespace ptsecure::torch_plugin {
namespace {

using nlohmann::json;

constexpr std::string_view kFolder = "data/aotinductor/";
constexpr std::size_t kMaxModels = 64;

// Records are never written anywhere, but a name that points out of the package is no honest one.
void require_plain_names(const Archive& archive) {
  std::set<std::string_view> seen;
  for (const Record& record : archive.records()) {
    const std::string_view name = record.name;
    const bool climbs = ("/" + record.name + "/").find("/../") != std::string::npos;
    if (name.empty() || name.front() == '/' || climbs ||
        name.find_first_of(std::string_view("\\\0", 2)) != std::string_view::npos) {
      invalid(
          "the package has a record whose name points outside of it; it was not made by PyTorch");
    }
    if (!seen.insert(name).second) invalid("the package has two records " + record.name);
  }
}

void require_format(const Archive& archive, ByteSource& source) {
  const auto text = [&](const char* name) {
    const Record* record = archive.find(name);
    if (record == nullptr) {
      invalid("the package is incomplete: the record " + std::string(name) + " is missing");
    }
    return read_record(source, *record);
  };
  if (text("archive_format") != "pt2") {
    invalid("the file has AOTInductor records, but its archive_format isn't pt2");
  }
  if (const std::string version = text("archive_version"); version != "0") {
    invalid("the package has version " + version.substr(0, 20) +
            " of the .pt2 format, and only version 0 is known; it was made by another version of "
            "torch than the one in use");
  }
  if (const Record* order = archive.find("byteorder");
      order != nullptr && read_record(source, *order) != "little") {
    invalid("the package was made on a machine of another byte order");
  }
}

json parse(ByteSource& source, const Record& record) {
  try {
    return json::parse(read_record(source, record));
  } catch (const json::exception&) {
    invalid("the record " + record.name + " of the package is not JSON");
  }
}

std::map<std::string, std::string> parse_metadata(ByteSource& source, const Record& record) {
  std::map<std::string, std::string> metadata;
  const json object = parse(source, record);
  if (!object.is_object()) invalid("the record " + record.name + " is not a JSON object");
  for (const auto& [key, value] : object.items()) {
    if (!value.is_string()) invalid("the record " + record.name + " must hold strings only");
    metadata.emplace(key, value.get<std::string>());
  }
  return metadata;
}

std::vector<std::int64_t> integers(const json& array) {
  std::vector<std::int64_t> values;
  for (const json& item : array) {
    if (!item.is_number_integer()) invalid("weights_config.json must give shapes in integers");
    values.push_back(item.get<std::int64_t>());
    if (values.back() < 0) invalid("weights_config.json has a negative extent or stride");
  }
  return values;
}

// {"a.weight": ["weight_0", [16, 8], [8, 1], 0], ...}
std::map<std::string, PickledWeight> parse_weights(ByteSource& source, const Record& record,
                                                   const Archive& archive) {
  std::map<std::string, PickledWeight> weights;
  const json object = parse(source, record);
  if (!object.is_object()) invalid("the record " + record.name + " is not a JSON object");
  for (const auto& [name, entry] : object.items()) {
    if (!entry.is_array() || entry.size() != 4 || !entry[0].is_string() || !entry[1].is_array() ||
        !entry[2].is_array() || !entry[3].is_number_integer() ||
        entry[1].size() != entry[2].size()) {
      invalid("the record " + record.name +
              " has an entry that isn't [file, shape, strides, offset]");
    }
    PickledWeight weight;
    weight.record = "data/weights/" + entry[0].get<std::string>();
    weight.shape = integers(entry[1]);
    weight.strides = integers(entry[2]);
    weight.offset = entry[3].get<std::int64_t>();
    if (weight.offset < 0) invalid("weights_config.json has a negative offset");
    if (archive.find(weight.record) == nullptr) {
      invalid("the package is incomplete: the record " + weight.record + " of the weight " + name +
              " is missing");
    }
    weights.emplace(name, std::move(weight));
  }
  return weights;
}

// The records of one model, by what their names end in.
struct ModelRecords {
  const Record* library = nullptr;
  const Record* blob = nullptr;
  const Record* metadata = nullptr;
  const Record* source = nullptr;
  const Record* extern_nodes = nullptr;
  const Record* weights_config = nullptr;
};

void set_once(const Record*& place, const Record& record, const std::string& model) {
  if (place != nullptr) {
    invalid("the model " + model + " of the package has both " + place->name + " and " +
            record.name + "; only models that are one library each can be loaded");
  }
  place = &record;
}

void sort_in(ModelRecords& records, const Record& record, const std::string& model) {
  const std::string_view name = record.name;
  if (name.ends_with(".so")) return set_once(records.library, record, model);
  if (name.ends_with("_weights.blob")) return set_once(records.blob, record, model);
  if (name.ends_with(".wrapper_metadata.json")) return set_once(records.metadata, record, model);
  if (name.ends_with(".wrapper.cpp")) return set_once(records.source, record, model);
  if (name.ends_with(".wrapper.json")) return set_once(records.extern_nodes, record, model);
  if (name.ends_with("/weights_config.json")) {
    return set_once(records.weights_config, record, model);
  }
  if (name.ends_with("/custom_objs_config.json")) {
    throw Error(Status::unsupported,
                "the model " + model +
                    " of the package holds TorchBind objects, which can't be loaded from memory");
  }
  if (name.ends_with(".cubin") || name.ends_with(".hsaco") || name.ends_with(".spv")) {
    throw Error(Status::unsupported,
                "the model " + model +
                    " of the package keeps its GPU kernels in files; compile it with "
                    "aot_inductor.embed_kernel_binary=True, which puts them into the library");
  }
}

CompiledModel read_model(const std::string& name, const ModelRecords& records,
                         const Archive& archive, ByteSource& source) {
  const auto require = [&](const Record* record, const char* what) {
    if (record == nullptr) {
      invalid("the package is incomplete: the model " + name + " has no " + what +
              "; compile it with torch._inductor.aoti_compile_and_package and publish what that "
              "writes");
    }
  };
  require(records.library, "compiled library (.so)");
  require(records.metadata, "metadata (.wrapper_metadata.json)");
  CompiledModel model;
  model.name = name;
  model.library = records.library;
  model.blob = records.blob;
  model.metadata = parse_metadata(source, *records.metadata);
  if (records.source != nullptr) model.source = read_record(source, *records.source);
  if (records.extern_nodes != nullptr) {
    model.extern_nodes = read_record(source, *records.extern_nodes);
  }
  if (records.weights_config != nullptr) {
    model.pickled = parse_weights(source, *records.weights_config, archive);
  }
  return model;
}

}  // namespace

Pt2Package::Pt2Package(const Archive& archive, ByteSource& source) {
  require_plain_names(archive);
  require_format(archive, source);
  std::map<std::string, ModelRecords> folders;
  for (const Record& record : archive.records()) {
    if (!record.name.starts_with(kFolder)) continue;
    const std::string rest = record.name.substr(kFolder.size());
    const auto slash = rest.find('/');
    if (slash == 0 || slash == std::string::npos) {
      invalid("the package has a record " + record.name + " that belongs to no model");
    }
    const std::string name = rest.substr(0, slash);
    sort_in(folders[name], record, name);
    if (folders.size() > kMaxModels) invalid("the package holds more than 64 models");
  }
  if (folders.empty()) {
    invalid(
        "the package holds no compiled model; compile the exported program with "
        "torch._inductor.aoti_compile_and_package and publish what that writes");
  }
  for (const auto& [name, records] : folders) {
    models_.push_back(read_model(name, records, archive, source));
  }
}

}  // namespace ptsecure::torch_plugin
