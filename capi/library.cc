#include <pthread.h>

#include <nlohmann/json.hpp>

#include "capi/guard.hpp"
#include "capi/handles.hpp"
#include "libptsecure/base/cores.hpp"
#include "libptsecure/crypto/openssl_version.hpp"
#include "libptsecure/engine/loader.hpp"
#include "libptsecure/package/manifest.hpp"
#include "libptsecure/store/mongodb/version.hpp"

#define PTSECURE_TEXT(x) #x
#define PTSECURE_VERSION_TEXT(major, minor, patch) \
  PTSECURE_TEXT(major) "." PTSECURE_TEXT(minor) "." PTSECURE_TEXT(patch)

namespace ptsecure::capi {
namespace {

constexpr const char* kVersion =
    PTSECURE_VERSION_TEXT(PTS_VERSION_MAJOR, PTS_VERSION_MINOR, PTS_VERSION_PATCH);

static_assert(std::atomic<unsigned>::is_always_lock_free && std::atomic<bool>::is_always_lock_free,
              "pts_cancel_set must be usable in a signal handler");

std::atomic<unsigned> fork_count{0};
std::atomic<bool> libtorch_before_fork{false};
[[maybe_unused]] const int fork_handler = pthread_atfork(
    [] {
      if (libtorch_in_process()) libtorch_before_fork.store(true, std::memory_order_relaxed);
    },
    nullptr, [] { fork_count.fetch_add(1, std::memory_order_relaxed); });

std::string features() {
  nlohmann::ordered_json formats;
  for (const Format& format : known_formats()) {
    auto& engine = formats[std::string(format.name)];
    if (!format.engine.empty()) engine = format.engine;
  }
  nlohmann::ordered_json stores = {"directory"};
#if PTSECURE_WITH_MONGODB
  stores.push_back("mongodb");
#endif
  nlohmann::ordered_json torch = {{"loaded", torch_engine_loaded()}, {"version", nullptr}};
  if (torch_engine_loaded()) torch["version"] = torch_engine("").version();
  return nlohmann::ordered_json{{"version", kVersion},
                                {"formats", formats},
                                {"stores", stores},
                                {"openssl", openssl_version()},
#if PTSECURE_WITH_MONGODB
                                {"libmongoc", mongodb_driver_version()},
#else
                                {"libmongoc", nullptr},
#endif
                                {"torch", torch},
                                {"secret_memory_locked", secret_memory_locked()}}
      .dump();
}

}  // namespace

unsigned forks() noexcept {
  return fork_count.load(std::memory_order_relaxed);
}

bool forked_with_libtorch() noexcept {
  return forks() != 0 && libtorch_before_fork.load(std::memory_order_relaxed);
}

}  // namespace ptsecure::capi

using namespace ptsecure::capi;

pts_bytes::pts_bytes(std::size_t size)
    : owned_(size == 0 ? nullptr : new std::uint8_t[size]), size_(size) {}

pts_bytes::pts_bytes(ptsecure::SecretString text) noexcept : secret_(std::move(text)) {}

pts_bytes::~pts_bytes() {
  if (owned_) ptsecure::secure_zero(owned_.get(), size_);
  // Short strings lie in the object itself, not in memory that zeroes itself.
  ptsecure::secure_zero(secret_.data(), secret_.size());
}

const std::uint8_t* pts_bytes::data() const noexcept {
  if (owned_) return owned_.get();
  return secret_.empty() ? nullptr : reinterpret_cast<const std::uint8_t*>(secret_.data());
}

const char* pts_version(void) {
  return kVersion;
}

pts_status pts_features(char** out, pts_error* error) {
  return create(out, error, [] { return new_text(features()); });
}

const uint8_t* pts_bytes_data(const pts_bytes* self) {
  return self == nullptr ? nullptr : self->data();
}

size_t pts_bytes_size(const pts_bytes* self) {
  return self == nullptr ? 0 : self->size();
}

uint32_t pts_cores(void) {
  return ptsecure::cores();
}

void pts_bytes_destroy(pts_bytes** self) {
  destroy(self);
}

pts_status pts_cancel_create(pts_cancel** out, pts_error* error) {
  return create(out, error, [] { return new pts_cancel{ptsecure::CancelToken::make()}; });
}

void pts_cancel_set(const pts_cancel* self) {
  if (self != nullptr) self->token.cancel();
}

void pts_cancel_destroy(pts_cancel** self) {
  destroy(self);
}
