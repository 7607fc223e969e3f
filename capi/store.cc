#include <nlohmann/json.hpp>
#include <string>

#include "capi/calls.hpp"
#include "capi/guard.hpp"
#include "capi/json.hpp"
#include "capi/options.hpp"

using namespace ptsecure::capi;
using ptsecure::CancelToken;
using ptsecure::Error;
using ptsecure::LogLevel;
using ptsecure::Status;

namespace {

constexpr std::size_t kFirstStoreOptions = 48;
constexpr std::uint32_t kMaxThreads = 1024;
static_assert(sizeof(pts_store_options) >= kFirstStoreOptions);
static_assert(PTS_LOG_ERROR == static_cast<int>(LogLevel::error));
static_assert(PTS_LOG_WARNING == static_cast<int>(LogLevel::warning));
static_assert(PTS_LOG_INFO == static_cast<int>(LogLevel::info));
static_assert(PTS_LOG_DEBUG == static_cast<int>(LogLevel::debug));

std::chrono::milliseconds timeout(std::int32_t ms, const char* what) {
  if (ms <= 0) {
    throw Error(Status::invalid_argument,
                std::string(what) + " must be at least 1 ms, not " + std::to_string(ms));
  }
  return std::chrono::milliseconds(ms);
}

ptsecure::LogSink log_sink(pts_log_fn log, void* user) {
  if (log == nullptr) return {};
  return [log, user](LogLevel level, std::string_view message) {
    char line[PTS_ERROR_MESSAGE_SIZE];
    one_line(message, line, sizeof(line));
    log(user, static_cast<std::int32_t>(level), line);
  };
}

pts_store* open(const char* uri, const pts_store_options* given) {
  const pts_store_options known = known_part(given, pts_store_options PTS_STORE_OPTIONS_INIT,
                                             kFirstStoreOptions, "pts_store_options");
  if (known.threads > kMaxThreads) {
    throw Error(Status::invalid_argument,
                "threads must be at most 1024, not " + std::to_string(known.threads));
  }
  if (known.reserved != 0) {
    throw Error(Status::invalid_argument, "pts_store_options.reserved must be 0");
  }
  ptsecure::StoreOptions options;
  options.connect_timeout = timeout(known.connect_timeout_ms, "connect_timeout_ms");
  options.operation_timeout = timeout(known.operation_timeout_ms, "operation_timeout_ms");
  options.log = log_sink(known.log, known.log_user);
  auto store = ptsecure::open_store(need_text(uri, "uri"), options);
  std::shared_ptr<const ptsecure::StateFile> state;
  if (known.state != nullptr) state = std::make_shared<const ptsecure::StateFile>(known.state);
  return new pts_store{ptsecure::Registry(std::move(store), known.threads, state)};
}

nlohmann::ordered_json description_of(const ptsecure::Registry& registry,
                                      const CancelToken& cancel) {
  nlohmann::ordered_json description = {{"uri", registry.store().display_uri()}, {"id", nullptr}};
  try {
    description["id"] = registry.store().id(cancel);
  } catch (const Error& e) {
    if (e.status() != Status::not_found) throw;
  }
  return description;
}

}  // namespace

void pts_store_options_init(pts_store_options* options) {
  if (options != nullptr) *options = pts_store_options PTS_STORE_OPTIONS_INIT;
}

pts_status pts_store_open(const char* uri, const pts_store_options* options, pts_store** out,
                          pts_error* error) {
  return create(out, error, [&] { return open(uri, options); });
}

const char* pts_store_uri(const pts_store* self) {
  return self == nullptr ? nullptr : self->registry.store().display_uri().c_str();
}

pts_status pts_store_describe(pts_store* self, const pts_call* call, char** out, pts_error* error) {
  return create(out, error, [&] {
    const ptsecure::Registry& registry = need(self, "self").registry;
    return new_json(description_of(registry, token_of(call)));
  });
}

pts_status pts_store_list(pts_store* self, const char* after, uint64_t limit, const pts_call* call,
                          char** out, pts_error* error) {
  return create(out, error, [&] {
    const ptsecure::Registry& registry = need(self, "self").registry;
    return new_json(
        {{"verified", false},
         {"models", to_json(registry.list(text_or_empty(after), limit, token_of(call)))}});
  });
}

pts_status pts_store_list_versions(pts_store* self, const char* name, uint64_t before,
                                   uint64_t limit, const pts_call* call, char** out,
                                   pts_error* error) {
  return create(out, error, [&] {
    const ptsecure::Registry& registry = need(self, "self").registry;
    need_text(name, "name");
    return new_json(
        {{"verified", false},
         {"name", name},
         {"versions", to_json(registry.list_versions(name, before, limit, token_of(call)))}});
  });
}

void pts_store_destroy(pts_store** self) {
  destroy(self);
}
