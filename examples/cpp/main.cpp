// Seals a model, opens it again and runs it on pictures of digits.
//
//   cmake -B build && cmake --build build
//   build/digits ../digits/digits.pt ../digits/sample.npy
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <ptsecure/ptsecure.hpp>
#include <string>
#include <vector>

// The keys of this example, made on its first run.
static pts::Keyring load_or_make_keys(const std::string& path) {
  if (std::filesystem::exists(path)) return pts::Keyring::load(path);
  pts::Keyring keys = pts::Keyring::generate();
  keys.save(path);
  std::cout << "made " << path << ": whoever has it can open and publish models\n";
  return keys;
}

static pts::Value load_npy(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string data{std::istreambuf_iterator<char>(file), {}};
  return pts::Value::from_npy(data.data(), data.size());
}

static void print_digits(const pts::Value& probabilities) {
  const pts::TensorView rows = probabilities.tensor();
  const std::vector<float> all = rows.to_vector<float>();
  const auto classes = static_cast<std::size_t>(rows.extent(1));
  for (std::size_t i = 0; i * classes < all.size(); ++i) {
    const auto row = all.begin() + static_cast<std::ptrdiff_t>(i * classes);
    const auto best = std::max_element(row, row + static_cast<std::ptrdiff_t>(classes));
    std::cout << "picture " << i << ": " << best - row << " (" << 100 * *best << " %)\n";
  }
}

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: " << argv[0] << " MODEL.pt IMAGES.npy\n";
    return 2;
  }
  try {
    const pts::Keyring keys = load_or_make_keys("keys.jwks");
    const pts::Store store = pts::Store::open("models");
    const pts::Value images = load_npy(argv[2]);

    pts::PublishOptions options;
    options.alias = "production";
    options.labels = {{"source", "examples/cpp"}};
    options.sample = {images};  // so that datatypes and shapes are known and checked
    const std::uint64_t version =
        store.publish("digits", pts::Source::file(argv[1]), keys, options);
    std::cout << "published digits/" << version << " in ./models\n";

    const pts::Model model = store.load("digits@production", keys);
    print_digits(model(images));
    return 0;
  } catch (const pts::Error& error) {
    std::cerr << error.status_name() << ": " << error.what() << '\n';
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
  }
  return 1;
}
