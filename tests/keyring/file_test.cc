#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "keyring_fixture.hpp"
#include "libptsecure/crypto/jwe.hpp"
#include "libptsecure/crypto/random.hpp"

namespace ptsecure {
namespace {

namespace fs = std::filesystem;

constexpr Keyring::LoadOptions kDefaults{};

class KeyFileTest : public testing::Test {
 protected:
  KeyFileTest() {
    folder_ = fs::temp_directory_path() / ("ptsecure-keyring-" + random_id());
    fs::create_directory(folder_);
  }
  ~KeyFileTest() override { fs::remove_all(folder_); }

  std::string path(const char* name = "keys.json") const { return (folder_ / name).string(); }
  static unsigned mode_of(const std::string& file) {
    struct stat info{};
    EXPECT_EQ(::stat(file.c_str(), &info), 0);
    return info.st_mode & 07777;
  }
  static std::string read(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static Keyring::LoadOptions with_passphrase(const char* text) {
    Keyring::LoadOptions options;
    options.passphrase = text;
    return options;
  }

  fs::path folder_;
};

TEST_F(KeyFileTest, LoadsWhatItSaves) {
  const Keyring keyring = Keyring::generate();
  keyring.save(path());
  EXPECT_EQ(mode_of(path()), 0600U);
  EXPECT_EQ(set_of(Keyring::load(path(), kDefaults)), set_of(keyring));
  keyring.public_part().save(path("public.json"));
  EXPECT_EQ(mode_of(path("public.json")), 0644U);
  EXPECT_EQ(set_of(Keyring::load(path("public.json"), kDefaults)), set_of(keyring.public_part()));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2) << "nothing is left beside them";
}

TEST_F(KeyFileTest, ModesDoNotDependOnTheUmask) {
  const mode_t before = ::umask(0);
  Keyring::generate().save(path());
  ::umask(077);
  Keyring::generate().public_part().save(path("public.json"));
  ::umask(before);
  EXPECT_EQ(mode_of(path()), 0600U);
  EXPECT_EQ(mode_of(path("public.json")), 0644U);
}

TEST_F(KeyFileTest, SaveNeverReplaces) {
  const Keyring first = Keyring::generate();
  first.save(path());
  expect_error(Status::already_exists, "never replaced", [&] { Keyring::generate().save(path()); });
  EXPECT_EQ(set_of(Keyring::load(path(), kDefaults)), set_of(first));
  fs::create_symlink(folder_ / "nowhere", folder_ / "link");
  expect_error(Status::already_exists, "", [&] { Keyring::generate().save(path("link")); });
  EXPECT_FALSE(fs::exists(folder_ / "nowhere"));
  expect_error(Status::not_found, "can't be created",
               [&] { Keyring::generate().save(path("no/such/folder.json")); });
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2);
}

TEST_F(KeyFileTest, PrivateKeysMustBeOutOfOthersReach) {
  Keyring::generate().save(path());
  Keyring::LoadOptions group;
  group.allow_group_read = true;
  for (const unsigned mode : {0600U, 0400U, 0700U}) {
    fs::permissions(path(), static_cast<fs::perms>(mode));
    EXPECT_NO_THROW(Keyring::load(path(), kDefaults)) << std::oct << mode;
  }
  for (const unsigned mode : {0640U, 0440U}) {
    fs::permissions(path(), static_cast<fs::perms>(mode));
    expect_error(Status::permission_denied, "chmod 600 " + path(),
                 [&] { Keyring::load(path(), kDefaults); });
    EXPECT_NO_THROW(Keyring::load(path(), group)) << std::oct << mode;
  }
  for (const unsigned mode : {0620U, 0660U, 0644U, 0604U, 0602U, 0601U, 0610U, 0666U, 0777U}) {
    fs::permissions(path(), static_cast<fs::perms>(mode));
    for (const auto& options : {kDefaults, group}) {
      expect_error(Status::permission_denied, "chmod 600 " + path(),
                   [&] { Keyring::load(path(), options); });
    }
  }
}

TEST_F(KeyFileTest, PublicKeysMayBeReadByAllButNotWritten) {
  Keyring::generate().split(Role::verifier).save(path());
  fs::permissions(path(), fs::perms{0664});
  EXPECT_NO_THROW(Keyring::load(path(), kDefaults));
  fs::permissions(path(), fs::perms{0666});
  expect_error(Status::permission_denied, "chmod o-w " + path(),
               [&] { Keyring::load(path(), kDefaults); });
}

TEST_F(KeyFileTest, SymmetricKeysCountAsPrivate) {
  const nlohmann::json key = json_of(Jwk::generate_oct(32).with_members({{"use", "enc"}}));
  std::ofstream(path()) << nlohmann::json{{"keys", {key}}};
  fs::permissions(path(), fs::perms{0644});
  expect_error(Status::permission_denied, "chmod 600", [&] { Keyring::load(path(), kDefaults); });
}

TEST_F(KeyFileTest, LinksAreFollowedAndTheirTargetIsChecked) {
  Keyring::generate().save(path());
  fs::create_symlink("keys.json", folder_ / "link");
  EXPECT_NO_THROW(Keyring::load(path("link"), kDefaults));
  fs::permissions(path(), fs::perms{0644});
  expect_error(Status::permission_denied, "chmod 600",
               [&] { Keyring::load(path("link"), kDefaults); });
}

TEST_F(KeyFileTest, FilesOfOtherUsersAreRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  Keyring::generate().save(path());
  ASSERT_EQ(::chown(path().c_str(), 12345, 12345), 0);
  expect_error(Status::permission_denied, "belongs to another user (uid 12345)",
               [&] { Keyring::load(path(), kDefaults); });
}

TEST_F(KeyFileTest, OnlyRegularFilesOfSensibleSize) {
  expect_error(Status::not_found, path(), [&] { Keyring::load(path(), kDefaults); });
  expect_error(Status::invalid_argument, "regular file",
               [&] { Keyring::load(folder_.string(), kDefaults); });
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  expect_error(Status::invalid_argument, "regular file",
               [&] { Keyring::load(path("fifo"), kDefaults); });
  std::ofstream(path()) << std::string((1 << 20) + 1, ' ');
  fs::permissions(path(), fs::perms{0600});
  expect_error(Status::limit_exceeded, "1 MiB", [&] { Keyring::load(path(), kDefaults); });
  std::ofstream(path(), std::ios::trunc).flush();
  EXPECT_ANY_THROW(Keyring::load(path(), kDefaults)) << "empty";
}

TEST_F(KeyFileTest, ErrorsNameTheFileAndQuoteNoSecret) {
  nlohmann::json set = set_of(Keyring::generate());
  const std::string secret = set["keys"][0]["d"];
  set["keys"][0]["d"] = secret.substr(1);
  std::ofstream(path()) << set;
  fs::permissions(path(), fs::perms{0600});
  try {
    Keyring::load(path(), kDefaults);
    FAIL();
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find(path()), std::string::npos) << message;
    EXPECT_EQ(message.find(secret.substr(1, 8)), std::string::npos) << message;
  }
}

