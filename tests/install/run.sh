#!/bin/sh
# run.sh SOURCE_DIR BUILD_DIR WORK_DIR VERSION WITH_TORCH WITH_COMMAND WITH_SERVER
# Installs the build into a folder, builds examples/c and examples/cpp against it with pkg-config and
# with find_package, runs them, and looks into the packages.
set -eu
source=$1 build=$2 work=$3 version=$4 torch=$5 command=$6 server=$7
prefix=$work/prefix
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"
unset LD_LIBRARY_PATH

fail() {
  echo "failed: $*" >&2
  exit 1
}
step() { echo "-- $*"; }
is_file() { [ -e "$1" ] || fail "no $1"; }

# Runs a built example in a folder of its own and looks at what it prints.
run_example() { # program
  rm -rf "$work/run"
  mkdir "$work/run"
  status=0
  (cd "$work/run" && "$1" "$source/examples/digits/digits.pt" "$source/examples/digits/sample.npy") \
    > "$work/output" 2>&1 || status=$?
  if [ "$torch" = 1 ]; then
    [ $status = 0 ] || { cat "$work/output" >&2; fail "$1 exited with $status"; }
    grep -q "published digits/1" "$work/output" || fail "$1 published nothing"
    [ "$(grep -c '^picture .*: [0-9] (.*%)$' "$work/output")" -ge 1 ] || fail "$1 printed no answer"
  else
    [ $status = 1 ] && grep -q "^engine: .*plug-in" "$work/output" ||
      { cat "$work/output" >&2; fail "$1 should say that there is no torch plug-in"; }
  fi
}

rm -rf "$work"
mkdir -p "$work"

step "cmake --install"
"$CMAKE" --install "$build" --prefix "$work/first" > "$work/install.log" 2>&1 ||
  fail "$(cat "$work/install.log")"
mv "$work/first" "$prefix" # what was installed can be moved
for header in ptsecure.h ptsecure.hpp torch.hpp cpp/store.hpp; do
  is_file "$prefix/include/ptsecure/$header"
done
library=$(find "$prefix" -name "libptsecure.so.$version")
is_file "$library"
libdir=$(dirname "$library")
[ "$(readlink "$libdir/libptsecure.so.${version%%.*}")" = "libptsecure.so.$version" ] || fail "SONAME link"
is_file "$libdir/libptsecure.so"
if [ "$torch" = 1 ]; then is_file "$libdir/libptsecure_torch.so"; fi
if readelf -d "$library" | grep -q "NEEDED.*torch"; then fail "the library links libtorch"; fi
if readelf -d "$library" | grep -E "RPATH|RUNPATH" | grep -q "$build"; then
  fail "the library looks for others in the build folder"
fi

step "pkg-config"
PKG_CONFIG_PATH=$libdir/pkgconfig
export PKG_CONFIG_PATH
[ "$(pkg-config --modversion ptsecure)" = "$version" ] || fail "pkg-config names another version"
flags=$(pkg-config --cflags --libs ptsecure)
# shellcheck disable=SC2086 # flags are words
"$CC" -std=c99 $warnings "$source/examples/c/main.c" -o "$work/c-pkg-config" $flags
run_example "$work/c-pkg-config"
# shellcheck disable=SC2086
"$CXX" -std=c++17 $warnings "$source/examples/cpp/main.cpp" -o "$work/cpp-pkg-config" $flags
run_example "$work/cpp-pkg-config"

step "find_package"
for language in c cpp; do
  "$CMAKE" -S "$source/examples/$language" -B "$work/find-$language" "-DCMAKE_PREFIX_PATH=$prefix" \
    > "$work/configure.log" 2>&1 || fail "$(cat "$work/configure.log")"
  "$CMAKE" --build "$work/find-$language" > "$work/build.log" 2>&1 || fail "$(cat "$work/build.log")"
  run_example "$work/find-$language/digits"
done
mkdir "$work/newer"
printf '%s\n' 'cmake_minimum_required(VERSION 3.16)' 'project(x C)' \
  'find_package(ptsecure 99.0 REQUIRED)' > "$work/newer/CMakeLists.txt"
if "$CMAKE" -S "$work/newer" -B "$work/newer/b" "-DCMAKE_PREFIX_PATH=$prefix" > /dev/null 2>&1; then
  fail "find_package accepts a version that isn't there"
