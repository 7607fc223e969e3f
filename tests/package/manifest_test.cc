#include "libptsecure/package/manifest.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "libptsecure/base/time.hpp"
#include "libptsecure/crypto/segment_aead.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;

Manifest example() {
  Manifest manifest;
  manifest.store_id = "-rtS1yJXQvKk0bHfX2ZzSw";
  manifest.name = "digits";
  manifest.version = 7;
  manifest.created = "2026-01-31T23:59:59Z";
  manifest.format = "torchscript";
  manifest.engine = "libtorch 2.15.0";
  PayloadEntry payload;
  payload.role = "model";
  payload.sealed_name = "digits";
  payload.sealed_version = 7;
  payload.key_id = "k-1";
  payload.key_commitment.fill(1);
  payload.plaintext_size = 5'000'000;
  payload.stored_size = stored_size(5'000'000);
  payload.digests_sha256.fill(2);
  manifest.payloads = {payload};
  ValueSpec input;
  input.name = "images";
  input.kind = ValueKind::tensor;
  input.dtype = DType::float32;
  input.shape = {{-1, 1, 8, 8}};
  ValueSpec output;
  output.name = "scores";
  manifest.inputs = {input};
  manifest.outputs = {output};
  manifest.stateful = true;
  manifest.labels = {{"stage", "beta \xc3\xa4"}, {"empty", ""}};
  return manifest;
}

Status status_of(const std::function<void()>& call) {
  try {
    call();
    return Status::ok;
  } catch (const Error& error) {
    return error.status();
  }
}

// The status of reading the example after a change to its JSON.
Status after(const std::function<void(json&)>& change) {
  json object = json::parse(example().to_json());
  change(object);
  return status_of([&] { Manifest::from_json(object.dump()); });
}

Status read(const std::string& text) {
  return status_of([&] { Manifest::from_json(text); });
}

Status write(const std::function<void(Manifest&)>& change) {
  Manifest manifest = example();
  change(manifest);
  return status_of([&] { manifest.to_json(); });
}

TEST(Manifest, ReadsWhatItWrites) {
  const std::string text = example().to_json();
  const Manifest manifest = Manifest::from_json(text);
  EXPECT_EQ(manifest.to_json(), text);
  EXPECT_EQ(manifest.name, "digits");
  EXPECT_EQ(manifest.version, 7U);
  EXPECT_EQ(manifest.store_id, example().store_id);
  EXPECT_EQ(manifest.labels, example().labels);
  EXPECT_EQ(manifest.inputs, example().inputs);
  EXPECT_EQ(manifest.outputs, example().outputs);
  EXPECT_TRUE(manifest.stateful);
  EXPECT_EQ(manifest.payload("model").key_commitment, example().payloads[0].key_commitment);
  EXPECT_EQ(manifest.payload("model").digests_sha256, example().payloads[0].digests_sha256);
  EXPECT_EQ(status_of([&] { (void)manifest.payload("sample"); }), Status::corrupt);
}

TEST(Manifest, HasTheDocumentedMembers) {
  const json object = json::parse(example().to_json());
  EXPECT_EQ(object.at("ptsecure"), 1);
  EXPECT_EQ(object.at("store"), "-rtS1yJXQvKk0bHfX2ZzSw");
  const json& payload = object.at("payloads").at(0);
  EXPECT_EQ(payload.at("key_commitment"), "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE");
  EXPECT_EQ(payload.at("plaintext_size"), 5'000'000);
  EXPECT_EQ(payload.at("stored_size"), 5'000'000 + 40 + 5 * 16);
}

