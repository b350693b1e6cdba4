#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures what a sweep gains from training several runs at a time, and prints a table in Markdown.
#
# usage: tools/sweep_scaling.sh [--jobs "1 2"] [--preset NAME] [--images N] [--repeats K] [PROGRAM]
#
#   --jobs LIST    trainings at a time to compare, of which 1 has to be one (default: "1 2")
#   --preset NAME  what is trained, on generated digits (default: lenet-rpu)
#   --images N     images of a training (default: 20000)
#   --repeats K    sweeps for each number, in turn (default: 5)
#   PROGRAM        default: build/rpubench
#
# Each sweep has as many runs as the largest number of the list, which differ by their seed, of one thread each. Times are
# of the whole sweep, making and testing images included: the median and the best of the repeats.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."

usage() {
    sed -n 's/^# \{0,1\}//; /^usage:/,/^Each/p' tools/sweep_scaling.sh | sed '/^Each/d' >&2
    exit 2
}

jobs='1 2' preset=lenet-rpu images=20000 repeats=5 program=build/rpubench
while [ $# -gt 0 ]; do
    case $1 in
        --jobs | --preset | --images | --repeats)
            [ $# -ge 2 ] || { echo "sweep_scaling.sh: $1 needs an argument" >&2; usage; }
            printf -v "${1#--}" %s "$2"
            shift 2 ;;
        -*) [ "$1" = --help ] || echo "sweep_scaling.sh: unknown option $1" >&2; usage ;;
        /*) program=$1; shift ;;
        */*) program=$here/$1; shift ;;
        *) program=$1; shift ;;
    esac
done
case " $jobs " in *' 1 '*) ;; *) echo "sweep_scaling.sh: --jobs: found '$jobs', which has to contain 1" >&2; exit 2 ;; esac
[[ $repeats =~ ^[1-9][0-9]*$ ]] || { echo "sweep_scaling.sh: --repeats: found '$repeats', allowed is a whole number above 0" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

most=$(tr ' ' '\n' <<<"$jobs" | sort -n | tail -n 1)
printf 'base: %s\ndata: {limit_train: %s, limit_test: 100}\ntraining: {epochs: 1}\nseeds: [%s]\n' "$preset" "$images" \
    "$(seq -s ', ' "$most")" >"$work/sweep.yaml"
for ((k = 0; k < repeats; k++)); do
    for j in $jobs; do
        begin=$(date +%s%N)
        "$program" sweep "$work/sweep.yaml" --out "$work/$j-$k" --jobs "$j" --threads 1 --quiet
        echo "$j $k $(($(date +%s%N) - begin))" >>"$work/times"
    done
done

/usr/bin/python3 - "$work" "$preset" "$images" "$repeats" "$most" <<'PYTHON'
import json, statistics, sys

work, preset, images, repeats, most = sys.argv[1:6]
times, digests = {}, set()
for line in open(f"{work}/times", encoding="utf-8"):
    jobs, number, ns = line.split()
    times.setdefault(jobs, []).append(float(ns) * 1e-9)
    with open(f"{work}/{jobs}-{number}/sweep.json", encoding="utf-8") as file:
        digests.add(tuple(run["weights_digest"] for run in json.load(file)["runs"]))
if len(digests) != 1:
    sys.exit(f"sweep_scaling.sh: the weights differ: {sorted(digests)}")
with open(f"{work}/1-0/seed=1/result.json", encoding="utf-8") as file:
    one = json.load(file)
print(f"`{preset}`, {most} trainings of {images} digits, {one['cpu']}, {one['isa']}, one thread each, {repeats} sweeps each\n")
print("| at a time | seconds, median (best) | gain, median (best) |")
print("|---|---|---|")
for jobs, took in times.items():
    gains = [a / b for a, b in zip(times["1"], took)]
    print(f"| {jobs} | {statistics.median(took):.2f} ({min(took):.2f}) "
          f"| {statistics.median(gains):.2f}x ({min(times['1']) / min(took):.2f}x) |")
PYTHON
