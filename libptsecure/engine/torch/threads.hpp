#pragma once

namespace ptsecure::torch_plugin {

// Bounds the threads that libtorch uses for one operation, for the calling thread and its own calls
// alone: the settings it changes belong to the thread. 0 leaves everything as it is.
class IntraOpThreads {
 public:
  explicit IntraOpThreads(int threads);
  ~IntraOpThreads();
  IntraOpThreads(const IntraOpThreads&) = delete;
  IntraOpThreads& operator=(const IntraOpThreads&) = delete;

 private:
  int omp_before_ = 0;
  int mkl_before_ = 0;
  bool active_ = false;
};

}  // namespace ptsecure::torch_plugin