TEST_F(KeyFileTest, APassphraseProtectsAFile) {
  const Keyring keyring = Keyring::generate();
  keyring.save(path(), "correct horse");
  EXPECT_EQ(mode_of(path()), 0600U);
  const std::string text = read(path());
  const JweHeader header = jwe_header(text.substr(0, text.find('\n')));
  EXPECT_EQ(header.alg, "PBES2-HS512+A256KW");
  EXPECT_EQ(header.cty, "jwk-set+json");
  EXPECT_EQ(set_of(Keyring::load(path(), with_passphrase("correct horse"))), set_of(keyring));
  expect_error(Status::no_key, path(), [&] { Keyring::load(path(), with_passphrase("wrong")); });
  expect_error(Status::no_key, "protected by a passphrase",
               [&] { Keyring::load(path(), kDefaults); });
  fs::permissions(path(), fs::perms{0644});
  expect_error(Status::permission_denied, "chmod 600",
               [&] { Keyring::load(path(), with_passphrase("correct horse")); });
}

TEST_F(KeyFileTest, AnEncryptedSetMustSayThatItIsOne) {
  const Keyring keyring = Keyring::generate();
  const SecretString json = keyring.to_json();
  const std::string jwe = jwe_encrypt_password(as_bytes(json), "pass", 1000, "text/plain");
  expect_error(Status::corrupt, "jwk-set+json",
               [&] { Keyring::parse(jwe, with_passphrase("pass")); });
  const std::string right = jwe_encrypt_password(as_bytes(json), "pass", 1000, "jwk-set+json");
  EXPECT_EQ(set_of(Keyring::parse(" " + right + "\n", with_passphrase("pass"))), set_of(keyring));
}

TEST_F(KeyFileTest, FromTheEnvironment) {
  const Keyring keyring = Keyring::generate();
  const SecretString json = keyring.to_json();
  constexpr const char* kVariable = "PTSECURE_TEST_KEYRING";
  ::setenv(kVariable, std::string(json).c_str(), 1);
  EXPECT_EQ(set_of(Keyring::from_env(kVariable, kDefaults)), set_of(keyring));
  ::setenv(kVariable, "nonsense", 1);
  expect_error(Status::corrupt, kVariable, [&] { Keyring::from_env(kVariable, kDefaults); });
  ::unsetenv(kVariable);
  expect_error(Status::not_found, kVariable, [&] { Keyring::from_env(kVariable, kDefaults); });
}

}  // namespace
}  // namespace ptsecure
