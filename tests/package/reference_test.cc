#include "libptsecure/package/reference.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "libptsecure/base/error.hpp"
#include "libptsecure/base/text.hpp"

namespace ptsecure {
namespace {

TEST(Reference, ParsesTheThreeForms) {
  const Reference newest = Reference::parse("digits");
  EXPECT_EQ(newest.name, "digits");
  EXPECT_FALSE(newest.version || newest.alias);
  const Reference numbered = Reference::parse("digits/7");
  EXPECT_EQ(numbered.name, "digits");
  EXPECT_EQ(numbered.version, 7U);
  EXPECT_FALSE(numbered.alias);
  const Reference aliased = Reference::parse("team.a-b_c@production");
  EXPECT_EQ(aliased.name, "team.a-b_c");
  EXPECT_EQ(aliased.alias, "production");
  EXPECT_FALSE(aliased.version);
}

TEST(Reference, TextIsWhatWasParsed) {
  for (const char* text : {"a", "A.b-c_9/1", "x/9007199254740991", "x@y", "0@0"}) {
    EXPECT_EQ(Reference::parse(text).text(), text);
  }
}

TEST(Reference, RefusesEverythingElse) {
  const std::string longest(128, 'a');
  EXPECT_EQ(Reference::parse(longest + "@" + longest).name, longest);
  for (const std::string& text : {std::string(),
                                  std::string("/"),
                                  std::string("@"),
                                  std::string("a/"),
                                  std::string("a@"),
                                  std::string("/7"),
                                  std::string("@x"),
                                  std::string("a/0"),
                                  std::string("a/07"),
                                  std::string("a/-1"),
                                  std::string("a/+1"),
                                  std::string("a/1.0"),
                                  std::string("a/ 1"),
                                  std::string("a/1 "),
                                  std::string("a/0x1"),
                                  std::string("a/9007199254740992"),
                                  std::string("a/18446744073709551617"),
                                  std::string("a/1/2"),
                                  std::string("a/1@b"),
                                  std::string("a@b/1"),
                                  std::string("a@b@c"),
                                  std::string(".a"),
                                  std::string("-a"),
                                  std::string("_a"),
                                  std::string("a b"),
                                  std::string("a\n"),
                                  std::string("a$ne"),
                                  std::string("../a"),
                                  std::string("a\\b"),
                                  std::string("\xc3\xa4"),
                                  std::string("a\0b", 3),
                                  std::string("a@..\xff"),
                                  std::string("a/\xd9\xa1"),
                                  longest + "a",
                                  "a@" + longest + "a"}) {
    try {
      Reference::parse(text);
      ADD_FAILURE() << "accepted: " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), Status::invalid_argument) << text;
      const std::string message = error.what();
      EXPECT_FALSE(has_control(message)) << message;
      EXPECT_EQ(message.find('\xff'), std::string::npos) << message;
      EXPECT_LT(message.size(), 300U);
    }
  }
}

TEST(Reference, CheckNameSaysWhatItIsAbout) {
  EXPECT_NO_THROW(check_name("a", "alias"));
  try {
    check_name("a/b", "alias");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("the alias \"a/b\" must be"), std::string::npos);
  }
}

}  // namespace
}  // namespace ptsecure
