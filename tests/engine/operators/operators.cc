// A library that registers an operator, as users load one into their process before they open a
// model that calls it.
#include <ATen/TensorOperators.h>
#include <torch/library.h>

#include <numeric>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace {

std::tuple<at::Tensor, std::vector<at::Tensor>> scaled_sum(const std::vector<at::Tensor>& xs,
                                                           double factor, std::int64_t times,
                                                           std::optional<std::string> label,
                                                           at::OptionalIntArrayRef dims,
                                                           const std::optional<at::Tensor>& bias) {
  TORCH_CHECK(times <= 10, "scaled_sum takes at most 10 times");
  at::Tensor total = xs.at(0).clone();
  std::vector<at::Tensor> more = {xs[0] + 1};
  for (std::size_t i = 1; i < xs.size(); ++i) {
    total += xs[i];
    more.push_back(xs[i] + 1);
  }
  total = total * factor * times + static_cast<std::int64_t>(label.value_or("").size());
  if (dims) total += std::accumulate(dims->begin(), dims->end(), std::int64_t{0});
  if (bias) total += *bias;
  return {total, more};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ptsecure_test, library) {
  library.def(
      "scaled_sum(Tensor[] xs, float factor, SymInt times=1, str? label=None, int[]? dims=None, "
      "Tensor? bias=None) -> (Tensor, Tensor[])",
      scaled_sum);
}
