// Versions that share a compiled program and differ in their weights: published, opened, swapped,
// verified, destroyed. What the engine does with weights is tested in tests/engine.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "ptsecure/ptsecure.hpp"
#include "tests/engine/package_folder.hpp"

#if PTSECURE_WITH_TORCH

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ptsecure::testing::package_folder;

std::string file_bytes(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<float> elements(const json& encoded) {
  const std::string hex = encoded["bytes"];
  std::vector<float> values(hex.size() / 8);
  for (std::size_t i = 0; i < values.size(); ++i) {
    unsigned char raw[4];
    for (std::size_t b = 0; b < 4; ++b) {
      raw[b] = static_cast<unsigned char>(std::stoi(hex.substr(i * 8 + b * 2, 2), nullptr, 16));
    }
    std::memcpy(&values[i], raw, 4);
  }
  return values;
}

json v2_input(const std::string& name, const json& encoded) {
  return {{"name", name},
          {"datatype", "FP32"},
          {"shape", encoded["shape"]},
          {"data", elements(encoded)}};
}

class WeightsTest : public testing::Test {
 protected:
  WeightsTest() {
    std::string name = (fs::temp_directory_path() / "ptsecure-weights-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    folder_ = name;
    store_ = pts::Store::open((folder_ / "store").string());
    store_.publish("dense", pts::Source::file(package("dense.pt2")), keys_);
  }
  ~WeightsTest() override { fs::remove_all(folder_); }

  static std::string package(const std::string& file) { return (package_folder() / file).string(); }

  std::uint64_t publish_weights(const std::string& file, const std::string& of = "dense",
                                const std::string& name = "dense") {
    pts::PublishOptions options;
    options.weights_of = of;
    return store_.publish(name, pts::Source::file(package(file)), keys_, options);
  }

  // Empty when the model answers as make_packages.py recorded for `expected`.
  static std::string wrong(const pts::Model& model, const std::string& expected) {
    const json call = json::parse(file_bytes(package(expected + ".json")))[0];
    const json bias = call["arguments"][1]["dict"][0][1];
    const json request = {
        {"inputs", {v2_input("x", call["arguments"][0]), v2_input("extra.bias", bias)}}};
    const json response = json::parse(model.infer_json(request.dump()));
    const std::vector<float> wanted = elements(call["result"]["dict"][0][1]);
    const std::vector<float> found = response["outputs"][0]["data"];
    if (found.size() != wanted.size()) return "size";
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (!(std::abs(found[i] - wanted[i]) <= 1e-5F * (1 + std::abs(wanted[i])))) {
        return "element " + std::to_string(i);
      }
    }
    return "";
  }

  template <class Call>
  static std::pair<pts_status, std::string> error_of(Call&& call) {
    try {
      call();
    } catch (const pts::Error& error) {
      return {error.status(), error.what()};
    }
    return {PTS_OK, "no error"};
  }

  fs::path folder_;
  pts::Keyring keys_ = pts::Keyring::generate();
  pts::Store store_{nullptr};
};

TEST_F(WeightsTest, ShareTheProgramAndAnswerWithTheirOwn) {
  EXPECT_EQ(publish_weights("tuned_weights.safetensors"), 2U);
  EXPECT_EQ(publish_weights("tuned_weights.pt", "dense/2", "other"), 1U);
  EXPECT_EQ(wrong(store_.load("dense/1", keys_), "dense"), "");
  EXPECT_EQ(wrong(store_.load("dense/2", keys_), "tuned"), "");
  EXPECT_EQ(wrong(store_.load("other", keys_), "tuned"), "");
}

TEST_F(WeightsTest, TheProgramIsKeptOnce) {
  const auto size_of = [&] {
    std::uintmax_t size = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
      if (entry.is_regular_file()) size += entry.file_size();
    }
    return size;
  };
  const std::uintmax_t before = size_of();
  publish_weights("tuned_weights.safetensors");
  EXPECT_LT(size_of() - before, fs::file_size(package("dense.pt2")) / 10);
  const json manifest = json::parse(store_.fetch("dense/2", keys_).manifest());
  ASSERT_EQ(manifest["payloads"].size(), 2U);
  EXPECT_EQ(manifest["payloads"][0]["role"], "model");
  EXPECT_EQ(manifest["payloads"][0]["sealed_version"], 1);
  EXPECT_EQ(manifest["payloads"][1]["role"], "weights");
  EXPECT_EQ(manifest["payloads"][1]["sealed_version"], 2);
  EXPECT_EQ(manifest["inputs"], json::parse(store_.fetch("dense/1", keys_).manifest())["inputs"]);
}

