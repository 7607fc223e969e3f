// What a call through the C ABI costs over libtorch's own, in one process, in turns.
//
//   bench_infer FILE STORE REFERENCE KEYS ROUNDS CALLS
//
// The model is a 784-256-10 MLP, the batch 1, one thread. Prints the nanoseconds of one call, one
// number a round, of each way.
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/script.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <ptsecure/ptsecure.hpp>
#include <string>
#include <vector>

#include "tests/bench/measure.hpp"

namespace {

void check(pts_status status, const pts_error& error) {
  if (status == PTS_OK) return;
  std::cerr << "bench_infer: " << error.message << '\n';
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::vector<std::string> all(argv + 1, argv + argc);
    const int rounds = std::stoi(all.at(4));
    const int calls = std::stoi(all.at(5));
    at::set_num_threads(1);

    torch::jit::Module module = torch::jit::load(all.at(0));
    pts::OpenOptions options;
    options.intra_op_threads = 1;
    const pts::Store store = pts::Store::open(all.at(1));
    const pts::Keyring keys = pts::Keyring::load(all.at(3));
    const pts::Model model = store.load(all.at(2), keys, options);
    const auto optimized = [&](pts::Optimize how) {
      pts::OpenOptions other = options;
      other.optimize = how;
      return store.load(all.at(2), keys, other);
    };
    const pts::Model frozen = optimized(pts::Optimize::freeze);
    const pts::Model fused = optimized(pts::Optimize::inference);

    at::Tensor input = at::ones({1, 784});
    const pts::Value value = pts::Value::borrow(input.data_ptr<float>(), {1, 784});
    const pts_value* inputs[] = {value.get()};

    // The value is made once, as the tensor is: what is compared is the call.
    const auto forward = [&] {
      const c10::InferenceMode inference;
      module.forward({input});
    };
    const auto run = [&](const pts::Model& one) {
      pts_error error;
      pts_value* out = nullptr;
      check(pts_model_infer(one.get(), inputs, 1, nullptr, nullptr, &out, &error), error);
      pts_value_destroy(&out);
    };
    const auto infer = [&] { run(model); };
    const auto infer_frozen = [&] { run(frozen); };
    const auto infer_fused = [&] { run(fused); };
    // What a C caller with a buffer of its own does: the value anew for each call.
    const std::int64_t shape[] = {1, 784};
    const auto infer_buffer = [&] {
      pts_error error;
      pts_tensor tensor = PTS_TENSOR_INIT;
      tensor.dtype = PTS_DTYPE_FLOAT32;
      tensor.rank = 2;
      tensor.shape = shape;
      tensor.data = input.data_ptr<float>();
      pts_value* in = nullptr;
      check(pts_value_borrow_tensor(&tensor, &in, nullptr, nullptr, &error), error);
      const pts_value* const borrowed[] = {in};
      pts_value* out = nullptr;
      check(pts_model_infer(model.get(), borrowed, 1, nullptr, nullptr, &out, &error), error);
      pts_value_destroy(&out);
      pts_value_destroy(&in);
    };

    bench::nanoseconds_per_call(calls, forward);
    bench::nanoseconds_per_call(calls, infer);
    bench::nanoseconds_per_call(calls, infer_frozen);
    bench::nanoseconds_per_call(calls, infer_fused);
    nlohmann::json out;
    for (int round = 0; round < rounds; ++round) {
      out["forward"].push_back(bench::nanoseconds_per_call(calls, forward));
      out["infer"].push_back(bench::nanoseconds_per_call(calls, infer));
      out["infer_buffer"].push_back(bench::nanoseconds_per_call(calls, infer_buffer));
      out["infer_frozen"].push_back(bench::nanoseconds_per_call(calls, infer_frozen));
      out["infer_fused"].push_back(bench::nanoseconds_per_call(calls, infer_fused));
    }
    std::cout << out << '\n';
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench_infer: " << error.what() << '\n';
    return 1;
  }
}
