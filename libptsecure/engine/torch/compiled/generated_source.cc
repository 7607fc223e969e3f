#include "libptsecure/engine/torch/compiled/generated_source.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <unordered_map>
#include <utility>

#include "libptsecure/base/error.hpp"

namespace ptsecure::torch_plugin {
namespace {

constexpr std::size_t kMaxRank = Dims::kMaxRank;
constexpr std::int64_t kLeastOfAny = 2;  // what torch writes of every symbol that may be 0 or 1
constexpr const char* kUnknown = "?";    // no expression

std::optional<DType> dtype_named(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, DType>, 16> kNames = {{
      {"bool", DType::boolean},
      {"uint8", DType::uint8},
      {"uint16", DType::uint16},
      {"uint32", DType::uint32},
      {"uint64", DType::uint64},
      {"int8", DType::int8},
      {"int16", DType::int16},
      {"int32", DType::int32},
      {"int64", DType::int64},
      {"float16", DType::float16},
      {"bfloat16", DType::bfloat16},
      {"float32", DType::float32},
      {"float64", DType::float64},
      {"complex32", DType::complex32},
      {"complex64", DType::complex64},
      {"complex128", DType::complex128},
  }};
  for (const auto& [known, dtype] : kNames) {
    if (known == name) return dtype;
  }
  return std::nullopt;
}

// The text between the first `before` and the `after` that follows it, which are taken off.
std::optional<std::string_view> take_between(std::string_view& text, std::string_view before,
                                             std::string_view after) {
  const auto begin = text.find(before);
  if (begin == std::string_view::npos) return std::nullopt;
  const auto end = text.find(after, begin + before.size());
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view between = text.substr(begin + before.size(), end - begin - before.size());
  text.remove_prefix(end + after.size());
  return between;
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

// Every "<what> AXIS, ... <expected>VALUE, ..." of one input's check. False when one can't be read.
bool read_values(std::string_view check, std::string_view what, std::string_view expected,
                 std::vector<std::pair<std::size_t, std::int64_t>>& values) {
  while (check.find(what) != std::string_view::npos) {
    const auto axis_text = take_between(check, what, ",");
    const auto value_text = axis_text ? take_between(check, expected, ",") : std::nullopt;
    const auto axis = axis_text ? number(*axis_text) : std::nullopt;
    const auto value = value_text ? number(*value_text) : std::nullopt;
    if (!axis || !value || static_cast<std::size_t>(*axis) >= kMaxRank) return false;
    values.emplace_back(static_cast<std::size_t>(*axis), *value);
  }
  return true;
}

std::optional<TensorRule> read_rule(std::string_view check) {
  std::string_view rest = check;
  const auto name = take_between(rest, "ConstantHandle ", " = ConstantHandle(input_handles[");
  const auto dtype = take_between(rest, "_expected_dtype = aoti_torch_dtype_", "(");
  if (!name || !dtype) return std::nullopt;
  std::vector<std::pair<std::size_t, std::int64_t>> fixed, least, greatest, strides;
  if (!read_values(check, "unmatched dim value at ", "expected: ", fixed) ||
      !read_values(check, "dim value is too small at ", "expected it to be >= ", least) ||
      !read_values(check, "dim value is too large at ", "expected to be <= ", greatest) ||
      !read_values(check, "unmatched stride value at ", "expected: ", strides)) {
    return std::nullopt;
  }
  std::size_t rank = 0;
  for (const auto* values : {&fixed, &least, &greatest, &strides}) {
    for (const auto& [axis, value] : *values) rank = std::max(rank, axis + 1);
  }
  TensorRule rule{.name = std::string(*name),
                  .dtype = dtype_named(*dtype),
                  .shape = std::vector<std::int64_t>(rank, -1),
                  .least = std::vector<std::int64_t>(rank, 1),
                  .greatest = std::vector<std::int64_t>(rank, -1),
                  .strides = std::vector<std::int64_t>(rank, -1)};
  for (const auto& [axis, value] : fixed) rule.shape[axis] = value;
  for (const auto& [axis, value] : least) rule.least[axis] = std::max(rule.least[axis], value);
  for (const auto& [axis, value] : greatest) rule.greatest[axis] = value;
  for (const auto& [axis, value] : strides) rule.strides[axis] = value;
  return rule;
}

[[noreturn]] void unreadable() {
  throw Error(Status::invalid_model,
              "the package's generated source (.wrapper.cpp) doesn't describe its weights in a way "
              "that this version knows; it was compiled by another version of torch than the "
              "libtorch in use");
}

// "{16, 8}", "{4, }", "{}"
std::vector<std::int64_t> numbers(std::string_view list) {
  if (!list.starts_with('{') || !list.ends_with('}')) unreadable();
  list = list.substr(1, list.size() - 2);
  std::vector<std::int64_t> values;
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    std::string_view item = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    while (item.starts_with(' ')) item.remove_prefix(1);
    if (item.ends_with('L')) item.remove_suffix(1);
    if (item.empty()) continue;
    const auto value = number(item);
    if (!value) unreadable();
    values.push_back(*value);
  }
  return values;
}

std::string_view unquoted(std::string_view text) {
  if (text.size() < 2 || !text.starts_with('"') || !text.ends_with('"')) unreadable();
  return text.substr(1, text.size() - 2);
}

// The assignments of one constant, each "<prefix>MEMBER = VALUE;" on its line, taken off the text.
ConstantRule read_constant(std::string_view& text, const std::string& prefix) {
  const auto take = [&](const char* name) {
    const auto value = take_between(text, prefix + name + " = ", ";\n");
    if (!value) unreadable();
    return *value;
  };
  const auto take_number = [&](const char* name) {
    const auto value = number(take(name));
    if (!value) unreadable();
    return *value;
  };
  ConstantRule rule;
  rule.name = unquoted(take("name"));
  std::string_view dtype = take("dtype");
  constexpr std::string_view kDtype = "cached_torch_dtype_";
  if (dtype.starts_with(kDtype)) dtype.remove_prefix(kDtype.size());
  rule.on_cpu = take("device_type") == "cached_torch_device_type_cpu";
  rule.offset = take_number("offset");
  rule.data_size = static_cast<std::uint64_t>(take_number("data_size"));
  rule.folded = take("from_folded") == "true";
  const std::string_view type = take("type");
  rule.parameter = type.find("ConstantType::Parameter") != std::string_view::npos;
  rule.optional = type.find("ConstantType::Buffer") != std::string_view::npos ||
                  type.find("ConstantType::TensorConstant") != std::string_view::npos;
  rule.shape = numbers(take("shape"));
  rule.strides = numbers(take("stride"));
  const bool strided = take("layout").find("layout_strided") != std::string_view::npos;
  rule.fqn = unquoted(take("original_fqn"));
  if (rule.shape.size() != rule.strides.size() || rule.shape.size() > kMaxRank) unreadable();
  const auto known = dtype_named(dtype);
  rule.plain = strided && known.has_value();
  rule.dtype = known.value_or(DType::float32);
  return rule;
}

// Whether `before`, the code of a statement up to a constant's name, hands it to an operator of
// torch's that is known to read it: "...(aoti_torch_cpu_addmm_out(buf0, " for instance, whose first
// argument is what it writes.
bool read_by_operator(std::string_view before) {
  constexpr std::string_view kReaders[] = {"addmm_out",
                                           "mm_out",
                                           "bmm_out",
                                           "baddbmm_out",
                                           "convolution",
                                           "clone",
                                           "mkldnn__convolution_pointwise",
                                           "mkldnn__linear_pointwise"};
  constexpr std::string_view kCall = "aoti_torch_";
  const auto call = before.find(kCall);
  const auto open = before.find('(', std::min(call, before.size()));
  if (open == std::string_view::npos) return false;
  std::string_view name = before.substr(call + kCall.size(), open - call - kCall.size());
  for (const std::string_view device : {"cpu_", "cuda_"}) {
    if (name.starts_with(device)) name.remove_prefix(device.size());
  }
  if (std::find(std::begin(kReaders), std::end(kReaders), name) == std::end(kReaders)) return false;
  if (!name.ends_with("_out")) return true;
  int depth = 0;
  for (const char c : before.substr(open + 1)) {
    if (c == ',' && depth == 0) return true;
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
  }
  return false;
}

// Whether the code around source[begin, end), a constant's name, may change the constant. Kernels
// take what they only read by "(const float*)(NAME.data_ptr())"; operators take the name itself,
// and for a parameter that is taken to be reading. AOTInductor doesn't always know that it is one:
// those of a module whose names begin with a digit, as a Sequential's, it calls unknown.
bool writes(std::string_view source, std::size_t begin, std::size_t end, bool parameter) {
  constexpr std::string_view kBinding = "auto& ";
  if (source.substr(0, begin).ends_with(kBinding)) return false;
  const bool pointer =
      source.substr(end).starts_with(".data_ptr()") && source.substr(0, begin).ends_with("*)(");
  if (!pointer) {
    const auto line = source.rfind('\n', begin);
    const auto statement = line == std::string_view::npos ? 0 : line + 1;
    return !parameter && !read_by_operator(source.substr(statement, begin - statement));
  }
  const auto cast = source.rfind('(', begin - 3);
  return cast == std::string_view::npos || !source.substr(cast).starts_with("(const ");
}

// The code of one run.
std::string_view run_of(std::string_view source) {
  source.remove_prefix(std::min(source.find("::run_impl("), source.size()));
  return source.substr(0, source.find("\n} // AOTInductorModel::run_impl"));
}

// Calls found(name, begin, end) for every name in the code.
template <typename Found>
void for_names(std::string_view code, const Found& found) {
  for (std::size_t at = 0; at < code.size();) {
    std::size_t end = at;
    while (end < code.size() && is_name_character(code[end])) ++end;
    if (end > at) found(code.substr(at, end - at), at, end);
    at = end + 1;
  }
}

void mark_written(std::string_view source, std::vector<ConstantRule>& rules) {
  std::unordered_map<std::string_view, ConstantRule*> by_name;
  for (ConstantRule& rule : rules) by_name.emplace(rule.name, &rule);
  const std::string_view code = run_of(source);
  for_names(code, [&](std::string_view name, std::size_t begin, std::size_t end) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) return;
    ConstantRule& rule = *found->second;
    rule.written = rule.written || writes(code, begin, end, rule.parameter);
  });
}

