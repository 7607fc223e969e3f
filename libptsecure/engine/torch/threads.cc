#include "libptsecure/engine/torch/threads.hpp"

#include <ATen/Parallel.h>
#include <dlfcn.h>

namespace ptsecure::torch_plugin {
namespace {

// libtorch's own OpenMP runtime and MKL. Looked up from libtorch, since a process can hold several
// OpenMP runtimes; in both, the number of threads is a setting of the thread that asks for it.
struct Runtime {
  using OmpGet = int (*)();
  using OmpSet = void (*)(int);
  using MklSetLocal = int (*)(int);
  OmpGet omp_get_max_threads = nullptr;
  OmpSet omp_set_num_threads = nullptr;
  MklSetLocal mkl_set_num_threads_local = nullptr;  // returns what was set before, 0 = nothing

  Runtime() {
    void* torch = dlopen("libtorch_cpu.so", RTLD_LAZY | RTLD_NOLOAD);
    if (torch == nullptr) return;
    omp_get_max_threads = reinterpret_cast<OmpGet>(dlsym(torch, "omp_get_max_threads"));
    omp_set_num_threads = reinterpret_cast<OmpSet>(dlsym(torch, "omp_set_num_threads"));
    mkl_set_num_threads_local =
        reinterpret_cast<MklSetLocal>(dlsym(torch, "MKL_Set_Num_Threads_Local"));
  }
};

const Runtime& runtime() {
  static const Runtime instance;
  return instance;
}

}  // namespace

IntraOpThreads::IntraOpThreads(int threads) {
  if (threads <= 0) return;
  const Runtime& rt = runtime();
  if (rt.omp_get_max_threads == nullptr || rt.omp_set_num_threads == nullptr) return;
  at::get_num_threads();  // libtorch sets a thread's number itself the first time it is asked
  omp_before_ = rt.omp_get_max_threads();
  rt.omp_set_num_threads(threads);
  if (rt.mkl_set_num_threads_local != nullptr) mkl_before_ = rt.mkl_set_num_threads_local(threads);
  active_ = true;
}

IntraOpThreads::~IntraOpThreads() {
  if (!active_) return;
  const Runtime& rt = runtime();
  rt.omp_set_num_threads(omp_before_);
  if (rt.mkl_set_num_threads_local != nullptr) rt.mkl_set_num_threads_local(mkl_before_);
}

}  // namespace ptsecure::torch_plugin
