#!/bin/sh
# exports.sh NM LIBRARY SOURCE_DIR [PLUGIN]
# The library exports exactly capi/exports.txt, under its version; the header declares exactly these
# functions; tests/capi/null.c calls each; the plug-in exports its entry alone.
set -eu
nm=$1 library=$2 source=$3 plugin=${4:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C
failed=0

same() { # file file what
  if ! diff -u "$1" "$2" > "$work/diff"; then
    echo "$3:" >&2
    cat "$work/diff" >&2
    failed=1
  fi
}

# The version itself is an absolute symbol.
"$nm" -D --defined-only "$library" | awk '$2 != "A" { print $3 }' | sort > "$work/exported"
sed 's/$/@@PTSECURE_0.1/' "$source/capi/exports.txt" | sort > "$work/listed"
same "$work/listed" "$work/exported" "capi/exports.txt (-) and the library's exports (+) differ"

sort "$source/capi/exports.txt" > "$work/list"
awk '/^PTS_API/ { text = ""; taking = 1 } taking { text = text " " $0 } /;/ && taking { print text; taking = 0 }' \
  "$source/capi/include/ptsecure/ptsecure.h" | grep -o 'pts_[a-z0-9_]*(' | tr -d '(' | sort > "$work/api"
same "$work/list" "$work/api" "capi/exports.txt (-) and the functions of ptsecure.h (+) differ"

while read -r name; do
  if ! grep -q "\b$name(" "$source/tests/capi/null.c"; then
    echo "tests/capi/null.c does not call $name" >&2
    failed=1
  fi
done < "$work/list"

if [ -n "$plugin" ]; then
  "$nm" -D --defined-only "$plugin" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' > "$work/plugin"
  echo ptsecure_engine_plugin > "$work/expected"
  same "$work/expected" "$work/plugin" "what the plug-in should export (-) and exports (+) differ"
fi
exit $failed
