#include "tests/engine/models.hpp"

#if PTSECURE_WITH_TORCH

namespace ptsecure::testing {
namespace {

class Answers : public ::testing::TestWithParam<const char*> {};

TEST_P(Answers, AreThoseOfPython) {
  const auto model = load(GetParam());
  expect_answers(*model, model_calls(GetParam()));
}

constexpr const char* kModels[] = {"nested",
                                   "mixed",
                                   "scalars",
                                   "containers",
                                   "named",
                                   "no_parameters",
                                   "exported",
                                   "no_forward",
                                   "all_dtypes",
                                   "dtypes",
                                   "aliases",
                                   "uses_class",
                                   "writes_input",
                                   "parallel",
                                   "constants",
                                   "lstm",
                                   "counter",
                                   "assigned_state",
                                   "keeps_input",
                                   "caches",
                                   "element_state",
                                   "training",
                                   "parameter_state",
                                   "linear",
                                   "set_state",
                                   "per_channel",
                                   "many_small",
                                   "sparse_buffer",
                                   "shared_storage",
                                   "transformer",
                                   "quantized",
                                   "old_1_4_0",
                                   "resnet18_scripted",
                                   "resnet18_traced",
                                   "repacked_stored",
                                   "old_1_13_1",
                                   "repacked_deflated"};

INSTANTIATE_TEST_SUITE_P(Models, Answers, ::testing::ValuesIn(kModels),
                         [](const auto& instance) { return std::string(instance.param); });

}  // namespace
}  // namespace ptsecure::testing

#endif