TEST_F(WeightsTest, WhatWasPublishedIsWhatDecryptGives) {
  publish_weights("tuned_weights.safetensors");
  const pts::Package fetched = store_.fetch("dense/2", keys_);
  EXPECT_EQ(fetched.size(), fs::file_size(package("tuned_weights.safetensors")));
  EXPECT_EQ(fetched.decrypt().view(), file_bytes(package("tuned_weights.safetensors")));
  std::vector<std::string> checks;
  store_.verify("dense/2", keys_, [&](const char* check, pts_status status, const char* detail) {
    EXPECT_EQ(status, PTS_OK) << check << ": " << detail;
    checks.emplace_back(check);
  });
  for (const char* wanted : {"payload weights", "payload model"}) {
    EXPECT_NE(std::find(checks.begin(), checks.end(), wanted), checks.end()) << wanted;
  }
}

TEST_F(WeightsTest, SwappedIntoAModelThatIsOpen) {
  publish_weights("tuned_weights.safetensors");
  const pts::Model first = store_.load("dense/1", keys_);
  EXPECT_EQ(wrong(first, "dense"), "");
  const pts::Model second = store_.fetch("dense/2", keys_).swap(first);
  EXPECT_EQ(second.version(), 2U);
  EXPECT_EQ(wrong(second, "tuned"), "");
  EXPECT_EQ(wrong(first, "tuned"), "");
  EXPECT_EQ(first.version(), 1U);
  const pts::Model back = store_.fetch("dense/1", keys_).swap(second);
  EXPECT_EQ(back.version(), 1U);
  EXPECT_EQ(wrong(back, "dense"), "");
}

TEST_F(WeightsTest, AnotherProgramIsNotSwappedIn) {
  store_.publish("counter", pts::Source::file(package("counter.pt2")), keys_);
  store_.publish("again", pts::Source::file(package("dense.pt2")), keys_);
  const pts::Model model = store_.load("dense", keys_);
  for (const char* other : {"counter", "again"}) {
    const auto [status, text] = error_of([&] { store_.fetch(other, keys_).swap(model); });
    EXPECT_EQ(status, PTS_INVALID_ARGUMENT);
    EXPECT_NE(text.find("another program"), std::string::npos) << text;
  }
  EXPECT_EQ(wrong(model, "dense"), "");
}

TEST_F(WeightsTest, WhatDoesNotFitIsNotPublished) {
  store_.publish("counter", pts::Source::file(package("counter.pt2")), keys_);
  const auto [status, text] =
      error_of([&] { publish_weights("tuned_weights.safetensors", "counter"); });
  EXPECT_EQ(status, PTS_INVALID_MODEL);
  EXPECT_NE(text.find("weight"), std::string::npos) << text;
  EXPECT_EQ(error_of([&] { publish_weights("dense.pt2"); }).first, PTS_INVALID_MODEL);
  EXPECT_EQ(error_of([&] { publish_weights("tuned_weights.pt", "nothing"); }).first, PTS_NOT_FOUND);
  pts::PublishOptions opaque;
  opaque.format = "opaque";
  store_.publish("bytes", pts::Source::bytes("abc", 3), keys_, opaque);
  EXPECT_EQ(error_of([&] { publish_weights("tuned_weights.pt", "bytes"); }).first, PTS_UNSUPPORTED);
  EXPECT_EQ(json::parse(store_.list_versions("dense"))["versions"].size(), 1U);
}

TEST_F(WeightsTest, TheProgramIsNotDestroyedWhileOthersNeedIt) {
  publish_weights("tuned_weights.safetensors");
  publish_weights("tuned_weights.pt", "dense/2", "other");
  const auto destroy = [&](const char* reference) {
    return error_of([&] { store_.set_key_status(reference, "destroyed", keys_, "old"); });
  };
  const auto [status, text] = destroy("dense/1");
  EXPECT_EQ(status, PTS_CONFLICT);
  EXPECT_NE(text.find("dense/2"), std::string::npos) << text;
  EXPECT_NE(text.find("other/1"), std::string::npos) << text;
  EXPECT_EQ(wrong(store_.load("dense/1", keys_), "dense"), "");
  // Weights built on weights need the program alone.
  EXPECT_EQ(destroy("dense/2").first, PTS_OK);
  EXPECT_EQ(wrong(store_.load("other/1", keys_), "tuned"), "");
  EXPECT_EQ(destroy("dense/1").first, PTS_CONFLICT) << "other/1 is left";
  EXPECT_EQ(destroy("other/1").first, PTS_OK);
  EXPECT_EQ(destroy("dense/1").first, PTS_OK);
}

