#include "libptsecure/engine/torch/compiled/shape_relations.hpp"

#include <algorithm>
#include <charconv>

#include "libptsecure/base/error.hpp"

namespace ptsecure::torch_plugin {
namespace {

constexpr int kMaxDepth = 32;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

class RelationParser {
 public:
  RelationParser(std::string_view text, std::vector<std::string>& symbols)
      : text_(text), symbols_(symbols) {}

  std::optional<std::vector<ExtentExpression::Step>> all() {
    if (!sum(0) || skip_blanks() != text_.size()) return std::nullopt;
    return std::move(steps_);
  }

 private:
  using Step = ExtentExpression::Step;
  using Kind = Step::Kind;

  std::size_t skip_blanks() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    return at_;
  }
  bool take(char c) {
    if (skip_blanks() == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool sum(int depth) {
    if (depth > kMaxDepth || !product(depth)) return false;
    for (;;) {
      const Kind kind = take('+') ? Kind::add : take('-') ? Kind::subtract : Kind::number;
      if (kind == Kind::number) return true;
      if (!product(depth)) return false;
      steps_.push_back({kind, 0});
    }
  }
  bool product(int depth) {
    if (!factor(depth)) return false;
    while (take('*')) {
      if (!factor(depth)) return false;
      steps_.push_back({Kind::multiply, 0});
    }
    return true;
  }
  bool factor(int depth) {
    if (depth > kMaxDepth) return false;
    if (take('(')) return sum(depth + 1) && take(')');
    if (take('-')) {
      steps_.push_back({Kind::number, 0});
      if (!factor(depth + 1)) return false;
      steps_.push_back({Kind::subtract, 0});
      return true;
    }
    if (skip_blanks() == text_.size()) return false;
    return is_digit(text_[at_]) ? number() : symbol();
  }
  bool number() {
    std::int64_t value = 0;
    const char* const end = text_.data() + text_.size();
    const auto [stop, error] = std::from_chars(text_.data() + at_, end, value);
    if (error != std::errc{}) return false;
    at_ = static_cast<std::size_t>(stop - text_.data());
    while (at_ < text_.size() && text_[at_] == 'L') ++at_;
    if (at_ < text_.size() && (is_name_character(text_[at_]) || text_[at_] == '.')) return false;
    steps_.push_back({Kind::number, value});
    return true;
  }
  bool symbol() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && is_name_character(text_[at_])) ++at_;
    const std::string_view name = text_.substr(begin, at_ - begin);
    if (name.empty()) return false;
    auto known = std::find(symbols_.begin(), symbols_.end(), name);
    if (known == symbols_.end()) known = symbols_.insert(known, std::string(name));
    steps_.push_back({Kind::symbol, known - symbols_.begin()});
    return true;
  }

  std::string_view text_;
  std::vector<std::string>& symbols_;
  std::size_t at_ = 0;
  std::vector<Step> steps_;
};

[[noreturn]] void cannot_check(const ShapeRelations::Extent& extent) {
  throw Error(Status::unsupported,
              "how extent " + std::to_string(extent.axis) + " of input " +
                  std::to_string(extent.input) +
                  " of the compiled model depends on its other inputs (" + extent.text +
                  ") can't be checked; export the model with a dynamic shape that is one Dim, or a "
                  "multiple of one, for each extent");
}

}  // namespace

std::optional<ExtentExpression> ExtentExpression::parse(std::string_view text,
                                                        std::vector<std::string>& symbols) {
  auto steps = RelationParser(text, symbols).all();
  if (!steps) return std::nullopt;
  ExtentExpression expression;
  expression.steps_ = std::move(*steps);
  return expression;
}

std::optional<std::int64_t> ExtentExpression::value(std::span<const std::int64_t> symbols) const {
  std::vector<std::int64_t> stack;
  for (const Step& step : steps_) {
    if (step.kind == Step::Kind::number || step.kind == Step::Kind::symbol) {
      stack.push_back(step.kind == Step::Kind::number
                          ? step.value
                          : symbols[static_cast<std::size_t>(step.value)]);
      continue;
    }
    const std::int64_t b = stack.back();
    stack.pop_back();
    std::int64_t& a = stack.back();
    const bool overflows = step.kind == Step::Kind::add        ? __builtin_add_overflow(a, b, &a)
                           : step.kind == Step::Kind::subtract ? __builtin_sub_overflow(a, b, &a)
                                                               : __builtin_mul_overflow(a, b, &a);
    if (overflows) return std::nullopt;
  }
  return stack.back();
}

