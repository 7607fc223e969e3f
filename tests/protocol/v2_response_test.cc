#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "libptsecure/protocol/v2_json.hpp"
#include "tests/value/support.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;
using test::elements_of;
using test::expect_error;
using test::floats;
using test::spec_of;
using test::tensor_spec;

std::string data_text(const Value& value) {
  const std::string body = v2_response_json("m", "1", "", value, {});
  const std::size_t start = body.find("\"data\":") + 7;
  return body.substr(start, body.rfind("}]}") - start);
}

std::vector<std::string> names(const Value& value, const std::vector<ValueSpec>& specs = {}) {
  std::vector<std::string> out;
  for (const NamedValue& leaf : v2_flatten(value, specs)) out.push_back(leaf.first);
  return out;
}

TEST(V2Response, HasTheProtocolsMembers) {
  EXPECT_EQ(v2_response_json("digits", "7", "r1", Value(floats(Dims{1, 2}, {0.5, -1})),
                             {tensor_spec("scores", DType::float32, {-1, 2})}),
            R"({"model_name":"digits","model_version":"7","id":"r1","outputs":[)"
            R"({"name":"scores","datatype":"FP32","shape":[1,2],"data":[0.5,-1.0]}]})");
  EXPECT_EQ(v2_response_json("m", "", "", Value(), {}), R"({"model_name":"m","outputs":[]})");
}

TEST(V2Response, NumbersAreShortestAndExact) {
  EXPECT_EQ(data_text(Value(floats(Dims{6}, {0.1f, 1, -0.0f, 1e30f, 1e-45f, 16777216}))),
            "[0.1,1.0,-0.0,1e+30,1e-45,16777216.0]");
  EXPECT_EQ(data_text(Value(0.1)), "[0.1]");
  EXPECT_EQ(data_text(Value(std::int64_t{INT64_MIN})), "[-9223372036854775808]");
  EXPECT_EQ(data_text(Value(test::tensor_of<std::uint64_t>(DType::uint64, Dims{1}, {UINT64_MAX}))),
            "[18446744073709551615]");
  EXPECT_EQ(data_text(Value(test::tensor_of<std::int8_t>(DType::int8, Dims{2}, {-128, 127}))),
            "[-128,127]");
  EXPECT_EQ(data_text(Value(test::tensor_of<std::uint8_t>(DType::boolean, Dims{2}, {0, 1}))),
            "[false,true]");
  EXPECT_EQ(data_text(Value(test::tensor_of<std::uint16_t>(DType::float16, Dims{2}, {0x3c00, 1}))),
            "[1.0,5.9604645e-08]");
  EXPECT_EQ(data_text(Value(test::tensor_of<std::uint16_t>(DType::bfloat16, Dims{1}, {0x4049}))),
            "[3.140625]");
  EXPECT_EQ(data_text(Value(test::tensor_of<float>(DType::float32, Dims{}, {2}))), "[2.0]");
}

TEST(V2Response, NaNAndInfinityAreStrings) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(
      data_text(Value(test::tensor_of<double>(DType::float64, Dims{4}, {nan, kInf, -kInf, 1}))),
      R"(["NaN","Infinity","-Infinity",1.0])");
  EXPECT_EQ(data_text(Value(test::tensor_of<std::uint16_t>(DType::float16, Dims{1}, {0x7c00}))),
            R"(["Infinity"])");
  EXPECT_EQ(data_text(Value(-kInf)), R"(["-Infinity"])");
}

TEST(V2Response, ComplexIsPairs) {
  Tensor tensor = make_tensor(DType::complex64, Dims{2});
  std::copy_n(std::initializer_list<float>{1, 2, 3, -4}.begin(), 4,
              static_cast<float*>(tensor.data));
  EXPECT_EQ(data_text(Value(tensor)), "[1.0,2.0,3.0,-4.0]");
}

TEST(V2Response, StridesAreFollowed) {
  Tensor tensor = floats(Dims{2, 2}, {1, 2, 3, 4});
  tensor.strides = Dims{1, 2};
  EXPECT_EQ(data_text(Value(tensor)), "[1.0,3.0,2.0,4.0]");
  tensor.strides = Dims{0, 0};
  EXPECT_EQ(data_text(Value(tensor)), "[1.0,1.0,1.0,1.0]");
  EXPECT_EQ(data_text(Value(make_tensor(DType::float32, Dims{0, 3}))), "[]");
  tensor.device = {DeviceType::cuda, 0};
  expect_error(Status::unsupported, "CPU", [&] { data_text(Value(tensor)); });
}

