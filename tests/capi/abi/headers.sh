#!/bin/sh
# headers.sh CC CXX INCLUDE_DIR
# Each public header compiles alone, without a warning, in every language it is for. torch.hpp is
# compiled by tests/capi/torch.
set -eu
cc=$1 cxx=$2 include=$3
warnings="-Wall -Wextra -Wpedantic -pedantic -Wconversion -Wshadow -Werror"
failed=0

compile() { # compiler language standard header
  # An empty function, because ISO C forbids an empty file.
  if ! printf '#include "%s"\n#include "%s"\nint used(void);\nint used(void) { return PTS_OK; }\n' \
      "$4" "$4" | $1 -x "$2" -std="$3" $warnings -I"$include" -fsyntax-only -; then
    echo "$4 does not compile as $3" >&2
    failed=1
  fi
}

for standard in c99 c11 c17; do compile "$cc" c "$standard" ptsecure/ptsecure.h; done
for standard in c++11 c++17 c++20; do compile "$cxx" c++ "$standard" ptsecure/ptsecure.h; done
for header in "$include"/ptsecure/ptsecure.hpp "$include"/ptsecure/cpp/*.hpp; do
  for standard in c++17 c++20; do compile "$cxx" c++ "$standard" "${header#"$include"/}"; done
done

# Beside the real dlpack.h, which has a typedef of the same name.
if ! printf '%s\n' 'typedef struct DLManagedTensorVersioned { int a; } DLManagedTensorVersioned;' \
    '#include "ptsecure/ptsecure.h"' 'int used(void);' 'int used(void) { return 0; }' |
    $cc -x c -std=c99 $warnings -I"$include" -fsyntax-only -; then
  echo "ptsecure.h does not compile after dlpack.h" >&2
  failed=1
fi
exit $failed
