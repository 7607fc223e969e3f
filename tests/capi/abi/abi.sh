#!/bin/sh
# abi.sh compare|update ABIDW ABIDIFF LIBRARY INCLUDE_DIR
# Compares the library's interface with baseline.xml, or writes that file anew. A difference that only
# adds (a function, a member at a struct's end, an enumerator) is released with a new baseline; any
# other one breaks programs that exist.
set -eu
mode=$1 abidw=$2 abidiff=$3 library=$4 include=$5
baseline=$(dirname "$0")/baseline.xml
current=$(mktemp)
trap 'rm -f "$current"' EXIT

"$abidw" --headers-dir "$include" --drop-private-types --exported-interfaces-only --no-show-locs \
  --no-corpus-path --no-comp-dir-path --no-elf-needed --out-file "$current" "$library"
# Where the sources lay is no part of the interface.
sed -i "s,path='[^']*/\(capi/[^']*\)',path='\1'," "$current"
if ! grep -q "pts_open_options" "$current"; then
  echo "no types found in $library: it was built without debug information" >&2
  exit 1
fi
if [ "$mode" = update ]; then
  cp "$current" "$baseline"
  chmod 644 "$baseline"
  exit 0
fi
if ! "$abidiff" "$baseline" "$current"; then
  echo "The ABI differs from tests/capi/abi/baseline.xml. If all of it is an addition, run" >&2
  echo "  cmake --build <build folder> --target update_abi_baseline" >&2
  exit 1
fi
