#include "tests/store/mongodb/mongodb_harness.hpp"

namespace ptsecure::test {

MongodbHarness::~MongodbHarness() {
  drop();
}

void MongodbHarness::drop() {
  if (!database_.empty()) server_.command(database_, R"({"dropDatabase":1})");
}

std::shared_ptr<Store> MongodbHarness::make_store() {
  drop();
  database_ = fresh_database();
  return reopen();
}

std::shared_ptr<Store> MongodbHarness::reopen() {
  return open_store(uri(), {});
}

void MongodbHarness::damage(const BlobId& id, BlobDamage what) {
  const std::string key = id.name + "/" + std::to_string(id.version) + "/" + id.role;
  const auto remove = [&](const std::string& collection, const std::string& filter, int limit) {
    server_.command(database_, R"({"delete":"ptsecure.payloads.)" + collection +
                                   R"(","deletes":[{"q":)" + filter + R"(,"limit":)" +
                                   std::to_string(limit) + "}]}");
  };
  const std::string of_file = R"("files_id":")" + key + "\"";
  const std::string last_number = [&] {
    const std::string reply = server_.command(
        database_, R"({"count":"ptsecure.payloads.chunks","query":{)" + of_file + "}}");
    const std::size_t at = reply.find("\"n\" : ") + 6;
    return std::to_string(std::stoul(reply.substr(at)) - 1);
  }();
  switch (what) {
    case BlobDamage::remove:
      remove("files", R"({"_id":")" + key + "\"}", 1);
      remove("chunks", "{" + of_file + "}", 0);
      break;
    case BlobDamage::cut_byte:
      server_.edit_chunk(database_, key, std::stoul(last_number), [](Bytes& b) { b.pop_back(); });
      break;
    case BlobDamage::append_byte:
      server_.edit_chunk(database_, key, std::stoul(last_number), [](Bytes& b) { b.push_back(7); });
      break;
    case BlobDamage::cut_segment:
      remove("chunks", "{" + of_file + R"(,"n":)" + last_number + "}", 1);
      break;
    case BlobDamage::drop_segment:
      remove("chunks", "{" + of_file + R"(,"n":1})", 1);
      break;
  }
}

INSTANTIATE_TEST_SUITE_P(Mongodb, StoreConformance,
                         testing::Values(StoreKind{"replica_set",
                                                   [] {
                                                     return std::make_unique<MongodbHarness>(
                                                         shared_mongod(Mongod::Kind::replica_set));
                                                   }},
                                         StoreKind{"standalone",
                                                   [] {
                                                     return std::make_unique<MongodbHarness>(
                                                         shared_mongod(Mongod::Kind::standalone));
                                                   }}),
                         store_kind_name);

}  // namespace ptsecure::test
