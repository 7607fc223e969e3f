#include <chrono>

#include "libptsecure/history/bodies.hpp"
#include "tests/history/history_fixture.hpp"
#include "tests/registry/forwarding_store.hpp"

// What a long history costs a restart.
namespace ptsecure {
namespace {

// A store that counts the records that are read from it.
class CountingStore final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  std::size_t read() const { return read_; }

  std::vector<StoredRecord> records(const ChainId& chain, std::uint64_t first, std::size_t limit,
                                    ReadConcern concern, const CancelToken& cancel) override {
    auto found = ForwardingStore::records(chain, first, limit, concern, cancel);
    read_ += found.size();
    return found;
  }
  std::optional<StoredRecord> last_record(const ChainId& chain, ReadConcern concern,
                                          const CancelToken& cancel) override {
    ++read_;
    return ForwardingStore::last_record(chain, concern, cancel);
  }

 private:
  std::size_t read_ = 0;
};

class LongChain : public History {
 protected:
  struct Cost {
    std::size_t records;
    double seconds;
  };

  // A process that starts with the state of those before it and asks for the alias once.
  Cost restart() const {
    const auto store = std::make_shared<CountingStore>(open_store(place_->uri(), {}));
    const auto start = std::chrono::steady_clock::now();
    const Registry client(store, 1, std::make_shared<StateFile>(state_->path()));
    EXPECT_EQ(client.alias("digits", "production", keys_, none_).sequence, length_);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    return {store->read(), took.count()};
  }

  // Past the store's and the log's checks, which would take minutes; the records are real ones.
  void grow_to(std::uint64_t length) {
    const ChainSubject subject = alias_subject("digits", "production");
    const Access access = registry_->access(keys_, none_);
    std::optional<ChainRecord> head = access.records().last(subject);
    const std::string body = AliasBody::from_record(*head).to_json();
    while (head->head.sequence < length) {
      const SignedRecord next = access.records().sign(subject, head, body, "again");
      place_->put_record(subject.chain, next.record.head.sequence, next.jws);
      head = next.record;
    }
    length_ = length;
  }

  std::uint64_t length_ = 0;
};

TEST_P(LongChain, ARestartReadsFromWhereItLeftOff) {
  constexpr std::uint64_t kLength = 10000;
  publish_two();
  grow_to(kLength);
  const Cost first = restart();  // nothing remembered: the head and the one before it
  EXPECT_LE(first.records, 4U);
  const Cost again = restart();
  EXPECT_LE(again.records, 4U);
  grow_to(kLength + 20);
  const Cost behind = restart();
  EXPECT_LE(behind.records, 24U);
  grow_to(kLength + 1020);
  const Cost far_behind = restart();
  EXPECT_GE(far_behind.records, 1000U) << "every link since then is looked at";
  EXPECT_LE(far_behind.records, 1030U);
  std::printf(
      "restart on a chain of %d: %zu records, %.1f ms; 20 behind: %zu, %.1f ms; 1000: %zu, "
      "%.1f ms\n",
      static_cast<int>(kLength), again.records, again.seconds * 1e3, behind.records,
      behind.seconds * 1e3, far_behind.records, far_behind.seconds * 1e3);
}

INSTANTIATE_TEST_SUITE_P(Folder, LongChain, testing::Values("Folder"));
#if PTSECURE_WITH_MONGODB
INSTANTIATE_TEST_SUITE_P(Mongodb, LongChain, testing::Values("Mongodb"));
#endif

}  // namespace
}  // namespace ptsecure
