#include "tests/registry/place.hpp"

// verify() of a version of two payloads, weights and the program that was sealed along with them:
// on a folder and on MongoDB.
namespace ptsecure {
namespace {

struct Checked {
  std::string check;
  Status status;
  std::string detail;
};

class Verify : public PlaceTest {
 protected:
  void SetUp() override {
    PlaceTest::SetUp();
    const Bytes program = model_bytes(1100000, 2);
    seal("digits", std::string(kAotInductor), model_bytes(2200000, 1), &program);
    registry_->set_alias("digits", "production", 1, "", keys_, {});
    registry_->set_alias("digits", "production", 1, "again", keys_, {});
    const auto package = registry_->fetch("digits", keys_, {});
    program_key_ = package->manifest().program().key_id;
    weights_key_ = package->manifest().own_payload().key_id;
  }

  std::vector<Checked> verify_with(const Keyring& keys) const {
    std::vector<Checked> found;
    const auto first =
        Registry(open_store(place_->uri(), {}), 2)
            .verify("digits", keys, {},
                    [&](const std::string& check, Status status, const std::string& detail) {
                      found.push_back({check, status, detail});
                    });
    const auto failed = std::find_if(found.begin(), found.end(), [](const Checked& checked) {
      return checked.status != Status::ok;
    });
    EXPECT_EQ(first.has_value(), failed != found.end());
    if (first && failed != found.end()) {
      EXPECT_EQ(first->status(), failed->status);
    }
    return found;
  }

  static const std::vector<std::string>& all_checks() {
    static const std::vector<std::string> checks = {"index",
                                                    "manifest",
                                                    "key records of model",
                                                    "wrapped keys of model",
                                                    "payload model",
                                                    "key records",
                                                    "wrapped keys",
                                                    "payload weights",
                                                    "aliases",
                                                    "alias production",
                                                    "log"};
    return checks;
  }

  std::string program_key_;
  std::string weights_key_;
};

TEST_P(Verify, LooksAtEveryPayload) {
  const struct {
    const char* name;
    Keyring keys;
    const char* wraps;
    const char* segments;
  } cases[] = {
      {"all roles", keys_, "1 recipients, as signed, and this keyring opens one",
       "segments match the signed digests and decrypt"},
      {"a verifier", keys_.split(Role::verifier),
       "1 recipients, as signed; this keyring opens none of them",
       "segments match the signed digests"},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.name);
    const std::vector<Checked> found = verify_with(test.keys);
    std::vector<std::string> names;
    for (const Checked& checked : found) {
      SCOPED_TRACE(checked.check);
      names.push_back(checked.check);
      EXPECT_EQ(checked.status, Status::ok) << checked.detail;
      if (checked.check.starts_with("wrapped keys")) {
        EXPECT_EQ(checked.detail, test.wraps);
      }
      if (checked.check.starts_with("payload ")) {
        const char* count = checked.check == "payload model" ? "2 " : "3 ";
        EXPECT_EQ(checked.detail, std::string(count) + test.segments);
      }
    }
    EXPECT_EQ(names, all_checks());
  }
}

TEST_P(Verify, SaysWhatIsWrongAndGoesOn) {
  const ChainId alias = {"alias", "digits", "production"};
  const auto flip = [](Bytes& bytes) { bytes[bytes.size() / 2] ^= 1; };
  const struct {
    const char* name;
    std::function<void()> damage;
    const char* check;
    Status status;
    const char* phrase;
  } cases[] = {
      {"a byte of the program", [&] { place_->edit_segment({"digits", 1, "model"}, 0, flip); },
       "payload model", Status::corrupt, "segment 0"},
      {"a byte of the weights", [&] { place_->edit_segment({"digits", 1, "weights"}, 2, flip); },
       "payload weights", Status::corrupt, "segment 2"},
      {"no weights", [&] { place_->remove_blob({"digits", 1, "weights"}); }, "payload weights",
       Status::corrupt, ""},
      {"the program's digests",
       [&] { place_->edit_segment({"digits", 1, "model.digests"}, 0, flip); }, "payload model",
       Status::corrupt, "are not the ones the manifest signs"},
      {"no records of the program's key", [&] { place_->remove_record({"key", program_key_}, 1); },
       "key records of model", Status::corrupt, "are missing"},
      {"no records of the weights' key", [&] { place_->remove_record({"key", weights_key_}, 1); },
       "key records", Status::corrupt, "are missing"},
      {"no wraps of the program's key", [&] { registry_->store().remove_wraps(program_key_, {}); },
       "wrapped keys of model", Status::corrupt, "missing from the store"},
      {"no wraps of the weights' key", [&] { registry_->store().remove_wraps(weights_key_, {}); },
       "wrapped keys", Status::corrupt, "missing from the store"},
      {"a disabled key",
       [&] { registry_->set_key_status("digits", KeyStatus::disabled, "", keys_, {}); },
       "key records of model", Status::revoked, "is disabled"},
      {"an alias's first record as its second one",
       [&] {
         const auto first = registry_->store().records(alias, 1, 1, ReadConcern::majority, {});
         place_->put_record(alias, 2, first.at(0).record);
       },
       "alias production", Status::untrusted, "was signed as record 1"},
      {"a record of the log", [&] { place_->remove_record({"log"}, 2); }, "log", Status::corrupt,
       "missing"},
  };
  place_->back_up();
  for (const auto& test : cases) {
    SCOPED_TRACE(test.name);
    test.damage();
    const std::vector<Checked> found = verify_with(keys_);
    std::string told;
    bool reported = false;
    std::vector<std::string> names;
    for (const Checked& checked : found) {
      told += "\n  " + checked.check + ": " + status_name(checked.status) + ": " + checked.detail;
      names.push_back(checked.check);
      reported = reported || (checked.check == test.check && checked.status == test.status &&
                              checked.detail.find(test.phrase) != std::string::npos);
    }
    EXPECT_TRUE(reported) << "not reported" << told;
    for (const std::string& check : all_checks()) {
      // Wraps that no record vouches for aren't looked at.
      if (check.starts_with("wrapped keys") && std::string(test.check).starts_with("key records"))
        continue;
      EXPECT_NE(std::find(names.begin(), names.end(), check), names.end()) << check << told;
    }
    place_->restore();
    for (const Checked& checked : verify_with(keys_)) {
      EXPECT_EQ(checked.status, Status::ok) << checked.check << ": " << checked.detail;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Folder, Verify, testing::Values("Folder"));
#if PTSECURE_WITH_MONGODB
INSTANTIATE_TEST_SUITE_P(Mongodb, Verify, testing::Values("Mongodb"));
#endif

}  // namespace
}  // namespace ptsecure
