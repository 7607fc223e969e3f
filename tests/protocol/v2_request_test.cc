#include <cmath>
#include <complex>
#include <limits>

#include "libptsecure/protocol/v2_json.hpp"
#include "libptsecure/value/half.hpp"
#include "libptsecure/value/raw_tensor.hpp"
#include "tests/value/support.hpp"

namespace ptsecure {
namespace {

using test::elements_of;
using test::expect_error;
using test::spec_of;

std::string input_json(const std::string& datatype, const std::string& shape,
                       const std::string& data, const std::string& name = "x") {
  return "{\"name\":\"" + name + "\",\"shape\":" + shape + ",\"datatype\":\"" + datatype +
         "\",\"data\":" + data + "}";
}

std::string request_json(const std::string& inputs) {
  return "{\"inputs\":[" + inputs + "]}";
}

Value read_one(const std::string& datatype, const std::string& shape, const std::string& data,
               const std::vector<ValueSpec>& specs = {}) {
  V2Request request = parse_v2_request(request_json(input_json(datatype, shape, data)), specs);
  EXPECT_EQ(request.inputs.size(), 1u);
  return std::move(request.inputs.at(0).second);
}

template <class T>
std::vector<T> numbers(const std::string& datatype, const std::string& shape,
                       const std::string& data) {
  const Value value = read_one(datatype, shape, data);
  return elements_of<T>(value.get<Tensor>());
}

void refused(Status status, const std::string& part, const std::string& json,
             const std::vector<ValueSpec>& specs = {}) {
  SCOPED_TRACE(json.substr(0, 300));
  expect_error(status, part, [&] { parse_v2_request(json, specs); });
}

void refused_data(const std::string& part, const std::string& datatype, const std::string& shape,
                  const std::string& data) {
  refused(Status::invalid_input, part, request_json(input_json(datatype, shape, data)));
}

TEST(V2Request, ReadsEveryMember) {
  const V2Request request = parse_v2_request(
      R"({"id":"r1","parameters":{"binary_data_output":true,"n":3,"f":0.5,"s":"t","o":{"a":[1]}},
          "inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[1,2.5,-3e0,4],"extra":[1,{}]}],
          "outputs":[{"name":"y","parameters":{"binary_data":false}},{"name":"z"}],
          "later":{"inputs":[[[{}]]]}})",
      {});
  EXPECT_EQ(request.id, "r1");
  EXPECT_TRUE(request.binary_output);
  ASSERT_EQ(request.parameters.size(), 4u);
  EXPECT_EQ(request.parameters[1].second.get<std::int64_t>(), 3);
  ASSERT_EQ(request.inputs.size(), 1u);
  EXPECT_EQ(request.inputs[0].first, "x");
  EXPECT_EQ(elements_of<float>(request.inputs[0].second.get<Tensor>()),
            (std::vector<float>{1, 2.5, -3, 4}));
  ASSERT_EQ(request.outputs.size(), 2u);
  EXPECT_EQ(request.outputs[0].name, "y");
  EXPECT_EQ(request.outputs[0].binary, false);
  EXPECT_EQ(request.outputs[1].binary, std::nullopt);
}

