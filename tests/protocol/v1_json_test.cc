#include "libptsecure/protocol/v1_json.hpp"

#include <cmath>

#include "tests/value/support.hpp"

namespace ptsecure {
namespace {

using test::elements_of;
using test::expect_error;

ValueSpec spec(const std::string& name, ValueKind kind, std::optional<DType> dtype = {}) {
  ValueSpec out;
  out.name = name;
  out.kind = kind;
  out.dtype = dtype;
  return out;
}

const std::vector<ValueSpec> kOne = {spec("x", ValueKind::tensor, DType::float32)};
const std::vector<ValueSpec> kTwo = {spec("x", ValueKind::tensor, DType::float32),
                                     spec("n", ValueKind::tensor, DType::int64)};

void refused(const std::string& part, std::string_view json,
             const std::vector<ValueSpec>& inputs = kOne, Status status = Status::invalid_input) {
  expect_error(status, part, [&] { parse_v1_request(json, inputs); });
}

const Tensor& tensor(const V1Request& request, std::size_t index = 0) {
  return request.inputs.at(index).second.get<Tensor>();
}

TEST(V1Request, TakesInstancesOfTheOnlyInput) {
  const V1Request request = parse_v1_request(R"({"instances": [[1, 2.5], [3, -4e0]] })", kOne);
  EXPECT_TRUE(request.rows);
  EXPECT_EQ(request.inputs.at(0).first, "x");
  EXPECT_EQ(tensor(request).shape, (Dims{2, 2}));
  EXPECT_EQ(elements_of<float>(tensor(request)), (std::vector<float>{1, 2.5, 3, -4}));
  EXPECT_EQ(tensor(parse_v1_request(R"({"instances":[1,2,3]})", kOne)).shape, (Dims{3}));
  EXPECT_EQ(tensor(parse_v1_request(R"({"instances":[]})", kOne)).shape, (Dims{0}));
  EXPECT_EQ(tensor(parse_v1_request(R"({"instances":[[[1],[2]]]})", kOne)).shape, (Dims{1, 2, 1}));
}

TEST(V1Request, TakesInstancesWithNamedInputs) {
  const V1Request request = parse_v1_request(
      R"({"more":{"x":1},"instances":[{"x":[1,2],"n":7},{"n": 8 ,"x":[3,4]}],"after":[1]})", kTwo);
  ASSERT_EQ(request.inputs.size(), 2u);
  EXPECT_EQ(request.inputs[0].first, "x");
  EXPECT_EQ(tensor(request).shape, (Dims{2, 2}));
  EXPECT_EQ(elements_of<float>(tensor(request)), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(tensor(request, 1).shape, (Dims{2}));
  EXPECT_EQ(elements_of<std::int64_t>(tensor(request, 1)), (std::vector<std::int64_t>{7, 8}));
}

TEST(V1Request, TakesWholeInputs) {
  const V1Request one = parse_v1_request(R"({"inputs":[[1],[2],[3]]})", kOne);
  EXPECT_FALSE(one.rows);
  EXPECT_EQ(tensor(one).shape, (Dims{3, 1}));
  const V1Request two = parse_v1_request(R"({"inputs":{"n":[5,6],"x":2.5}})", kTwo);
  EXPECT_EQ(two.inputs.at(0).first, "n");
  EXPECT_EQ(tensor(two, 1).shape, (Dims{}));
  EXPECT_EQ(elements_of<float>(tensor(two, 1)), (std::vector<float>{2.5}));
  EXPECT_EQ(tensor(parse_v1_request(R"({"inputs":7})", kOne)).shape, (Dims{}));
}

TEST(V1Request, TakesWhatIsNoTensor) {
  const std::vector<ValueSpec> inputs = {
      spec("b", ValueKind::boolean), spec("i", ValueKind::integer), spec("s", ValueKind::string)};
  const V1Request request =
      parse_v1_request(R"({"inputs":{"b":true,"i":-3,"s":"a, \"b\" ]"}})", inputs);
  EXPECT_TRUE(request.inputs.at(0).second.get<bool>());
  EXPECT_EQ(request.inputs.at(1).second.get<std::int64_t>(), -3);
  EXPECT_EQ(request.inputs.at(2).second.get<std::string>(), "a, \"b\" ]");
}

TEST(V1Request, KeepsNamesAndNumbersAsTheyAre) {
  const std::vector<ValueSpec> odd = {spec("a\"b", ValueKind::tensor, DType::uint64)};
  const V1Request request = parse_v1_request(R"({"inputs":{"a\"b":[18446744073709551615]}})", odd);
  EXPECT_EQ(elements_of<std::uint64_t>(tensor(request)), (std::vector<std::uint64_t>{UINT64_MAX}));
  EXPECT_TRUE(std::isnan(
      elements_of<float>(tensor(parse_v1_request(R"({"inputs":["NaN"]})", kOne))).at(0)));
}

