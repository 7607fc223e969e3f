#include "libptsecure/crypto/json_members.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "libptsecure/base/error.hpp"
#include "libptsecure/base/text.hpp"
#include "libptsecure/crypto/base64url.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;

const Sha256Digest kDigest = sha256(as_bytes("abc"));

json good() {
  return {{"ptsecure", 1U},
          {"text", "a"},
          {"texts", {"a", "b"}},
          {"flag", true},
          {"number", 7U},
          {"real", 1.5},
          {"digest", base64url_encode(kDigest)},
          {"list", json::array()},
          {"members", json::object()}};
}

void expect_refused(const std::string& phrase, const std::function<void()>& call,
                    Status status = Status::corrupt) {
  try {
    call();
    ADD_FAILURE() << "accepted: " << phrase;
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), status) << error.what();
    EXPECT_NE(std::string(error.what()).find(phrase), std::string::npos) << error.what();
  }
}

TEST(JsonMembers, AreReadAsTheyAre) {
  const json object = good();
  const JsonMembers in(object, "it");
  EXPECT_TRUE(in.has("text"));
  EXPECT_FALSE(in.has("other"));
  EXPECT_EQ(in.text("text"), "a");
  EXPECT_EQ(in.texts("texts"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(in.texts("list"), std::vector<std::string>());
  EXPECT_TRUE(in.flag("flag"));
  EXPECT_EQ(in.number("number"), 7U);
  EXPECT_EQ(in.real("real"), 1.5);
  EXPECT_EQ(in.real("number"), 7.0);
  EXPECT_EQ(in.digest("digest"), kDigest);
  EXPECT_TRUE(in.array("list").empty());
  EXPECT_TRUE(in.object("members").empty());
  EXPECT_NO_THROW(in.require_format(1));
  EXPECT_NO_THROW(in.require_only(
      {"ptsecure", "text", "texts", "flag", "number", "real", "digest", "list", "members"}));
}

TEST(JsonMembers, AnyOtherTypeIsRefused) {
  struct Case {
    const char* member;
    std::function<void(const JsonMembers&, const char*)> read;
    const char* phrase;
  };
  const Case cases[] = {
      {"text", [](const auto& in, const char* m) { (void)in.text(m); }, "text must be a string"},
      {"texts", [](const auto& in, const char* m) { (void)in.texts(m); }, "texts must be an array"},
      {"flag", [](const auto& in, const char* m) { (void)in.flag(m); },
       "flag must be true or false"},
      {"number", [](const auto& in, const char* m) { (void)in.number(m); },
       "number must be a whole number from 1 to 2^53-1"},
      {"real", [](const auto& in, const char* m) { (void)in.real(m); }, "real must be a number"},
      {"digest", [](const auto& in, const char* m) { (void)in.digest(m); }, "digest must be a"},
      {"list", [](const auto& in, const char* m) { (void)in.array(m); }, "list must be an array"},
      {"members", [](const auto& in, const char* m) { (void)in.object(m); },
       "members must be an object"},
  };
  const json values[] = {nullptr, true, 7U, -7, 1.5, "a", json::array({1}), json::object()};
  for (const Case& each : cases) {
    const json right = good().at(each.member);
    for (const json& value : values) {
      const bool number = std::string_view(each.member) == "real" && value.is_number();
      if (value.type() == right.type() && value != "a" && value != json::array({1})) continue;
      if (number || (value == "a" && std::string_view(each.member) == "text")) continue;
      if (value.is_array() && std::string_view(each.member) == "list") continue;
      json object = good();
      object[each.member] = value;
      expect_refused(std::string("it is malformed: ") + each.phrase,
                     [&] { each.read(JsonMembers(object, "it"), each.member); });
    }
    json object = good();
    object.erase(each.member);
    expect_refused(std::string("the member ") + each.member + " is missing",
                   [&] { each.read(JsonMembers(object, "it"), each.member); });
  }
  for (const json& value : {json(nullptr), json(1), json("a"), json::array()}) {
    expect_refused("it is malformed: it must be a JSON object", [&] { JsonMembers(value, "it"); });
  }
}

TEST(JsonMembers, NumbersHaveBounds) {
  const auto read = [](const json& value, std::uint64_t least, std::uint64_t most) {
    const json object = {{"n", value}};
    return JsonMembers(object, "it").number("n", least, most);
  };
  EXPECT_EQ(read(kMaxNumber, 1, kMaxNumber), kMaxNumber);
  EXPECT_EQ(read(0U, 0, 5), 0U);
  EXPECT_EQ(read(5U, 0, 5), 5U);
  expect_refused("from 1 to 2^53-1", [&] { read(0U, 1, kMaxNumber); });
  expect_refused("from 0 to 2^53-1", [&] { read(kMaxNumber + 1, 0, kMaxNumber); });
  expect_refused("from 0 to 5", [&] { read(6U, 0, 5); });
  expect_refused("from 1", [&] { read(UINT64_MAX, 1, kMaxNumber); });
  expect_refused("from 1", [&] { read(2.0, 1, kMaxNumber); });
  expect_refused("from 1", [&] { read("2", 1, kMaxNumber); });
}

TEST(JsonMembers, ADigestHasOneText) {
  for (const std::string& text :
       {hex(kDigest), base64url_encode(kDigest) + "=", base64url_encode(kDigest).substr(1),
        base64url_encode(as_bytes("abc"))}) {
    const json object = {{"d", text}};
    expect_refused("d must be a SHA-256 in base64url",
                   [&] { (void)JsonMembers(object, "it").digest("d"); });
  }
}

TEST(JsonMembers, FormatsThatAreNewerAreNotSupported) {
  const auto check = [](const json& format) {
    const json object = {{"ptsecure", format}};
    JsonMembers(object, "the manifest").require_format(1);
  };
  EXPECT_NO_THROW(check(1U));
  expect_refused("the manifest has format version 2", [&] { check(2U); }, Status::unsupported);
  for (const json& value : {json(0U), json(-1), json("1"), json(1.0), json(nullptr)}) {
    expect_refused("ptsecure must be", [&] { check(value); });
  }
}

TEST(JsonMembers, OthersThanTheyMustAreRefused) {
  const json object = {{"a", 1}, {"b", 2}};
  const JsonMembers in(object, "it");
  expect_refused("other members", [&] { in.require_only({"a"}); });
  expect_refused("other members", [&] { in.require_only({"a", "c"}); });
  expect_refused("other members", [&] { in.require_only({"a", "b", "c"}); });
}

}  // namespace
}  // namespace ptsecure
