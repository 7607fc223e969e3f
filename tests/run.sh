#!/usr/bin/env bash
# Sets up, builds and runs all tests; the last line is `ptsecure: N passed, N failed`.
#
#   tests/run.sh                 everything but tidy, which reads again only what has changed
#   tests/run.sh --quick         without the sanitizer builds
#   tests/run.sh STAGE...        only these, after set-up and build:
#                                format lint headers tidy ctest asan tsan pytest go quickstart
#   tests/run.sh ctest ARG...    ctest with these arguments, for example -R crypto
#   tests/run.sh fuzz SECONDS    each fuzz target that long with libFuzzer
#
# N counts test cases, in each build that runs them. Skipped ones are listed and never counted.
set -uo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
BUILD=$ROOT/build
cd "$ROOT" || exit 1

export CCACHE_BASEDIR=$ROOT CCACHE_NOHASHDIR=1

passed=0 failed=0
stage_lines=()
JOBS=${JOBS:-$(nproc)}

finish() {
  printf '\n%-14s %8s %8s %8s %9s\n' stage passed failed skipped seconds
  ((${#stage_lines[@]} == 0)) || printf '%s\n' "${stage_lines[@]}"
  echo
  echo "ptsecure: $passed passed, $failed failed"
  exit $((failed > 0))
}

# Runs a function that leaves "passed failed skipped" in $counts; leaving nothing is one failure.
stage() {
  local name=$1 start=$SECONDS status=0 p=0 f=0 s=0
  shift
  counts=$BUILD/test-counts
  rm -f "$counts"
  echo
  echo "=== $name"
  "$@" || status=$?
  if [[ -s $counts ]]; then read -r p f s <"$counts"; elif ((status == 0)); then p=1; fi
  if ((status != 0 && f == 0)); then f=1; fi
  passed=$((passed + p)) failed=$((failed + f))
  stage_lines+=("$(printf '%-14s %8d %8d %8d %9d' "$name" "$p" "$f" "$s" $((SECONDS - start)))")
  return "$status"
}

# Our own files with one of these endings.
sources() {
  local ending names=()
  for ending in "$@"; do names+=(-o -name "*.$ending"); done
  find . \( -path ./build -o -name '.?*' -o -name node_modules \) -prune -o \
    \( "${names[@]:1}" \) -print | sed 's|^\./||' | sort
}

check_format() { sources cc hpp c h | xargs clang-format-19 --dry-run --Werror; }

# Style and types of all Python (.ruff.toml and .mypy.ini say which), what a unity build asks of the
# C++, which folder may include which, and that options are told alike on every surface.
check_python() {
  local python good=0 bad=0 check
  mapfile -t python < <(sources py pyi)
  for check in tests/unity.py tests/arrows.py tests/prose.py; do
    if "$PTSECURE_PYTHON" "$check"; then good=$((good + 1)); else bad=$((bad + 1)); fi
  done
  for check in "ruff check ." "ruff format --check ." "mypy ${python[*]}"; do
    # shellcheck disable=SC2086  # a command and its arguments
    if "$PTSECURE_PYTHON" -m $check; then good=$((good + 1)); else bad=$((bad + 1)); fi
  done
  echo "$good $bad 0" >"$counts"
  ((bad == 0))
}

# Compiles a file that holds nothing but two includes of the header.
compile_header() {
  local compiler=$1 standard=$2 header=$3
  shift 3
  printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
    "$compiler" -fsyntax-only -std="$standard" -Wall -Wextra -Wpedantic -Werror -I. -Icapi/include \
      "$@" -x "$([[ $compiler == gcc ]] && echo c || echo c++)" -
}

# With the flags of where it lies.
check_header() {
  local header=$1
  # shellcheck disable=SC2086  # lists of flags
  case $header in
    tests/*.h) compile_header gcc c99 "$header" ;;
    *.h) compile_header gcc c99 "$header" && compile_header g++ c++17 "$header" ;;
    bindings/python/*) compile_header g++ c++20 "$header" -fvisibility=hidden -Ibindings/python/src $PYTHON_FLAGS ;;
    capi/include/ptsecure/ptsecure.hpp) compile_header g++ c++17 "$header" ;;
    */engine/torch/* | */torch.hpp | tests/*)
      compile_header g++ c++20 "$header" -DPTSECURE_SOURCE_DIR=\".\" $TORCH_FLAGS $MONGOC_FLAGS ;;
    *) compile_header g++ c++20 "$header" $MONGOC_FLAGS ;;
  esac && echo good || echo bad
}

check_headers() {
  local torch=${PTSECURE_TORCH_DIR:?} good bad
  export TORCH_FLAGS="-isystem $torch/include -isystem $torch/include/torch/csrc/api/include"
  MONGOC_FLAGS=$(pkg-config --cflags libmongoc-1.0 | sed 's/-I/-isystem /g')
  PYTHON_FLAGS=$("$PTSECURE_PYTHON" -m pybind11 --includes | sed 's/-I/-isystem /g')
  export MONGOC_FLAGS PYTHON_FLAGS
  export -f compile_header check_header
  sources hpp h | xargs -P "$JOBS" -I {} bash -c 'check_header "$1"' _ {} >"$BUILD/headers"
  good=$(grep -c good "$BUILD/headers") bad=$(grep -c bad "$BUILD/headers")
  echo "$good $bad 0" >"$counts"
  ((bad == 0 && good > 0))
}

check_tidy() {
  local log=$BUILD/log/clang-tidy.log
  "$PTSECURE_PYTHON" tests/tidy.py "$BUILD" "$JOBS" >"$counts" 2>"$log" && return
  grep -E '(warning|error):' "$log" | sort -u | head -n 60 || tail -n 20 "$log"
  return 1
}

run_ctest() {
  local folder=$1 status=0
  shift
  rm -rf "$folder/test-results"
  mkdir -p "$folder/test-results"
  ctest --test-dir "$folder" -j "$JOBS" --output-on-failure --no-tests=error \
    --output-junit "$folder/test-results.xml" "$@" || status=$?
  "$PTSECURE_PYTHON" tests/count.py ctest "$folder/test-results.xml" "$folder/test-results" \
    >"$counts" || status=1
  return "$status"
}

# What runs under a sanitizer: all of the core's tests, and those that use threads. The MongoDB
# store's run only in the ordinary build: libmongoc isn't instrumented, and failovers take real time.
# So do those about locked pages: the sanitizers turn mlock into nothing.
NOT_SANITIZED='-*ongo*:Secret.PagesAreLocked*:Secret.SaysSoWhenPages*:Secret.UsableInAForkedChild'
THREAD_TESTS="base_test package_test history_test apikeys_test registry_test store_test"
ADDRESS_TESTS="$THREAD_TESTS crypto_test keyring_test value_test protocol_test"

# The core without torch under a sanitizer, in a build folder of its own.
run_sanitized() {
  local kind=$1 folder=$2 targets=$ADDRESS_TESTS
  [[ $kind == address ]] || targets=$THREAD_TESTS
  cmake -S . -B "$folder" -G Ninja -DPTSECURE_SANITIZE="$kind" -DPTSECURE_TORCH=OFF \
    -DPTSECURE_WERROR=ON -DPTSECURE_SERVER=OFF -DPTSECURE_CLI=OFF >"$BUILD/log/configure-$kind.log" || return
  # shellcheck disable=SC2086  # a list of targets
  ninja -C "$folder" -j "$JOBS" $targets >"$BUILD/log/build-$kind.log" ||
    { tail -n 40 "$BUILD/log/build-$kind.log"; return 1; }
  UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
    GTEST_FILTER=$NOT_SANITIZED run_ctest "$folder" -R "^(${targets// /|})"
}

run_pytest() {
  local status=0
  "$PTSECURE_PYTHON" -m pytest -q -p no:cacheprovider --junitxml="$BUILD/pytest.xml" "$@" || status=$?
  "$PTSECURE_PYTHON" tests/count.py junit "$BUILD/pytest.xml" >"$counts" || status=1
  return "$status"
}

# What is found with pkg-config has to be installed: into build/prefix.
install_for_go() {
  local component
  rm -rf "$BUILD/prefix"
  for component in library dev; do
    cmake --install "$BUILD" --prefix "$BUILD/prefix" --component $component || return
  done >"$BUILD/log/install-for-go.log"
  PKG_CONFIG_PATH=$(dirname "$(find "$BUILD/prefix" -name ptsecure.pc)")
  export PKG_CONFIG_PATH
}

# In the module's folder. The binding runs under the race detector too, which checks the use of
# unsafe pointers as well (-d=checkptr).
check_go_module() {
  local unformatted
  unformatted=$("$("$PTSECURE_GO" env GOROOT)/bin/gofmt" -l .)
  [[ -z $unformatted ]] || { echo "gofmt: $PWD: $unformatted" >&2; return 1; }
  "$PTSECURE_GO" vet ./... && "$PTSECURE_GO" test -count=1 -json ./... || return
  [[ $PWD != */bindings/go ]] || "$PTSECURE_GO" test -race -count=1 -json ./...
}

run_go() {
  local status=0 module
  install_for_go || return
  : >"$BUILD/go-test.json"
  for module in "$@"; do
    (cd "$(dirname "$module")" && check_go_module) >>"$BUILD/go-test.json" || status=1
  done
  "$PTSECURE_PYTHON" tests/count.py go "$BUILD/go-test.json" >"$counts" || status=1
  return "$status"
}

run_quickstart() {
  local bad=0
  bash examples/quickstart.sh </dev/null || bad=$((bad + 1))
  bash examples/quickstart.sh --mongodb </dev/null || bad=$((bad + 1))
  echo "$((2 - bad)) $bad 0" >"$counts"
  ((bad == 0))
}

run_fuzz() {
  local seconds=$1 folder=$BUILD/fuzz bad=0 good=0 target name
  CC=clang-19 CXX=clang++-19 cmake -S . -B "$folder" -G Ninja -DPTSECURE_FUZZ=ON \
    -DPTSECURE_WERROR=ON -DPTSECURE_TORCH=OFF -DPTSECURE_SERVER=ON >"$BUILD/log/configure-fuzz.log" || return
  ninja -C "$folder" -j "$JOBS" fuzz_targets >"$BUILD/log/build-fuzz.log" ||
    { tail -n 40 "$BUILD/log/build-fuzz.log"; return 1; }
  for target in "$folder"/tests/*_fuzz; do
    name=$(basename "$target" _fuzz)
    mkdir -p "$folder/found/$name"
    if "$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 \
      -artifact_prefix="$folder/found/" "$folder/found/$name" "tests/fuzz/corpus/$name" \
      >"$BUILD/log/fuzz-$name.log" 2>&1; then
      good=$((good + 1))
    else
      bad=$((bad + 1))
      tail -n 30 "$BUILD/log/fuzz-$name.log"
    fi
  done
  echo "$good $bad 0" >"$counts"
  ((good > 0 && bad == 0))
}

run_stage() {
  case $1 in
    format) stage format check_format ;;
    lint) stage lint check_python ;;
    headers) stage headers check_headers ;;
    tidy) stage tidy check_tidy ;;
    ctest) stage ctest run_ctest "$BUILD" ;;
    asan) stage asan+ubsan run_sanitized address "$BUILD/asan" ;;
    tsan) stage tsan run_sanitized thread "$BUILD/tsan" ;;
    pytest)
      mapfile -t found < <(find tests bindings examples -name 'test_*.py' -o -name '*_test.py' | sort)
      ((${#found[@]} == 0)) || stage pytest run_pytest "${found[@]}" ;;
    go)
      mapfile -t found < <(find tests bindings examples -name go.mod | sort)
      ((${#found[@]} == 0)) || stage go run_go "${found[@]}" ;;
    quickstart) stage quickstart run_quickstart ;;
    *) echo "run.sh: unknown stage '$1'" >&2; return 2 ;;
  esac
}

main() {
  local stages=(format lint headers ctest pytest go quickstart asan tsan) name
  case ${1:-} in
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    --quick) stages=(format lint headers ctest pytest go quickstart) ;;
    ctest | fuzz) stages=() ;;
    ?*) stages=("$@") ;;
  esac
  stage set-up bash examples/setup.sh --full || finish
  # Set-up and build are no tests: only their failure counts.
  passed=0
  # shellcheck source=/dev/null
  source "$BUILD/environment.sh"
  case ${1:-} in
    ctest) stage ctest run_ctest "$BUILD" "${@:2}" ;;
    fuzz) stage fuzz run_fuzz "${2:-60}" ;;
  esac
  for name in "${stages[@]}"; do
    run_stage "$name" || true
  done
  finish
}
main "$@"