TEST_F(WeightsTest, EachVersionsKeysAreItsOwn) {
  publish_weights("tuned_weights.safetensors");
  store_.set_key_status("dense/2", "destroyed", keys_, "a bad fine-tune");
  EXPECT_EQ(error_of([&] { store_.load("dense/2", keys_); }).first, PTS_REVOKED);
  EXPECT_EQ(wrong(store_.load("dense/1", keys_), "dense"), "");
  EXPECT_EQ(publish_weights("tuned_weights.safetensors", "dense/1"), 3U);
  store_.set_key_status("dense/1", "disabled", keys_, "use the new one");
  EXPECT_EQ(error_of([&] { store_.load("dense/1", keys_); }).first, PTS_REVOKED);
  EXPECT_EQ(wrong(store_.load("dense/3", keys_), "tuned"), "");
}

// The keys of a set that `wanted` says true of.
template <class Wanted>
json keys_of(const pts::Keyring& keyring, Wanted&& wanted) {
  const json set = json::parse(keyring.export_keys().view());
  json found = json::array();
  for (const json& key : set["keys"]) {
    if (wanted(key)) found.push_back(key);
  }
  return found;
}

pts::Keyring joined(json keys, const json& more) {
  keys.insert(keys.end(), more.begin(), more.end());
  return pts::Keyring::parse(json{{"keys", keys}}.dump());
}

TEST_F(WeightsTest, NewRecipientsOpenTheSharedProgramToo) {
  const auto all = [](const json&) { return true; };
  const auto wraps = [](const json& key) { return key["use"] == "enc"; };
  const pts::Keyring opener = pts::Keyring::generate();
  const pts::Keyring reader = joined(keys_of(opener, all), keys_of(keys_.public_part(), all));
  EXPECT_EQ(error_of([&] { store_.load("dense/1", reader); }).first, PTS_NO_KEY);
  // The publisher opens what it builds on, and wraps the keys of the new version for both.
  const pts::Keyring publisher = joined(keys_of(keys_, all), keys_of(opener.public_part(), wraps));
  pts::PublishOptions options;
  options.weights_of = "dense/1";
  store_.publish("dense", pts::Source::file(package("tuned_weights.safetensors")), publisher,
                 options);
  EXPECT_EQ(wrong(store_.load("dense/2", reader), "tuned"), "");
  EXPECT_EQ(wrong(store_.load("dense/2", keys_), "tuned"), "");
  EXPECT_EQ(error_of([&] { store_.load("dense/1", reader); }).first, PTS_NO_KEY);
}

TEST_F(WeightsTest, WhoCannotOpenTheProgramPublishesNothingForIt) {
  const auto all = [](const json&) { return true; };
  const auto signs = [](const json& key) { return key["use"] == "sig"; };
  const pts::Keyring other =
      joined(keys_of(keys_, signs), keys_of(pts::Keyring::generate().public_part(), all));
  pts::PublishOptions options;
  options.weights_of = "dense/1";
  const auto [status, text] = error_of([&] {
    store_.publish("dense", pts::Source::file(package("tuned_weights.safetensors")), other,
                   options);
  });
  EXPECT_EQ(status, PTS_NO_KEY) << text;
  EXPECT_EQ(json::parse(store_.list_versions("dense"))["versions"].size(), 1U);
}

TEST_F(WeightsTest, AnAliasThatMovesIsFollowedByFetchAndSwap) {
  publish_weights("tuned_weights.safetensors");
  store_.set_alias("dense", "prod", 1, keys_);
  const pts::Model serving = store_.load("dense@prod", keys_);
  EXPECT_EQ(wrong(serving, "dense"), "");

  store_.set_alias("dense", "prod", 2, keys_);
  const pts::Package moved = store_.fetch("dense@prod", keys_);
  ASSERT_EQ(moved.version(), 2U);
  EXPECT_EQ(wrong(serving, "dense"), "");  // until it is swapped in
  pts::Model current = moved.swap(serving);
  EXPECT_EQ(wrong(serving, "tuned"), "");  // under the handle that its threads hold
  EXPECT_EQ(current.version(), 2U);

  store_.rollback_alias("dense", "prod", keys_);
  current = store_.fetch("dense@prod", keys_).swap(serving);
  EXPECT_EQ(current.version(), 1U);
  EXPECT_EQ(wrong(serving, "dense"), "");
}

}  // namespace

#endif