TEST(V2Response, EveryDTypeComesBackAsItWas) {
  std::mt19937 random(7);
  for (int i = 1; i <= 16; ++i) {
    const auto dtype = static_cast<DType>(i);
    Tensor tensor = make_tensor(dtype, Dims{50, 20});
    auto* bytes = static_cast<std::uint8_t*>(tensor.data);
    for (std::size_t b = 0; b < tensor.nbytes(); ++b) {
      bytes[b] = static_cast<std::uint8_t>(dtype == DType::boolean ? random() & 1 : random());
    }
    const json outputs =
        json::parse(v2_response_json("m", "1", "", Value(tensor), {})).at("outputs");
    const std::string request = json{{"inputs", outputs}}.dump();
    // Through a DOM parser numbers that it reads as doubles may change; the text itself must not.
    const std::string direct = "{\"inputs\":[" + [&] {
      const std::string body = v2_response_json("m", "1", "", Value(tensor), {});
      const std::size_t start = body.find("\"outputs\":[") + 11;
      return body.substr(start, body.size() - start - 1);
    }() + "}";
    const V2Request back = parse_v2_request(direct, {});
    const std::string again = v2_response_json("m", "1", "", back.inputs.at(0).second, {});
    EXPECT_EQ(again, v2_response_json("m", "1", "", Value(tensor), {})) << dtype_name(dtype);
    EXPECT_NO_THROW(parse_v2_request(request, {})) << dtype_name(dtype);
  }
}

TEST(V2Response, NamesFollowTheRule) {
  const Value leaf(1.0);
  using Names = std::vector<std::string>;
  EXPECT_EQ(names(leaf), Names{"output"});
  EXPECT_EQ(names(leaf, {spec_of("y", ValueKind::real)}), Names{"y"});
  const Value pair(Tuple{{leaf, Value(List{{leaf, Value(), leaf}})}});
  EXPECT_EQ(names(pair), (Names{"output_0", "output_1.0", "output_1.2"}));
  EXPECT_EQ(names(pair, {spec_of("a", ValueKind::real), spec_of("b", ValueKind::list)}),
            (Names{"a", "b.0", "b.2"}));
  EXPECT_EQ(names(pair, {spec_of("a", ValueKind::tuple)}),
            (Names{"output_0", "output_1.0", "output_1.2"}));
  EXPECT_EQ(names(Value(List{{leaf}}), {spec_of("a", ValueKind::list)}), Names{"output_0"});
  EXPECT_EQ(names(Value(List{{leaf}}), {spec_of("a", ValueKind::real)}), Names{"a"});
  const Value dict(Dict{{{"k", leaf}, {"d", Value(Dict{{{"e", pair}}})}, {"n", Value()}}});
  EXPECT_EQ(names(dict), (Names{"k", "d.e.0", "d.e.1.0", "d.e.1.2"}));
  EXPECT_EQ(names(Value(List{})), Names{});
  const Value clash(Dict{{{"a.b", leaf}, {"a", Value(Dict{{{"b", leaf}}})}}});
  expect_error(Status::unsupported, "`a.b`", [&] { v2_flatten(clash, {}); });
}

TEST(V2Response, LeavesThatAreNoTensors) {
  const Value dict(Dict{{{"b", Value(true)},
                         {"i", Value(std::int64_t{3})},
                         {"f", Value(2.0)},
                         {"s", Value(std::string("\"é\n"))}}});
  EXPECT_EQ(json::parse(v2_response_json("m", "1", "", dict, {})).at("outputs").dump(),
            R"([{"data":[true],"datatype":"BOOL","name":"b","shape":[1]},)"
            R"({"data":[3],"datatype":"INT64","name":"i","shape":[1]},)"
            R"({"data":[2.0],"datatype":"FP64","name":"f","shape":[1]},)"
            R"({"data":["\"é\n"],"datatype":"BYTES","name":"s","shape":[1]}])");
  expect_error(Status::unsupported, "not UTF-8",
               [] { v2_response_json("m", "1", "", Value(std::string("\xff")), {}); });
}

