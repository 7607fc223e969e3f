#include "tests/registry/registry_fixture.hpp"

// Formats are asked by name. A version of one that nothing here runs is there for all but running.
namespace ptsecure {
namespace {

const std::string kLater = "safetensors-2";  // a format of times to come

struct Unrunnable {
  std::string format;
  std::string phrase;  // why it can't be loaded
};
const Unrunnable kUnrunnable[] = {
    {std::string(kOpaque), "was published as opaque bytes and can't be loaded or run"},
    {kLater, "is of the format '" + kLater +
                 "', which this build can't load; it runs torchscript, "
                 "aotinductor"},
};

class Formats : public RegistryTest {};

TEST_F(Formats, AreFoundByName) {
  const struct {
    std::string_view name;
    bool known;
    std::string_view engine;
    bool weights_apart;
  } cases[] = {
      {"torchscript", true, "torch", false}, {"aotinductor", true, "torch", true},
      {"opaque", true, "", false},           {kLater, false, "", false},
      {"TorchScript", false, "", false},     {"", false, "", false},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.name);
    const Format* found = find_format(test.name);
    ASSERT_EQ(found != nullptr, test.known);
    if (found == nullptr) continue;
    EXPECT_EQ(found->engine, test.engine);
    EXPECT_EQ(found->weights_apart, test.weights_apart);
  }
  EXPECT_EQ(format_names(true), "torchscript, aotinductor");
  EXPECT_EQ(format_names(false), "torchscript, aotinductor, opaque");
}

TEST_F(Formats, WithoutAnEngineAreReadAndMoved) {
  const Bytes bytes = model_bytes(1500000);
  for (const Unrunnable& test : kUnrunnable) {
    SCOPED_TRACE(test.format);
    seal(test.format, test.format, bytes);
    EXPECT_EQ(registry_->list_versions(test.format, 0, 0, {}).at(0).format, test.format);
    const ShownVersion shown = registry_->show(test.format, keys_, {});
    EXPECT_EQ(shown.version.manifest->format, test.format);
    EXPECT_FALSE(verify(test.format)) << verify(test.format)->what();
    EXPECT_EQ(decrypt(test.format), bytes);
    const auto package = registry_->fetch(test.format, keys_, {});
    package->export_to((root_ / "exports" / test.format).string(), {});
    registry_->set_alias(test.format, "production", 1, "", keys_, {});
    EXPECT_EQ(decrypt(test.format + "@production"), bytes);

    Registry target(open_store((root_ / "target").string(), {}), 2);
    EXPECT_EQ(registry_->copy(test.format, keys_, target, keys_, {}), 1U);
    EXPECT_EQ(target.fetch(test.format, keys_, {})->manifest().format, test.format);
    EXPECT_FALSE(target.verify(test.format, keys_, {}, {}));
  }
}

TEST_F(Formats, WithoutAnEngineAreNotLoaded) {
  for (const Unrunnable& test : kUnrunnable) {
    SCOPED_TRACE(test.format);
    seal(test.format, test.format, model_bytes(100));
    const auto package = registry_->fetch(test.format, keys_, {});
    const std::string phrase = test.format + "/1 " + test.phrase;
    expect_refused(Status::unsupported, phrase, [&] { package->load({}); });
    expect_refused(Status::unsupported, phrase, [&] { registry_->open(test.format, keys_, {}); });
  }
}

TEST_F(Formats, WithoutWeightsApartTakeNone) {
  for (const Unrunnable& test : kUnrunnable) {
    SCOPED_TRACE(test.format);
    seal(test.format, test.format, model_bytes(100));
    PublishOptions options;
    options.weights_of = test.format;
    const Bytes weights = model_bytes(50);
    const auto input = memory_input(weights);
    expect_refused(Status::unsupported, "which has no weights apart from their program",
                   [&] { registry_->publish("weights", *input, keys_, options); });
  }
}

TEST_F(Formats, ThatAreNotKnownArentPublished) {
  PublishOptions options;
  options.format = kLater;
  const Bytes bytes = model_bytes(100);
  const auto input = memory_input(bytes);
  expect_refused(Status::unsupported,
                 "'" + kLater + "' is not supported; formats: torchscript, aotinductor, opaque",
                 [&] { registry_->publish("digits", *input, keys_, options); });
}

TEST_F(Formats, WithoutAnEngineTakeNoSample) {
  PublishOptions options;
  options.sample_json = R"({"inputs":[]})";
  expect_refused(Status::invalid_argument, "'opaque' can't be run, so it takes no sample",
                 [&] { publish("digits", model_bytes(100), options); });
}

// Before anything is fetched, or the engine looked for.
TEST_F(Formats, AMistakenDeviceIsToldFirst) {
  OpenOptions options;
  options.device = "toaster";
  EXPECT_EQ(status_of([&] { registry_->open("nothing", keys_, options); }),
            Status::invalid_argument);
  seal("digits", std::string(kOpaque), model_bytes(100));
  const auto package = registry_->fetch("digits", keys_, {});
  EXPECT_EQ(status_of([&] { package->load(options); }), Status::invalid_argument);
}

}  // namespace
}  // namespace ptsecure
