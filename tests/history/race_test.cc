#include <barrier>
#include <thread>

#include "libptsecure/history/bodies.hpp"
#include "tests/history/history_fixture.hpp"

// Two operators who move one alias at the same time.
namespace ptsecure {
namespace {

class Race : public History {
 protected:
  bool on_folder() const { return std::string(GetParam()) == "Folder"; }

  // Runs `call(operator)` in two threads that start together, and gives both outcomes.
  template <class Call>
  static std::pair<Status, Status> race(Call call) {
    std::barrier start(2);
    Status other{};
    std::thread thread([&] {
      start.arrive_and_wait();
      other = status_of([&] { call(1); });
    });
    start.arrive_and_wait();
    const Status one = status_of([&] { call(0); });
    thread.join();
    return {one, other};
  }
};

// Both have seen the same head: one record follows it, the other's writer is told.
TEST_P(Race, OneWinsAndTheOtherIsTold) {
  publish_two();
  const std::shared_ptr<Registry> operators[] = {fresh(), fresh()};
  const ChainSubject subject = alias_subject("digits", "production");
  std::optional<ChainRecord> head = registry_->access(keys_, none_).records().last(subject);
  const std::string body = AliasBody::from_record(*head).to_json();
  const int rounds = (on_folder() ? 800 : 200) / (PTSECURE_SANITIZED ? 8 : 1);
  const int logged = 20;
  int wins[2] = {0, 0};
  for (int round = 0; round < rounds; ++round) {
    const auto [one, other] = race([&](int who) {
      const Access access = operators[who]->access(keys_, none_);
      const char* reason = who == 0 ? "one" : "other";
      if (round < logged) {
        append_logged(access, subject, head, body, reason, alias_change(2));
      } else {  // the record alone: its chain is what decides
        access.records().append(subject, head, body, reason);
      }
    });
    ASSERT_TRUE((one == Status::ok && other == Status::conflict) ||
                (one == Status::conflict && other == Status::ok))
        << round << ": " << status_name(one) << " and " << status_name(other);
    ++wins[one == Status::ok ? 0 : 1];
    const auto now = registry_->access(keys_, none_).records().last(subject);
    ASSERT_EQ(now->head.sequence, head->head.sequence + 1);
    ASSERT_EQ(now->head.reason, one == Status::ok ? "one" : "other");
    head = now;
    if (round + 1 == logged) expect_honest(*registry_);
  }
  std::printf("won: %d and %d\n", wins[0], wins[1]);
  EXPECT_EQ(registry_->alias_history("digits", "production", keys_, {}).size(),
            static_cast<std::size_t>(rounds) + 2);
  EXPECT_EQ(findings(*fresh()).size(), static_cast<std::size_t>(rounds - logged))
      << "what was written past the log is all that is wrong";
}

// The whole operation, each operator with a state of their own: whoever fails was told why, and
// nobody is told that the store was rolled back.
TEST_P(Race, OperatorsWithStatesOfTheirOwn) {
  publish_two();
  const auto client = [&](const char* name) {
    return std::make_unique<Registry>(
        open_store(place_->uri(), {}), 2,
        std::make_shared<StateFile>((root_ / name / "state.json").string()));
  };
  const std::unique_ptr<Registry> operators[] = {client("one"), client("other")};
  int made = 0;
  for (int round = 0; round < (on_folder() ? 30 : 15); ++round) {
    const auto [one, other] = race(
        [&](int who) { set(*operators[who], "production", static_cast<std::uint64_t>(1 + who)); });
    for (const Status status : {one, other}) {
      ASSERT_TRUE(status == Status::ok || status == Status::conflict) << status_name(status);
      if (status == Status::ok) ++made;
    }
    ASSERT_TRUE(one == Status::ok || other == Status::ok);
  }
  set(*operators[0], "production", 2);
  EXPECT_EQ(registry_->alias_history("digits", "production", keys_, {}).size(),
            static_cast<std::size_t>(made) + 3);
  for (const auto& each : operators) expect_honest(*each);
}

INSTANTIATE_TEST_SUITE_P(Folder, Race, testing::Values("Folder"));
#if PTSECURE_WITH_MONGODB
INSTANTIATE_TEST_SUITE_P(Mongodb, Race, testing::Values("Mongodb"));
#endif

}  // namespace
}  // namespace ptsecure
