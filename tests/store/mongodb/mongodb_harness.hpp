#pragma once

#include <memory>
#include <string>

#include "tests/store/conformance.hpp"
#include "tests/store/mongod.hpp"

namespace ptsecure::test {

// A store in a database of its own on one of the shared servers.
class MongodbHarness final : public StoreHarness {
 public:
  explicit MongodbHarness(Mongod& server) : server_(server) {}
  ~MongodbHarness() override;

  std::shared_ptr<Store> make_store() override;
  std::shared_ptr<Store> reopen() override;
  std::string uri() override { return server_.uri(database_); }
  void damage(const BlobId& id, BlobDamage what) override;
  int race_rounds() const override { return 40; }

  const std::string& database() const { return database_; }

 private:
  void drop();

  Mongod& server_;
  std::string database_;
};

}  // namespace ptsecure::test
