#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# How often a comparison finds a change where there is none: runs the same benchmarks of the same program for two sides,
# in turn, compares the sides, and does so ten times. Fails when more than one comparison in ten calls a change
# significant.
#
# usage: noise_check.sh [OPTION]...
#   --count N          comparisons (10)
#   --rounds N         runs of each side in a comparison, with 5 repetitions (4)
#   --threshold PCT    changes up to here count as none (10)
#   --filter REGEX     benchmarks to run (some kernels and shapes)
#   --time wall|cpu    time to compare (wall)
#   --build DIR        build folder with rpubench and bench/rpubench-bench (build)
#   --keep DIR         keep the documents of the runs in DIR
set -eu
here=$PWD
cd "$(dirname "$0")/.."
from_here() { case $1 in /*) echo "$1" ;; *) echo "$here/$1" ;; esac; }
count=10
rounds=4
threshold=10
filter='^kernel/(gaussian|tanh|forward|backward|epilogue)/(autovec|avx2|neon)/(1x3072|16x26|128x513|512x512)/'
time=wall
build=build
keep=
while [ $# -gt 0 ]; do
    [ $# -gt 1 ] || { sed -n '/^# usage/,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
    case $1 in
    --count) count=$2 ;;
    --rounds) rounds=$2 ;;
    --threshold) threshold=$2 ;;
    --filter) filter=$2 ;;
    --time) time=$2 ;;
    --build) build=$(from_here "$2") ;;
    --keep) keep=$(from_here "$2") ;;
    *) echo "noise_check.sh: unknown option $1" >&2; exit 2 ;;
    esac
    shift 2
done
for number in "$count" "$rounds"; do
    case $number in
    '' | *[!0-9]* | 0) echo "noise_check.sh: found '$number', allowed is a number from 1" >&2; exit 2 ;;
    esac
done
work=${keep:-$(mktemp -d)}
mkdir -p "$work"
[ -n "$keep" ] || trap 'rm -rf "$work"' EXIT

# Repetitions of all benchmarks in random order, so that a slow second meets each of them a little and none alone.
run() {
    "$build/bench/rpubench-bench" --benchmark_filter="$filter" --benchmark_repetitions=5 \
        --benchmark_min_time=0.01 --benchmark_enable_random_interleaving=true \
        --benchmark_out="$1" --benchmark_out_format=json >"$work/log" 2>&1 ||
        { cat "$work/log" >&2; echo "noise_check.sh: the benchmarks failed" >&2; exit 2; }
}

# All runs of a side as one document.
join() {
    /usr/bin/python3 -c '
import json, sys
documents = [json.load(open(path, encoding="utf-8")) for path in sys.argv[2:]]
rows = [row for d in documents for row in d["benchmarks"] if row["run_type"] == "iteration"]
with open(sys.argv[1], "w", encoding="utf-8") as out:
    json.dump({"context": documents[0]["context"], "benchmarks": rows}, out, indent=1)
' "$@"
}

# Both sides in turn, so that both see the same of what else the machine does.
measure() {
    round=1
    while [ "$round" -le "$rounds" ]; do
        run "$work/round$round-old.json"
        run "$work/round$round-new.json"
        round=$((round + 1))
    done
    join "$work/$1-old.json" "$work"/round*-old.json
    join "$work/$1-new.json" "$work"/round*-new.json
    rm -f "$work"/round*.json
}

quiet=0
n=1
while [ "$n" -le "$count" ]; do
    measure "$n"
    code=0
    "$build/rpubench" compare "$work/$n-old.json" "$work/$n-new.json" --threshold "$threshold" --time "$time" \
        --quiet >"$work/$n.txt" || code=$?
    [ "$code" -le 1 ] || exit 2
    if grep -q '^no significant change$' "$work/$n.txt"; then
        quiet=$((quiet + 1))
    fi
    mean=$(sed -n '/^geometric mean/,/^$/s/.* \([0-9.]*\)  of .*/\1/p' "$work/$n.txt" | tail -n 1)
    echo "$n: $(sed -n 's/^\([0-9]* compared\).*: /\1: /p' "$work/$n.txt"); geometric mean $mean, load $(cut -d' ' -f1 /proc/loadavg)"
    grep -E ' (slower|faster)$' "$work/$n.txt" | sed 's/^/    /' || true
    n=$((n + 1))
done
echo "$quiet of $count comparisons at $threshold % say: no significant change"
[ $((10 * quiet)) -ge $((9 * count)) ]
