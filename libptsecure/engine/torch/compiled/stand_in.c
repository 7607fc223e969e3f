/* An empty library with the SONAME libtorch.so, for installations of libtorch without CUDA's
 * libraries: what AOTInductor compiles names libtorch.so as a dependency, but uses nothing of it.
 */
typedef int ptsecure_stand_in;
