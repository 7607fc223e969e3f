// What a call of a compiled package through the C ABI costs over that of libtorch's own runner, in
// one process, in turns.
//
//   bench_package FILE STORE REFERENCE KEYS ROUNDS CALLS
//
// The model is a linear layer of 784 inputs, the batch 1, one thread. Prints the nanoseconds of one
// call, one number a round, of each way.
#include <ATen/Parallel.h>
#include <ATen/ops/ones.h>
#include <c10/core/InferenceMode.h>
#include <dlfcn.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <ptsecure/ptsecure.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/bench/measure.hpp"

namespace {

void infer_once(const pts::Model& model, const pts_value* const* inputs) {
  pts_error error;
  pts_value* out = nullptr;
  if (pts_model_infer(model.get(), inputs, 1, nullptr, nullptr, &out, &error) != PTS_OK) {
    std::cerr << "bench_package: " << error.message << '\n';
    std::exit(1);
  }
  pts_value_destroy(&out);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::vector<std::string> all(argv + 1, argv + argc);
    const int rounds = std::stoi(all.at(4));
    const int calls = std::stoi(all.at(5));
    at::set_num_threads(1);
    if (dlopen("libtorch.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
      throw std::runtime_error(dlerror());
    }
    torch::inductor::AOTIModelPackageLoader loader(all.at(0));
    torch::inductor::AOTIModelContainerRunner* const runner = loader.get_runner();
    pts::OpenOptions options;
    options.intra_op_threads = 1;
    const pts::Model model =
        pts::Store::open(all.at(1)).load(all.at(2), pts::Keyring::load(all.at(3)), options);

    at::Tensor input = at::ones({1, 784});
    const std::vector<at::Tensor> tensors = {input};
    const pts::Value value = pts::Value::borrow(input.data_ptr<float>(), {1, 784});
    const pts_value* inputs[] = {value.get()};
    // The value is made once, as the tensor is: what is compared is the call.
    const auto forward = [&] {
      const c10::InferenceMode inference;
      runner->run(tensors);
    };
    const auto infer = [&] { infer_once(model, inputs); };
    bench::nanoseconds_per_call(calls, forward);
    bench::nanoseconds_per_call(calls, infer);
    nlohmann::json out;
    for (int round = 0; round < rounds; ++round) {
      out["forward"].push_back(bench::nanoseconds_per_call(calls, forward));
      out["infer"].push_back(bench::nanoseconds_per_call(calls, infer));
    }
    std::cout << out << '\n';
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench_package: " << error.what() << '\n';
    return 1;
  }
}
