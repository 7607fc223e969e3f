#include <chrono>

#include "libptsecure/registry/subjects.hpp"
#include "tests/registry/history_fixture.hpp"

// What a long history costs a restart.
namespace ptsecure {
namespace {

// A store that counts the records that are read from it.
class CountingStore final : public Store {
 public:
  explicit CountingStore(std::shared_ptr<Store> store) : store_(std::move(store)) {}
  std::size_t read() const { return read_; }

  std::vector<StoredRecord> records(const ChainId& chain, std::uint64_t first, std::size_t limit,
                                    ReadConcern concern, const CancelToken& cancel) override {
    auto found = store_->records(chain, first, limit, concern, cancel);
    read_ += found.size();
    return found;
  }
  std::optional<StoredRecord> last_record(const ChainId& chain, ReadConcern concern,
                                          const CancelToken& cancel) override {
    ++read_;
    return store_->last_record(chain, concern, cancel);
  }

  const std::string& display_uri() const override { return store_->display_uri(); }
  void ensure_created(const CancelToken& cancel) override { store_->ensure_created(cancel); }
  std::string id(const CancelToken& cancel) override { return store_->id(cancel); }
  Reservation reserve(const std::string& name, const CancelToken& cancel) override {
    return store_->reserve(name, cancel);
  }
  void commit(const Reservation& reservation, std::string_view manifest,
              const CancelToken& cancel) override {
    store_->commit(reservation, manifest, cancel);
  }
  void abandon(const Reservation& reservation, const CancelToken& cancel) override {
    store_->abandon(reservation, cancel);
  }
  std::unique_ptr<BlobWriter> write_blob(const Reservation& reservation, const std::string& role,
                                         std::uint64_t size, const CancelToken& cancel) override {
    return store_->write_blob(reservation, role, size, cancel);
  }
  std::unique_ptr<BlobReader> read_blob(const BlobId& id, const CancelToken& cancel) override {
    return store_->read_blob(id, cancel);
  }
  std::optional<VersionRow> find(const std::string& name, std::uint64_t version,
                                 const CancelToken& cancel) override {
    return store_->find(name, version, cancel);
  }
  std::optional<VersionRow> newest(const std::string& name, const CancelToken& cancel) override {
    return store_->newest(name, cancel);
  }
  std::vector<ModelRow> models(const std::string& after, std::size_t limit,
                               const CancelToken& cancel) override {
    return store_->models(after, limit, cancel);
  }
  std::vector<VersionRow> versions(const std::string& name, std::uint64_t before, std::size_t limit,
                                   const CancelToken& cancel) override {
    return store_->versions(name, before, limit, cancel);
  }
  void put_wraps(const std::string& key_id, std::uint64_t sequence, std::string_view wraps,
                 const CancelToken& cancel) override {
    store_->put_wraps(key_id, sequence, wraps, cancel);
  }
  std::optional<std::string> get_wraps(const std::string& key_id, std::uint64_t sequence,
                                       const CancelToken& cancel) override {
    return store_->get_wraps(key_id, sequence, cancel);
  }
  void remove_wraps(const std::string& key_id, const CancelToken& cancel) override {
    store_->remove_wraps(key_id, cancel);
  }
  void append_record(const ChainId& chain, std::uint64_t sequence, std::string_view record,
                     const CancelToken& cancel) override {
    store_->append_record(chain, sequence, record, cancel);
  }
  std::vector<std::uint64_t> record_numbers(const ChainId& chain,
                                            const CancelToken& cancel) override {
    return store_->record_numbers(chain, cancel);
  }
  std::vector<std::string> chains(const ChainId& prefix, const CancelToken& cancel) override {
    return store_->chains(prefix, cancel);
  }
  std::vector<ChainHead> heads(const ChainId& prefix, const CancelToken& cancel) override {
    return store_->heads(prefix, cancel);
  }
  void check(const std::string& name, const CancelToken& cancel) override {
    store_->check(name, cancel);
  }

 private:
  const std::shared_ptr<Store> store_;
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

}  // namespace
}  // namespace ptsecure
