#include "tests/registry/forwarding_store.hpp"
#include "tests/registry/registry_fixture.hpp"

// What a publish comes to when its commit fails, or only seems to.
namespace ptsecure {
namespace {

struct Commit {
  const char* name;
  bool arrives;  // the store commits, and then tells a failure
  int failures;  // this many, the first ones
  Status told;
  int tries;
  Status status;  // what the publish comes to
};

class FailingStore final : public ForwardingStore {
 public:
  FailingStore(std::shared_ptr<Store> store, const Commit& test)
      : ForwardingStore(std::move(store)), test_(test) {}

  void commit(const Reservation& reservation, std::string_view manifest,
              const CancelToken& cancel) override {
    const bool fails = ++tries <= test_.failures;
    if (!fails || test_.arrives) ForwardingStore::commit(reservation, manifest, cancel);
    if (fails) throw Error(test_.told, "the commit's answer");
  }
  void abandon(const Reservation& reservation, const CancelToken& cancel) override {
    ++abandoned;
    ForwardingStore::abandon(reservation, cancel);
  }

  int tries = 0;
  int abandoned = 0;

 private:
  const Commit& test_;
};

class CommitTest : public RegistryTest {};

TEST_F(CommitTest, EndsWithTheVersionOrWithoutATrace) {
  constexpr int kAlways = 1000;
  const Commit cases[] = {
      {"goes through", true, 0, Status::ok, 1, Status::ok},
      {"arrives, and its answer is lost", true, 1, Status::unavailable, 2, Status::ok},
      {"arrives, and every answer is lost", true, kAlways, Status::timeout, 3, Status::ok},
      {"arrives, and seems to have failed for good", true, 1, Status::io, 1, Status::ok},
      {"is lost once", false, 1, Status::unavailable, 2, Status::ok},
      {"is lost every time", false, kAlways, Status::timeout, 3, Status::timeout},
      {"is refused", false, kAlways, Status::permission_denied, 1, Status::permission_denied},
  };
  for (const Commit& test : cases) {
    SCOPED_TRACE(test.name);
    const fs::path folder = root_ / "stores" / std::to_string(&test - cases);
    const auto store = std::make_shared<FailingStore>(open_store(folder.string(), {}), test);
    registry_ = std::make_unique<Registry>(store, 2);
    std::uint64_t version = 0;
    EXPECT_EQ(status_of([&] { version = publish("digits", model_bytes(100, 1)); }), test.status);
    EXPECT_EQ(store->tries, test.tries);
    const bool published = test.status == Status::ok;
    EXPECT_EQ(version, published ? 1U : 0U);
    EXPECT_EQ(status_of([&] { decrypt("digits/1"); }), published ? Status::ok : Status::not_found);
    EXPECT_EQ(store->abandoned > 0, !published || test.failures >= test.tries);
    if (published) {
      EXPECT_EQ(decrypt("digits"), model_bytes(100, 1));
      EXPECT_FALSE(verify("digits")) << verify("digits")->what();
    }
  }
}

}  // namespace
}  // namespace ptsecure
