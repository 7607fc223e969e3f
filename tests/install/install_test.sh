#!/usr/bin/env bash
# Programs of other people, built against the installed tree and against the packages.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${PTSECURE_BUILD_DIR:?}
version=0.1.0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset LD_LIBRARY_PATH

check() {
  local what=$1 expected=$2 got
  shift 2
  got=$("$@") || { echo "FAILED: $what: exit $?"; exit 1; }
  [[ $got == *"$expected"* ]] || { echo "FAILED: $what: expected '$expected', got '$got'"; exit 1; }
  echo "ok: $what"
}

cmake --install "$build" --prefix "$work/first" >/dev/null
# What was installed can be moved.
mv "$work/first" "$work/prefix"
export PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig

# shellcheck disable=SC2046  # lists of flags
cc -std=c99 -Wall -Wextra -pedantic -Werror "$here/consumer/main.c" -o "$work/c-program" \
  $(pkg-config --cflags --libs ptsecure)
check "C program by pkg-config" $version "$work/c-program"
check "version of pkg-config" $version pkg-config --modversion ptsecure

configure() { cmake -S "$here/consumer" -B "$1" -DCMAKE_PREFIX_PATH="$work/prefix" -DWANTED="$2"; }
configure "$work/cpp" 0.1 >/dev/null
cmake --build "$work/cpp" >/dev/null
check "C++ program by find_package" $version "$work/cpp/consumer"
if configure "$work/newer" 0.2 >/dev/null 2>&1; then
  echo "FAILED: version 0.2 was asked for and $version found good enough"
  exit 1
fi
echo "ok: find_package of another version is refused"
check "installed command" $version "$work/prefix/bin/ptsecure" version

mkdir "$work/packages" "$work/root"
(cd "$work/packages" && cpack --config "$build/CPackConfig.cmake" -G "TGZ;DEB" >cpack.log 2>&1) ||
  { tail -n 20 "$work/packages/cpack.log"; echo "FAILED: cpack"; exit 1; }
for name in libptsecure0 libptsecure-dev ptsecure; do
  file=$work/packages/${name}_${version}_amd64.deb
  check "$name says what it is" "$name" dpkg-deb -f "$file" Package
  dpkg-deb -x "$file" "$work/root"
done
check "libptsecure0 names its dependencies" libmongoc dpkg-deb -f \
  "$work/packages/libptsecure0_${version}_amd64.deb" Depends
check "command from the packages" $version "$work/root/usr/bin/ptsecure" version
[[ -f $work/root/usr/include/ptsecure/ptsecure.h && -L $work/root/usr/lib/libptsecure.so ]] ||
  { echo "FAILED: headers or link in libptsecure-dev"; exit 1; }
mkdir "$work/unpacked"
tar -xzf "$work"/packages/ptsecure-*.tar.gz -C "$work/unpacked" --strip-components=1
check "command from the archive" $version "$work/unpacked/bin/ptsecure" version
