#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// How the free extents of a compiled model's inputs belong together: that two inputs have as many
// rows, or one twice as many. The compiled code takes each such number from one input and computes
// addresses in all of them with it. No torch here.
namespace ptsecure::torch_plugin {

// Of a name in C++.
inline bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// A sum of products of whole numbers and symbols: "2L*s77 + 1L".
class ExtentExpression {
 public:
  struct Step {
    enum class Kind { number, symbol, add, subtract, multiply } kind;
    std::int64_t value = 0;  // the number, or the symbol's index
  };

  // Symbols are added to `symbols` as they are met. nullopt for anything else.
  static std::optional<ExtentExpression> parse(std::string_view text,
                                               std::vector<std::string>& symbols);
  // nullopt when it overflows.
  std::optional<std::int64_t> value(std::span<const std::int64_t> symbols) const;
  std::vector<std::size_t> symbols() const;
  // As a rising line of one symbol, the others having values; nullopt when it is none.
  // values[symbol] is changed.
  struct Line {
    std::int64_t at_zero;
    std::int64_t slope;
  };
  std::optional<Line> line(std::size_t symbol, std::span<std::int64_t> values) const;
  // Whether it is one for any values of the others.
  bool solvable(std::size_t symbol) const;
  // The symbol that it is, if it is nothing more.
  std::optional<std::size_t> alone() const;

 private:
  std::vector<Step> steps_;  // postfix
};

class ShapeRelations {
 public:
  static constexpr std::size_t kMaxSymbols = 64;

  // A free extent, or its place.
  struct Extent {
    std::size_t input = 0;
    std::size_t axis = 0;
    // What the code says it is; empty for an input that the code doesn't read.
    std::string text;
  };
  struct Mismatch {
    std::size_t input;
    std::size_t axis;
    std::optional<std::int64_t> expected;
  };

  // The extents that the code takes symbols from, each either alone or as the one symbol of the
  // text that isn't known yet, and what it says about others. Throws Error(Status::unsupported) for
  // what can't be checked.
  static ShapeRelations of(std::span<const Extent> bound, std::span<const Extent> stated);

  // `extent(input, axis)` of one call; nullopt when all belong together.
  template <typename ExtentOf>
  std::optional<Mismatch> check(const ExtentOf& extent) const {
    if (steps_.empty()) return std::nullopt;
    std::array<std::int64_t, kMaxSymbols> values{};
    for (const Step& step : steps_) {
      const std::int64_t found = extent(step.input, step.axis);
      if (step.binds) {
        values[step.symbol] = found;
      } else if (const auto failed = apply(step, found, values)) {
        return failed;
      }
    }
    return std::nullopt;
  }

 private:
  struct Step {
    std::size_t input = 0;
    std::size_t axis = 0;
    bool binds = false;   // the symbol is this extent
    bool solves = false;  // the symbol is what makes the expression this extent
    bool alone = false;   // the expression is the symbol
    std::size_t symbol = 0;
    ExtentExpression expression;
  };
  static std::optional<Mismatch> apply(const Step& step, std::int64_t found,
                                       std::span<std::int64_t> values);

  std::vector<Step> steps_;  // in an order in which symbols have values when they are needed
};

}  // namespace ptsecure::torch_plugin