// Whether the code around code[begin, end), an input's name, reads or changes what the input holds,
// rather than asking for its shape, letting it go or returning it as it is.
bool uses_elements(std::string_view code, std::size_t begin, std::size_t end) {
  constexpr std::string_view kOthers[] = {".sizes()", ".strides()", ".reset()", ".release()",
                                          " = std::move(inputs["};
  const std::string_view after = code.substr(end);
  const bool other = std::any_of(std::begin(kOthers), std::end(kOthers),
                                 [&](std::string_view each) { return after.starts_with(each); });
  return !other && !code.substr(0, begin).ends_with("assert_size_stride(");
}

// "{s77, 8L}" or "{8L, }", one text an extent; all are "?" when they aren't as many as the rule
// has.
std::optional<std::vector<std::string>> stated_extents(std::string_view code,
                                                       const TensorRule& rule) {
  const auto list = take_between(code, "assert_size_stride(" + rule.name + ", {", "}");
  if (!list) return std::nullopt;
  std::vector<std::string> extents;
  std::string_view rest = *list;
  while (!rest.empty() && rest != " ") {
    const auto comma = std::min(rest.find(','), rest.size());
    extents.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  if (extents.size() != rule.shape.size()) extents.assign(rule.shape.size(), kUnknown);
  return extents;
}

// "int64_t A = B;", where A is another name for the symbol B.
std::unordered_map<std::string, std::string> aliases_of(std::string_view code) {
  std::unordered_map<std::string, std::string> aliases;
  for (std::string_view rest = code;;) {
    const auto statement = take_between(rest, "int64_t ", ";");
    if (!statement) return aliases;
    const auto is = statement->find(" = ");
    if (is == std::string_view::npos) continue;
    const std::string_view value = statement->substr(is + 3);
    if (!std::all_of(value.begin(), value.end(), is_name_character)) continue;
    if (value.empty() || (value[0] >= '0' && value[0] <= '9')) continue;
    aliases.emplace(statement->substr(0, is), value);
  }
}

std::string without_aliases(const std::string& text,
                            const std::unordered_map<std::string, std::string>& aliases) {
  std::string replaced;
  std::size_t done = 0;
  for_names(text, [&](std::string_view name, std::size_t begin, std::size_t end) {
    std::string known(name);
    for (std::size_t i = 0; i <= aliases.size(); ++i) {  // not for ever
      const auto found = aliases.find(known);
      if (found == aliases.end()) break;
      known = found->second;
    }
    replaced.append(text, done, begin - done).append(known);
    done = end;
  });
  return replaced.append(text, done);
}

// The name of what the code sets to an input's extent: "int64_t NAME = arg0_1_size[0];".
std::optional<std::string> named_extent(std::string_view code, const TensorRule& rule,
                                        std::size_t axis) {
  for (const char* how : {"_size[", ".sizes()["}) {
    const auto at = code.find(" = " + rule.name + how + std::to_string(axis) + "];");
    if (at == std::string_view::npos) continue;
    const std::string_view before = code.substr(0, at);
    return std::string(before.substr(before.rfind(' ') + 1));
  }
  return std::nullopt;
}

// Where that is torch's default for the symbols, rather than asked for.
bool is_default_least(std::int64_t least, const std::string& text) {
  std::vector<std::string> symbols;
  const auto expression = ExtentExpression::parse(text, symbols);
  if (!expression) return least <= kLeastOfAny;
  const std::vector<std::int64_t> values(symbols.size(), kLeastOfAny);
  const auto value = expression->value(values);
  return value && least <= *value;
}

// Sets what the code may change, and returns whose elements it uses at all.
std::vector<bool> find_uses(std::string_view code, std::vector<TensorRule>& rules) {
  std::unordered_map<std::string_view, std::size_t> by_name;
  for (std::size_t i = 0; i < rules.size(); ++i) by_name.emplace(rules[i].name, i);
  std::vector<bool> used(rules.size(), false);
  for_names(code, [&](std::string_view name, std::size_t begin, std::size_t end) {
    const auto found = by_name.find(name);
    if (found == by_name.end() || !uses_elements(code, begin, end)) return;
    used[found->second] = true;
    TensorRule& rule = rules[found->second];
    rule.written = rule.written || writes(code, begin, end, /*parameter=*/false);
  });
  return used;
}

// Where the code takes its symbols from, and what it says of the other free extents: in the checks
// of its inputs, each in front of the input's first use.
ShapeRelations read_relations(std::string_view code, std::vector<TensorRule>& rules) {
  const std::vector<bool> used = find_uses(code, rules);
  const auto aliases = aliases_of(code);
  std::vector<ShapeRelations::Extent> bound, stated;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    TensorRule& rule = rules[i];
    const auto extents = stated_extents(code, rule);
    for (std::size_t axis = 0; axis < rule.shape.size(); ++axis) {
      if (rule.shape[axis] >= 0) continue;
      std::string text = extents ? without_aliases((*extents)[axis], aliases) : kUnknown;
      const auto name = named_extent(code, rule, axis);
      // A symbol is computed from an extent that has this name.
      const bool solved = name && *name == rule.name + "_size_" + std::to_string(axis);
      if (name && !solved) text = without_aliases(*name, aliases);
      if (is_default_least(rule.least[axis], text)) rule.least[axis] = 1;
      if (name) {
        bound.push_back({i, axis, text});
      } else if (extents || used[i]) {
        stated.push_back({i, axis, text});
      }
    }
  }
  return ShapeRelations::of(bound, stated);
}

}  // namespace

std::optional<InputRules> read_input_rules(std::string_view source, std::size_t count) {
  InputRules rules;
  const std::string_view code = run_of(source);
  for (std::size_t i = 0; i < count; ++i) {
    const auto check =
        take_between(source, "static void check_input_" + std::to_string(i) + "(", "\n}\n");
    if (!check) return std::nullopt;
    auto rule = read_rule(*check);
    if (!rule) return std::nullopt;
    rules.tensors.push_back(std::move(*rule));
  }
  rules.relations = read_relations(code, rules.tensors);
  return rules;
}

std::vector<ConstantRule> read_constant_rules(std::string_view source, std::size_t count) {
  std::vector<ConstantRule> rules;
  rules.reserve(count);
  std::string_view rest = source;
  for (std::size_t i = 0; i < count; ++i) {
    rules.push_back(read_constant(rest, "constants_info_[" + std::to_string(i) + "]."));
  }
  if (rest.find("constants_info_[" + std::to_string(count) + "].") != std::string_view::npos) {
    unreadable();
  }
  mark_written(source, rules);
  return rules;
}

}  // namespace ptsecure::torch_plugin
