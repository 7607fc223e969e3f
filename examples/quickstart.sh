#!/usr/bin/env bash
# A real model goes in encrypted, real pictures come out answered. Does its own set-up.
#
#   examples/quickstart.sh                    in a folder, with nothing to run beside it
#   examples/quickstart.sh --mongodb          in a private MongoDB on this machine, stopped afterwards
#   examples/quickstart.sh --mongodb URI      in yours: mongodb://host/database
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kind=folder uri=
case ${1:-} in
  '') ;;
  --mongodb) kind=mongodb uri=${2:-} ;;
  -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
  *) echo "quickstart.sh: unknown argument '$1'; see --help" >&2; exit 2 ;;
esac

start=$SECONDS
if [[ $kind == mongodb && -z $uri ]]; then examples/setup.sh --mongodb; else examples/setup.sh; fi
# shellcheck source=/dev/null
source build/environment.sh
PATH=$PWD/build/bin:$PATH

digits=examples/digits
work=build/quickstart/$kind
[[ -z $uri ]] || work=build/quickstart/server
mkdir -p "$work"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[[ -t 1 ]] || say() { printf '\n%s\n' "$*"; }
run() {
  printf '$ %s\n' "$*"
  "$@"
}

if [[ $kind == folder ]]; then
  rm -rf "${work:?}"/*
  store=$work/store
elif [[ -n $uri ]]; then
  store=$uri
else
  say "Starting a private MongoDB, one-node replica set, on loopback"
  rm -rf "${work:?}"/*
  trap 'python3 tests/mongod.py stop "$work/mongod"' EXIT
  address=$(python3 tests/mongod.py start "$work/mongod")
  store=${address/\/\?//quickstart?}
  echo "$store"
fi
export PTSECURE_STORE=$store PTSECURE_KEYS=$work/keys.jwks PTSECURE_STATE=$work/state.json

say "1. Keys: one pair to sign with, one to wrap content keys for"
if [[ -f $PTSECURE_KEYS ]]; then
  echo "kept from an earlier run: $PTSECURE_KEYS"
else
  run ptsecure keygen "$PTSECURE_KEYS"
fi

say "2. Publish: inspect, encrypt, store, sign"
run ptsecure publish "$digits/digits.pt" digits --sample "$digits/sample.npy" --alias production
run ptsecure list

say "3. What is stored holds nothing of the model in plaintext"
rm -rf "$work/exported"
run ptsecure export digits "$work/exported"
payload=$(find "$work/exported" -type f -printf '%s %p\n' | sort -rn | head -n 1 | cut -d' ' -f2-)
case $kind$uri in
  folder) stored=$work/store ;;
  mongodb) stored=$work/mongod/node0/data ;;
  *) stored=$payload ;;  # the bytes as the server gave them out
esac
python3 "$digits/search.py" "$digits/digits.pt" "$payload" "$stored"

say "4. Open it and run it: fetched, verified, decrypted and loaded in one go, then 360 pictures"
images=$digits/heldout_images.npy answers=$work/answers.json
echo "$ ptsecure infer digits@production --input $images >$answers"
ptsecure infer digits@production --input "$images" >"$answers"
python3 "$digits/show.py" "$answers" "$images" "$digits/heldout_labels.npy"

read -r installing building <build/log/setup-seconds
say "Took $((SECONDS - start)) s: $building s for building, $((SECONDS - start - installing - building)) s for the \
rest, and $installing s for downloads and installing"

say "To try next:"
if [[ $kind == folder ]]; then
  echo "  export PATH=\$PWD/build/bin:\$PATH PTSECURE_STORE=$PTSECURE_STORE PTSECURE_KEYS=$PTSECURE_KEYS PTSECURE_STATE=$PTSECURE_STATE"
  echo "  ptsecure show digits"
  echo "  ptsecure verify digits@production"
  echo "  ptsecure infer digits --input $digits/request.json"
elif [[ -n $uri ]]; then
  echo "  export PATH=\$PWD/build/bin:\$PATH PTSECURE_STORE='<your URI>' PTSECURE_KEYS=$PTSECURE_KEYS PTSECURE_STATE=$PTSECURE_STATE"
  echo "  ptsecure show digits"
  echo "  ptsecure verify digits@production"
  echo "  ptsecure copy digits --to ./a-folder"
else
  echo "  examples/quickstart.sh --mongodb mongodb://<your server>/<database>"
  echo "  examples/quickstart.sh"
  echo "  build/bin/ptsecure --help"
fi
