#include "tests/engine/models.hpp"

#if PTSECURE_WITH_TORCH

namespace ptsecure::testing {
namespace {

const ValueSpec& input(const EngineModel& model, std::size_t i) {
  return model.description().methods.at(0).inputs.at(i);
}

TEST(Describe, NamesInputsWithTheirKinds) {
  const auto model = load("scalars");
  ASSERT_EQ(model->description().methods.size(), 1u);
  const MethodSpec& forward = model->description().methods[0];
  EXPECT_EQ(forward.name, "forward");
  ASSERT_EQ(forward.inputs.size(), 5u);
  EXPECT_EQ(input(*model, 0).name, "x");
  EXPECT_EQ(input(*model, 0).kind, ValueKind::tensor);
  EXPECT_EQ(input(*model, 1).kind, ValueKind::integer);
  EXPECT_EQ(input(*model, 2).kind, ValueKind::string);
  EXPECT_EQ(input(*model, 3).kind, ValueKind::real);
  EXPECT_EQ(input(*model, 4).kind, ValueKind::boolean);
  EXPECT_FALSE(input(*model, 2).optional);
  EXPECT_TRUE(input(*model, 3).optional);
  EXPECT_FALSE(input(*model, 0).dtype);
  EXPECT_FALSE(input(*model, 0).shape);
  ASSERT_EQ(forward.outputs.size(), 1u);
  EXPECT_EQ(forward.outputs[0].kind, ValueKind::tensor);
}

TEST(Describe, ContainersAndOptionals) {
  const auto model = load("containers");
  EXPECT_EQ(input(*model, 0).kind, ValueKind::list);
  EXPECT_EQ(input(*model, 1).kind, ValueKind::tensor);
  EXPECT_TRUE(input(*model, 1).optional);
  EXPECT_EQ(input(*model, 2).kind, ValueKind::dict);
  EXPECT_EQ(input(*model, 4).kind, ValueKind::tuple);
}

TEST(Describe, TupleAsSeveralOutputs) {
  const auto model = load("mixed");
  const auto& outputs = model->description().methods[0].outputs;
  ASSERT_EQ(outputs.size(), 6u);
  EXPECT_EQ(outputs[0].kind, ValueKind::tensor);
  EXPECT_EQ(outputs[1].kind, ValueKind::dict);
  EXPECT_EQ(outputs[3].kind, ValueKind::string);
  EXPECT_EQ(load("named")->description().methods[0].outputs[1].name, "second");
}

TEST(Describe, OtherMethodsAfterForwardAndNoPrivateOnes) {
  const auto model = load("exported");
  const auto& methods = model->description().methods;
  ASSERT_EQ(methods.size(), 2u);
  EXPECT_EQ(methods[0].name, "forward");
  EXPECT_EQ(methods[1].name, "encode");
  EXPECT_EQ(load("no_forward")->description().methods[0].name, "encode");
}

class Stateful : public ::testing::TestWithParam<const char*> {};
class Stateless : public ::testing::TestWithParam<const char*> {};

TEST_P(Stateful, IsSeen) {
  EXPECT_TRUE(load(GetParam())->description().stateful);
}
TEST_P(Stateless, IsSeen) {
  EXPECT_FALSE(load(GetParam())->description().stateful);
}

INSTANTIATE_TEST_SUITE_P(Models, Stateful,
                         ::testing::Values("lstm", "assigned_state", "keeps_input", "counter",
                                           "caches", "element_state", "parameter_state",
                                           "training"),
                         [](const auto& instance) { return std::string(instance.param); });
INSTANTIATE_TEST_SUITE_P(Models, Stateless,
                         ::testing::Values("resnet18_scripted", "resnet18_traced", "transformer",
                                           "linear", "nested", "mixed", "containers", "exported",
                                           "dtypes", "aliases", "writes_input", "uses_class",
                                           "quantized", "constants", "many_small", "old_1_4_0"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST(Describe, EngineNamesItsLibtorch) {
  EXPECT_EQ(torch_engine("").version().rfind("libtorch 2.", 0), 0u);
  EXPECT_EQ(torch_engine("").formats(), (std::vector<std::string>{"torchscript", "aotinductor"}));
}

}  // namespace
}  // namespace ptsecure::testing

#endif
