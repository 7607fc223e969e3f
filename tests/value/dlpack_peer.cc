// The same numbers hold for the dlpack.h that torch ships, where it can be found.
#if __has_include(<ATen/dlpack.h>)
#include <ATen/dlpack.h>

#include <cstddef>

#include "tests/value/dlpack_layout.inc"
static_assert(DLPACK_MAJOR_VERSION == 1);
#endif
