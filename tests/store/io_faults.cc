#include "tests/store/io_faults.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>

namespace ptsecure::test {
namespace {

struct Plan {
  std::uint64_t calls = 0;
  std::uint64_t fail_at = UINT64_MAX;
  int error = 0;
  bool failed = false;
  std::map<std::string, int> always;
};

thread_local Plan* plan = nullptr;

// The errno this call has to fail with, or 0.
int planned_error(const char* call) {
  if (plan == nullptr) return 0;
  if (const auto found = plan->always.find(call); found != plan->always.end()) return found->second;
  const std::uint64_t number = plan->calls++;
  if (number != plan->fail_at) return 0;
  plan->failed = true;
  return plan->error;
}

template <class... Args>
long real(const char* call, long number, Args... args) {
  if (const int error = planned_error(call); error != 0) {
    errno = error;
    return -1;
  }
  return syscall(number, args...);
}

}  // namespace

IoFaults::IoFaults() {
  plan = new Plan;
}

IoFaults::~IoFaults() {
  delete plan;
  plan = nullptr;
}

void IoFaults::fail_nth(std::uint64_t nth, int error) {
  plan->fail_at = plan->calls + nth;
  plan->error = error;
  plan->failed = false;
}

void IoFaults::fail_always(const std::string& call, int error) {
  plan->always[call] = error;
}
std::uint64_t IoFaults::calls() const {
  return plan->calls;
}
bool IoFaults::failed() const {
  return plan->failed;
}

}  // namespace ptsecure::test

using ptsecure::test::real;

// The C library's functions of these names, for the whole test binary.
extern "C" {

int openat(int folder, const char* path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
  }
  const bool unnamed = (flags & O_TMPFILE) == O_TMPFILE;
  return static_cast<int>(
      real(unnamed ? "O_TMPFILE" : "openat", SYS_openat, folder, path, flags, mode));
}

int linkat(int from, const char* old_path, int to, const char* new_path, int flags) noexcept {
  return static_cast<int>(real("linkat", SYS_linkat, from, old_path, to, new_path, flags));
}

int renameat2(int from, const char* old_path, int to, const char* new_path,
              unsigned flags) noexcept {
  return static_cast<int>(real("renameat2", SYS_renameat2, from, old_path, to, new_path, flags));
}

int unlinkat(int folder, const char* path, int flags) noexcept {
  return static_cast<int>(real("unlinkat", SYS_unlinkat, folder, path, flags));
}

int mkdirat(int folder, const char* path, mode_t mode) noexcept {
  return static_cast<int>(real("mkdirat", SYS_mkdirat, folder, path, mode));
}

int fstatat(int folder, const char* path, struct stat* out, int flags) noexcept {
  return static_cast<int>(real("fstatat", SYS_newfstatat, folder, path, out, flags));
}

int fsync(int fd) {
  return static_cast<int>(real("fsync", SYS_fsync, fd));
}

int fallocate64(int fd, int mode, off64_t offset, off64_t size) {
  return static_cast<int>(real("fallocate", SYS_fallocate, fd, mode, offset, size));
}

ssize_t pwrite64(int fd, const void* data, size_t size, off64_t position) {
  return real("pwrite", SYS_pwrite64, fd, data, size, position);
}

ssize_t pread64(int fd, void* data, size_t size, off64_t position) {
  return real("pread", SYS_pread64, fd, data, size, position);
}

}  // extern "C"
