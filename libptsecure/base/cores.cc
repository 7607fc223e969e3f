#include "libptsecure/base/cores.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace ptsecure {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<unsigned> rounded_up(double quota, double period) {
  if (!(quota > 0) || !(period > 0)) return std::nullopt;
  const double cores = quota / period;
  if (cores >= 65536) return std::nullopt;
  const auto whole = static_cast<unsigned>(cores);
  return std::max(1u, whole + (cores > whole ? 1u : 0u));
}

std::optional<unsigned> quota_v2(const std::string& folder) {
  std::istringstream line(first_line(folder + "/cpu.max"));
  std::string quota;
  double period = 0;
  if (!(line >> quota >> period) || quota == "max") return std::nullopt;
  return rounded_up(std::strtod(quota.c_str(), nullptr), period);
}

std::optional<unsigned> quota_v1(const std::string& folder) {
  const std::string quota = first_line(folder + "/cpu.cfs_quota_us");
  const std::string period = first_line(folder + "/cpu.cfs_period_us");
  if (quota.empty() || period.empty()) return std::nullopt;
  return rounded_up(std::strtod(quota.c_str(), nullptr), std::strtod(period.c_str(), nullptr));
}

bool has_controller(const std::string& list, const std::string& name) {
  return ("," + list + ",").find("," + name + ",") != std::string::npos;
}

// The smallest quota from `path` up to the root of the hierarchy mounted at `mount`. A path that
// doesn't exist there (a container that sees only its own part) leaves the root's.
void apply_quotas(const std::string& mount, std::string path, bool v2, unsigned& cores) {
  for (;;) {
    const std::string folder = mount + (path == "/" ? "" : path);
    if (const auto quota = v2 ? quota_v2(folder) : quota_v1(folder)) {
      cores = cores == 0 ? *quota : std::min(cores, *quota);
    }
    const std::size_t slash = path.rfind('/');
    if (path == "/" || path.empty() || slash == std::string::npos) return;
    path = slash == 0 ? "/" : path.substr(0, slash);
  }
}

}  // namespace

unsigned cgroup_cores(const std::string& root) {
  unsigned cores = 0;
  std::ifstream groups(root + "/proc/self/cgroup");
  // Lines of "hierarchy:controllers:/path"; version 2 has none of the two first: "0::/path".
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    std::string mount = root;
    mount += "/sys/fs/cgroup";
    if (controllers.empty()) {
      apply_quotas(mount, path, true, cores);
      apply_quotas(mount + "/unified", path, true, cores);
    } else if (has_controller(controllers, "cpu")) {
      apply_quotas(mount + "/cpu", path, false, cores);
      if (controllers != "cpu") apply_quotas(mount + "/" + controllers, path, false, cores);
    }
  }
  return cores;
}

unsigned affinity_cores() {
  // The kernel may know more CPUs than a cpu_set_t holds; it then refuses the smaller set.
  for (std::size_t cpus = CPU_SETSIZE; cpus <= (std::size_t{1} << 16); cpus *= 2) {
    const std::size_t size = CPU_ALLOC_SIZE(cpus);
    std::vector<unsigned char> memory(size);
    auto* set = reinterpret_cast<cpu_set_t*>(memory.data());
    if (sched_getaffinity(0, size, set) == 0) {
      return static_cast<unsigned>(std::max(1, CPU_COUNT_S(size, set)));
    }
  }
  return static_cast<unsigned>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
}

unsigned within_quota(unsigned cores) {
  const unsigned quota = cgroup_cores("");
  return quota == 0 ? cores : std::min(cores, quota);
}

unsigned cores() {
  return within_quota(affinity_cores());
}

}  // namespace ptsecure
