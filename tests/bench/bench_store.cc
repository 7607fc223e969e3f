// Registry operations of the benchmark.
//
//   bench_store fill STORE NAME COUNT KEYS      publishes tiny opaque versions, alias on the last
//   bench_store registry STORE NAME KEYS ROUNDS prints the seconds of each operation, a round each
#include <algorithm>
#include <atomic>
#include <exception>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <ptsecure/ptsecure.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/measure.hpp"

namespace {

using Arguments = std::vector<std::string>;

void fill(const Arguments& arguments) {
  const pts::Store store = pts::Store::open(arguments.at(0));
  const std::string& name = arguments.at(1);
  const int count = std::stoi(arguments.at(2));
  const pts::Keyring keys = pts::Keyring::load(arguments.at(3));
  pts::PublishOptions options;
  options.format = "opaque";
  const auto publish = [&] {
    return store.publish(name, pts::Source::bytes("tiny", 4), keys, options);
  };
  std::uint64_t newest = publish();  // creates the store
  std::atomic<int> left = count - 1;
  std::mutex mutex;
  std::exception_ptr failure;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {  // a publish mostly waits for the disk
    threads.emplace_back([&] {
      try {
        while (left.fetch_sub(1) > 0) {
          const std::uint64_t version = publish();
          const std::lock_guard lock(mutex);
          newest = std::max(newest, version);
        }
      } catch (...) {
        const std::lock_guard lock(mutex);
        failure = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
  store.set_alias(name, "production", newest, keys);
}

template <typename Operation>
nlohmann::json measure(int rounds, const Operation& operation) {
  operation();
  nlohmann::json seconds = nlohmann::json::array();
  for (int round = 0; round < rounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    operation();
    seconds.push_back(bench::seconds_since(begin));
  }
  return seconds;
}

nlohmann::json registry(const Arguments& arguments) {
  const pts::Store store = pts::Store::open(arguments.at(0));
  const std::string& name = arguments.at(1);
  const pts::Keyring keys = pts::Keyring::load(arguments.at(2));
  const int rounds = std::stoi(arguments.at(3));
  return {{"list", measure(rounds, [&] { store.list(); })},
          {"list_versions", measure(rounds, [&] { store.list_versions(name, 0, 10); })},
          {"resolve_alias", measure(rounds, [&] { store.fetch(name + "@production", keys); })},
          {"resolve_newest", measure(rounds, [&] { store.fetch(name, keys); })}};
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Arguments all(argv + 1, argv + argc);
    const Arguments rest(all.begin() + 1, all.end());
    if (all.at(0) == "fill") {
      fill(rest);
    } else {
      std::cout << registry(rest) << '\n';
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench_store: " << error.what() << '\n';
    return 1;
  }
}
