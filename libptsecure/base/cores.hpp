#pragma once

#include <string>

namespace ptsecure {

// Cores this process may use: the affinity mask, cut to the cgroup's CPU quota, at least 1.
unsigned cores();

// Cores in the calling thread's affinity mask, and what the cgroup's CPU quota leaves of so many.
unsigned affinity_cores();
unsigned within_quota(unsigned cores);

// The CPU quota of this process's control groups (version 1 or 2) in whole cores, rounded up; 0 for
// none. `root` is put before /proc and /sys.
unsigned cgroup_cores(const std::string& root);

}  // namespace ptsecure
