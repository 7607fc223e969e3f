#!/usr/bin/env bash
# Measures opening, publishing and running sealed models beside what people use today, on this
# machine, and prints one table; bench.txt, .md, .csv and .png in build/bench hold the same, and with
# --docs the README and docs/performance.*. With --targets it says of each row what it must reach,
# what it aims at, and which of them it met.
#
#   tests/bench/run.sh [--quick] [--rows PATTERN,...] [--rounds N] [--out FOLDER] [--memory-as-is]
#                      [--targets] [--docs]
#   tests/bench/run.sh --list [--targets]
#   tests/bench/run.sh --from RUN.csv [--targets] [--docs]    tells and draws an earlier run again
#
# Builds and fetches what it compares with and says what it has to skip. It is no test: nothing
# fails because something was slow. Run it on a machine that does nothing else; needs 4 GB of disk
# and 8 GB of memory, most of it for the peers, and for the model above 4 GiB 24 GB and 20 GB.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
BENCH=$ROOT/build/bench
VENV=$BENCH/venv

[[ ${1:-} != -h && ${1:-} != --help ]] || { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0; }
[[ -f $ROOT/build/environment.sh && -x $ROOT/build/venv/bin/python ]] ||
  bash "$ROOT/examples/setup.sh" --full --no-build
# shellcheck disable=SC1091  # written by examples/setup.sh
source "$ROOT/build/environment.sh"
mkdir -p "$BENCH"

# Packages of its own over those of the tests, which stay as they are.
make_venv() {
  local stamp base
  base=$("$PTSECURE_PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  stamp=$(cat "$ROOT/tests/bench/requirements.txt"; echo "$base")
  [[ $(cat "$VENV/.stamp" 2>/dev/null) != "$stamp" ]] || return 0
  echo "==> Python packages of the benchmark" >&2
  "$PTSECURE_PYTHON" -m venv --clear "$VENV"
  echo "$base" >"$VENV/$(cd "$VENV" && echo lib/python3*/site-packages)/tests.pth"
  local package missing=
  while read -r package; do
    "$VENV/bin/pip" install --quiet --disable-pip-version-check --no-deps "$package" >&2 ||
      { echo "skipped $package: it can't be had here" >&2; missing=1; }
  done < <(grep -v '^#' "$ROOT/tests/bench/requirements.txt")
  [[ $missing ]] || echo "$stamp" >"$VENV/.stamp"  # else the next run tries again
}

build() {
  local log=$BENCH/build.log
  echo "==> building the library and the benchmark's programs" >&2
  cmake -S "$ROOT" -B "$ROOT/build" -G Ninja -DPTSECURE_TORCH_DIR="$PTSECURE_TORCH_DIR" \
    -DPTSECURE_TESTS=ON >"$log" 2>&1 &&
    cmake --build "$ROOT/build" --target bench_programs >>"$log" 2>&1 ||
    { tail -n 25 "$log" >&2; exit 1; }
}

make_venv
if [[ ${1:-} == --from ]]; then exec "$VENV/bin/python" "$ROOT/tests/bench/report.py" "${@:2}"; fi
[[ " $* " == *" --list "* ]] || build
cd "$ROOT"
exec "$VENV/bin/python" "$ROOT/tests/bench/bench.py" --build "$ROOT/build" "$@"