TEST(V1Request, RefusesWhatDoesNotAddUp) {
  refused("lacks `instances` or `inputs`", "{}");
  refused("JSON object", "[1]");
  refused("JSON object", "3");
  refused("not valid JSON", "");
  refused("not valid JSON", R"({"instances":[1)");
  refused("not valid JSON", R"({"instances":[1]} x)");
  refused("NUL", std::string_view("{\"instances\":[1]}\0", 18));
  refused("twice", R"({"instances":[1],"instances":[2]})");
  refused("once", R"({"instances":[1],"inputs":[2]})");
  refused("array with one element per row", R"({"instances":3})");
  refused("array with one element per row", R"({"instances":{"x":[1]}})");
  refused("objects only", R"({"instances":[{"x":1},2]})");
  refused("objects only", R"({"instances":[[2],{"x":1}]})");
  refused("name them in an object", R"({"instances":[[1]]})", kTwo);
  refused("no input `y`; the model takes x: FP32", R"({"instances":[{"y":1}]})");
  refused("not in every element", R"({"instances":[{"x":1,"n":1},{"x":2}]})", kTwo);
  refused("says 2", R"({"instances":[[1,2],[3]]})");
  refused("input `x`", R"({"instances":[{"x":[1,2]},{"x":[3]}]})");
  refused("objects are not taken", R"({"inputs":{"x":[{}]}})");
  refused("null", R"({"instances":[null]})");
  refused("a string in its data", R"({"instances":["a"]})");
  refused("publish the model with a sample", R"({"instances":[1]})", {spec("x", ValueKind::list)});
}

TEST(V1Request, KeepsItsLimits) {
  const std::string deep(100'000, '[');
  refused("deeper", "{\"instances\":" + deep, kOne, Status::limit_exceeded);
  refused("16 extents", "{\"instances\":" + std::string(20, '[') + std::string(20, ']') + "}", kOne,
          Status::limit_exceeded);
}

TEST(V1Response, IsNestedAndPerRow) {
  const Tensor x = test::tensor_of<float>(DType::float32, Dims{2, 2}, {1, 2, 3, 4.5});
  const Tensor n = test::tensor_of<std::int64_t>(DType::int64, Dims{2}, {7, 8});
  EXPECT_EQ(v1_response(Value(x), {}, true), R"({"predictions":[[1.0,2.0],[3.0,4.5]]})");
  Dict both;
  both.items = {{"x", Value(x)}, {"n", Value(n)}};
  EXPECT_EQ(v1_response(Value(both), {}, true),
            R"({"predictions":[{"x":[1.0,2.0],"n":7},{"x":[3.0,4.5],"n":8}]})");
  EXPECT_EQ(v1_response(Value(both), {}, false),
            R"({"predictions":{"x":[[1.0,2.0],[3.0,4.5]],"n":[7,8]}})");
  both.items.emplace_back("s", Value(std::string("t")));
  EXPECT_EQ(v1_response(Value(both), {}, true),
            R"({"predictions":{"x":[[1.0,2.0],[3.0,4.5]],"n":[7,8],"s":"t"}})");
  Tensor turned = x;
  turned.strides = Dims{1, 2};
  EXPECT_EQ(v1_response(Value(turned), {}, true), R"({"predictions":[[1.0,3.0],[2.0,4.5]]})");
  EXPECT_EQ(v1_response(Value(1.5), {}, false), R"({"predictions":1.5})");
  expect_error(Status::unsupported, "complex",
               [] { v1_response(Value(make_tensor(DType::complex64, Dims{1})), {}, false); });
}

}  // namespace
}  // namespace ptsecure