std::vector<std::size_t> ExtentExpression::symbols() const {
  std::vector<std::size_t> found;
  for (const Step& step : steps_) {
    if (step.kind == Step::Kind::symbol) found.push_back(static_cast<std::size_t>(step.value));
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::optional<std::size_t> ExtentExpression::alone() const {
  if (steps_.size() != 1 || steps_.front().kind != Step::Kind::symbol) return std::nullopt;
  return static_cast<std::size_t>(steps_.front().value);
}

std::optional<ExtentExpression::Line> ExtentExpression::line(std::size_t symbol,
                                                             std::span<std::int64_t> values) const {
  std::array<std::int64_t, 3> at{};
  for (std::size_t i = 0; i < at.size(); ++i) {
    values[symbol] = static_cast<std::int64_t>(i);
    const auto found = value(values);
    if (!found) return std::nullopt;
    at[i] = *found;
  }
  Line line{.at_zero = at[0], .slope = 0};
  std::int64_t next = 0;
  if (__builtin_sub_overflow(at[1], at[0], &line.slope) ||
      __builtin_sub_overflow(at[2], at[1], &next) || line.slope <= 0 || next != line.slope) {
    return std::nullopt;
  }
  return line;
}

bool ExtentExpression::solvable(std::size_t symbol) const {
  std::vector<std::int64_t> values(ShapeRelations::kMaxSymbols, 3);
  return line(symbol, values).has_value();
}

ShapeRelations ShapeRelations::of(std::span<const Extent> bound, std::span<const Extent> stated) {
  std::vector<std::string> symbols;
  std::vector<bool> known(kMaxSymbols, false);
  ShapeRelations relations;
  bool compares = false;
  // False when too little is known yet.
  const auto add = [&](const Extent& extent, bool may_solve) {
    auto expression = ExtentExpression::parse(extent.text, symbols);
    if (!expression || symbols.size() > kMaxSymbols) cannot_check(extent);
    std::vector<std::size_t> unknown = expression->symbols();
    std::erase_if(unknown, [&](std::size_t symbol) { return known[symbol]; });
    if (unknown.size() > (may_solve ? 1 : 0)) return false;
    const bool solves = !unknown.empty();
    const auto alone = expression->alone();
    if (solves && !alone && !expression->solvable(unknown.front())) cannot_check(extent);
    if (solves) known[unknown.front()] = true;
    compares = compares || !(solves && alone);
    relations.steps_.push_back({.input = extent.input,
                                .axis = extent.axis,
                                .binds = solves && alone,
                                .solves = solves,
                                .alone = alone.has_value(),
                                .symbol = alone    ? *alone
                                          : solves ? unknown.front()
                                                   : 0,
                                .expression = *std::move(expression)});
    return true;
  };
  std::vector<Extent> rest(bound.begin(), bound.end());
  while (!rest.empty()) {
    const std::size_t before = rest.size();
    std::erase_if(rest, [&](const Extent& extent) { return add(extent, /*may_solve=*/true); });
    if (rest.size() == before) cannot_check(rest.front());
  }
  for (const Extent& extent : stated) {
    if (!add(extent, /*may_solve=*/false)) cannot_check(extent);
  }
  if (!compares) relations.steps_.clear();
  return relations;
}

std::optional<ShapeRelations::Mismatch> ShapeRelations::apply(const Step& step, std::int64_t found,
                                                              std::span<std::int64_t> values) {
  const Mismatch failed{step.input, step.axis, std::nullopt};
  if (!step.solves) {
    const auto expected =
        step.alone ? std::optional(values[step.symbol]) : step.expression.value(values);
    if (expected && *expected == found) return std::nullopt;
    return Mismatch{step.input, step.axis, expected};
  }
  const auto line = step.expression.line(step.symbol, values);
  std::int64_t distance = 0;
  if (!line || __builtin_sub_overflow(found, line->at_zero, &distance) || distance < 0 ||
      distance % line->slope != 0) {
    return failed;
  }
  values[step.symbol] = distance / line->slope;
  return std::nullopt;
}

}  // namespace ptsecure::torch_plugin
