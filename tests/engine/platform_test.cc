#include "libptsecure/engine/torch/compiled/platform.hpp"

#include <gtest/gtest.h>
#include <sys/utsname.h>

#include "libptsecure/base/error.hpp"
#include "libptsecure/engine/torch/compiled/call_spec.hpp"
#include "libptsecure/engine/torch/compiled/generated_source.hpp"

// The parts of the plug-in that look at a compiled package without torch.
namespace ptsecure::torch_plugin {
namespace {

constexpr const char* kAvx2Only = " fpu sse2 avx avx2 fma f16c ";
constexpr const char* kAvx512 =
    " fpu avx2 fma f16c avx512f avx512dq avx512bw avx512vl avx512_vnni ";

std::map<std::string, std::string> metadata(const std::string& isa) {
  utsname name{};
  uname(&name);
  return {{"AOTI_DEVICE_KEY", "cpu"},
          {"AOTI_PLATFORM", "linux"},
          {"AOTI_MACHINE", name.machine},
          {"AOTI_CPU_ISA", isa}};
}

// Empty when the package may run.
std::string refusal(const std::string& isa, const char* features, const char* torch = "2.15.0",
                    const std::string& compiled_by = "") {
  auto said = metadata(isa);
  if (!compiled_by.empty()) said["PTSECURE_TORCH_VERSION"] = compiled_by;
  try {
    require_platform(said, "cpu", torch, features);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::unsupported);
    return error.what();
  }
}

TEST(Platform, InstructionSetsAreThoseOfTheProcessor) {
  EXPECT_EQ(refusal("AVX2", kAvx2Only), "");
  EXPECT_EQ(refusal("AVX2", kAvx512), "");
  EXPECT_EQ(refusal("AVX512", kAvx512), "");
  EXPECT_EQ(refusal("AVX512 AVX512_VNNI", kAvx512), "");
  EXPECT_EQ(refusal("INVALID_VEC_ISA", " fpu "), "");
  EXPECT_NE(refusal("AVX512", kAvx2Only).find("this one has no avx512f"), std::string::npos);
  EXPECT_NE(refusal("AVX2", " fpu avx ").find("no avx2"), std::string::npos);
  EXPECT_NE(refusal("AVX512 AVX512_VNNI AMX_TILE", kAvx512).find("no amx_tile"), std::string::npos);
  EXPECT_NE(refusal("AVX10", kAvx512).find("AVX10"), std::string::npos);
  // "avx512" is no word of its own: what is there must be the whole name.
  EXPECT_NE(refusal("AVX2", " avx2x xavx2 fma f16c "), "");
}

TEST(Platform, ThisMachineIsRead) {
  EXPECT_EQ(refusal("INVALID_VEC_ISA", cpu_features().c_str()), "");
  EXPECT_GT(cpu_features().size(), 20U);
}

TEST(Platform, TorchOfAnotherMinorVersionIsRefused) {
  EXPECT_EQ(refusal("AVX2", kAvx2Only, "2.15.0", "2.15.3+cu130"), "");
  EXPECT_NE(refusal("AVX2", kAvx2Only, "2.15.0", "2.1.5"), "");
  EXPECT_NE(refusal("AVX2", kAvx2Only, "2.15.0", "2.16.0"), "");
  EXPECT_NE(refusal("AVX2", kAvx2Only, "2.15.0", "3.15.0"), "");
}

std::string spec(const std::string& node) {
  return "[1, " + node + "]";
}
constexpr const char* kLeaf = R"({"type":null,"context":null,"children_spec":[]})";

std::string arguments(const std::string& positional) {
  return spec(R"({"type":"builtins.tuple","context":"null","children_spec":[)"
              R"({"type":"builtins.tuple","context":"null","children_spec":[)" +
              positional + R"(]},{"type":"builtins.dict","context":"[]","children_spec":[]}]})");
}

TEST(CallSpec, WhatIsNoSpecIsRefused) {
  std::string deep = kLeaf;
  for (int i = 0; i < 100; ++i) {
    deep = R"({"type":"builtins.list","context":"null","children_spec":[)" + deep + "]}";
  }
  const std::vector<std::string> bad = {
      "",
      "{}",
      "[2, {}]",
      spec("{}"),
      spec(kLeaf),
      arguments("7"),
      arguments(R"({"type":7,"children_spec":[]})"),
      arguments(R"({"type":"builtins.dict","context":"[]","children_spec":[{}]})"),
      arguments(
          std::string(R"({"type":"builtins.dict","context":"[\"a\",\"b\"]","children_spec":[)") +
          kLeaf + "]}"),
      arguments(deep)};
  for (const std::string& text : bad) {
    EXPECT_THROW(CallSpec(text, spec(kLeaf), {}), Error) << text;
    EXPECT_THROW(CallSpec(arguments(kLeaf), text.empty() ? "x" : text.substr(1), {}), Error);
  }
  EXPECT_THROW(CallSpec(arguments(R"({"type":"my.Dataclass","context":"","children_spec":[]})"),
                        spec(kLeaf), {}),
               Error);
  EXPECT_NO_THROW(CallSpec(arguments(kLeaf), spec(kLeaf), {}));
}

TEST(GeneratedSource, WhatItDoesNotSayIsNotGuessed) {
  EXPECT_FALSE(read_input_rules("nothing", 1).has_value());
  EXPECT_TRUE(read_input_rules("nothing", 0)->tensors.empty());
  EXPECT_THROW(read_constant_rules("nothing", 1), Error);
  EXPECT_TRUE(read_constant_rules("nothing", 0).empty());
}

// The source of a model with float inputs a, b, c, whose shapes are given, free extents as "?", and
// the code of its run.
std::string source_of(const std::vector<std::string>& inputs, const std::string& run) {
  std::string source;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string name(1, static_cast<char>('a' + i));
    source += "static void check_input_" + std::to_string(i) + "(\n    ConstantHandle " + name +
              " = ConstantHandle(input_handles[" + std::to_string(i) +
              "]);\n    _expected_dtype = aoti_torch_dtype_float32();\n";
    for (std::size_t axis = 0; axis < inputs[i].size(); ++axis) {
      const std::string at = " at " + std::to_string(axis) + ", ";
      source +=
          inputs[i][axis] == '?'
              ? "dim value is too small" + at + "expected it to be >= 2, \n"
              : "unmatched dim value" + at + "expected: " + inputs[i].substr(axis, 1) + ", \n";
    }
    source += "\n}\n";
  }
  return source + "void Model::run_impl(\n" + run + "\n} // AOTInductorModel::run_impl\n";
}

// What a call with inputs of these shapes is told: "" or "input axis expected".
std::string mismatch(const InputRules& rules,
                     const std::vector<std::vector<std::int64_t>>& shapes) {
  const auto found = rules.relations.check(
      [&](std::size_t input, std::size_t axis) { return shapes.at(input).at(axis); });
  if (!found) return "";
  return std::to_string(found->input) + " " + std::to_string(found->axis) + " " +
         (found->expected ? std::to_string(*found->expected) : "?");
}

TEST(GeneratedSource, FreeExtentsBelongTogetherAsTheCodeSays) {
  const auto rules = read_input_rules(
      source_of({"?8", "?8", "??"},
                "int64_t s1 = a_size[0];\nint64_t s9 = s1;\nint64_t s2 = c_size[1];\n"
                "assert_size_stride(b, {s9, 8L}, {8L, 1L});\n"
                "assert_size_stride(c, {2L*s1 + (-1L), s2}, {s2, 1L});"),
      3);
  ASSERT_TRUE(rules);
  EXPECT_EQ(mismatch(*rules, {{5, 8}, {5, 8}, {9, 7}}), "");
  EXPECT_EQ(mismatch(*rules, {{5, 8}, {1, 8}, {9, 7}}), "1 0 5");
  EXPECT_EQ(mismatch(*rules, {{5, 8}, {5, 8}, {10, 7}}), "2 0 9");
}

TEST(GeneratedSource, ASymbolThatNoInputIsAloneIsSolvedFor) {
  const auto rules =
      read_input_rules(source_of({"?", "?"},
                                 "int64_t a_size_0 = a_size[0];\n"
                                 "int64_t s1 = c10::div_floor_integer(a_size_0, 3L);\n"
                                 "assert_size_stride(a, {3L*s1}, {1L});\n"
                                 "assert_size_stride(b, {s1 + 1L}, {1L});"),
                       2);
  ASSERT_TRUE(rules);
  EXPECT_EQ(mismatch(*rules, {{12}, {5}}), "");
  EXPECT_EQ(mismatch(*rules, {{12}, {4}}), "1 0 5");
  EXPECT_EQ(mismatch(*rules, {{13}, {5}}), "0 0 ?");
}

TEST(GeneratedSource, ExtentsThatCannotBeComparedAreRefused) {
  const std::string bound = "int64_t s1 = a_size[0];\n";
  for (const char* run :
       {"assert_size_stride(b, {s1 / 2L}, {1L});", "assert_size_stride(b, {s2*s3}, {1L});",
        "assert_size_stride(b, {std::max(s1, 2L)}, {1L});", "assert_size_stride(b, {}, {1L});",
        "assert_size_stride(b, {s1 +}, {1L});", "assert_size_stride(b, {((s1}, {1L});",
        "kernel((const float*)(b.data_ptr()));"}) {
    EXPECT_THROW(read_input_rules(source_of({"?", "?"}, bound + run), 2), Error) << run;
  }
  const std::string deep(10000, '(');
  EXPECT_THROW(
      read_input_rules(
          source_of({"?", "?"}, bound + "assert_size_stride(b, {" + deep + "}, {1L});"), 2),
      Error);
  // One that is only let go or returned is as it is.
  for (const char* run : {"", "b.reset();", "output_handles[0] = b.release();"}) {
    EXPECT_EQ(mismatch(*read_input_rules(source_of({"?", "?"}, bound + run), 2), {{5}, {7}}), "");
  }
}

TEST(GeneratedSource, NumbersThatOverflowMatchNothing) {
  const auto rules = read_input_rules(source_of({"?", "?"},
                                                "int64_t s1 = a_size[0];\n"
                                                "assert_size_stride(b, {s1*s1*s1*s1}, {1L});"),
                                      2);
  ASSERT_TRUE(rules);
  EXPECT_EQ(mismatch(*rules, {{3}, {81}}), "");
  EXPECT_EQ(mismatch(*rules, {{1000000}, {81}}), "1 0 ?");
}

TEST(GeneratedSource, InputsThatTheCodeMayChangeAreKnown) {
  const auto written = [](const std::string& run) {
    return read_input_rules(source_of({"4"}, run), 1)->tensors.at(0).written;
  };
  for (const char* run :
       {"auto a = std::move(inputs[0]);\na.reset();", "kernel((const float*)(a.data_ptr()), buf);",
        "CHECK(aoti_torch_cpu_addmm_out(buf0, bias, a, w, 1L, 1L));",
        "if (x) { assert_size_stride(a, {4L}, {1L}, \"input\"); }"}) {
    EXPECT_FALSE(written(run)) << run;
  }
  for (const char* run :
       {"kernel((const float*)(a.data_ptr()), (float*)(a.data_ptr()));",
        "CHECK(aoti_torch_proxy_executor_call_function(proxy, 0, 0, {}.data(), 1, {a}));",
        "auto var_0 = wrap(reinterpret_tensor_wrapper(a, 1, s, t, 0L));"}) {
    EXPECT_TRUE(written(run)) << run;
  }
}

// Whether a constant of no known type is taken for one that this statement may change.
bool written_by(const std::string& statement) {
  std::string source;
  for (const char* line :
       {"name = \"constant_0_weight\"", "dtype = cached_torch_dtype_float32",
        "device_type = cached_torch_device_type_cpu", "offset = 0", "data_size = 64",
        "from_folded = false",
        "type = static_cast<int32_t>(torch::aot_inductor::ConstantType::Unknown)", "shape = {16}",
        "stride = {1}", "layout = static_cast<int32_t>(cached_torch_layout_strided)",
        "original_fqn = \"0.weight\""}) {
    source += std::string("constants_info_[0].") + line + ";\n";
  }
  source += "void Model::run_impl(\n    auto& constant_0_weight = constants_->at(0);\n    ";
  return read_constant_rules(source + statement + "\n", 1).at(0).written;
}

TEST(GeneratedSource, WhatIsOnlyReadIsNoState) {
  const std::string name = "constant_0_weight";
  const std::string view = "wrap(reinterpret_tensor_wrapper(" + name + ", 2, a, b, 0L))";
  for (const std::string& reading :
       {"kernel((const float*)(" + name + ".data_ptr()), (float*)(buf0.data_ptr()));",
        "CHECK(aoti_torch_cpu_addmm_out(buf0, " + name + ", arg2_1, buf1, 1L, 1L));",
        "CHECK(aoti_torch_cpu_addmm_out(buf0, buf1, arg2_1, " + view + ", 1L, 1L));",
        "CHECK(aoti_torch_cuda_mm_out(wrap(view(buf0, 1)), arg2_1, " + view + "));",
        "CHECK(aoti_torch_cpu_convolution(arg1_1, " + name + ", nullptr, a, 2, &buf2_handle));",
        "CHECK(aoti_torch_clone(" + name + ", &output_handles[1]));"}) {
    EXPECT_FALSE(written_by(reading)) << reading;
  }
  for (const std::string& writing :
       {"kernel((const float*)(buf0.data_ptr()), (float*)(" + name + ".data_ptr()));",
        "CHECK(aoti_torch_cpu_mm_out(" + name + ", arg2_1, buf1));",
        "CHECK(aoti_torch_cpu_mm_out(" + view + ", arg2_1, buf1));",
        "CHECK(aoti_torch_copy_(" + name + ", buf1, 0));",
        "CHECK(aoti_torch_cpu_index_put_(buf1, handles, 1, " + name + ", 1));",
        "CHECK(aoti_torch_proxy_executor_call_function(proxy, 0, 0, {}.data(), 1, {" + name +
            "}));",
        "auto other = " + name + ";"}) {
    EXPECT_TRUE(written_by(writing)) << writing;
  }
}

TEST(NativeLibrary, OnlyAWholeOneOfThisProcessorIsMapped) {
  EXPECT_THROW(require_native_library(""), Error);
  EXPECT_THROW(require_native_library(std::string(4096, '\0')), Error);
  std::string header(
      "\x7f"
      "ELF\x02\x01\x01",
      7);
  header.resize(4096, '\0');
  EXPECT_THROW(require_native_library(header), Error);
}

}  // namespace
}  // namespace ptsecure::torch_plugin
