#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures what ranks of one core gain in training, and prints a table in Markdown.
#
# usage: tools/mpi_scaling.sh [--ranks "1 2"] [--batch B] [--preset NAME] [--images N] [--repeats K] [--bind HOW]
#                             [PROGRAM]
#
#   --ranks LIST   numbers of ranks to compare, of which 1 has to be one (default: "1 2")
#   --batch B      images of a minibatch (default: 16)
#   --preset NAME  what is trained, on generated digits (default: lenet-rpu)
#   --images N     images of a training (default: 2000)
#   --repeats K    trainings for each number of ranks, in turn (default: 15)
#   --bind HOW     mpirun's --bind-to (default: core)
#   PROGRAM        default: build/rpubench
#
# Images/s are the median and the best of the repeats. The share of the updates, which every rank repeats, is that of the
# best training of one rank: time in updates / time of the training. "At most" is Amdahl's law with that share. The
# exchange of a minibatch on rank 0, from the trace of the best training: packing, the median gathering (which waits for
# the other ranks), and unpacking; beside it the time of a whole minibatch in that training.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."

usage() {
    sed -n 's/^# \{0,1\}//; /^usage:/,/^Images/p' tools/mpi_scaling.sh | sed '/^Images/d' >&2
    exit 2
}

ranks='1 2' batch=16 preset=lenet-rpu images=2000 repeats=15 bind=core program=build/rpubench
while [ $# -gt 0 ]; do
    case $1 in
        --ranks | --batch | --preset | --images | --repeats | --bind)
            [ $# -ge 2 ] || { echo "mpi_scaling.sh: $1 needs an argument" >&2; usage; }
            printf -v "${1#--}" %s "$2"
            shift 2 ;;
        -*) [ "$1" = --help ] || echo "mpi_scaling.sh: unknown option $1" >&2; usage ;;
        /*) program=$1; shift ;;
        */*) program=$here/$1; shift ;;
        *) program=$1; shift ;;
    esac
done
case " $ranks " in *' 1 '*) ;; *) echo "mpi_scaling.sh: --ranks: found '$ranks', which has to contain 1" >&2; exit 2 ;; esac
command -v mpirun >/dev/null || { echo "mpi_scaling.sh: mpirun is not installed" >&2; exit 1; }
[ "$(id -u)" != 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for ((k = 0; k < repeats; k++)); do
    for r in $ranks; do
        mpirun -n "$r" --bind-to "$bind" "$program" train "$preset" --data digits --limit-train "$images" \
            --limit-test 1 --epochs 1 --batch "$batch" --threads 1 --bind none --quiet \
            --json "$work/$r-$k.json" --trace "$work/$r-$k.trace"
    done
done

/usr/bin/python3 - "$work" "$repeats" "$ranks" "$preset" "$batch" "$images" <<'PYTHON'
import json, statistics, sys

work, repeats, ranks = sys.argv[1], int(sys.argv[2]), sys.argv[3].split()


def load(name):
    with open(f"{work}/{name}", encoding="utf-8") as file:
        return json.load(file)


def update_share(run):
    """Time in updates by time of the training."""
    nanoseconds = sum(cycles["update"]["ns_per_image"] for cycles in run["cycles"].values())
    return nanoseconds * 1e-9 * run["images_per_second"]


def exchange(name):
    """Microseconds of a minibatch: all but the gatherings by their mean."""
    times = {"exchange": [], "exchange, out": [], "exchange, in": []}
    for event in load(name)["traceEvents"]:
        if event["name"] in times:
            times[event["name"]].append(event["dur"])
    gathered = times["exchange"]
    return statistics.median(gathered) + (sum(times["exchange, out"]) + sum(times["exchange, in"])) / len(gathered)


runs = {r: [load(f"{r}-{k}.json") for k in range(repeats)] for r in ranks}
digests = {run["weights_digest"] for of in runs.values() for run in of}
if len(digests) != 1:
    sys.exit(f"mpi_scaling.sh: the weights differ: {sorted(digests)}")
best = {r: max(range(repeats), key=lambda k, r=r: runs[r][k]["images_per_second"]) for r in ranks}
rate = {r: statistics.median(run["images_per_second"] for run in runs[r]) for r in ranks}
share = update_share(runs["1"][best["1"]])
one = runs["1"][0]
print(f"`{sys.argv[4]}`, batch {sys.argv[5]}, {sys.argv[6]} digits, {one['cpu']}, {one['isa']}, ranks of one thread, "
      f"{repeats} trainings each; updates {share:.0%} of the step of one rank, so {1 / share:.2f}x at most with any "
      "number\n")
print("| ranks | images/s, median (best) | gain, median (best) | at most | exchange, of a minibatch |")
print("|---|---|---|---|---|")
for r in ranks:
    top = {q: runs[q][best[q]]["images_per_second"] for q in (r, "1")}
    minibatch = 1e6 * int(sys.argv[5]) / top[r]
    took = f"{exchange(f'{r}-{best[r]}.trace'):.0f} us of {minibatch:.0f} us" if r != "1" else "-"
    print(f"| {r} | {rate[r]:.0f} ({top[r]:.0f}) | {rate[r] / rate['1']:.2f}x ({top[r] / top['1']:.2f}x) "
          f"| {1 / (share + (1 - share) / int(r)):.2f}x | {took} |")
PYTHON
