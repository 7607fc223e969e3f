#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/history/announce.hpp"
#include "tests/registry/place.hpp"

namespace ptsecure {

inline constexpr ReadConcern kMajority = ReadConcern::majority;

// A store with a history, clients that remember it in a state file, and others that don't.
class History : public PlaceTest {
 protected:
  struct Finding {
    std::string check;
    Status status;
    std::string detail;
  };

  void SetUp() override {
    PlaceTest::SetUp();
    state_ = std::make_shared<StateFile>((root_ / "state" / "state.json").string());
  }

  std::shared_ptr<Registry> fresh() const {
    return std::make_shared<Registry>(open_store(place_->uri(), {}), 2);
  }
  // A process that starts, with the state of those before it.
  std::shared_ptr<Registry> remembering() const {
    return std::make_shared<Registry>(open_store(place_->uri(), {}), 2,
                                      std::make_shared<StateFile>(state_->path()));
  }

  // digits/1 and digits/2; production points at 1, then at 2.
  void publish_two() {
    publish("digits", model_bytes(100, 1));
    publish("digits", model_bytes(100, 2));
    set(*registry_, "production", 1);
    set(*registry_, "production", 2);
  }
  std::uint64_t publish_with(const Registry& registry, const std::string& name,
                             const Bytes& bytes) const {
    PublishOptions options;
    options.format = std::string(kOpaque);
    return registry.publish(name, *memory_input(bytes), keys_, options);
  }
  void set(const Registry& registry, const std::string& alias, std::uint64_t version) const {
    registry.set_alias("digits", alias, version, "", keys_, none_);
  }
  Bytes fetch(const Registry& registry, const std::string& reference) const {
    const auto package = registry.fetch(reference, keys_, {});
    Bytes out(package->manifest().payload("model").plaintext_size);
    package->decrypt({}, out);
    return out;
  }

  std::string record(const ChainId& chain, std::uint64_t sequence) const {
    const auto found = registry_->store().records(chain, sequence, 1, kMajority, {});
    if (found.empty() || found[0].sequence != sequence) {
      ADD_FAILURE() << chain_text(chain) << " has no record " << sequence;
      return {};
    }
    return found[0].record;
  }
  RecordMark log_head() const {
    const auto last = registry_->store().last_record({"log"}, kMajority, {});
    return {last->sequence, sha256(as_bytes(last->record))};
  }
  static LogBody alias_change(std::uint64_t version) {
    LogBody change;
    change.what = kLogAlias;
    change.name = "digits";
    change.alias = "production";
    change.version = version;
    return change;
  }

  std::vector<Finding> findings(const Registry& registry,
                                const std::optional<RecordMark>& head = {}) const {
    std::vector<Finding> found;
    const auto first = registry.verify_log(
        keys_, head,
        [&](const std::string& check, Status status, const std::string& detail) {
          if (status != Status::ok) found.push_back({check, status, detail});
        },
        {});
    EXPECT_EQ(first.has_value(), !found.empty());
    return found;
  }
  // `log verify` has a finding of this status, under this check, with these words.
  void expect_reported(const Registry& registry, Status status, const std::string& check,
                       const std::string& phrase,
                       const std::optional<RecordMark>& head = {}) const {
    std::string all;
    for (const Finding& found : findings(registry, head)) {
      if (found.status == status && found.check.starts_with(check) &&
          found.detail.find(phrase) != std::string::npos) {
        return;
      }
      all += "\n  " + found.check + ": " + status_name(found.status) + ": " + found.detail;
    }
    ADD_FAILURE() << "not reported: " << check << ": " << phrase << "\nbut" << all;
  }
  // The honest history reads, with this memory and without one, to the last record of the log.
  void expect_honest(const Registry& client) const {
    const auto stranger = fresh();
    for (const Registry* reader : {&client, static_cast<const Registry*>(stranger.get())}) {
      EXPECT_EQ(fetch(*reader, "digits"), model_bytes(100, 2));
      EXPECT_EQ(fetch(*reader, "digits@production"), model_bytes(100, 2));
      EXPECT_FALSE(reader->alias_history("digits", "production", keys_, {}).empty());
      for (const Finding& found : findings(*reader)) {
        ADD_FAILURE() << found.check << ": " << found.detail;
      }
    }
  }

  std::shared_ptr<StateFile> state_;
  const CancelToken none_;
};

}  // namespace ptsecure
