// How structs of older and newer callers are read: needs structs that have grown, which no
// published one has yet.
#include "capi/options.hpp"

#include <gtest/gtest.h>

namespace ptsecure::capi {
namespace {

struct First {
  std::size_t struct_size;
  std::uint64_t one;
};

struct Grown {
  std::size_t struct_size;
  std::uint64_t one;
  std::uint64_t two;
  std::uint64_t three;
};

constexpr Grown kDefaults = {sizeof(Grown), 10, 20, 30};

Grown read(const void* given) {
  return known_part(static_cast<const Grown*>(given), kDefaults, sizeof(First), "grown");
}

Status refusal(const void* given) {
  try {
    read(given);
  } catch (const Error& error) {
    return error.status();
  }
  return Status::ok;
}

TEST(Options, NullMeansDefaults) {
  EXPECT_EQ(read(nullptr).two, 20u);
}

TEST(Options, AnOlderCallerGetsDefaultsForWhatItLacks) {
  const First given = {sizeof(First), 1};
  const Grown known = read(&given);
  EXPECT_EQ(known.struct_size, sizeof(Grown));
  EXPECT_EQ(known.one, 1u);
  EXPECT_EQ(known.two, 20u);
  EXPECT_EQ(known.three, 30u);
}

TEST(Options, ACallerInBetweenKeepsWhatItHas) {
  const Grown given = {offsetof(Grown, three), 1, 2, 3};
  const Grown known = read(&given);
  EXPECT_EQ(known.two, 2u);
  EXPECT_EQ(known.three, 30u);
}

TEST(Options, ANewerCallerMayOnlyAskForWhatIsKnown) {
  struct {
    Grown known;
    unsigned char more[11];
  } given = {{sizeof(Grown) + 11, 1, 2, 3}, {}};
  EXPECT_EQ(read(&given).three, 3u);
  given.more[10] = 1;
  EXPECT_EQ(refusal(&given), Status::invalid_argument);
}

TEST(Options, ImpossibleSizesAreRefused) {
  for (const std::size_t size : {std::size_t{0}, sizeof(First) - 1, kMaxStructSize + 1, SIZE_MAX}) {
    const Grown given = {size, 1, 2, 3};
    EXPECT_EQ(refusal(&given), Status::invalid_argument) << size;
  }
}

TEST(Options, AreReadFromAnyAddress) {
  alignas(Grown) unsigned char memory[sizeof(Grown) + 1] = {};
  const Grown given = {sizeof(Grown), 1, 2, 3};
  std::memcpy(memory + 1, &given, sizeof(given));
  EXPECT_EQ(read(memory + 1).three, 3u);
}

}  // namespace
}  // namespace ptsecure::capi