TEST(Manifest, EveryMemberIsRequiredAndTyped) {
  const json whole = json::parse(example().to_json());
  for (const auto& [name, value] : whole.items()) {
    EXPECT_EQ(after([&](json& object) { object.erase(name); }), Status::corrupt) << name;
    for (const json& wrong : {json(), json(1.5), json(-1), json::array({1}), json("")}) {
      if (wrong == "" && (name == "engine")) continue;
      EXPECT_EQ(after([&](json& object) { object[name] = wrong; }), Status::corrupt)
          << name << " = " << wrong;
    }
  }
  for (const auto& [name, value] : whole.at("payloads").at(0).items()) {
    EXPECT_EQ(after([&](json& object) { object["payloads"][0].erase(name); }), Status::corrupt);
    for (const json& wrong : {json(), json(1.5), json(-1), json::array(), json(""), json("AAAA")}) {
      if (wrong == "AAAA" && value.is_string() && !name.ends_with("commitment") &&
          !name.ends_with("256")) {
        continue;
      }
      EXPECT_EQ(after([&](json& object) { object["payloads"][0][name] = wrong; }), Status::corrupt)
          << name << " = " << wrong;
    }
  }
}

TEST(Manifest, NumbersAreIntegersUpTo2To53) {
  const std::string text = example().to_json();
  const auto with_version = [&](const std::string& number) {
    std::string changed = text;
    const std::size_t at = changed.rfind("\"version\":7") + 10;
    return read(changed.replace(at, 1, number));
  };
  EXPECT_EQ(with_version("9007199254740991"), Status::ok);
  for (const char* number : {"9007199254740992", "18446744073709551616", "1e2", "7.0", "-7", "0",
                             "07", "\"7\"", "1e999", "true"}) {
    EXPECT_EQ(with_version(number), Status::corrupt) << number;
  }
}

TEST(Manifest, FormatVersions) {
  EXPECT_EQ(after([](json& object) { object["ptsecure"] = 2; }), Status::unsupported);
  EXPECT_EQ(after([](json& object) { object["ptsecure"] = 0; }), Status::corrupt);
  EXPECT_EQ(read(R"({"ptsecure":2})"), Status::unsupported);
}

TEST(Manifest, UnknownMembersAreIgnored) {
  EXPECT_EQ(after([](json& object) { object["later"] = {{"x", 1}}; }), Status::ok);
  EXPECT_EQ(after([](json& object) { object["payloads"][0]["later"] = 1; }), Status::ok);
}

