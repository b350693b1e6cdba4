#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Looks at the symbols of the built library:
# - of libm only functions whose results IEEE 754 defines to the last bit;
# - no global variable that can change, except what is named below;
# - the shared library exports what the public headers declare, no more and no less.
#
# usage: check_symbols.sh STATIC_LIBRARY SHARED_LIBRARY FOLDER_OF_PUBLIC_HEADERS
#        check_symbols.sh --self-test     needs a C compiler ($CC, default cc)
set -eu
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ALLOWED_MATH='fma fmaf nextafterf sqrt sqrtf'
# Facts about the machine, looked up once under a lock and never changed after.
ALLOWED_STATE='cpu.c.o:features cpu.c.o:model cpu.c.o:once'

find_libm() {
    for name in "$(${CC:-cc} -print-file-name=libm.so.6 2>/dev/null || true)" /lib/*/libm.so.6 /lib64/libm.so.6; do
        case $name in /*) [ -e "$name" ] && { echo "$name"; return; } ;; esac
    done
}

# Symbols of libm that the library refers to and that are not allowed.
math_faults() {
    libm=$(find_libm)
    [ -n "$libm" ] || { echo "libm.so.6 is not to be found, so its functions are not known"; return; }
    nm -D --defined-only "$libm" | awk '{ sub(/@.*/, "", $3); print $3 }' | sort -u >"$work/libm"
    echo "$ALLOWED_MATH" | tr ' ' '\n' | sort >"$work/allowed"
    nm -u "$1" 2>/dev/null | awk '$1 == "U" { sub(/@.*/, "", $2); print $2 }' | sort -u |
        comm -12 - "$work/libm" | comm -23 - "$work/allowed" | sed 's/.*/the library calls & of libm/'
}

# Objects in sections that can be written to. `nm -A` gives LIBRARY:MEMBER:NAME in the first field.
state_faults() {
    nm -A -f sysv --defined-only "$1" 2>/dev/null |
        awk -F'|' -v allowed=" $ALLOWED_STATE " '{
            gsub(/ /, ""); n = split($1, part, ":"); name = part[n - 1] ":" part[n]
            if (($4 == "OBJECT" || $4 == "TLS") && index(allowed, " " name " ") == 0)
                if ($7 ~ /^(\.data|\.bss|\.tdata|\.tbss|\*COM\*)/ && $7 !~ /^\.data\.rel\.ro/)
                    print name " is a global variable in " $7 }'
}

export_faults() {
    nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u >"$work/exported"
    cat "$2"/*.h | tr '\n' ' ' | grep -o 'RPU_API [^;(]*(' | grep -o 'rpu_[a-z0-9_]*($' | tr -d '(' | sort -u \
        >"$work/declared"
    comm -23 "$work/exported" "$work/declared" | sed 's/.*/the shared library exports &, which no public header declares/'
    comm -13 "$work/exported" "$work/declared" | sed 's/.*/a public header declares &, which is not exported/'
}

check() {
    if nm -u "$1" 2>/dev/null | grep -q '__asan_\|__ubsan_\|__tsan_\|__msan_\|__gcov_\|__llvm_profile'; then
        echo "skipped: an instrumented build has symbols of its own"
        return 77
    fi
    { math_faults "$1"; state_faults "$1"; export_faults "$2" "$3"; } >"$work/faults"
    cat "$work/faults"
    echo "$(wc -l <"$work/exported") symbols exported, $(wc -l <"$work/faults") faults"
    [ ! -s "$work/faults" ]
}

# Builds a library from $1 and compares the faults found with the text $2.
try() {
    mkdir -p "$work/t/include"
    rm -f "$work/t/lib.a"
    printf '#define RPU_API __attribute__((visibility("default")))\nRPU_API int rpu_one(int a);\n' >"$work/t/include/a.h"
    printf '#include "include/a.h"\nint rpu_one(int a) { return a; }\n%s\n' "$1" >"$work/t/lib.c"
    ${CC:-cc} -O1 -w -fno-builtin -fPIC -fvisibility=hidden -c "$work/t/lib.c" -o "$work/t/lib.o"
    ar rc "$work/t/lib.a" "$work/t/lib.o"
    ${CC:-cc} -shared -o "$work/t/lib.so" "$work/t/lib.o" -lm
    (check "$work/t/lib.a" "$work/t/lib.so" "$work/t/include") >"$work/found" && code=0 || code=$?
    if [ -z "$2" ] && [ $code -eq 0 ]; then return; fi
    if [ -n "$2" ] && [ $code -eq 1 ] && [ "$(head -n 1 "$work/found")" = "$2" ] && [ "$(wc -l <"$work/found")" = 2 ]; then
        return
    fi
    echo "expected '$2', found (exit $code):"
    cat "$work/found"
    bad=$((bad + 1))
}

self_test() {
    bad=0
    try 'double sqrt(double); const int table[] = {1, 2}; double f(double a) { return sqrt(a); }' ''
    try 'extern int one(int); static int (*const f[])(int) = {rpu_one}; int g(int i) { return f[i](1); }' ''
    try 'double sin(double); double f(double a) { return sin(a); }' 'the library calls sin of libm'
    try 'float expf(float); float f(float a) { return expf(a); }' 'the library calls expf of libm'
    try 'long double powl(long double, long double); long double f(long double a) { return powl(a, a); }' \
        'the library calls powl of libm'
    try 'static int calls; int f(void) { return ++calls; }' 'lib.o:calls is a global variable in .bss'
    try 'static int calls = 3; int f(void) { return ++calls; }' 'lib.o:calls is a global variable in .data'
    try 'static _Thread_local int calls; int f(void) { return ++calls; }' 'lib.o:calls is a global variable in .tbss'
    try '__attribute__((visibility("default"))) int rpu_two(void) { return 2; }' \
        'the shared library exports rpu_two, which no public header declares'
    [ $bad -eq 0 ] && echo "all libraries judged rightly"
}

case ${1:-} in
--self-test) self_test ;;
*)
    [ $# -eq 3 ] || { sed -n '8,9s/^# //p' "$0"; exit 2; }
    check "$@"
    ;;
esac
