#pragma once

#include <memory>
#include <utility>

#include "libptsecure/store/store.hpp"

namespace ptsecure {

// Another store, for tests that change or watch some of its calls.
class ForwardingStore : public Store {
 public:
  explicit ForwardingStore(std::shared_ptr<Store> store) : store_(std::move(store)) {}

  const std::string& display_uri() const override { return store_->display_uri(); }
  bool linearizable_is_slow() const noexcept override { return store_->linearizable_is_slow(); }
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
  void watch(const ChainId& prefix, const std::function<void()>& changed,
             const CancelToken& cancel) override {
    store_->watch(prefix, changed, cancel);
  }
  void check(const std::string& name, const CancelToken& cancel) override {
    store_->check(name, cancel);
  }
  std::vector<StoredRecord> records(const ChainId& chain, std::uint64_t first, std::size_t limit,
                                    ReadConcern concern, const CancelToken& cancel) override {
    return store_->records(chain, first, limit, concern, cancel);
  }
  std::optional<StoredRecord> last_record(const ChainId& chain, ReadConcern concern,
                                          const CancelToken& cancel) override {
    return store_->last_record(chain, concern, cancel);
  }

 private:
  const std::shared_ptr<Store> store_;
};

}  // namespace ptsecure
