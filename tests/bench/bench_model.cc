// One fresh process of the benchmark: opens or publishes one model and prints what it cost as JSON.
//
//   bench_model plain FILE SHAPE                       torch::jit::load of the plaintext file
//   bench_model sealed STORE REFERENCE KEYS SHAPE LEVEL     LEVEL: signed or aead
//   bench_model package FILE SHAPE                     AOTIModelPackageLoader of the plaintext file
//   bench_model sealed-package ...                     as sealed, of a compiled package
//   bench_model publish STORE NAME KEYS FILE
//
// SHAPE: extents of the one float32 input of `forward`, "1,1024"; "" = don't run it. libtorch is
// linked, so it is loaded before any clock starts, on both sides. The plug-in and all else that
// ptsecure needs is loaded on ptsecure's clock. Compiled packages need libtorch.so too: it is
// loaded likewise for them.
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <dlfcn.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/script.h>

#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <ptsecure/ptsecure.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/bench/measure.hpp"

namespace {

using Arguments = std::vector<std::string>;

std::vector<std::int64_t> parse_shape(const std::string& text) {
  std::vector<std::int64_t> shape;
  std::istringstream in(text);
  for (std::string extent; std::getline(in, extent, ',');) shape.push_back(std::stoll(extent));
  return shape;
}

// Opens, then runs the model once, unless the shape is empty: what users wait for is the first
// answer, and the first run of a TorchScript model is slower than those that follow.
template <typename Open, typename Answer>
nlohmann::json measure_open(const std::vector<std::int64_t>& shape, const Open& open,
                            const Answer& answer) {
  const bench::Measurement measured;
  const auto model = open();
  nlohmann::json out{{"seconds", measured.seconds()},
                     {"cpu_seconds", measured.cpu()},
                     {"peak_bytes", measured.peak_bytes()}};
  if (shape.empty()) return out;
  answer(model);
  out["first_answer_seconds"] = measured.seconds();
  return out;
}

nlohmann::json plain(const Arguments& arguments) {
  const std::string& file = arguments.at(0);
  const std::vector<std::int64_t> shape = parse_shape(arguments.at(1));
  const at::Tensor input = at::ones(shape);
  return measure_open(
      shape, [&] { return torch::jit::load(file); },
      [&](torch::jit::Module model) {
        const c10::InferenceMode inference;
        model.forward({input});
      });
}

void load_libtorch() {
  if (dlopen("libtorch.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) throw std::runtime_error(dlerror());
}

nlohmann::json package(const Arguments& arguments) {
  const std::vector<std::int64_t> shape = parse_shape(arguments.at(1));
  const at::Tensor input = at::ones(shape);
  return measure_open(
      shape,
      [&] { return std::make_shared<torch::inductor::AOTIModelPackageLoader>(arguments.at(0)); },
      [&](const auto& loader) {
        const c10::InferenceMode inference;
        loader->run({input});
      });
}

nlohmann::json sealed(const Arguments& arguments) {
  const std::vector<std::int64_t> shape = parse_shape(arguments.at(3));
  std::vector<float> ones(static_cast<std::size_t>(c10::multiply_integers(shape)), 1.0F);
  pts::OpenOptions options;
  if (arguments.at(4) == "aead") options.verify = pts::Verify::aead;
  if (arguments.at(5) == "freeze") options.optimize = pts::Optimize::freeze;
  if (arguments.at(5) == "inference") options.optimize = pts::Optimize::inference;
  return measure_open(
      shape,
      [&] {
        const pts::Store store = pts::Store::open(arguments.at(0));
        return store.load(arguments.at(1), pts::Keyring::load(arguments.at(2)), options);
      },
      [&](const pts::Model& model) { model(pts::Value::borrow(ones.data(), shape)); });
}

nlohmann::json publish(const Arguments& arguments) {
  const bench::Measurement measured;
  const pts::Store store = pts::Store::open(arguments.at(0));
  store.publish(arguments.at(1), pts::Source::file(arguments.at(3)),
                pts::Keyring::load(arguments.at(2)));
  return {{"seconds", measured.seconds()},
          {"cpu_seconds", measured.cpu()},
          {"peak_bytes", measured.peak_bytes()}};
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Arguments all(argv + 1, argv + argc);
    const std::string& verb = all.at(0);
    const Arguments rest(all.begin() + 1, all.end());
    if (verb.ends_with("package")) load_libtorch();
    at::get_num_threads();  // libtorch reads the machine once; not a part of opening a model
    std::cout << (verb == "plain"              ? plain(rest)
                  : verb == "package"          ? package(rest)
                  : verb.starts_with("sealed") ? sealed(rest)
                  : verb == "publish"          ? publish(rest)
                                      : throw std::invalid_argument("unknown verb " + verb))
              << '\n';
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench_model: " << error.what() << '\n';
    return 1;
  }
}
