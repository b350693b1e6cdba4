#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The names that the shared library exports are those of tests/abi.txt: none goes, and none comes, by accident. (That
# they are what the public headers declare is the test `symbols`.) --record writes the list anew: a name that comes is a
# new minor version of the library, one that goes or changes its meaning a new major version.
#
# usage: test_abi.sh [--record] SHARED_LIBRARY
set -eu
export LC_ALL=C
list=$(dirname "$0")/abi.txt
record=no
[ "$1" != --record ] || { record=yes; shift; }
if nm -D "$1" | grep -q '__asan_\|__ubsan_\|__tsan_\|__gcov_'; then
    echo "skipped: an instrumented build has symbols of its own"
    exit 77
fi
found=$(mktemp)
trap 'rm -f "$found"' EXIT
nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u >"$found"
[ $record = no ] || { cp "$found" "$list"; exit; }
if ! diff "$list" "$found"; then
    echo "the exported names are not those of tests/abi.txt: < is missing, > is new (see --record)"
    exit 1
fi
echo "$(wc -l <"$found") names"
