#include "libptsecure/value/validate.hpp"

#include "tests/value/support.hpp"

namespace ptsecure {
namespace {

using test::expect_error;
using test::spec_of;
using test::tensor_spec;

std::vector<ValueSpec> signature() {
  std::vector<ValueSpec> specs = {tensor_spec("images", DType::float32, {-1, 1, 8, 8}),
                                  spec_of("scale", ValueKind::real),
                                  spec_of("state", ValueKind::list)};
  specs[1].optional = true;
  specs[2].optional = true;
  return specs;
}

Value images(const Dims& shape = {2, 1, 8, 8}, DType dtype = DType::float32) {
  return Value(make_tensor(dtype, shape));
}

void expect_refused(const std::string& part, const std::vector<Value>& positional,
                    const std::vector<NamedValue>& named = {}) {
  EXPECT_TRUE(!named.empty() || !inputs_match(signature(), positional));
  expect_error(Status::invalid_input, part, [&] { bind_inputs(signature(), positional, named); });
  expect_error(
      Status::invalid_input,
      "the model takes images: FP32[-1,1,8,8], scale: float (optional), state: list (optional)",
      [&] { bind_inputs(signature(), positional, named); });
}

TEST(BindInputs, TakesWhatFits) {
  const std::vector<ValueSpec> specs = signature();
  EXPECT_EQ(bind_inputs(specs, std::vector<Value>{images()}).size(), 1u);
  EXPECT_EQ(bind_inputs(specs, std::vector<Value>{images({0, 1, 8, 8}), Value(0.5)}).size(), 2u);
  const std::vector<Value> all = {images(), Value(), Value(List{})};
  EXPECT_TRUE(inputs_match(specs, all));
  EXPECT_EQ(bind_inputs(specs, all).size(), 3u);
  EXPECT_TRUE(bind_inputs({}, {}).empty());
}

TEST(BindInputs, SharesTensorMemory) {
  const std::vector<Value> given = {images()};
  const std::vector<Value> bound = bind_inputs(signature(), given);
  EXPECT_EQ(bound[0].get<Tensor>().data, given[0].get<Tensor>().data);
}

TEST(BindInputs, PutsNamedInputsInOrder) {
  const std::vector<Value> bound = bind_inputs(
      signature(), {}, std::vector<NamedValue>{{"state", Value(List{})}, {"images", images()}});
  ASSERT_EQ(bound.size(), 3u);
  EXPECT_TRUE(bound[0].is(ValueKind::tensor));
  EXPECT_TRUE(bound[1].is(ValueKind::none));
  EXPECT_TRUE(bound[2].is(ValueKind::list));
  EXPECT_EQ(bind_inputs(signature(), std::vector<Value>{images()},
                        std::vector<NamedValue>{{"scale", Value(2.0)}})
                .size(),
            2u);
}

TEST(BindInputs, ConvertsNeighbouringKinds) {
  const std::vector<Value> given = {images(), Value(std::int64_t{3}), Value(Tuple{{Value(true)}})};
  EXPECT_FALSE(inputs_match(signature(), given));
  const std::vector<Value> bound = bind_inputs(signature(), given);
  EXPECT_EQ(bound[1].get<double>(), 3.0);
  ASSERT_TRUE(bound[2].is(ValueKind::list));
  EXPECT_TRUE(bound[2].items()[0].get<bool>());
  const std::vector<ValueSpec> pair = {spec_of("pair", ValueKind::tuple)};
  EXPECT_TRUE(bind_inputs(pair, std::vector<Value>{Value(List{})})[0].is(ValueKind::tuple));
}

TEST(BindInputs, RefusesWithTheSignatureAndWhatWasGiven) {
  expect_refused("input `images` was not given", {});
  expect_refused("4 inputs were given", {images(), Value(1.0), Value(List{}), Value(true)});
  expect_refused("was given as FP64[2,1,8,8]", {images({2, 1, 8, 8}, DType::float64)});
  expect_refused("was given as FP32[2,1,8,9]", {images({2, 1, 8, 9})});
  expect_refused("was given as FP32[64]", {images({64})});
  expect_refused("was given as FP32[]", {images({})});
  expect_refused("`images` was given as none", {Value()});
  expect_refused("`scale` was given as string", {images(), Value(std::string("x"))});
  expect_refused("`scale` was given as int", {images(), Value((std::int64_t{1} << 53) + 1)});
  expect_refused("`scale` was given as bool", {images(), Value(true)});
  expect_refused("`state` was given as dict of 0", {images(), Value(1.0), Value(Dict{})});
  expect_refused("an input `image` was given", {}, {{"image", images()}});
  expect_refused("`images` was given twice", {images()}, {{"images", images()}});
  expect_refused("`images` was not given", {}, {{"scale", Value(1.0)}});
}

TEST(BindInputs, DoesNotCheckWhatIsNotKnown) {
  ValueSpec anything;
  anything.name = "x";
  for (const Value& value : {images(), Value(), Value(1.5), Value(Dict{})}) {
    EXPECT_TRUE(inputs_match(std::vector{anything}, std::vector{value}));
  }
  ValueSpec any_tensor = spec_of("x", ValueKind::tensor);
  EXPECT_TRUE(inputs_match(std::vector{any_tensor}, std::vector{images({7}, DType::complex64)}));
  EXPECT_FALSE(inputs_match(std::vector{any_tensor}, std::vector{Value(1.5)}));
}

TEST(Describe, RendersSpecs) {
  EXPECT_EQ(describe(std::vector<ValueSpec>{}), "no inputs");
  ValueSpec spec;
  spec.name = "x";
  EXPECT_EQ(describe(spec), "x: any");
  spec.shape = std::vector<std::int64_t>{-1, 3};
  EXPECT_EQ(describe(spec), "x: tensor[-1,3]");
  spec.dtype = DType::bfloat16;
  EXPECT_EQ(describe(spec), "x: BF16[-1,3]");
  spec.shape.reset();
  EXPECT_EQ(describe(spec), "x: BF16");
  EXPECT_EQ(describe(tensor_spec("y", DType::int64, {})), "y: INT64[]");
}

TEST(Describe, RendersValues) {
  EXPECT_EQ(describe(Value()), "none");
  EXPECT_EQ(describe(Value(List{{Value(1.0), Value(2.0)}})), "list of 2");
  EXPECT_EQ(describe(Value(std::string("secret text"))), "string");
}

}  // namespace
}  // namespace ptsecure
