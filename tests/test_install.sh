#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs into an empty folder, compiles a program outside the tree against what was installed, and runs it with the
# installed shared library.
#
# usage: test_install.sh BUILD_FOLDER SOURCE_OF_THE_PROGRAM
set -eu
build=$(cd "$1" && pwd -P)
source=$(cd "$(dirname "$2")" && pwd -P)/$(basename "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if nm -D "$build"/src/librpu.so 2>/dev/null | grep -q '__asan_\|__ubsan_\|__tsan_'; then
    echo "skipped: a program without sanitizers cannot load a library with them"
    exit 77
fi
fail() {
    echo "$*"
    exit 1
}

meson install -C "$build" --no-rebuild --destdir "$work/root" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
pc=$(find "$work/root" -name rpu.pc)
[ -n "$pc" ] || fail "no rpu.pc was installed"
library=$(find "$work/root" -name 'librpu.so')
[ -n "$library" ] || fail "no librpu.so was installed"
program=$(find "$work/root" -path '*/bin/rpubench')
[ -x "$program" ] || fail "no rpubench was installed"

# What is installed of headers is what the source tree has.
(cd "$(dirname "$0")/../include" && find rpu -name '*.h' | sort) >"$work/expected"
(cd "$(dirname "$(find "$work/root" -type d -path '*/include/rpu')")" && find rpu -name '*.h' | sort) >"$work/found"
cmp "$work/expected" "$work/found" || fail "the installed headers are not those of include/rpu"

export PKG_CONFIG_PATH="$(dirname "$pc")" PKG_CONFIG_SYSROOT_DIR="$work/root"
version=$(pkg-config --modversion rpu)
cp "$source" "$work/outside.c"
cd "$work"
# shellcheck disable=SC2046
${CC:-cc} -std=c17 -Wall -Wextra -Wpedantic -Werror outside.c -o outside $(pkg-config --cflags --libs rpu)
LD_LIBRARY_PATH=$(dirname "$library") ldd ./outside | grep -q "$work/root.*librpu.so" || fail "not linked to the installed library"
LD_LIBRARY_PATH=$(dirname "$library") ./outside >out || fail "the program failed: $(cat out)"
cat out
grep -q "^librpu $version: 10 images trained$" out || fail "unexpected output"
# The benchmarks are a program of their own, which the installed rpubench finds.
if [ -x "$build/bench/rpubench-bench" ]; then
    "$program" bench --filter '^kernel/relu/.*1x129/' --repetitions 1 --min-time 0.0001 --quiet --json a.json ||
        fail "rpubench bench failed"
    grep -q "$work/root.*libexec/rpubench/rpubench-bench" a.json || fail "not the installed benchmarks"
fi
[ "$("$program" --version | cut -d' ' -f2)" = "$version" ] || fail "rpubench has another version than the library"
