#include "libptsecure/engine/torch/files/pickle_globals.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <utility>

namespace ptsecure::torch_plugin {
namespace {

using namespace std::string_view_literals;

// The operands of an instruction.
enum class Operand { none, fixed, line, counted };
struct Shape {
  Operand operand = Operand::none;
  std::uint8_t size = 0;  // of the operand, or of its count
};

std::optional<Shape> shape_of(unsigned char opcode) {
  constexpr std::string_view kBare = "(.012NQR]})ublates\x81\x85\x86\x87\x88\x89\x93\x94od";
  if (kBare.find(static_cast<char>(opcode)) != std::string_view::npos) return Shape{};
  switch (opcode) {
    case 0x80:
    case 'K':
    case 'q':
    case 'h':
      return Shape{Operand::fixed, 1};
    case 'M':
      return Shape{Operand::fixed, 2};
    case 'J':
    case 'r':
    case 'j':
      return Shape{Operand::fixed, 4};
    case 'G':
    case 0x95:
      return Shape{Operand::fixed, 8};
    case 'U':
    case 'C':
    case 0x8c:
    case 0x8a:
      return Shape{Operand::counted, 1};
    case 'X':
    case 'T':
    case 'B':
    case 0x8b:
      return Shape{Operand::counted, 4};
    case 0x8d:
    case 0x8e:
      return Shape{Operand::counted, 8};
    case 'I':
    case 'L':
    case 'F':
    case 'S':
    case 'V':
    case 'p':
    case 'g':
      return Shape{Operand::line};
    default:
      return std::nullopt;
  }
}

std::optional<std::uint64_t> take_number(std::string_view& rest, std::size_t size) {
  if (rest.size() < size) return std::nullopt;
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(rest[i]);
  rest.remove_prefix(size);
  return value;
}

std::optional<std::string_view> take(std::string_view& rest, std::uint64_t size) {
  if (rest.size() < size) return std::nullopt;
  const std::string_view taken = rest.substr(0, size);
  rest.remove_prefix(size);
  return taken;
}

std::optional<std::string_view> take_line(std::string_view& rest) {
  const auto end = rest.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return line;
}

// Walks over one operand; a counted one (a string) is returned.
std::optional<std::string_view> take_operand(std::string_view& rest, Shape shape) {
  switch (shape.operand) {
    case Operand::none:
      return std::string_view();
    case Operand::fixed:
      return take(rest, shape.size);
    case Operand::line:
      return take_line(rest);
    case Operand::counted:
      if (const auto count = take_number(rest, shape.size)) return take(rest, *count);
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::vector<PickleGlobal>> pickle_globals(std::string_view rest) {
  std::set<std::pair<std::string, std::string>> seen;
  std::vector<PickleGlobal> globals;
  const auto add = [&](std::string_view module, std::string_view name) {
    if (seen.emplace(module, name).second) {
      globals.push_back({std::string(module), std::string(name)});
    }
  };
  std::string_view before_last, last;  // the strings that STACK_GLOBAL names
  while (!rest.empty()) {
    const auto opcode = static_cast<unsigned char>(rest.front());
    rest.remove_prefix(1);
    if (opcode == '.') return globals;
    if (opcode == 'c') {
      const auto module = take_line(rest);
      const auto name = take_line(rest);
      if (!module || !name) return std::nullopt;
      add(*module, *name);
      continue;
    }
    if (opcode == 0x93) add(before_last, last);
    const auto shape = shape_of(opcode);
    if (!shape) return std::nullopt;
    const auto operand = take_operand(rest, *shape);
    if (!operand) return std::nullopt;
    if (shape->operand == Operand::counted) {
      before_last = last;
      last = *operand;
    }
  }
  return std::nullopt;
}

std::optional<std::string> ordered_dict_as_dict(std::string_view pickle) {
  // What pickle protocol 2 begins an OrderedDict with: the class, and a call without arguments.
  constexpr std::string_view kBegin =
      "\x80\x02"
      "ccollections\nOrderedDict\nq\0)R"sv;
  constexpr std::string_view kTuple2AndStop = "\x86.";
  if (!pickle.starts_with(kBegin)) return std::nullopt;
  std::string_view rest = pickle.substr(kBegin.size());
  std::size_t depth = 0;
  while (!rest.empty()) {
    const char opcode = rest.front();
    // Behind the items, what sets the attributes begins with an empty dict.
    if (depth == 0 && (opcode == '}' || opcode == '.')) {
      const std::size_t end = pickle.size() - rest.size();
      std::string plain(kBegin);
      plain.append("}").append(pickle.substr(kBegin.size(), end - kBegin.size()));
      return plain.append(kTuple2AndStop);
    }
    if (opcode == '(') ++depth;
    const bool closes = opcode == 't' || opcode == 'u' || opcode == 'l' || opcode == 'd' ||
                        opcode == 'e' || opcode == '1';
    if (closes && depth-- == 0) return std::nullopt;
    rest.remove_prefix(1);
    if (opcode == 'c') {
      if (!take_line(rest) || !take_line(rest)) return std::nullopt;
      continue;
    }
    const auto shape = shape_of(static_cast<unsigned char>(opcode));
    if (!shape || !take_operand(rest, *shape)) return std::nullopt;
  }
  return std::nullopt;
}

std::optional<std::string> first_foreign_class(const std::vector<PickleGlobal>& globals) {
  for (const auto& [module, name] : globals) {
    const bool tensor_machinery =
        module == "torch" || module == "torch._utils" || module == "torch._tensor" ||
        module == "torch.storage" || module == "torch.serialization" || module == "collections" ||
        module == "builtins" || module == "__builtin__" || module == "_codecs" ||
        module == "copyreg" || module.starts_with("numpy");
    const bool parameter = module == "torch.nn.parameter" || module == "torch._C._nn";
    if (!tensor_machinery && !parameter) return module + "." + name;
  }
  return std::nullopt;
}

bool rebuilds_plain_tensors_only(const std::vector<PickleGlobal>& globals) {
  const auto plain = [](const PickleGlobal& global) {
    const auto& [module, name] = global;
    if (module == "torch") {
      return name == "device" || (name.ends_with("Storage") && !name.starts_with("Q"));
    }
    if (module == "torch._utils") {
      return name == "_rebuild_tensor_v2" || name == "_rebuild_parameter";
    }
    if (module == "torch.jit._pickle") {
      constexpr std::array<std::string_view, 5> kLists = {"build_intlist", "build_tensorlist",
                                                          "build_doublelist", "build_boollist",
                                                          "restore_type_tag"};
      return std::find(kLists.begin(), kLists.end(), name) != kLists.end();
    }
    if (module == "collections") return name == "OrderedDict";
    if (module == "builtins") return name == "complex";
    return (module == "__torch__" || module.starts_with("__torch__.")) &&
           !module.starts_with("__torch__.torch.classes");
  };
  return std::all_of(globals.begin(), globals.end(), plain);
}

}  // namespace ptsecure::torch_plugin
