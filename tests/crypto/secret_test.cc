#include "libptsecure/crypto/secret.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "libptsecure/crypto/random.hpp"
#include "libptsecure/crypto/secret_json.hpp"
#include "tests/crypto/expect_status.hpp"

namespace ptsecure {
namespace {

bool all_zero(const std::uint8_t* data, std::size_t size) {
  return std::all_of(data, data + size, [](std::uint8_t byte) { return byte == 0; });
}

// The lines of /proc/self/smaps about the mapping that holds the address.
std::string mapping_of(const void* address) {
  std::ifstream smaps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::string line, found;
  bool inside = false;
  while (std::getline(smaps, line)) {
    std::uintptr_t from = 0, to = 0;
    char dash = 0;
    std::istringstream in(line);
    const std::string first = line.substr(0, line.find(' '));
    if (first.find('-') != std::string::npos && (in >> std::hex >> from >> dash >> to)) {
      inside = from <= wanted && wanted < to;
    }
    if (inside) found += line + '\n';
  }
  return found;
}

TEST(Secret, StartsZeroedAndKeepsItsSize) {
  for (const std::size_t size : {1u, 15u, 16u, 17u, 32u, 100u, 4096u, 8192u, 8193u, 100000u}) {
    SecretBytes bytes(size);
    EXPECT_EQ(bytes.size(), size);
    EXPECT_TRUE(all_zero(bytes.data(), size));
    std::fill(bytes.span().begin(), bytes.span().end(), std::uint8_t{0xa5});
  }
  EXPECT_TRUE(SecretBytes().empty());
  EXPECT_TRUE(SecretBytes(0).empty());
}

TEST(Secret, FreedBlocksAreZeroedBeforeTheyAreUsedAgain) {
  for (const std::size_t size : {16u, 32u, 48u, 1000u, 8192u}) {
    const std::uint8_t* where = nullptr;
    {
      SecretBytes bytes = SecretBytes::random(size);
      where = bytes.data();
    }
    // The arena keeps the page; the first word may hold the free list's link.
    EXPECT_TRUE(all_zero(where + sizeof(void*), size - sizeof(void*))) << size;
    SecretBytes again(size);
    EXPECT_EQ(again.data(), where);
    EXPECT_TRUE(all_zero(again.data(), size));
  }
}

TEST(Secret, MovesButDoesNotCopy) {
  static_assert(!std::is_copy_constructible_v<SecretBytes>);
  SecretBytes a = SecretBytes::copy(as_bytes("secret"));
  const std::uint8_t* data = a.data();
  SecretBytes b = std::move(a);
  EXPECT_EQ(b.data(), data);
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move)
  a = std::move(b);
  EXPECT_EQ(as_text(a.view()), "secret");
  SecretBytes c = a.clone();
  EXPECT_NE(c.data(), a.data());
  EXPECT_EQ(as_text(c.view()), "secret");
}

TEST(Secret, PagesAreLockedFencedAndLeftOutOfCoreDumps) {
  const SecretBytes small = SecretBytes::random(32);
  const SecretBytes large = SecretBytes::random(20000);
  for (const SecretBytes* bytes : {&small, &large}) {
    const std::string mapping = mapping_of(bytes->data());
    ASSERT_FALSE(mapping.empty());
    const std::size_t flags = mapping.find("VmFlags:");
    ASSERT_NE(flags, std::string::npos) << mapping;
    EXPECT_NE(mapping.find(" dd", flags), std::string::npos) << "not DONTDUMP: " << mapping;
    if (secret_memory_locked()) {
      EXPECT_NE(mapping.find(" lo", flags), std::string::npos) << "not locked: " << mapping;
    }
  }
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto start = reinterpret_cast<std::uintptr_t>(large.data()) & ~(page - 1);
  EXPECT_NE(mapping_of(reinterpret_cast<void*>(start - 1)).find("---p"), std::string::npos);
  const auto end =
      (reinterpret_cast<std::uintptr_t>(large.data()) + large.size() + page - 1) & ~(page - 1);
  EXPECT_NE(mapping_of(reinterpret_cast<void*>(end)).find("---p"), std::string::npos);
}

TEST(Secret, SaysSoWhenPagesCannotBeLocked) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // A limit binds root too once the capability is gone; without either there is nothing to test.
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_MEMLOCK, &none);
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(3);
    const bool before = secret_memory_locked();
    const SecretBytes bytes = SecretBytes::random(200000);
    ::_exit(!before ? 2 : secret_memory_locked() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (secret_memory_locked()) {
    EXPECT_EQ(WEXITSTATUS(status), 0);
  } else {
    EXPECT_EQ(WEXITSTATUS(status), 2);
  }
}

