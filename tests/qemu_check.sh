#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The program on other processors, by QEMU's user mode: on AArch64 the NEON kernels are chosen and train the same
# weights; on x86 processors that lack AVX2 or one of the other features it needs, `generic` is chosen, nothing illegal
# runs, and the weights are the same; where only what the hand-written kernels need is missing, `autovec` is.
#
# usage: qemu_check.sh NATIVE_BUILD AARCH64_BUILD    prints a line "PASS what" or "FAIL what: why" for each check
# NATIVE_BUILD is an x86-64 build.
# The exit code is 0 when all passed, 77 without QEMU.
set -uo pipefail
[ $# -eq 2 ] || { sed -n '/^# usage/s/^# //p' "$0" >&2; exit 2; }
native=$1/rpubench
arm=$2/rpubench
for program in "$native" "$arm"; do
    [ -x "$program" ] || { echo "FAIL $program is there: not found" && exit 1; }
done
for tool in qemu-aarch64 qemu-x86_64; do
    command -v "$tool" >/dev/null || { echo "SKIPPED: no $tool (package qemu-user)" && exit 77; }
done
unset RPU_ISA
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# result WHAT WHY: passed where WHY is empty.
result() {
    if [ -z "$2" ]; then
        echo "PASS $1"
    else
        echo "FAIL $1: $2"
        failures=$((failures + 1))
    fi
}

# Names of the kernels chosen that are not of the variant, one line; or what went wrong: chosen_other VARIANT COMMAND...
chosen_other() {
    local variant=$1
    shift
    "$@" info --json >"$work/info" 2>"$work/errors" || { echo "exit code $?, $(tail -n 1 "$work/errors")"; return; }
    /usr/bin/python3 - "$variant" "$work/info" <<'END'
import json
import sys

variant, path = sys.argv[1:]
with open(path, encoding="utf-8") as file:
    kernels = json.load(file)["kernels"]
others = [f"{name} is {isa}" for name, isa in sorted(kernels.items()) if isa != variant]
print(", ".join(others) if kernels else "no kernels are named", end="")
END
}

# The digest of a short training, or what went wrong: digest "ARGUMENTS" COMMAND...
digest() {
    local arguments=$1
    shift
    # shellcheck disable=SC2086
    "$@" train $arguments --data digits --limit-test 10 --epochs 1 --threads 1 --quiet --json - \
        >"$work/run" 2>"$work/errors" || { echo "exit code $?, $(tail -n 1 "$work/errors")"; return; }
    grep -o '"weights_digest": *"[0-9a-f]*"' "$work/run" || echo "no digest"
}

# same_digest WHAT "ARGUMENTS" COMMAND...: the command trains the weights that the native program trains.
same_digest() {
    local what=$1 arguments=$2 here there
    shift 2
    here=$(digest "$arguments" "$native")
    there=$(digest "$arguments" "$@")
    case $here in
    *weights_digest*) [ "$here" = "$there" ] && here='' || here="$there, native: $here" ;;
    esac
    result "$what: train $arguments" "$here"
}

# AArch64: both update rules, minibatches, the exact arrays, and the other variants there.
result 'AArch64 chooses neon for every kernel' "$(chosen_other neon qemu-aarch64 "$arm")"
for arguments in 'lenet-rpu --limit-train 20' 'lenet-rpu --limit-train 20 --batch 8' \
    'lenet-rpu-baseline --limit-train 10' 'lenet-fp --limit-train 20 --batch 8' \
    'lenet-rpu --limit-train 10 --isa generic' 'lenet-rpu --limit-train 10 --isa autovec'; do
    same_digest AArch64 "$arguments" qemu-aarch64 "$arm"
done

# x86: each missing feature alone is enough. Software FMA is slow: few images.
for cpu in Nehalem 'max,-avx2' 'max,-fma' 'max,-avx' 'max,-xsave' 'max,-popcnt'; do
    result "x86 -cpu $cpu chooses generic for every kernel" "$(chosen_other generic qemu-x86_64 -cpu "$cpu" "$native")"
done
# What the compiler's vectors need is less than what the hand-written kernels do.
result 'x86 -cpu max,-bmi2 chooses autovec for every kernel' \
    "$(chosen_other autovec qemu-x86_64 -cpu max,-bmi2 "$native")"
same_digest 'x86 -cpu max,-bmi2' 'lenet-rpu --limit-train 5' qemu-x86_64 -cpu max,-bmi2 "$native"
if qemu-x86_64 -cpu Nehalem "$native" info --isa avx2 >"$work/run" 2>"$work/errors"; then
    result 'x86 -cpu Nehalem refuses --isa avx2' 'exit code 0'
else
    result 'x86 -cpu Nehalem refuses --isa avx2' "$(grep -q generic "$work/errors" || cat "$work/errors")"
fi
same_digest 'x86 -cpu Nehalem' 'lenet-rpu --limit-train 20' qemu-x86_64 -cpu Nehalem "$native"
same_digest 'x86 -cpu Nehalem' 'lenet-fp --limit-train 10' qemu-x86_64 -cpu Nehalem "$native"
[ "$failures" -eq 0 ]
