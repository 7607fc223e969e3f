#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "tests/registry/registry_fixture.hpp"
#if PTSECURE_WITH_MONGODB
#include "tests/store/mongod.hpp"
#endif

namespace ptsecure {

// The stored bytes, behind the store's back.
class Place {
 public:
  virtual ~Place() = default;
  virtual std::string uri() const = 0;

  virtual void swap_blobs(const BlobId& a, const BlobId& b) = 0;
  virtual void edit_segment(const BlobId& id, std::uint64_t segment,
                            const std::function<void(Bytes&)>& edit) = 0;
  virtual void remove_segment(const BlobId& id, std::uint64_t segment) = 0;
  virtual void copy_segment(const BlobId& id, std::uint64_t from, std::uint64_t to) = 0;
  virtual void remove_blob(const BlobId& id) = 0;
  virtual void replace_manifest(const std::string& name, std::uint64_t version,
                                const std::string& manifest) = 0;

  virtual void put_record(const ChainId& chain, std::uint64_t sequence,
                          const std::string& record) = 0;
  virtual void remove_record(const ChainId& chain, std::uint64_t sequence) = 0;
  // What the store finds a record by says `to`; the record is the same.
  virtual void renumber(const ChainId& chain, std::uint64_t from, std::uint64_t to) = 0;
  // The same for the name of a whole chain, its last component.
  virtual void rename_chain(const ChainId& chain, const std::string& leaf) = 0;
  virtual void remove_version(const std::string& name, std::uint64_t version) = 0;

  virtual void back_up() = 0;
  virtual void restore() = 0;  // everything as it was then
  virtual void remove_store() = 0;
};

class FolderPlace final : public Place {
 public:
  explicit FolderPlace(fs::path root) : root_(std::move(root)) {}

  std::string uri() const override { return root_.string(); }
  void swap_blobs(const BlobId& a, const BlobId& b) override {
    const Bytes first = read_file(path(a));
    write_file(path(a), read_file(path(b)));
    write_file(path(b), first);
  }
  void edit_segment(const BlobId& id, std::uint64_t segment,
                    const std::function<void(Bytes&)>& edit) override {
    Bytes all = read_file(path(id));
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(segment * kSegmentSize);
    const auto size = std::min<std::ptrdiff_t>(kSegmentSize, all.end() - begin);
    Bytes part(begin, begin + size);
    edit(part);
    all.insert(all.erase(begin, begin + size), part.begin(), part.end());
    write_file(path(id), all);
  }
  void remove_segment(const BlobId& id, std::uint64_t segment) override {
    edit_segment(id, segment, [](Bytes& bytes) { bytes.clear(); });
  }
  void copy_segment(const BlobId& id, std::uint64_t from, std::uint64_t to) override {
    Bytes copied;
    edit_segment(id, from, [&](Bytes& bytes) { copied = bytes; });
    edit_segment(id, to, [&](Bytes& bytes) { bytes = copied; });
  }
  void remove_blob(const BlobId& id) override { fs::remove(path(id)); }
  void replace_manifest(const std::string& name, std::uint64_t version,
                        const std::string& manifest) override {
    write_file(path({name, version, "manifest.jws"}), as_bytes(manifest));
  }

  void put_record(const ChainId& chain, std::uint64_t sequence,
                  const std::string& record) override {
    write_file(path(chain, sequence), as_bytes(record));
  }
  void remove_record(const ChainId& chain, std::uint64_t sequence) override {
    ASSERT_TRUE(fs::remove(path(chain, sequence)));
  }
  void renumber(const ChainId& chain, std::uint64_t from, std::uint64_t to) override {
    fs::rename(path(chain, from), path(chain, to));
  }
  void rename_chain(const ChainId& chain, const std::string& leaf) override {
    const fs::path names = folder(chain).parent_path() / ".names";
    fs::rename(folder(chain), folder(chain).parent_path() / leaf);
    fs::remove(names / chain.back());
    write_file(names / leaf, as_bytes(leaf));
  }
  void remove_version(const std::string& name, std::uint64_t version) override {
    fs::remove_all(root_ / "models" / name / std::to_string(version));
  }

  void back_up() override {
    fs::remove_all(backup());
    fs::copy(root_, backup(), fs::copy_options::recursive);
  }
  void restore() override {
    fs::remove_all(root_);
    fs::copy(backup(), root_, fs::copy_options::recursive);
  }
  void remove_store() override { fs::remove_all(root_); }

 private:
  fs::path backup() const { return root_.string() + ".backup"; }
  fs::path path(const BlobId& id) const {
    return root_ / "models" / id.name / std::to_string(id.version) / id.role;
  }
  fs::path folder(const ChainId& chain) const {
    fs::path folder = root_ / "records";
    for (const std::string& part : chain) folder /= part;
    return folder;
  }
  fs::path path(const ChainId& chain, std::uint64_t sequence) const {
    return folder(chain) / (std::to_string(sequence) + ".jws");
  }

  fs::path root_;
};

#if PTSECURE_WITH_MONGODB
class DatabasePlace final : public Place {
 public:
  ~DatabasePlace() override {
    command(R"({"dropDatabase":1})");
    server_.command(backup(), R"({"dropDatabase":1})");
  }

