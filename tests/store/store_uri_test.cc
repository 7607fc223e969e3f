#include <gtest/gtest.h>

#include <filesystem>

#include "libptsecure/base/error.hpp"
#include "libptsecure/store/component.hpp"
#include "libptsecure/store/store.hpp"
#include "tests/store/directory/directory_harness.hpp"

namespace ptsecure::test {
namespace {

std::string opened(const std::string& uri) {
  return open_store(uri, {})->display_uri();
}

std::string refusal(const std::string& uri, Status expected = Status::invalid_argument) {
  try {
    opened(uri);
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), expected) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "'" << uri << "' was accepted";
  return {};
}

TEST(StoreUri, file_uris_name_absolute_paths) {
  EXPECT_EQ(opened("file:///srv/models"), "/srv/models");
  EXPECT_EQ(opened("file://localhost/srv/models/"), "/srv/models");
  EXPECT_EQ(opened("FILE://LocalHost/srv/models"), "/srv/models");
  EXPECT_EQ(opened("file:///srv/my%20models%2Fa%25b"), "/srv/my models/a%b");
  EXPECT_EQ(opened("file:///"), "/");
}

TEST(StoreUri, everything_without_a_scheme_is_a_path) {
  const std::string here = std::filesystem::current_path().string();
  EXPECT_EQ(opened("/srv/models"), "/srv/models");
  EXPECT_EQ(opened("/srv/models///"), "/srv/models");
  EXPECT_EQ(opened("models"), here + "/models");
  EXPECT_EQ(opened("./a:b"), here + "/a:b");
  EXPECT_EQ(opened("/srv//./models/."), "/srv/models");
  EXPECT_EQ(opened("/srv/link/../models"), "/srv/link/../models");
  EXPECT_EQ(opened("a:b/c"), here + "/a:b/c");
  EXPECT_EQ(opened("50%/models"), here + "/50%/models");
  EXPECT_EQ(opened("filed"), here + "/filed");
  EXPECT_EQ(opened("mongodb"), here + "/mongodb");
}

TEST(StoreUri, malformed_file_uris_are_refused) {
  refusal("");
  refusal("file:");
  refusal("file:models");
  refusal("file:/srv/models");
  refusal("file://");
  refusal("file://server");
  EXPECT_NE(refusal("file://server/share").find("server"), std::string::npos);
  refusal("file:///srv/a%2");
  refusal("file:///srv/a%");
  refusal("file:///srv/a%zz");
  refusal("file:///srv/a%00b");
  refusal("file:///srv/models?x=1");
  refusal("file:///srv/models#x");
  refusal(std::string("/srv/a\0b", 8));
}

TEST(StoreUri, an_unknown_scheme_is_refused_without_its_password) {
  const std::string message = refusal("postgres://user:hunter2@host/models");
  EXPECT_NE(message.find("postgres"), std::string::npos);
  EXPECT_NE(message.find("file:///"), std::string::npos);
  EXPECT_NE(message.find("mongodb+srv://"), std::string::npos);
  EXPECT_EQ(message.find("hunter2"), std::string::npos);
  EXPECT_EQ(message.find("user"), std::string::npos);
  refusal("s3://bucket/models");
  refusal("https://host/models");
}

#if !PTSECURE_WITH_MONGODB
TEST(StoreUri, a_build_without_mongodb_says_so) {
  refusal("mongodb://127.0.0.1/models", Status::unsupported);
}
#endif

TEST(StoreUri, opening_touches_nothing) {
  const TempFolder folder;
  const std::string path = (folder.path() / "new").string();
  EXPECT_EQ(opened("file://" + path), path);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Component, is_checked_as_said) {
  for (const char* good : {"a", "A-b_c.9", "-starts", "_starts", "9", "a..b", "1.jws"}) {
    EXPECT_TRUE(is_component(good)) << good;
  }
  EXPECT_TRUE(is_component(std::string(128, 'x')));
  for (const char* bad : {"", ".", "..", ".a", "a/b", "a b", "$ne", "a\n", "\xc3\xa9", "a=b"}) {
    EXPECT_FALSE(is_component(bad)) << bad;
  }
  EXPECT_FALSE(is_component(std::string(129, 'x')));
  EXPECT_FALSE(is_component(std::string("a\0", 2)));
  EXPECT_EQ(version_text("digits", 7), "digits/7");
}

}  // namespace
}  // namespace ptsecure::test