fi

if [ "$command" = 1 ]; then
  step "the command"
  "$prefix/bin/ptsecure" version | grep -q "$version" || fail "the installed command doesn't run"
fi

if [ "$server" = 1 ]; then
  step "the server"
  "$prefix/bin/ptsecure-server" --version | grep -q "$version" || fail "the installed server doesn't run"
fi

step "packages"
"$CPACK" --config "$build/CPackConfig.cmake" -G "TGZ;DEB" -B "$work/packages" > "$work/cpack.log" 2>&1 ||
  fail "$(cat "$work/cpack.log")"
tar -tzf "$work"/packages/ptsecure-*.tar.gz > "$work/tgz"
for file in include/ptsecure/ptsecure.h "libptsecure.so.$version" ptsecureConfig.cmake ptsecure.pc; do
  grep -q "$file" "$work/tgz" || fail "the .tar.gz lacks $file"
done
mkdir "$work/unpacked"
tar -xzf "$work"/packages/ptsecure-*.tar.gz -C "$work/unpacked" --strip-components=1
for package in libptsecure0 libptsecure-dev ptsecure; do
  file=$(find "$work/packages" -maxdepth 1 -name "${package}_*.deb")
  is_file "$file"
  dpkg-deb -c "$file" | awk '{ print $6 }' | sed 's,^\./,/,' > "$work/$package.files"
  dpkg-deb -x "$file" "$work/root"
done
grep -q "/libptsecure.so.$version" "$work/libptsecure0.files" || fail "libptsecure0 has no library"
if grep -E "/include/|/bin/.|/libptsecure\.so$" "$work/libptsecure0.files"; then
  fail "libptsecure0 holds what belongs to other packages"
fi
for file in /usr/include/ptsecure/ptsecure.h /usr/include/ptsecure/ptsecure.hpp /libptsecure.so \
    /ptsecureConfig.cmake /ptsecure.pc; do
  grep -q "$file" "$work/libptsecure-dev.files" || fail "libptsecure-dev lacks $file"
done
if grep -q "/libptsecure.so.$version" "$work/libptsecure-dev.files"; then
  fail "libptsecure-dev holds the library"
fi
if [ "$torch" = 1 ]; then
  grep -q "/libptsecure_torch.so" "$work/libptsecure0.files" || fail "libptsecure0 lacks the plug-in"
fi
if [ "$command" = 1 ]; then
  grep -q "/usr/bin/ptsecure" "$work/ptsecure.files" || fail "ptsecure has no command"
  "$work/unpacked/bin/ptsecure" version | grep -q "$version" || fail "the archive's command doesn't run"
  "$work/root/usr/bin/ptsecure" version | grep -q "$version" || fail "the packaged command doesn't run"
fi
if [ "$server" = 1 ]; then
  file=$(find "$work/packages" -maxdepth 1 -name "ptsecure-server_*.deb")
  is_file "$file"
  if dpkg-deb -c "$file" | grep -q "/usr/bin/ptsecure$"; then fail "ptsecure-server holds the command"; fi
  dpkg-deb -x "$file" "$work/root"
  for folder in unpacked/bin root/usr/bin; do
    "$work/$folder/ptsecure-server" --version | grep -q "$version" || fail "the packaged server doesn't run"
  done
fi
dpkg-deb -f "$(find "$work/packages" -maxdepth 1 -name 'libptsecure0_*.deb')" Depends | grep -q libssl3 ||
  fail "libptsecure0 doesn't depend on libssl3"
if grep -q '^PTSECURE_MONGODB:BOOL=ON' "$build/CMakeCache.txt"; then
  dpkg-deb -f "$(find "$work/packages" -maxdepth 1 -name 'libptsecure0_*.deb')" Depends |
    grep -q libmongoc-1.0-0 || fail "libptsecure0 doesn't depend on libmongoc, which it opens"
fi
if grep -q '^IPSEC_MB_INCLUDE_DIR:PATH=/' "$build/CMakeCache.txt"; then
  dpkg-deb -f "$(find "$work/packages" -maxdepth 1 -name 'libptsecure0_*.deb')" Recommends |
    grep -q libipsec-mb1 || fail "libptsecure0 doesn't recommend libipsec-mb1, which it opens"
fi
rm -rf "$work"
echo "all of it works"
