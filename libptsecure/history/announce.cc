#include "libptsecure/history/announce.hpp"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "libptsecure/crypto/random.hpp"
#include "libptsecure/history/bodies.hpp"

namespace ptsecure {
namespace {

constexpr int kTries = 200;

// Up to 1 ms for the first, 20 ms for later ones, so that those who collided don't do so again.
void wait_a_little(int tries) {
  std::uint8_t byte = 0;
  random_bytes({&byte, 1});
  std::this_thread::sleep_for(std::chrono::microseconds(4 * byte * std::min(tries, 20)));
}

// Appends to the log, after `previous` if it still is the last record.
ChainRecord append_to_log(const Access& access, const LogBody& body, std::string_view reason,
                          std::optional<ChainRecord> previous = std::nullopt) {
  const Records records = access.records();
  const std::string json = body.to_json();
  for (int tries = 1;; ++tries) {
    access.cancel.check();
    if (!previous) previous = records.last(log_subject());
    try {
      return records.append(log_subject(), previous, json, reason);
    } catch (const Error& error) {
      if (error.status() != Status::conflict || tries == kTries) throw;
    }
    previous.reset();
    wait_a_little(tries);
  }
}

void confirm(const Access& access, const LogBody& announcement, const ChainRecord& announced) {
  LogBody done;
  done.what = kLogDone;
  done.name = announcement.name;
  done.confirms = announced.head.sequence;
  try {
    append_to_log(access, done, "", announced);
  } catch (const Error&) {  // the change has been made, and announced
  }
}

}  // namespace

const ChainSubject& log_subject() {
  static const ChainSubject kSubject = [] {
    ChainSubject subject{.chain = {"log"}, .kind = RecordKind::log, .name = {}};
    subject.name_in_body = true;
    return subject;
  }();
  return kSubject;
}

void log_change(const Access& access, const LogBody& announcement, std::string_view reason,
                const std::function<void()>& effect) {
  const ChainRecord announced = append_to_log(access, announcement, reason);
  effect();
  confirm(access, announcement, announced);
}

ChainRecord append_logged(const Access& access, const ChainSubject& subject,
                          const std::optional<ChainRecord>& previous, std::string_view body,
                          std::string_view reason, LogBody announcement) {
  const Records records = access.records();
  const SignedRecord next = records.sign(subject, previous, body, reason);
  announcement.change = LogBody::Change{subject.chain, next.record.mark()};
  log_change(access, announcement, reason, [&] { records.append(subject, next); });
  return next.record;
}

}  // namespace ptsecure
