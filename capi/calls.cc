#include "capi/calls.hpp"

#include <algorithm>
#include <chrono>
#include <string>

#include "capi/guard.hpp"
#include "capi/options.hpp"

namespace ptsecure::capi {
namespace {

constexpr std::size_t kFirstCall = 40;
constexpr std::size_t kFirstPublishOptions = 88;
constexpr std::size_t kFirstOpenOptions = 64;
static_assert(sizeof(pts_call) >= kFirstCall);
static_assert(sizeof(pts_publish_options) >= kFirstPublishOptions);
static_assert(sizeof(pts_open_options) >= kFirstOpenOptions);
static_assert(PTS_VERIFY_SIGNED == static_cast<int>(VerifyLevel::signed_));
static_assert(PTS_VERIFY_AEAD == static_cast<int>(VerifyLevel::aead));

pts_call known_call(const pts_call* given) {
  return known_part(given, pts_call PTS_CALL_INIT, kFirstCall, "pts_call");
}

CancelToken token(const pts_call& known) {
  if (known.timeout_ms < 0) {
    throw Error(Status::invalid_argument, "timeout_ms must not be negative, and is " +
                                              std::to_string(known.timeout_ms) + "; 0 = no limit");
  }
  CancelToken cancel = known.cancel == nullptr ? CancelToken() : known.cancel->token;
  // Longer ones never pass, and would overflow the clock.
  constexpr std::chrono::milliseconds kCentury = std::chrono::hours(24 * 366 * 100);
  const std::chrono::milliseconds limit(known.timeout_ms);
  if (limit.count() != 0 && limit < kCentury) cancel = cancel.within(limit);
  cancel.check();
  return cancel;
}

std::map<std::string, std::string> labels_of(const pts_publish_options& options) {
  std::map<std::string, std::string> labels;
  if (options.label_count == 0) return labels;
  need(options.label_keys, "label_keys");
  need(options.label_values, "label_values");
  for (std::size_t i = 0; i < options.label_count; ++i) {
    const std::string key(
        check_utf8(need_text(options.label_keys[i], "a label's key"), "a label's key"));
    const std::string_view value =
        check_utf8(need_text(options.label_values[i], "a label's value"), "a label's value");
    if (key.empty()) throw Error(Status::invalid_argument, "a label's key must not be empty");
    if (!labels.emplace(key, value).second) {
      throw Error(Status::invalid_argument, "the label '" + key + "' is given twice");
    }
  }
  return labels;
}

Expected expected_of(const pts_open_options& options) {
  Expected expected;
  expected.min_sequence = options.min_sequence;
  if (options.max_age_s != 0) {
    constexpr std::uint64_t kCentury = 100ULL * 366 * 24 * 3600;
    expected.max_age = static_cast<std::int64_t>(std::min(options.max_age_s, kCentury));
  }
  if (options.manifest != nullptr) expected.manifest = parse_digest(options.manifest, "manifest");
  return expected;
}

}  // namespace

CancelToken token_of(const pts_call* given) {
  return given == nullptr ? CancelToken() : token(known_call(given));
}

Call::Call(const pts_call* given) : Call(known_call(given)) {}

Call::Call(const pts_call& known)
    : cancel_(token(known)),
      callback_(known.progress),
      user_(known.progress_user),
      thread_(std::this_thread::get_id()) {}

Progress Call::progress() {
  if (callback_ == nullptr) return {};
  return [this](std::uint64_t done, std::uint64_t total) { (*this)(done, total); };
}

void Call::operator()(std::uint64_t done, std::uint64_t total) {
  total_.store(total, std::memory_order_relaxed);
  if (!stopped_.load(std::memory_order_relaxed) && std::this_thread::get_id() == thread_) {
    if (complete_ && done == total) return;
    complete_ = done == total;
    if (callback_(user_, done, total) != 0) stopped_.store(true, std::memory_order_relaxed);
  }
  if (stopped_.load(std::memory_order_relaxed)) {
    throw Error(Status::cancelled, "the operation was cancelled by its progress callback");
  }
}

void Call::finish() noexcept {
  if (callback_ == nullptr || complete_) return;
  const std::uint64_t total = total_.load(std::memory_order_relaxed);
  callback_(user_, total, total);
}

PublishOptions publish_options(const pts_publish_options* given, Call& call) {
  const pts_publish_options known = known_part(given, pts_publish_options PTS_PUBLISH_OPTIONS_INIT,
                                               kFirstPublishOptions, "pts_publish_options");
  PublishOptions options;
  options.format = text_or_empty(known.format);
  options.alias = text_or_empty(known.alias);
  options.labels = labels_of(known);
  if (known.sample_count != 0) {
    need(known.sample, "sample");
    for (std::size_t i = 0; i < known.sample_count; ++i) {
      options.sample.push_back(*unwrap(&need(known.sample[i], "an input of sample")));
    }
  }
  options.sample_json = text_or_empty(known.sample_json);
  options.weights_of = text_or_empty(known.weights_of);
  options.torch_dir = text_or_empty(known.torch_dir);
  options.progress = call.progress();
  options.cancel = call.cancel();
  return options;
}

OpenOptions open_options(const pts_open_options* given, Call& call) {
  const pts_open_options known = known_part(given, pts_open_options PTS_OPEN_OPTIONS_INIT,
                                            kFirstOpenOptions, "pts_open_options");
  if (known.verify != PTS_VERIFY_SIGNED && known.verify != PTS_VERIFY_AEAD) {
    throw Error(Status::invalid_argument,
                "verify must be PTS_VERIFY_SIGNED (0) or PTS_VERIFY_AEAD "
                "(1), not " +
                    std::to_string(known.verify));
  }
  if (known.intra_op_threads < 0 || known.warm_up_runs < 0) {
    throw Error(Status::invalid_argument, "intra_op_threads and warm_up_runs must not be negative");
  }
  if (known.optimize < PTS_OPTIMIZE_NONE || known.optimize > PTS_OPTIMIZE_INFERENCE) {
    throw Error(Status::invalid_argument,
                "optimize must be PTS_OPTIMIZE_NONE (0), PTS_OPTIMIZE_FREEZE (1) or "
                "PTS_OPTIMIZE_INFERENCE (2), not " +
                    std::to_string(known.optimize));
  }
  OpenOptions options;
  options.level = static_cast<VerifyLevel>(known.verify);
  options.optimize = static_cast<ptsecure::Optimize>(known.optimize);
  options.device = text_or_empty(known.device);
  options.intra_op_threads = forked_with_libtorch() ? 1 : known.intra_op_threads;
  options.warm_up_runs = known.warm_up_runs;
  options.torch_dir = text_or_empty(known.torch_dir);
  options.progress = call.progress();
  options.cancel = call.cancel();
  options.expected = expected_of(known);
  return options;
}

CheckSink check_sink(pts_check_fn check, void* user) {
  if (check == nullptr) return {};
  return [check, user](const std::string& name, Status status, const std::string& detail) {
    char line[PTS_ERROR_MESSAGE_SIZE];
    one_line(detail, line, sizeof(line));
    if (check(user, name.c_str(), static_cast<pts_status>(status), line) != 0) {
      throw Error(Status::cancelled, "the check callback ended the verification");
    }
  };
}

}  // namespace ptsecure::capi

void pts_call_init(pts_call* call) {
  if (call != nullptr) *call = pts_call PTS_CALL_INIT;
}

void pts_publish_options_init(pts_publish_options* options) {
  if (options != nullptr) *options = pts_publish_options PTS_PUBLISH_OPTIONS_INIT;
}

void pts_open_options_init(pts_open_options* options) {
  if (options != nullptr) *options = pts_open_options PTS_OPEN_OPTIONS_INIT;
}
