#include "libptsecure/base/text.hpp"

#include <gtest/gtest.h>

#include <array>
#include <utility>
#include <vector>

namespace ptsecure {
namespace {

TEST(Letters, AreThoseOfAscii) {
  for (int i = 0; i < 256; ++i) {
    const auto c = static_cast<char>(i);
    const bool letter =
        std::string_view("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ").find(c) !=
        std::string_view::npos;
    EXPECT_EQ(is_letter(c), letter) << i;
    EXPECT_EQ(is_digit(c), i >= '0' && i <= '9') << i;
  }
  EXPECT_EQ(lower_case("AbZ-_.9\xc3\x89"), "abz-_.9\xc3\x89");
}

// Table 3-7 of the Unicode standard, at its edges.
TEST(Utf8, LengthIsThatOfWellFormedCharacters) {
  const std::pair<std::string_view, std::size_t> cases[] = {
      {"", 0},
      {"a", 1},
      {std::string_view("\0", 1), 1},
      {"\x7f", 1},
      {"\x80", 0},
      {"\xbf", 0},
      {"\xc0\x80", 0},
      {"\xc1\xbf", 0},
      {"\xc2\x80", 2},
      {"\xdf\xbf", 2},
      {"\xdf", 0},
      {"\xdf\xc0", 0},
      {"\xe0\x9f\xbf", 0},
      {"\xe0\xa0\x80", 3},
      {"\xe2\x82", 0},
      {"\xed\x9f\xbf", 3},
      {"\xed\xa0\x80", 0},
      {"\xef\xbf\xbf", 3},
      {"\xf0\x8f\xbf\xbf", 0},
      {"\xf0\x90\x80\x80", 4},
      {"\xf0\x90\x80", 0},
      {"\xf4\x8f\xbf\xbf", 4},
      {"\xf4\x90\x80\x80", 0},
      {"\xf5\x80\x80\x80", 0},
      {"\xff", 0},
      {"\xe2\x82\xac and more", 3},
  };
  for (const auto& [text, length] : cases) {
    EXPECT_EQ(utf8_length(text), length) << hex(as_bytes(text));
  }
}

TEST(Control, IsFoundWhereverItStands) {
  for (const std::string_view control :
       {std::string_view("\0", 1), std::string_view("\x1f"), std::string_view("\n"),
        std::string_view("\x7f"), std::string_view("\xc2\x80"), std::string_view("\xc2\x9f"),
        std::string_view("\xe2\x80\xa8"), std::string_view("\xe2\x80\xa9")}) {
    EXPECT_TRUE(is_control(control)) << hex(as_bytes(control));
    EXPECT_TRUE(has_control(control));
    EXPECT_TRUE(has_control("größe\xff" + std::string(control) + "a"));
  }
  for (const char* text : {"", " ", "a", "\xc2\xa0", "größe", "\xe2\x80\xaa", "\xc2", "\xff\x80"}) {
    EXPECT_FALSE(has_control(text)) << text;
  }
}

TEST(PrintableName, KeepsTextAndDropsTheRest) {
  EXPECT_EQ(printable_name("größe"), "größe");
  EXPECT_EQ(printable_name("a\nb\x1b[31m\x7f"), "a?b?[31m?");
  EXPECT_EQ(printable_name("\xff\xc0\x80z"), "???z");
  EXPECT_EQ(printable_name("\xed\xa0\x80"), "???");
  EXPECT_EQ(printable_name("a\xc2\x85z\xe2\x80\xa8"), "a?z?");
  EXPECT_EQ(printable_name(std::string_view("a\0b", 3)), "a?b");
  EXPECT_EQ(printable_name("\xe2\x82"), "??");
  const std::string cut = printable_name(std::string(63, 'a') + "é");
  EXPECT_EQ(cut, std::string(63, 'a') + "...");
  EXPECT_EQ(printable_name(""), "");
}

TEST(Hex, IsReadAsItIsWritten) {
  Bytes bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<std::uint8_t>(i));
  const std::string text = hex(bytes);
  EXPECT_EQ(text.substr(0, 8), "00010203");
  EXPECT_EQ(text.substr(508), "feff");
  EXPECT_EQ(parse_hex(text), bytes);
  EXPECT_EQ(parse_hex("Ab0F"), (Bytes{0xab, 0x0f}));
  EXPECT_EQ(parse_hex(""), Bytes());
  EXPECT_EQ(hex({}), "");
}

TEST(Hex, RefusesWhatIsNone) {
  for (const char* text : {"0", "abc", "0g", "g0", " 1", "1 ", "+1", "-1", "0x", "0x1f", "1.0f"}) {
    EXPECT_EQ(parse_hex(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_hex(std::string_view("00\0\0", 4)), std::nullopt);
}

TEST(Join, PutsTheSeparatorBetween) {
  EXPECT_EQ(join(std::vector<std::string>(), ", "), "");
  EXPECT_EQ(join(std::vector<std::string>{"a"}, ", "), "a");
  EXPECT_EQ(join(std::array{"a", "b", "c"}, "/"), "a/b/c");
  // An empty item is an item.
  EXPECT_EQ(join(std::vector<std::string>{"", "", "c"}, ","), ",,c");
}

TEST(Join, TakesTheTextOfEachItem) {
  const std::vector<std::pair<std::string, int>> items = {{"a", 1}, {"b", 2}};
  EXPECT_EQ(join(items, " ", &std::pair<std::string, int>::first), "a b");
  EXPECT_EQ(join(items, " ", [](const auto& item) { return std::to_string(item.second); }), "1 2");
}

}  // namespace
}  // namespace ptsecure
