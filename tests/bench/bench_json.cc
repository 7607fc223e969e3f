// What reading the numbers of a request in JSON takes, in nanoseconds a number: V2 and V1 requests
// with the same 50,000 rows of 16 FP32 numbers, 50,000 rows of one number each, and the least that
// nlohmann/json's own reader takes for the numbers of the first.
//
//   bench_json ROUNDS
//
// The best of ROUNDS rounds, each way in turn: what disturbs only slows.
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "libptsecure/protocol/v1_json.hpp"
#include "libptsecure/protocol/v2_json.hpp"
#include "tests/bench/measure.hpp"

namespace {

using nlohmann::json;
using ptsecure::DType;
using ptsecure::ValueKind;
using ptsecure::ValueSpec;

constexpr std::size_t kRows = 50'000;
constexpr std::size_t kColumns = 16;

// As Python writes the float32 numbers that an array's tolist() gives.
std::vector<std::string> random_numbers(std::size_t count) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<std::string> numbers(count);
  for (std::string& number : numbers) {
    char text[40];
    number.assign(text, std::to_chars(text, text + sizeof(text), double{normal(random)}).ptr);
  }
  return numbers;
}

std::string join(const std::vector<std::string>& texts) {
  std::string joined = "[";
  for (const std::string& text : texts) joined.append(joined.size() > 1 ? "," : "").append(text);
  return joined + "]";
}

std::vector<std::string> rows_of(const std::vector<std::string>& numbers, std::size_t columns) {
  std::vector<std::string> rows;
  for (std::size_t i = 0; i < numbers.size(); i += columns) {
    rows.push_back(join({numbers.begin() + static_cast<std::ptrdiff_t>(i),
                         numbers.begin() + static_cast<std::ptrdiff_t>(i + columns)}));
  }
  return rows;
}

std::string v2(const std::string& shape, const std::string& data) {
  return R"({"inputs":[{"name":"x","datatype":"FP32","shape":)" + shape + R"(,"data":)" + data +
         "}]}";
}

std::vector<std::string> objects(const std::vector<std::string>& values) {
  std::vector<std::string> out;
  for (const std::string& value : values) out.push_back("{\"x\":" + value + "}");
  return out;
}

// Takes numbers and nothing else, as simply as can be.
struct Numbers : nlohmann::json_sax<json> {
  std::vector<float> taken;
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(std::int64_t value) override { return take(static_cast<float>(value)); }
  bool number_unsigned(std::uint64_t value) override { return take(static_cast<float>(value)); }
  bool number_float(double value, const std::string&) override {
    return take(static_cast<float>(value));
  }
  bool string(std::string&) override { return true; }
  bool binary(json::binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(std::string&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }
  bool take(float value) {
    taken.push_back(value);
    return true;
  }
};

}  // namespace

int main(int argc, char** argv) {
  try {
    const int rounds = std::stoi(std::vector<std::string>(argv + 1, argv + argc).at(0));
    ValueSpec x;
    x.name = "x";
    x.kind = ValueKind::tensor;
    x.dtype = DType::float32;
    const std::vector<ValueSpec> inputs = {x};

    const std::vector<std::string> numbers = random_numbers(kRows * kColumns);
    const std::vector<std::string> rows = rows_of(numbers, kColumns);
    const std::vector<std::string> few(numbers.begin(), numbers.begin() + kRows);
    const std::string flat = join(numbers);
    const std::string shape = "[" + std::to_string(kRows) + "," + std::to_string(kColumns) + "]";

    json out;
    const auto measure = [&](const char* name, std::size_t count, const auto& read) {
      const double took = bench::nanoseconds_per_call(1, read) / static_cast<double>(count);
      out[name] = out.contains(name) ? std::min(out[name].get<double>(), took) : took;
    };
    const auto read_v2 = [&](const char* name, const std::string& text) {
      measure(name, numbers.size(), [&] { ptsecure::parse_v2_request(text, inputs); });
    };
    const auto read_v1 = [&](const char* name, std::size_t count, const std::string& text) {
      measure(name, count, [&] { ptsecure::parse_v1_request(text, inputs); });
    };
    const std::string v2_late = R"({"inputs":[{"data":)" + flat + R"(,"name":"x","shape":)" +
                                shape + R"(,"datatype":"FP32"}]})";
    for (int round = 0; round < rounds; ++round) {
      measure("nlohmann", numbers.size(), [&] {
        Numbers handler;
        handler.taken.reserve(numbers.size());
        json::sax_parse(flat.data(), flat.data() + flat.size(), &handler);
      });
      read_v2("v2_flat", v2(shape, flat));
      read_v2("v2_nested", v2(shape, join(rows)));
      read_v2("v2_data_first", v2_late);
      read_v1("v1_inputs", numbers.size(), "{\"inputs\":" + join(rows) + "}");
      read_v1("v1_instances", numbers.size(), "{\"instances\":" + join(rows) + "}");
      read_v1("v1_objects", numbers.size(), "{\"instances\":" + join(objects(rows)) + "}");
      read_v1("v1_numbers", few.size(), "{\"instances\":" + join(few) + "}");
      read_v1("v1_object_of_number", few.size(), "{\"instances\":" + join(objects(few)) + "}");
    }
    std::cout << out.dump(2) << '\n';
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench_json: " << error.what() << '\n';
    return 1;
  }
}
