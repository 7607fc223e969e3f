#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "libptsecure/history/access.hpp"

// The log: one chain of a store, {"log"}, of every change that somebody signed.
//
// A change is announced by a record that is appended before it takes effect, and confirmed by one
// of kind "done" that is appended after. So of a change that isn't there, an announcement alone
// says that its writer was interrupted, or lost a race; an announcement with its confirmation says
// that somebody has taken it away.
namespace ptsecure {

// The body of a log record.
struct LogBody {
  // The chained record that is the change: every change but a publish is one.
  struct Change {
    ChainId chain;
    RecordMark record;
  };

  std::string what;           // "publish", "alias", "alias-delete", "key", "apikey", ..., "done"
  std::string name;           // model; empty = none. Its key policies say who may sign this
  std::uint64_t version = 0;  // 0 = none
  std::string alias;          // empty = none
  std::optional<Sha256Digest> manifest;  // SHA-256 of that version's manifest's payload bytes
  std::optional<Change> change;
  std::uint64_t confirms = 0;  // of "done": the sequence of the announcement

  std::string to_json() const;
  static LogBody from_record(const ChainRecord& record);
};

inline constexpr std::string_view kLogPublish = "publish";
inline constexpr std::string_view kLogAlias = "alias";
inline constexpr std::string_view kLogAliasDelete = "alias-delete";
inline constexpr std::string_view kLogKey = "key";
inline constexpr std::string_view kLogApiKey = "apikey";
inline constexpr std::string_view kLogDone = "done";

const ChainSubject& log_subject();

// Announces, runs `effect`, confirms. Nothing is run when announcing fails; what `effect` throws
// goes through. A confirmation that fails is left out: the change has been made.
void log_change(const Access& access, const LogBody& announcement, std::string_view reason,
                const std::function<void()>& effect);

// Appends a chained record as a logged change; fills in `announcement.change`. Status::conflict
// when somebody else was faster to append to the chain of `subject`.
ChainRecord append_logged(const Access& access, const ChainSubject& subject,
                          const std::optional<ChainRecord>& previous, std::string_view body,
                          std::string_view reason, LogBody announcement);

}  // namespace ptsecure
