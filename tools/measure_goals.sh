#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures the goals and puts their table into the README, from scratch.
#
# usage: tools/measure_goals.sh [--data DIR] [--out DIR] [--readme FILE] [BUILD]
#
#   --data DIR     training images: a folder of IDX files (default: digits)
#   --out DIR      where the recorded runs go (default: results/goals)
#   --readme FILE  document with the table (default: README.md)
#   BUILD          build folder (default: build; made as a release when it is not there)
#
# Writes DIR/CPU.json with OpenBLAS held to AVX2 and, on a processor with AVX-512, DIR/CPU-CORE.json with OpenBLAS's core
# for that. Some minutes; leave the machine alone meanwhile.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
unset OPENBLAS_CORETYPE RPU_ISA

usage() {
    sed -n 's/^# \{0,1\}//; /^usage:/,/^Writes/p' tools/measure_goals.sh | sed '/^Writes/d' >&2
    exit 2
}
# A path of the caller's.
from_here() { case $1 in /*) echo "$1" ;; *) echo "$here/$1" ;; esac; }

data=digits out=results/goals readme=README.md build=build
while [ $# -gt 0 ]; do
    case $1 in
        --data | --out | --readme)
            [ $# -ge 2 ] || { echo "measure_goals.sh: $1 needs an argument" >&2; usage; }
            [ "$1 $2" = '--data digits' ] && value=digits || value=$(from_here "$2")
            printf -v "${1#--}" %s "$value"
            shift 2 ;;
        -*) [ "$1" = --help ] || echo "measure_goals.sh: unknown option $1" >&2; usage ;;
        *) build=$(from_here "$1"); shift ;;
    esac
done
[ -w "$readme" ] || { echo "measure_goals.sh: $readme is no file that can be written" >&2; exit 1; }
[ -f "$build/build.ninja" ] || meson setup "$build" -Dbuildtype=release -Dbench=enabled
grep -q '^build bench/rpubench-bench:' "$build/build.ninja" || meson setup --reconfigure "$build" -Dbench=enabled
ninja -C "$build" bench/rpubench-bench
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A value of a run's context.
context() { /usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["context"].get(sys.argv[2], ""))' "$1" "$2"; }
# As a file name.
plain() { tr '[:upper:]' '[:lower:]' <<<"$1" | sed 's/([^)]*)//g; s/[^a-z0-9]\{1,\}/-/g; s/^-//; s/-$//'; }

# One run into a file, its context without names of the machine and of folders: measure FILE OPTION...
measure() {
    local file=$1
    shift
    "$build/bench/rpubench-bench" --benchmark_filter='^goal/' --data="$data" --benchmark_out_format=json \
        --benchmark_out="$work/run.json" "$@"
    /usr/bin/python3 - "$work/run.json" "$file" <<'PYTHON'
import json, os, sys
with open(sys.argv[1], encoding="utf-8") as file:
    run = json.load(file)
run["context"].pop("host_name", None)
for key in ("executable", "data"):
    run["context"][key] = os.path.basename(run["context"].get(key, "").rstrip("/"))
with open(sys.argv[2] + ".new", "w", encoding="utf-8") as file:
    json.dump(run, file, indent=1)
    file.write("\n")
os.replace(sys.argv[2] + ".new", sys.argv[2])
PYTHON
}

measure "$work/held.json"
# On a processor with AVX-512 the core for that: its own choice, or the oldest where OpenBLAS does not know the processor.
own=$(context "$work/held.json" openblas_default_core)
case ${own,,} in
    skylakex | cooperlake | sapphirerapids) ;;
    *) [[ " $(context "$work/held.json" cpu_flags) " == *" avx512vl "* ]] && own=SkylakeX || own='' ;;
esac
cpu=$(plain "$(context "$work/held.json" cpu)")
also=()
if [ -n "$own" ]; then
    measure "$work/own.json" --blas-core="$own"
    mv "$work/own.json" "$out/$cpu-$(plain "$own").json"
    also=(--also "OpenBLAS $own (AVX-512)=$out/$cpu-$(plain "$own").json")
fi
mv "$work/held.json" "$out/$cpu.json"
tools/perf_table.py --readme "$readme" "${also[@]}" "$out/$cpu.json"
echo "recorded in $out, table in $readme"