TEST(V2Response, SelectsOutputs) {
  const Value dict(Dict{
      {{"a", Value(1.0)}, {"l", Value(List{{Value(2.0), Value(3.0)}})}, {"list", Value(4.0)}}});
  const auto chosen = [&](const std::vector<V2Output>& selected) {
    std::string out;
    const json body = json::parse(v2_response_json("m", "1", "", dict, {}, selected));
    for (const json& output : body.at("outputs")) out += output.at("name").get<std::string>() + " ";
    return out;
  };
  EXPECT_EQ(chosen({}), "a l.0 l.1 list ");
  EXPECT_EQ(chosen({{"l.1", {}}, {"a", {}}}), "l.1 a ");
  EXPECT_EQ(chosen({{"l", {}}, {"l.0", {}}}), "l.0 l.1 ");
  expect_error(Status::invalid_input, "there are: a, l.0, l.1, list", [&] { chosen({{"b", {}}}); });
  expect_error(Status::invalid_input, "was asked for", [&] { chosen({{"", {}}}); });
}

TEST(V2Binary, OutputsFollowTheJson) {
  const Value dict(Dict{{{"a", Value(floats(Dims{1}, {1}))},
                         {"s", Value(std::string("hi"))},
                         {"i", Value(std::int64_t{2})},
                         {"b", Value(true)}}});
  const V2Response response = v2_response(
      "m", "1", "", dict, {}, {{"a", true}, {"s", true}, {"i", true}, {"b", {}}}, false);
  const json outputs = json::parse(response.json).at("outputs");
  EXPECT_EQ(outputs[0].at("parameters").at("binary_data_size"), 4);
  EXPECT_EQ(outputs[1].at("parameters").at("binary_data_size"), 6);
  EXPECT_EQ(outputs[2].at("parameters").at("binary_data_size"), 8);
  EXPECT_FALSE(outputs[0].contains("data"));
  EXPECT_EQ(outputs[3].at("data").dump(), "[true]");
  EXPECT_EQ(response.binary,
            (Bytes{0, 0, 0x80, 0x3f, 2, 0, 0, 0, 'h', 'i', 2, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(v2_response("m", "1", "", dict, {}, {}, true).binary.size(), 19u);
  EXPECT_NE(v2_response_json("m", "1", "", dict, {}, {{"a", true}}).find("\"data\""),
            std::string::npos);
}

TEST(V2Example, CanBeSentAsItIs) {
  std::vector<ValueSpec> specs = {tensor_spec("images", DType::float32, {-1, 1, 2, 2}),
                                  tensor_spec("c", DType::complex64, {}),
                                  spec_of("n", ValueKind::integer),
                                  spec_of("f", ValueKind::real),
                                  spec_of("b", ValueKind::boolean),
                                  spec_of("s", ValueKind::string),
                                  spec_of("l", ValueKind::list),
                                  spec_of("t", ValueKind::tuple),
                                  spec_of("d", ValueKind::dict),
                                  spec_of("any", ValueKind::tensor)};
  ValueSpec optional = spec_of("o", ValueKind::real);
  optional.optional = true;
  specs.push_back(optional);
  for (int dtype = 1; dtype <= 16; ++dtype) {
    specs.insert(specs.begin(),
                 tensor_spec("d" + std::to_string(dtype), static_cast<DType>(dtype), {2}));
  }
  const V2Request request = parse_v2_request(v2_example_request(specs), specs);
  EXPECT_EQ(bind_inputs(specs, {}, request.inputs).size(), specs.size() - 1);
  EXPECT_EQ(v2_example_request({tensor_spec("x", DType::float32, {-1, 2})}),
            R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[0.0,0.0]}]})");
  EXPECT_EQ(v2_example_request({}), R"({"inputs":[]})");
  expect_error(Status::limit_exceeded, "`x`",
               [] { v2_example_request({tensor_spec("x", DType::float32, {100000, 100000})}); });
}

TEST(V2Metadata, SaysWhatIsKnown) {
  ValueSpec anything;
  anything.name = "any";
  std::vector<ValueSpec> inputs = {tensor_spec("x", DType::float32, {-1, 2}), anything,
                                   spec_of("n", ValueKind::integer), spec_of("l", ValueKind::list)};
  inputs[2].optional = true;
  EXPECT_EQ(v2_metadata_json("m", {"1", "2"}, "torchscript", inputs, {}),
            R"({"name":"m","versions":["1","2"],"platform":"torchscript","inputs":[)"
            R"({"name":"x","datatype":"FP32","shape":[-1,2]},{"name":"any"},)"
            R"({"name":"n","datatype":"INT64","shape":[1],"kind":"int","optional":true},)"
            R"({"name":"l","kind":"list"}],"outputs":[]})");
}

}  // namespace
}  // namespace ptsecure