TEST(V2Request, TakesMembersInAnyOrder) {
  const char* const members[] = {R"("name":"x")", R"("shape":[2,2])", R"("datatype":"INT32")",
                                 R"("data":[[1,2],[3,4]])"};
  std::vector<int> order = {0, 1, 2, 3};
  do {
    std::string object;
    for (const int i : order) object += std::string(object.empty() ? "{" : ",") + members[i];
    const V2Request request =
        parse_v2_request("{\"id\":\"i\",\"inputs\":[" + object + "}],\"outputs\":null}", {});
    EXPECT_EQ(elements_of<std::int32_t>(request.inputs.at(0).second.get<Tensor>()),
              (std::vector<std::int32_t>{1, 2, 3, 4}))
        << object;
    EXPECT_EQ(request.id, "i");
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(V2Request, NestedDataMustMatchTheShape) {
  EXPECT_EQ(numbers<std::int8_t>("INT8", "[2,1,2]", "[[[1,2]],[[3,4]]]"),
            (std::vector<std::int8_t>{1, 2, 3, 4}));
  EXPECT_EQ(numbers<std::int8_t>("INT8", "[2,1,2]", " [ 1 , 2,\n3,\t4 ] ").size(), 4u);
  refused_data("neither flat nor nested", "INT8", "[2,1,2]", "[[1,2],[3,4]]");
  refused_data("shape [2,2] says 2", "INT8", "[2,2]", "[[1,2,3],[4]]");
  refused_data("shape [2,2] says 2", "INT8", "[2,2]", "[[1,2]]");
  refused_data("shape [2,2] says 2", "INT8", "[2,2]", "[[1,2],[3,4],[]]");
  refused_data("more elements", "INT8", "[2,2]", "[[1,2],[3,4],[5,6]]");
  refused_data("mixes", "INT8", "[2,2]", "[1,2,[3,4]]");
  refused_data("mixes", "INT8", "[2,2]", "[[1,2],3,4]");
  refused_data("says 2", "INT8", "[2,2]", "[[],1,2,3,4]");
  refused_data("deeper than its shape [4]", "INT8", "[4]", "[[1,2,3,4]]");
  refused_data("deeper than its shape []", "INT8", "[]", "[[1]]");
}

TEST(V2Request, CountMustMatchTheShape) {
  refused_data("more elements in its data than its shape [3]", "INT8", "[3]", "[1,2,3,4]");
  refused_data("takes 3 numbers, but its data has 2", "INT8", "[3]", "[1,2]");
  refused_data("more elements", "INT8", "[0]", "[1]");
  refused_data("takes 1 numbers", "INT8", "[]", "[]");
  refused_data("fewer elements", "UINT8", "[1000000000]", "[1]");
  refused(Status::limit_exceeded, "1073741824 bytes",
          request_json(input_json("FP64", "[1000000000000]", "[1]")));
  refused_data("overflows", "FP64", "[4611686018427387904,4]", "[1]");
  refused_data("overflows", "FP64", "[0,9223372036854775807,2]", "[]");
  EXPECT_EQ(numbers<float>("FP32", "[]", "[7]"), (std::vector<float>{7}));
  EXPECT_TRUE(numbers<float>("FP32", "[0]", "[]").empty());
  EXPECT_TRUE(numbers<float>("FP32", "[2,0]", "[[],[]]").empty());
  EXPECT_TRUE(numbers<float>("FP32", "[2,0,3]", "[]").empty());
  refused_data("says 2", "FP32", "[2,0]", "[[]]");
}

TEST(V2Request, IntegersKeepTheirRange) {
  EXPECT_EQ(numbers<std::uint8_t>("UINT8", "[3]", "[0,255,-0]"),
            (std::vector<std::uint8_t>{0, 255, 0}));
  EXPECT_EQ(numbers<std::int64_t>("INT64", "[2]", "[-9223372036854775808,9223372036854775807]"),
            (std::vector<std::int64_t>{INT64_MIN, INT64_MAX}));
  EXPECT_EQ(numbers<std::uint64_t>("UINT64", "[1]", "[18446744073709551615]"),
            (std::vector<std::uint64_t>{UINT64_MAX}));
  const std::pair<const char*, const char*> beyond[] = {{"UINT8", "256"},
                                                        {"UINT8", "-1"},
                                                        {"INT8", "128"},
                                                        {"INT8", "-129"},
                                                        {"UINT16", "65536"},
                                                        {"INT16", "-32769"},
                                                        {"UINT32", "4294967296"},
                                                        {"INT32", "2147483648"},
                                                        {"INT64", "9223372036854775808"},
                                                        {"UINT64", "-1"},
                                                        {"BOOL", "2"}};
  for (const auto& [datatype, number] : beyond) {
    refused_data(datatype, datatype, "[2]", "[1," + std::string(number) + "]");
  }
  refused_data("too large", "UINT64", "[1]", "[18446744073709551616]");
  refused_data("too large", "INT64", "[1]", "[-9223372036854775809]");
  refused_data("fraction or exponent", "INT32", "[1]", "[1.0]");
  refused_data("fraction or exponent", "INT32", "[1]", "[1e2]");
  refused_data("string", "INT32", "[1]", "[\"1\"]");
  refused_data("string", "INT32", "[1]", "[\"NaN\"]");
  refused_data("true or false", "INT32", "[1]", "[true]");
  refused_data("null", "INT32", "[1]", "[null]");
  refused_data("object", "INT32", "[1]", "[{}]");
}

TEST(V2Request, Booleans) {
  EXPECT_EQ(numbers<std::uint8_t>("BOOL", "[4]", "[true,false,1,0]"),
            (std::vector<std::uint8_t>{1, 0, 1, 0}));
  refused_data("BOOL", "BOOL", "[1]", "[0.5]");
  refused_data("BOOL", "BOOL", "[1]", "[-1]");
}

TEST(V2Request, FloatsAreRoundedOnce) {
  // Between two floats, where rounding to double first goes the wrong way.
  EXPECT_EQ(numbers<float>("FP32", "[1]", "[1.00000017881393432617187499]"),
            (std::vector<float>{0x1.000002p0f}));
  EXPECT_EQ(numbers<float>("FP32", "[2]", "[\"NaN\",1.00000017881393432617187499]")[1],
            0x1.000002p0f);
  EXPECT_EQ(numbers<double>("FP64", "[2]", "[0.1,5e-324]"), (std::vector<double>{0.1, 5e-324}));
  EXPECT_EQ(numbers<float>("FP32", "[3]", "[18446744073709551615,1e-60,-1e-45]"),
            (std::vector<float>{0x1p64f, 0, -0x1p-149f}));
  EXPECT_EQ(numbers<double>("FP64", "[2]", "[1e-999,9007199254740993]"),
            (std::vector<double>{0, 9007199254740992.0}));
  EXPECT_TRUE(std::signbit(numbers<float>("FP32", "[1]", "[-0.0]")[0]));
}

TEST(V2Request, FloatsThatAreTooLargeAreRefused) {
  EXPECT_EQ(numbers<float>("FP32", "[1]", "[3.4028235e38]")[0], std::numeric_limits<float>::max());
  for (const char* number : {"3.5e38", "-1e39", "1e308"}) {
    refused_data("too large for FP32", "FP32", "[1]", "[" + std::string(number) + "]");
    refused_data("too large for COMPLEX64", "COMPLEX64", "[1]", "[0," + std::string(number) + "]");
  }
  for (const char* number : {"1e309", "-1e999999999", "1e99999999999999999999"}) {
    refused_data("too large", "FP64", "[1]", "[" + std::string(number) + "]");
    refused_data("too large", "FP32", "[1]", "[" + std::string(number) + "]");
  }
  refused_data("too large for FP16", "FP16", "[1]", "[65520]");
  refused_data("too large for FP16", "FP16", "[1]", "[1e30]");
  refused_data("too large for BF16", "BF16", "[1]", "[3.4e38]");
  refused_data("too large", "FP64", "[1]", "[1" + std::string(400, '0') + "]");
}

TEST(V2Request, NaNAndInfinityAreStrings) {
  const auto values = numbers<float>("FP32", "[5]", R"([1,"NaN","Infinity","-Infinity",2])");
  EXPECT_EQ(values[0], 1);
  EXPECT_TRUE(std::isnan(values[1]));
  EXPECT_EQ(values[2], std::numeric_limits<float>::infinity());
  EXPECT_EQ(values[3], -std::numeric_limits<float>::infinity());
  EXPECT_EQ(values[4], 2);
  EXPECT_EQ(numbers<std::uint16_t>("FP16", "[1]", R"(["-Infinity"])")[0], 0xfc00);
  EXPECT_TRUE(
      std::isnan(bfloat16_to_float(numbers<std::uint16_t>("BF16", "[1]", R"(["NaN"])")[0])));
  for (const char* word : {"\"nan\"", "\"inf\"", "\"1.0\"", "\"\""}) {
    refused_data("string", "FP32", "[1]", "[" + std::string(word) + "]");
  }
  for (const char* word : {"NaN", "Infinity", "-Infinity", "nan", "-inf", "+1", "0x10"}) {
    refused_data("not valid JSON", "FP32", "[2]", "[1," + std::string(word) + "]");
  }
}

TEST(V2Request, HalfAndBFloat16AreNumbers) {
  EXPECT_EQ(numbers<std::uint16_t>("FP16", "[3]", "[1,-2.5,5.960464477539063e-08]"),
            (std::vector<std::uint16_t>{0x3c00, 0xc100, 0x0001}));
  EXPECT_EQ(numbers<std::uint16_t>("BF16", "[2]", "[1,3.140625]"),
            (std::vector<std::uint16_t>{0x3f80, 0x4049}));
}

TEST(V2Request, ComplexIsPairsOfNumbers) {
  using Complex = std::complex<float>;
  const std::vector<Complex> expected = {{1, 2}, {3, -4}};
  EXPECT_EQ(numbers<Complex>("COMPLEX64", "[2]", "[1,2,3,-4]"), expected);
  EXPECT_EQ(numbers<Complex>("COMPLEX64", "[2]", "[[1,2],[3,-4]]"), expected);
  EXPECT_EQ(numbers<Complex>("COMPLEX64", "[]", "[1,2]"), (std::vector<Complex>{{1, 2}}));
  EXPECT_EQ(numbers<std::complex<double>>("COMPLEX128", "[1,1]", "[[[0.1,2]]]"),
            (std::vector<std::complex<double>>{{0.1, 2}}));
  EXPECT_EQ(numbers<std::uint16_t>("COMPLEX32", "[1]", "[1,-1]"),
            (std::vector<std::uint16_t>{0x3c00, 0xbc00}));
  refused_data("takes 4 numbers, but its data has 3", "COMPLEX64", "[2]", "[1,2,3]");
}

TEST(V2Request, GrammarOfNumbersIsJsons) {
  for (const char* number :
       {"01", "-01", "1.",   ".5",  "1.e5", "1e",  "1e+",   "-",  "--1", "1 2",
        "1,", ",1",  "1,,2", "1;2", "1]",   "0x1", "1_000", "00", "-.5", "1.5.5"}) {
    for (const char* datatype : {"FP32", "FP64", "INT64", "UINT8", "FP16", "BOOL"}) {
      refused_data("", datatype, "[2]", "[" + std::string(number) + "]");
      refused_data("", datatype, "[3]", "[1," + std::string(number) + "]");
      const std::string late = "{\"data\":[1," + std::string(number) +
                               "],\"name\":\"x\",\"shape\":[3]," + "\"datatype\":\"" + datatype +
                               "\"}";
      refused(Status::invalid_input, "", request_json(late));
    }
  }
}

TEST(V2Request, BytesAreStrings) {
  EXPECT_EQ(read_one("BYTES", "[1]", R"(["a\u00e9\n"])").get<std::string>(), "a\xc3\xa9\n");
  EXPECT_EQ(read_one("BYTES", "[]", R"([""])").get<std::string>(), "");
  const Value two = read_one("BYTES", "[2,1]", R"([["a"],["b"]])");
  ASSERT_EQ(two.items().size(), 2u);
  EXPECT_EQ(two.items()[1].get<std::string>(), "b");
  EXPECT_TRUE(read_one("BYTES", "[0]", "[]").is(ValueKind::list));
  refused_data("holds a number", "BYTES", "[1]", "[1]");
  refused_data("BYTES", "BYTES", "[1]", "[1.5]");
  refused_data("BYTES", "BYTES", "[1]", "[true]");
  refused_data("takes 2", "BYTES", "[2]", R"(["a"])");
}

TEST(V2Request, ScalarsTakeOneElement) {
  const auto as = [](ValueKind kind, const char* datatype, const char* data,
                     const char* shape = "[1]") {
    return read_one(datatype, shape, data, {spec_of("x", kind)});
  };
  EXPECT_EQ(as(ValueKind::integer, "INT64", "[-5]").get<std::int64_t>(), -5);
  EXPECT_EQ(as(ValueKind::integer, "UINT8", "[7]", "[]").get<std::int64_t>(), 7);
  EXPECT_EQ(as(ValueKind::real, "FP64", "[0.5]", "[1,1]").get<double>(), 0.5);
  EXPECT_EQ(as(ValueKind::real, "FP16", "[0.5]").get<double>(), 0.5);
  EXPECT_EQ(as(ValueKind::boolean, "BOOL", "[true]").get<bool>(), true);
  EXPECT_EQ(as(ValueKind::string, "BYTES", R"(["hi"])").get<std::string>(), "hi");
  // bind_inputs() turns this one into a float.
  EXPECT_EQ(as(ValueKind::real, "INT64", "[3]").get<std::int64_t>(), 3);
  // What doesn't fit stays what it is, for bind_inputs() to refuse.
  EXPECT_TRUE(as(ValueKind::integer, "FP32", "[1]").is(ValueKind::tensor));
  EXPECT_TRUE(as(ValueKind::integer, "INT64", "[1,2]", "[2]").is(ValueKind::tensor));
  EXPECT_TRUE(as(ValueKind::boolean, "INT64", "[1]").is(ValueKind::tensor));
  EXPECT_TRUE(as(ValueKind::integer, "UINT64", "[18446744073709551615]").is(ValueKind::tensor));
  EXPECT_TRUE(as(ValueKind::tensor, "BYTES", R"(["hi"])").is(ValueKind::string));
}

TEST(V2Request, ListsTakeOneTensorOrLeaves) {
  const std::vector<ValueSpec> list = {spec_of("x", ValueKind::list)};
  const Value ints = read_one("INT64", "[3]", "[1,2,3]", list);
  ASSERT_EQ(ints.items().size(), 3u);
  EXPECT_EQ(ints.items()[2].get<std::int64_t>(), 3);
  EXPECT_EQ(read_one("BYTES", "[1]", R"(["a"])", list).items()[0].get<std::string>(), "a");
  EXPECT_TRUE(read_one("FP32", "[1,2]", "[1,2]", list).is(ValueKind::tensor));

  const std::string leaves = input_json("FP32", "[1]", "[5]", "x.1") + "," +
                             input_json("INT64", "[1]", "[4]", "x.0.b.0") + "," +
                             input_json("BYTES", "[1]", "[\"s\"]", "x.0.a");
  const V2Request request = parse_v2_request(request_json(leaves), list);
  ASSERT_EQ(request.inputs.size(), 1u);
  EXPECT_EQ(request.inputs[0].first, "x");
  const Value& x = request.inputs[0].second;
  ASSERT_EQ(x.items().size(), 2u);
  const auto& dict = x.items()[0].get<Dict>();
  ASSERT_EQ(dict.items.size(), 2u);
  EXPECT_EQ(dict.items[0].first, "b");
  EXPECT_TRUE(dict.items[0].second.items()[0].is(ValueKind::tensor));
  EXPECT_EQ(dict.items[1].second.get<std::string>(), "s");
  EXPECT_EQ(elements_of<float>(x.items()[1].get<Tensor>())[0], 5);
}

TEST(V2Request, TuplesAndDictsTakeLeaves) {
  const std::string leaves =
      input_json("FP32", "[1]", "[5]", "x.1") + "," + input_json("FP32", "[1]", "[5]", "x.0");
  EXPECT_EQ(parse_v2_request(request_json(leaves), {spec_of("x", ValueKind::tuple)})
                .inputs.at(0)
                .second.get<Tuple>()
                .items.size(),
            2u);
  const Value dict =
      parse_v2_request(request_json(leaves), {spec_of("x", ValueKind::dict)}).inputs.at(0).second;
  EXPECT_EQ(dict.get<Dict>().items.at(0).first, "1");
  // A model whose inputs have dots in their names is asked by those names.
  EXPECT_EQ(parse_v2_request(request_json(leaves),
                             {spec_of("x.1", ValueKind::tensor), spec_of("x.0", ValueKind::tensor)})
                .inputs.size(),
            2u);
}

TEST(V2Request, RefusesLeavesThatMakeNoTree) {
  const std::vector<ValueSpec> list = {spec_of("x", ValueKind::list)};
  const auto leaf = [](const std::string& name) { return input_json("INT8", "[1]", "[1]", name); };
  refused(Status::invalid_input, "`x.0`, `x.1`", request_json(leaf("x.1")), list);
  refused(Status::invalid_input, "`x.0`", request_json(leaf("x.a")), list);
  refused(Status::invalid_input, "`x.0`", request_json(leaf("x.")), list);
  refused(Status::invalid_input, "`x.0`", request_json(leaf("x.0") + "," + leaf("x.00")), list);
  refused(Status::invalid_input, "stands where", request_json(leaf("x.0") + "," + leaf("x.0.0")),
          list);
  refused(Status::invalid_input, "stands where", request_json(leaf("x.0.0") + "," + leaf("x.0")),
          list);
  refused(Status::invalid_input, "given twice", request_json(leaf("x.0") + "," + leaf("x.0")),
          list);
  std::string deep = "x";
  for (int i = 0; i < 40; ++i) deep += ".0";
  refused(Status::invalid_input, "16 levels", request_json(leaf(deep)), list);
}

TEST(V2Request, RefusesWrongStructure) {
  const auto bad = [](const std::string& json, const std::string& part = "") {
    refused(Status::invalid_input, part, json);
  };
  for (const char* json :
       {"", " ", "{", "[]", "null", "1", "\"x\"", "{}x", "{} {}", "{\"inputs\":[]}]",
        "{'inputs':[]}", "{\"inputs\":[],}", "// c\n{\"inputs\":[]}", "\xff"}) {
    bad(json);
  }
  bad("{}", "lacks `inputs`");
  bad(R"({"inputs":null})", "wrong type");
  bad(R"({"inputs":{}})", "wrong type");
  bad(R"({"inputs":"x"})", "wrong type");
  bad(R"({"inputs":[1]})", "array of objects");
  bad(R"({"inputs":[[]]})", "array of objects");
  bad(R"({"inputs":[],"id":7})", "wrong type");
  bad(R"({"inputs":[],"id":[]})", "wrong type");
  bad(R"({"inputs":[],"outputs":[{}]})", "lacks its `name`");
  bad(R"({"inputs":[],"outputs":["y"]})", "array of objects");
  bad(R"({"inputs":[],"parameters":[]})", "wrong type");
  bad(R"({"inputs":[],"parameters":3})", "wrong type");
  bad(R"({"inputs":[],"parameters":{"binary_data_output":1}})", "wrong type");
  bad(request_json(R"({"shape":[1],"datatype":"FP32","data":[1]})"), "`name`");
  bad(request_json(R"({"name":"x","datatype":"FP32","data":[1]})"), "`shape`");
  bad(request_json(R"({"name":"x","shape":[1],"data":[1]})"), "`datatype`");
  bad(request_json(R"({"name":"x","shape":[1],"datatype":"FP32"})"), "needs `data`");
  bad(request_json(R"({"name":"x","shape":[1],"datatype":"FP32","data":1})"), "wrong type");
  bad(request_json(R"({"name":"x","shape":[1],"datatype":"FP32","data":"1"})"), "wrong type");
  bad(request_json(R"({"name":"x","shape":[1],"datatype":"FP32","data":null})"), "wrong type");
  bad(request_json(R"({"name":"x","shape":[1],"datatype":"FP32","data":{}})"), "wrong type");
  bad(request_json(R"({"name":1,"shape":[1],"datatype":"FP32","data":[1]})"), "wrong type");
  bad(request_json(input_json("FLOAT", "[1]", "[1]")), "`FLOAT`");
  for (const char* shape : {"[-1]", "[1.0]", "[\"1\"]", "[null]", "[[1]]", "[{}]", "[true]",
                            "[18446744073709551615]", "1", "{}"}) {
    bad(request_json(input_json("FP32", shape, "[1]")));
  }
  refused(Status::unsupported, "classification",
          R"({"inputs":[],"outputs":[{"name":"y","parameters":{"classification":3}}]})");
}

TEST(V2Request, RefusesDuplicatesInvalidTextAndTrailingBytes) {
  const auto bad = [](const std::string& json, const std::string& part) {
    refused(Status::invalid_input, part, json);
  };
  bad(R"({"inputs":[],"inputs":[]})", "`inputs` twice");
  bad(R"({"inputs":[],"\u0069nputs":[]})", "twice");
  bad(R"({"inputs":[],"x":{"a":1,"a":2}})", "`a` twice");
  bad(request_json(R"({"name":"x","name":"y","shape":[1],"datatype":"FP32","data":[1]})"), "twice");
  bad(request_json(R"({"name":"x","shape":[1],"datatype":"FP32","data":[1],"data":[1]})"), "twice");
  bad(request_json(input_json("FP32", "[1]", "[1]") + "," + input_json("FP32", "[1]", "[1]")),
      "`x` was given twice");
  bad("{\"inputs\":[],\"id\":\"\xff\"}", "not valid JSON at byte");
  bad("{\"inputs\":[],\"id\":\"\xed\xa0\x80\"}", "not valid JSON");
  bad(R"({"inputs":[],"id":"\ud800"})", "not valid JSON");
  bad("{\"inputs\":[],\"id\":\"a\nb\"}", "not valid JSON");
  bad(request_json("") + "x", "not valid JSON");
  bad(request_json("") + "{}", "not valid JSON");
  bad(request_json("") + std::string("\0", 1), "NUL");
  bad(request_json("") + std::string("\0garbage", 8), "NUL");
}

TEST(V2Request, BombsAreRefused) {
  const std::string deep(100000, '[');
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  refused(Status::invalid_input, "must be a JSON object", deep);
  refused(Status::limit_exceeded, "deeper than 64", "{\"x\":" + deep);
  refused(Status::limit_exceeded, "deeper than 64", objects);
  refused(Status::limit_exceeded, "deeper than 64", "{\"inputs\":[{\"data\":" + deep);
  refused(Status::invalid_input, "deeper than its shape",
          "{\"inputs\":[" + input_json("FP32", "[2]", deep));
  refused(Status::limit_exceeded, "16 extents",
          request_json(input_json("FP32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[1]")));
  std::string members = "{\"inputs\":[]";
  for (int i = 0; i < 2000; ++i) members += ",\"m" + std::to_string(i) + "\":0";
  refused(Status::limit_exceeded, "members", members + "}");
  std::string inputs;
  for (int i = 0; i < 2000; ++i) {
    inputs += (i > 0 ? "," : "") + input_json("INT8", "[0]", "[]", "i" + std::to_string(i));
  }
  refused(Status::limit_exceeded, "1024 inputs", request_json(inputs));
}

TEST(V2Request, MemoryIsBoundedByTheLimits) {
  V2Limits limits;
  limits.max_bytes = 16;
  const std::string json = request_json(input_json("FP64", "[2]", "[1,2]", "a") + "," +
                                        input_json("INT8", "[1]", "[1]", "b"));
  expect_error(Status::limit_exceeded, "16 bytes", [&] { parse_v2_request(json, {}, limits); });
  limits.max_bytes = 17;
  EXPECT_EQ(parse_v2_request(json, {}, limits).inputs.size(), 2u);
  limits.max_list_items = 1;
  expect_error(Status::limit_exceeded, "list of 2 items",
               [&] { parse_v2_request(json, {spec_of("a", ValueKind::list)}, limits); });
}

TEST(V2Request, MessagesShowNoControlCharacters) {
  try {
    parse_v2_request(request_json(input_json("FP32", "[1]", "[]", "a\\u001b[31m\\n")), {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find_first_of("\x1b\n"), std::string::npos) << error.what();
  }
}

std::string binary_input(const std::string& name, const std::string& datatype,
                         const std::string& shape, const std::string& size) {
  return "{\"name\":\"" + name + "\",\"parameters\":{\"binary_data_size\":" + size +
         "},\"shape\":" + shape + ",\"datatype\":\"" + datatype + "\"}";
}

TEST(V2Binary, InputsTakeTheirBytesInTurn) {
  const std::vector<std::string> words = {"x", "yz"};
  Bytes binary = {1, 0, 2, 0};
  append_raw(binary, words);
  const std::string json = request_json(
      binary_input("a", "INT16", "[2]", "4") + "," + input_json("INT8", "[1]", "[9]", "b") + "," +
      binary_input("c", "BYTES", "[2]", "11") + "," + binary_input("d", "FP32", "[0]", "0"));
  const V2Request request = parse_v2_request(json, {}, {}, binary);
  ASSERT_EQ(request.inputs.size(), 4u);
  EXPECT_EQ(elements_of<std::int16_t>(request.inputs[0].second.get<Tensor>()),
            (std::vector<std::int16_t>{1, 2}));
  EXPECT_EQ(request.inputs[2].second.items()[1].get<std::string>(), "yz");
}

TEST(V2Binary, RefusesSizesThatDoNotAddUp) {
  const Bytes binary(8);
  const auto bad = [&](const std::string& inputs, const std::string& part) {
    SCOPED_TRACE(inputs);
    expect_error(Status::invalid_input, part,
                 [&] { parse_v2_request(request_json(inputs), {}, {}, binary); });
  };
  bad(binary_input("a", "FP32", "[2]", "9"), "only 8 bytes are left");
  bad(binary_input("a", "FP32", "[2]", "4"), "asks for 8 bytes");
  bad(binary_input("a", "FP32", "[1]", "4"), "4 bytes of binary data that no input takes");
  bad(binary_input("a", "FP32", "[2]", "-8"), "wrong type");
  bad(binary_input("a", "FP32", "[2]", "8.0"), "wrong type");
  bad(binary_input("a", "FP32", "[2]", "\"8\""), "wrong type");
  bad(binary_input("a", "FP32", "[2]", "18446744073709551615"), "wrong type");
  bad(binary_input("a", "BYTES", "[3]", "8"), "can't hold");
  bad(binary_input("a", "FP32", "[2]", "8") + "," + binary_input("b", "FP32", "[2]", "8"),
      "only 0 bytes");
  bad(R"({"name":"a","shape":[2],"datatype":"FP32","data":[1,2],"parameters":{"binary_data_size":8}})",
      "not both");
}

}  // namespace
}  // namespace ptsecure
