#include "libptsecure/value/json_spec.hpp"

#include <nlohmann/json.hpp>

#include "tests/value/support.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;
using test::expect_error;
using test::spec_of;
using test::tensor_spec;

TEST(JsonSpec, GoesBothWays) {
  std::vector<ValueSpec> specs(1);
  specs[0].name = "anything";
  for (int kind = 0; kind <= 8; ++kind) {
    specs.push_back(spec_of("k" + std::to_string(kind), static_cast<ValueKind>(kind)));
  }
  for (int dtype = 1; dtype <= 16; ++dtype) {
    specs.push_back(
        tensor_spec("d" + std::to_string(dtype), static_cast<DType>(dtype), {-1, 0, 7}));
  }
  specs.push_back(tensor_spec("scalar", DType::float32, {}));
  specs.back().optional = true;
  EXPECT_EQ(specs_from_json(specs_to_json(specs)), specs);
  EXPECT_EQ(specs_from_json(json::parse(specs_to_json(specs).dump())), specs);
}

TEST(JsonSpec, LeavesOutWhatIsNotKnown) {
  ValueSpec spec;
  spec.name = "x";
  EXPECT_EQ(spec_to_json(spec).dump(), R"({"name":"x"})");
  EXPECT_EQ(spec_to_json(tensor_spec("x", DType::float16, {-1, 2})).dump(),
            R"({"datatype":"FP16","kind":"tensor","name":"x","shape":[-1,2]})");
}

TEST(JsonSpec, IgnoresMembersOfLaterVersions) {
  EXPECT_EQ(spec_from_json(json::parse(R"({"name":"x","unit":"m","kind":"int"})")),
            spec_of("x", ValueKind::integer));
}

TEST(JsonSpec, RefusesDamage) {
  const auto refused = [](const char* text, const char* part) {
    expect_error(Status::corrupt, part, [&] { spec_from_json(json::parse(text)); });
  };
  refused("[]", "an object");
  refused("null", "an object");
  refused("{}", "`name` is missing");
  refused(R"({"name":1})", "`name` must be a string");
  refused(R"({"name":"x","kind":"Tensor"})", "`Tensor` is no kind");
  refused(R"({"name":"x","kind":5})", "`kind` must be a string");
  refused(R"({"name":"x","datatype":"FLOAT"})", "`FLOAT` is no datatype");
  refused(R"({"name":"x","datatype":null})", "`datatype` must be a string");
  refused(R"({"name":"x","kind":"int","datatype":"INT64"})", "only tensors");
  refused(R"({"name":"x","kind":"list","shape":[1]})", "only tensors");
  refused(R"({"name":"x","shape":3})", "`shape` must be an array");
  refused(R"({"name":"x","shape":[-2]})", "extents");
  refused(R"({"name":"x","shape":[1.0]})", "extents");
  refused(R"({"name":"x","shape":["1"]})", "extents");
  refused(R"({"name":"x","shape":[9223372036854775808]})", "extents");
  refused(R"({"name":"x","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]})", "16");
  refused(R"({"name":"x","optional":1})", "true or false");
  expect_error(Status::corrupt, "array", [] { specs_from_json(json::object()); });
  expect_error(Status::corrupt, "an object", [] { specs_from_json(json::parse("[1]")); });
}

}  // namespace
}  // namespace ptsecure
