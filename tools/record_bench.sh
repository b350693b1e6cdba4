#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures everything on this machine, records it, and makes the tables, from scratch.
#
# usage: tools/record_bench.sh [--quick] [--out DIR] [--readme FILE] [BUILD]
#
#   --quick        the quick choice instead of everything
#   --out DIR      where the recorded runs go (default: results/bench)
#   --readme FILE  document with the tables of whole cycles and of threads (default: README.md)
#   BUILD          build folder (default: build; made as a release when it is not there)
#
# Writes DIR/CPU.json, DIR/CPU-official.json (the best of three runs, by images per second of one thread) and
# DIR/CPU.md. Half an hour to three quarters; leave the machine alone meanwhile. The goals have a script of their
# own, tools/measure_goals.sh.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
unset OPENBLAS_CORETYPE OMP_NUM_THREADS RPU_ISA RPUBENCH_BENCH

usage() {
    sed -n 's/^# \{0,1\}//; /^usage:/,/^Writes/p' tools/record_bench.sh | sed '/^Writes/d' >&2
    exit 2
}
# A path of the caller's.
from_here() { case $1 in /*) echo "$1" ;; *) echo "$here/$1" ;; esac; }

out=results/bench readme=README.md build=build choice=()
while [ $# -gt 0 ]; do
    case $1 in
        --quick) choice=(--quick); shift ;;
        --out | --readme)
            [ $# -ge 2 ] || { echo "record_bench.sh: $1 needs an argument" >&2; usage; }
            printf -v "${1#--}" %s "$(from_here "$2")"
            shift 2 ;;
        -*) [ "$1" = --help ] || echo "record_bench.sh: unknown option $1" >&2; usage ;;
        *) build=$(from_here "$1"); shift ;;
    esac
done
[ -w "$readme" ] || { echo "record_bench.sh: $readme is no file that can be written" >&2; exit 1; }
[ -f "$build/build.ninja" ] || meson setup "$build" -Dbuildtype=release -Dbench=enabled
grep -q '^build bench/rpubench-bench:' "$build/build.ninja" || meson setup --reconfigure "$build" -Dbench=enabled
ninja -C "$build" rpubench bench/rpubench-bench
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"; rmdir "$out" 2>/dev/null || true' EXIT
mkdir "$work/recorded"

# Takes names of the host and of folders out of a document, and of the aggregates all but the medians, which follow from
# the runs; seven digits are enough: record FILE NAME-BEHIND-THE-CPU; prints where it went. A line for each entry.
# Nothing goes to DIR before all of it is there.
record() {
    /usr/bin/python3 - "$1" "$work/recorded" "$2" <<'PYTHON'
import json, os, re, sys
with open(sys.argv[1], encoding="utf-8") as file:
    run = json.load(file)
context = run["context"]
context.pop("host_name", None)
for key in ("executable", "data"):
    context[key] = os.path.basename(context.get(key, "").rstrip("/"))
cpu = re.sub(r"\([^)]*\)", "", context["cpu"].lower())
cpu = re.sub(r"[^a-z0-9]+", "-", cpu).strip("-")
path = os.path.join(sys.argv[2], cpu + sys.argv[3] + ".json")
with open(path, "w", encoding="utf-8") as file:
    file.write('{"context": ' + json.dumps(context, indent=1) + ',\n"benchmarks": [\n')
    kept = [b for b in run["benchmarks"] if b.get("aggregate_name", "median") == "median"]
    short = [{k: float(f"{v:.7g}") if isinstance(v, float) else v for k, v in b.items()} for b in kept]
    file.write(",\n".join(json.dumps(b) for b in short) + "\n]}\n")
print(path)
PYTHON
}

# The document whose row of one thread has the most images per second.
best() {
    /usr/bin/python3 - "$@" <<'PYTHON'
import json, re, sys
def rate(path):
    with open(path, encoding="utf-8") as file:
        rows = json.load(file)["benchmarks"]
    return next(row["images_per_second"] for row in rows if re.search("/team:1(/|$)", row["run_name"]))
print(max(sys.argv[1:], key=rate))
PYTHON
}

"$build/rpubench" bench "${choice[@]}" --filter '^(machine|kernel|cycle|baseline|step|scaling)/' --quiet --json "$work/run.json"
for n in 1 2 3; do
    "$build/rpubench" bench --official --quiet --json "$work/official-$n.json"
done
cp "$(best "$work"/official-*.json)" "$work/official.json"
run=$(record "$work/run.json" '')
official=$(record "$work/official.json" -official)
tools/bench_tables.py "$run" "$official" >"${run%.json}.md"
chmod 644 "$work"/recorded/*
mv "$work"/recorded/* "$out"
tools/bench_tables.py --readme "$readme" "$out/${run##*/}"
echo "recorded in $out, table in $readme"