TEST(Manifest, HostileJson) {
  const std::string text = example().to_json();
  EXPECT_EQ(read(""), Status::corrupt);
  EXPECT_EQ(read("[]"), Status::corrupt);
  EXPECT_EQ(read("null"), Status::corrupt);
  EXPECT_EQ(read(text + " x"), Status::corrupt);
  EXPECT_EQ(read(text + text), Status::corrupt);
  EXPECT_EQ(read(text.substr(0, text.size() - 1)), Status::corrupt);
  EXPECT_EQ(read(R"({"name":"a",)" + text.substr(1)), Status::corrupt) << "a member twice";
  std::string twice = text;
  twice.replace(twice.find("\"role\":"), 7, "\"role\":\"x\",\"role\":");
  EXPECT_EQ(read(twice), Status::corrupt) << "a member of a payload twice";
  std::string invalid = text;
  invalid.replace(invalid.find("digits"), 1, "\xff");
  EXPECT_EQ(read(invalid), Status::corrupt);
  EXPECT_EQ(read(std::string(200'000, '[')), Status::corrupt);
  EXPECT_EQ(read(R"({"x":)" + std::string(200'000, '[') + std::string(200'000, ']') + "," +
                 text.substr(1)),
            Status::corrupt);
  EXPECT_EQ(read(text + std::string(600'000, ' ')), Status::corrupt);
}

TEST(Manifest, SizesMustFitTheirSegments) {
  const auto with = [](std::uint64_t plain, std::uint64_t stored) {
    return after([&](json& object) {
      object["payloads"][0]["plaintext_size"] = plain;
      object["payloads"][0]["stored_size"] = stored;
    });
  };
  EXPECT_EQ(with(0, 56), Status::ok);
  EXPECT_EQ(with(0, 40), Status::corrupt);
  EXPECT_EQ(with(5'000'000, stored_size(5'000'001)), Status::corrupt);
  EXPECT_EQ(with(std::uint64_t{1} << 50, stored_size(std::uint64_t{1} << 50)), Status::ok);
  EXPECT_EQ(with(std::uint64_t{1} << 52, std::uint64_t{1} << 52), Status::corrupt);
  EXPECT_EQ(with(9007199254740991, 9007199254740991), Status::corrupt);
}

TEST(Manifest, NamesAndRoles) {
  for (const char* name : {"", "..", "a/b", "-a", "a b"}) {
    EXPECT_EQ(after([&](json& object) { object["name"] = name; }), Status::corrupt) << name;
    EXPECT_EQ(after([&](json& object) { object["format"] = name; }), Status::corrupt) << name;
    EXPECT_EQ(after([&](json& object) { object["payloads"][0]["role"] = name; }), Status::corrupt);
  }
  for (const char* id : {"", "..", ".a", "a/b", "a$", "a b"}) {
    EXPECT_EQ(after([&](json& object) { object["payloads"][0]["key_id"] = id; }), Status::corrupt);
    EXPECT_EQ(after([&](json& object) { object["store"] = id; }), Status::corrupt) << id;
  }
  EXPECT_EQ(after([](json& object) { object["payloads"].push_back(object["payloads"][0]); }),
            Status::corrupt)
      << "one role twice";
  EXPECT_EQ(after([](json& object) { object["payloads"].clear(); }), Status::corrupt);
  EXPECT_EQ(after([](json& object) { object["created"] = "yesterday"; }), Status::corrupt);
}

TEST(Manifest, LabelsAreBounded) {
  const auto label = [](const std::string& name, const std::string& value) {
    return write([&](Manifest& manifest) { manifest.labels[name] = value; });
  };
  EXPECT_EQ(label(std::string(63, 'k'), std::string(256, 'v')), Status::ok);
  std::string umlauts;
  for (int i = 0; i < 256; ++i) umlauts += "\xc3\xa4";
  EXPECT_EQ(label("k", umlauts), Status::ok) << "256 characters, whatever their bytes";
  EXPECT_EQ(label(std::string(64, 'k'), "v"), Status::invalid_argument);
  EXPECT_EQ(label("k", std::string(257, 'v')), Status::invalid_argument);
  EXPECT_EQ(label("", "v"), Status::invalid_argument);
  EXPECT_EQ(label("$k", "v"), Status::invalid_argument);
  for (const char* value : {"a\nb", "\x1b[31m", "\x7f", "\xc2\x85", "\xff", "\xc3"}) {
    EXPECT_EQ(label("k", value), Status::invalid_argument) << value;
  }
  EXPECT_EQ(write([](Manifest& manifest) {
              for (int i = 0; i < 63; ++i) manifest.labels["k" + std::to_string(i)] = "v";
            }),
            Status::invalid_argument)
      << "65 labels";
  EXPECT_EQ(after([](json& object) { object["labels"]["k"] = 1; }), Status::corrupt);
  EXPECT_EQ(after([](json& object) { object["labels"]["k"] = "a\nb"; }), Status::corrupt);
}

TEST(Manifest, TooLargeIsRefusedWhenWritten) {
  EXPECT_EQ(write([](Manifest& manifest) {
              for (int i = 0; i < 20'000; ++i) {
                ValueSpec spec;
                spec.name = "an_input_with_a_rather_long_name_" + std::to_string(i);
                manifest.inputs.push_back(spec);
              }
            }),
            Status::limit_exceeded);
}

TEST(Manifest, AssociatedDataAndTime) {
  EXPECT_EQ(associated_data("digits", 12), "ptsecure/1 digits 12");
  Manifest manifest = example();
  manifest.created = now_rfc3339();
  EXPECT_NO_THROW(manifest.to_json()) << manifest.created;
}

}  // namespace
}  // namespace ptsecure