TEST(Secret, ManyThreads) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t, &wrong] {
      std::vector<SecretBytes> held;
      for (std::size_t i = 0; i < 3000; ++i) {
        held.emplace_back(1 + (i * 37 + static_cast<std::size_t>(t)) % 9000);
        if (!all_zero(held.back().data(), held.back().size())) ++wrong;
        std::fill(held.back().span().begin(), held.back().span().end(), std::uint8_t{0xff});
        if (held.size() > 20) held.erase(held.begin() + static_cast<std::ptrdiff_t>(i % 20));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Secret, UsableInAForkedChild) {
  const SecretBytes before = SecretBytes::copy(as_bytes("kept over the fork"));
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const SecretBytes mine = SecretBytes::random(64);
    const bool locked = mapping_of(mine.data()).find(" lo") != std::string::npos;
    ::_exit(as_text(before.view()) == "kept over the fork" && locked == secret_memory_locked() ? 0
                                                                                               : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(Secret, JsonLiesInSecretMemory) {
  const std::string text = R"({"k":"0123456789abcdef0123456789abcdef","list":[{"a":"short"}]})";
  const SecretJson json = parse_secret_json(text);
  const auto& k = json.at("k").get_ref<const SecretString&>();
  EXPECT_EQ(k, "0123456789abcdef0123456789abcdef");
  EXPECT_NE(mapping_of(k.data()).find(" dd"), std::string::npos);
  const auto& shorter = json.at("list").at(0).at("a").get_ref<const SecretString&>();
  EXPECT_NE(mapping_of(shorter.data()).find(" dd"), std::string::npos);
  EXPECT_STATUS(corrupt, parse_secret_json(R"({"k":1,"k":2})"));
}

// Looks through the ordinary heap, freed memory included, for a secret that a parse left behind.
TEST(Secret, ParsingLeavesNoCopyInTheHeap) {
  const std::string pattern = "Zq7-marker-that-occurs-nowhere-else-" + random_id();
  [[maybe_unused]] const auto traces = [&] {
    std::ifstream maps("/proc/self/maps");
    std::string line;
    std::size_t count = 0;
    while (std::getline(maps, line)) {
      if (line.find("[heap]") == std::string::npos) continue;
      std::uintptr_t from = 0, to = 0;
      char dash = 0;
      std::istringstream(line) >> std::hex >> from >> dash >> to;
      const char* at = reinterpret_cast<const char*>(from);
      const char* end = reinterpret_cast<const char*>(to);
      while ((at = static_cast<const char*>(::memmem(at, static_cast<std::size_t>(end - at),
                                                     pattern.data(), pattern.size())))) {
        ++count;
        ++at;
      }
    }
    return count;
  };
#if !PTSECURE_SANITIZED  // whose allocator keeps no [heap]
  SecretString text;
  text.reserve(256);
  text.append(R"({"kty":"oct","k":")").append(pattern).append("\"}");
  const std::size_t before = traces();
  ASSERT_GE(before, 1u);  // `pattern` itself
  const SecretJson json = parse_secret_json(text);
  EXPECT_EQ(json.at("k").get_ref<const SecretString&>(), SecretString(pattern));
  EXPECT_EQ(traces(), before);
#endif
}

TEST(Random, DiffersEachTimeAndInAForkedChild) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = random_id();
    EXPECT_EQ(id.size(), 22u);
    EXPECT_TRUE(seen.insert(id).second);
  }
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::string id = random_id();
    ::_exit(::write(fds[1], id.data(), id.size()) == 22 ? 0 : 1);
  }
  const std::string mine = random_id();
  char theirs[22];
  ASSERT_EQ(::read(fds[0], theirs, sizeof theirs), 22);
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(fds[0]);
  ::close(fds[1]);
  EXPECT_NE(mine, std::string(theirs, sizeof theirs));
}

}  // namespace
}  // namespace ptsecure
