#include "libptsecure/crypto/sha256_lanes.hpp"

#include <algorithm>
#include <array>
#include <utility>

#if PTSECURE_WITH_IPSEC_MB
#include <dlfcn.h>
#include <intel-ipsec-mb.h>
#endif

namespace ptsecure {

#if PTSECURE_WITH_IPSEC_MB
namespace {

// The functions that are called by name; all others are pointers in a manager.
struct Library {
  decltype(&alloc_mb_mgr) alloc = nullptr;
  decltype(&free_mb_mgr) free = nullptr;
  decltype(&init_mb_mgr_sse) init_sse = nullptr;
  decltype(&init_mb_mgr_avx2) init_avx2 = nullptr;
  decltype(&init_mb_mgr_avx512) init_avx512 = nullptr;
  decltype(&imb_get_errno) error = nullptr;
};

template <typename Function>
bool find(void* handle, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(handle, name));
  return function != nullptr;
}

// Of the minor version that this was compiled with, because a job's layout is its header's. Opened
// with the first large payload and never closed; 13 MB that a process which only lists
// models needn't map.
const Library* library() {
  static const Library opened = [] {
    Library found;
    void* handle = dlopen("libIPSec_MB.so.1", RTLD_NOW | RTLD_LOCAL);
    decltype(&imb_get_version) version = nullptr;
    const bool usable = handle != nullptr && find(handle, "imb_get_version", version) &&
                        (version() >> 8) == (IMB_VERSION_NUM >> 8) &&
                        find(handle, "alloc_mb_mgr", found.alloc) &&
                        find(handle, "free_mb_mgr", found.free) &&
                        find(handle, "init_mb_mgr_sse", found.init_sse) &&
                        find(handle, "init_mb_mgr_avx2", found.init_avx2) &&
                        find(handle, "init_mb_mgr_avx512", found.init_avx512) &&
                        find(handle, "imb_get_errno", found.error);
    return usable ? found : Library{};
  }();
  return opened.alloc != nullptr ? &opened : nullptr;
}

// The SHA extensions are what its SSE code uses, two messages at a time; it counts on wider
// registers instead in its AVX code, which is slower where both are.
bool init(const Library& library, IMB_MGR& manager) {
  if ((manager.features & IMB_FEATURE_SHANI) != 0) {
    library.init_sse(&manager);
  } else if ((manager.features & IMB_FEATURE_AVX512_SKX) != 0) {
    library.init_avx512(&manager);
  } else if ((manager.features & IMB_FEATURE_AVX2) != 0) {
    library.init_avx2(&manager);
  } else {
    return false;
  }
  return library.error(&manager) == 0;
}

}  // namespace

struct Sha256Lanes::Manager {
  explicit Manager(const Library& from) : library(from), raw(from.alloc(0)) {}
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;
  ~Manager() { library.free(raw); }

  const Library& library;
  IMB_MGR* raw;
};

std::unique_ptr<Sha256Lanes> Sha256Lanes::make() {
  const Library* found = library();
  if (found == nullptr) return nullptr;
  auto manager = std::make_unique<Manager>(*found);
  if (manager->raw == nullptr || !init(*found, *manager->raw)) return nullptr;
  std::unique_ptr<Sha256Lanes> lanes(new Sha256Lanes(std::move(manager)));
  return lanes->right() ? std::move(lanes) : nullptr;
}

// Messages that differ, one more than there are lanes at most, the last one short.
bool Sha256Lanes::right() {
  constexpr std::size_t kPiece = 200;
  std::array<Sha256Digest, 17> digests{};
  Bytes bytes((digests.size() - 1) * kPiece + 1);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i % 251);
  if (!digest_pieces(bytes, kPiece, digests)) return false;
  for (std::size_t i = 0; i < digests.size(); ++i) {
    const ByteView rest = ByteView(bytes).subspan(i * kPiece);
    if (digests[i] != sha256(rest.first(std::min(kPiece, rest.size())))) return false;
  }
  return true;
}

bool Sha256Lanes::digest_pieces(ByteView bytes, std::size_t piece,
                                std::span<Sha256Digest> digests) {
  IMB_MGR* manager = manager_->raw;
  std::size_t done = 0;
  const auto take = [&done](const IMB_JOB* job) {
    if (job->status == IMB_STATUS_COMPLETED) ++done;
  };
  for (std::size_t i = 0; i < digests.size(); ++i) {
    const ByteView message = bytes.subspan(i * piece, std::min(piece, bytes.size() - i * piece));
    IMB_JOB* job = IMB_GET_NEXT_JOB(manager);
    *job = {};
    job->cipher_mode = IMB_CIPHER_NULL;
    job->cipher_direction = IMB_DIR_ENCRYPT;
    job->chain_order = IMB_ORDER_HASH_CIPHER;
    job->hash_alg = IMB_AUTH_SHA_256;
    job->src = message.data();
    job->msg_len_to_hash_in_bytes = message.size();
    job->auth_tag_output = digests[i].data();
    job->auth_tag_output_len_in_bytes = digests[i].size();
    for (job = IMB_SUBMIT_JOB(manager); job != nullptr; job = IMB_GET_COMPLETED_JOB(manager)) {
      take(job);
    }
  }
  while (const IMB_JOB* job = IMB_FLUSH_JOB(manager)) take(job);
  return done == digests.size();
}
#else
struct Sha256Lanes::Manager {};

std::unique_ptr<Sha256Lanes> Sha256Lanes::make() {
  return nullptr;
}

bool Sha256Lanes::digest_pieces(ByteView, std::size_t, std::span<Sha256Digest>) {
  return false;
}
#endif

Sha256Lanes::Sha256Lanes(std::unique_ptr<Manager> manager) : manager_(std::move(manager)) {}
Sha256Lanes::~Sha256Lanes() = default;

}  // namespace ptsecure
