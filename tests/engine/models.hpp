#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "libptsecure/engine/loader.hpp"
#include "libptsecure/value/value.hpp"
#include "tests/engine/byte_source_double.hpp"

// The models that make_models.py writes, and their answers as values.
namespace ptsecure::testing {

// Where they lie; makes them on the first call.
const std::filesystem::path& model_folder();

// Runs make_models.py for one more folder, e.g. with "--large".
void make_models(const std::filesystem::path& folder, const std::string& option);

std::string read_file(const std::filesystem::path& path);
inline std::string model_bytes(const std::string& name) {
  return read_file(model_folder() / (name + ".pt"));
}

nlohmann::json model_calls(const std::string& name);

Value decode(const nlohmann::json& encoded);

// Empty when equal to the last bit; else where they differ.
std::string difference(const Value& expected, const Value& found);

Tensor make_tensor(DType dtype, Dims shape, const std::string& bytes);
Tensor floats(Dims shape, std::initializer_list<float> elements);
std::string bytes_of(const Tensor& tensor);

// One thread, as in make_models.py.
EngineLoadOptions torchscript_options();

std::unique_ptr<EngineModel> load(ByteSource& source,
                                  const EngineLoadOptions& options = torchscript_options());
std::unique_ptr<EngineModel> load(const std::string& name);

// Makes the calls in order and compares the answers.
void expect_answers(EngineModel& model, const nlohmann::json& calls);

// The status and message of the error that `call` throws; Status::ok when it throws none.
template <class Call>
std::pair<Status, std::string> error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return {error.status(), error.what()};
  }
  return {Status::ok, "no error"};
}

}  // namespace ptsecure::testing