  std::string uri() const override { return server_.uri(database_); }
  void swap_blobs(const BlobId& a, const BlobId& b) override {
    move_chunks(key(a), "aside");
    move_chunks(key(b), key(a));
    move_chunks("aside", key(b));
  }
  void edit_segment(const BlobId& id, std::uint64_t segment,
                    const std::function<void(Bytes&)>& edit) override {
    server_.edit_chunk(database_, key(id), segment, edit);
  }
  void remove_segment(const BlobId& id, std::uint64_t segment) override {
    erase("ptsecure.payloads.chunks",
          R"({"files_id":")" + key(id) + R"(","n":)" + std::to_string(segment) + "}");
  }
  void copy_segment(const BlobId& id, std::uint64_t from, std::uint64_t to) override {
    Bytes copied;
    edit_segment(id, from, [&](Bytes& bytes) { copied = bytes; });
    edit_segment(id, to, [&](Bytes& bytes) { bytes = copied; });
  }
  void remove_blob(const BlobId& id) override {
    erase("ptsecure.payloads.files", R"({"_id":")" + key(id) + "\"}");
    erase("ptsecure.payloads.chunks", R"({"files_id":")" + key(id) + "\"}");
  }
  void replace_manifest(const std::string& name, std::uint64_t version,
                        const std::string& manifest) override {
    update("ptsecure.versions", R"({"_id":")" + name + "/" + std::to_string(version) + "\"}",
           R"({"$set":{"manifest":")" + manifest + "\"}}");
  }

  void put_record(const ChainId& chain, std::uint64_t sequence,
                  const std::string& record) override {
    const nlohmann::json fields{{"record", record},
                                {"chain", text(chain)},
                                {"parent", text({chain.begin(), chain.end() - 1})},
                                {"leaf", chain.back()},
                                {"sequence", {{"$numberLong", std::to_string(sequence)}}}};
    const nlohmann::json change{
        {"q", {{"_id", id(chain, sequence)}}}, {"u", {{"$set", fields}}}, {"upsert", true}};
    command(R"({"update":"ptsecure.records","updates":[)" + change.dump() + "]}");
  }
  void remove_record(const ChainId& chain, std::uint64_t sequence) override {
    erase("ptsecure.records", filter(chain, sequence));
  }
  void renumber(const ChainId& chain, std::uint64_t from, std::uint64_t to) override {
    update("ptsecure.records",
           R"({"chain":")" + text(chain) + R"(","sequence":)" + std::to_string(from) + "}",
           R"({"$set":{"sequence":{"$numberLong":")" + std::to_string(to) + "\"}}}");
  }
  void rename_chain(const ChainId& chain, const std::string& leaf) override {
    ChainId renamed = chain;
    renamed.back() = leaf;
    update("ptsecure.records", R"({"chain":")" + text(chain) + "\"}",
           R"({"$set":{"chain":")" + text(renamed) + R"(","leaf":")" + leaf + "\"}}");
  }
  void remove_version(const std::string& name, std::uint64_t version) override {
    erase("ptsecure.versions", R"({"_id":")" + name + "/" + std::to_string(version) + "\"}");
  }

  void back_up() override {
    server_.command(backup(), R"({"dropDatabase":1})");
    copy(database_, backup());
  }
  void restore() override {
    const std::set<std::string> kept = copy(backup(), database_);
    for (const std::string& collection : collections(database_)) {
      if (!kept.contains(collection)) erase(collection, "{}");
    }
  }
  void remove_store() override { command(R"({"dropDatabase":1})"); }

  std::string command(const std::string& json) const { return server_.command(database_, json); }
  void update(const std::string& collection, const std::string& filter, const std::string& change) {
    command(R"({"update":")" + collection + R"(","updates":[{"q":)" + filter + R"(,"u":)" + change +
            R"(,"multi":true}]})");
  }

 private:
  static std::string key(const BlobId& id) {
    return id.name + "/" + std::to_string(id.version) + "/" + id.role;
  }
  static std::string text(const ChainId& chain) { return chain_text(chain); }
  static std::string id(const ChainId& chain, std::uint64_t sequence) {
    return text(chain) + "/" + std::to_string(sequence);
  }
  static std::string filter(const ChainId& chain, std::uint64_t sequence) {
    return R"({"_id":")" + id(chain, sequence) + "\"}";
  }
  void move_chunks(const std::string& from, const std::string& to) {
    update("ptsecure.payloads.chunks", R"({"files_id":")" + from + "\"}",
           R"({"$set":{"files_id":")" + to + "\"}}");
  }
  void erase(const std::string& collection, const std::string& filter) {
    command(R"({"delete":")" + collection + R"(","deletes":[{"q":)" + filter + R"(,"limit":0}]})");
  }

  std::string backup() const { return database_ + "_backup"; }
  std::set<std::string> collections(const std::string& database) const {
    std::set<std::string> names;
    const auto reply = nlohmann::json::parse(
        server_.command(database, R"({"listCollections":1,"nameOnly":true})"));
    for (const auto& collection : reply["cursor"]["firstBatch"]) names.insert(collection["name"]);
    return names;
  }
  std::set<std::string> copy(const std::string& from, const std::string& to) const {
    std::set<std::string> names = collections(from);
    for (const std::string& name : names) {
      server_.command(from, R"({"aggregate":")" + name + R"(","cursor":{},"pipeline":[{"$out":{)" +
                                R"("db":")" + to + R"(","coll":")" + name + "\"}}]}");
    }
    return names;
  }

  test::Mongod& server_ = test::shared_mongod(test::Mongod::Kind::replica_set);
  std::string database_ = test::fresh_database();
};
#endif

// A test of a store on a folder or on MongoDB, as its parameter says.
class PlaceTest : public RegistryTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    RegistryTest::SetUp();
#if PTSECURE_WITH_MONGODB
    if (std::string(GetParam()) == "Mongodb") place_ = std::make_unique<DatabasePlace>();
#endif
    if (!place_) place_ = std::make_unique<FolderPlace>(store_path());
    registry_ = std::make_unique<Registry>(open_store(place_->uri(), {}), 2);
  }

  std::unique_ptr<Place> place_;
};

}  // namespace ptsecure
