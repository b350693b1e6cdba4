#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the table of goals from a run of the benchmarks, or puts it into a README.

usage: perf_table.py [--readme FILE] [--also NAME=RESULT.json]... RESULT.json
       perf_table.py --check FILE       whether the table in FILE is the one of the documents it names

RESULT.json is what `build/bench/rpubench-bench --benchmark_filter=^goal/ --benchmark_out=RESULT.json` wrote. With
--readme the text from the line <!-- performance:begin RESULT.json... --> to <!-- performance:end --> of FILE is replaced
(and appended where it is missing); that line names the documents, with paths relative to FILE. --also adds a column with
what another run (another OpenBLAS core, say) reached.

Verdicts: "met"; "at its bound" when the goal is missed, but the figure lies within 15 % of the bound that was measured
beside it; else "missed"."""
import argparse
import json
import os
import re
import shlex
import sys

BLOCK = re.compile(r"<!-- performance:begin(.*?) -->\n(.*?)<!-- performance:end -->", re.S)
NEAR = 1.15  # of the bound
UNITS = {
    "gaussian": "{:.2f} cycles each",
    "update/dense/1024x1024": "`sger` + {:.2f} ns a coincidence",
    "update-every-row": "`sger` + {:.2f} ns a coincidence",
    "aihwkit": "{:.1f}x faster",
    "autovec": "{:.2f}x faster",
}
TEXTS = {
    "gaussian": "Gaussian random numbers",
    "forward": "forward {shape}, full periphery, against {yardstick}",
    "backward": "backward {shape}, full periphery with NM, against {yardstick}",
    "update": "update {shape}, BL = 1, UM, against {yardstick}",
    "update-every-row": "the same, every row pulsed",
    "update-bl10": "update {shape}, BL = 10, against {yardstick}",
    "step": "whole training step, {mode}, against OpenBLAS's twelve products",
    "aihwkit": "three cycles of the four arrays, {mode}, against aihwkit's engine (through OpenBLAS)",
    "autovec": "hand-written kernels against the compiler's vectors, geometric mean of twelve cycles",
}


def rows(document):
    """Benchmarks of the goals by name; of repetitions the median."""
    found = {}
    for b in document["benchmarks"]:
        name = b.get("run_name", b["name"]).split("/iterations:")[0]
        if not name.startswith("goal/") or b.get("aggregate_name", "median") != "median":
            continue
        found[name] = b
    return found


def time_text(ns):
    for unit, size in (("ns", 1.0), ("us", 1e3), ("ms", 1e6)):
        if ns < 1000 * size or unit == "ms":
            return f"{ns / size:.3g} {unit}"
    return ""


def figure(name, value):
    for start, text in UNITS.items():
        if name.startswith("goal/" + start):
            return text.format(value)
    return f"{value:.2f}x"


def describe(name, row):
    parts = name.split("/")
    mode = "BL = 1, UM" if parts[2:3] == ["bl:1"] else "BL = 10"
    array = parts[2] if len(parts) > 2 else ""
    shape = " ".join(p for p in ([] if array in ("square", "dense") else [array]) + parts[3:4])
    if len(parts) > 4 and parts[4] != "cols:1":
        shape += f" ({parts[4][5:]} columns)"
    return TEXTS[parts[1]].format(shape=shape, mode=mode, yardstick="`" + row.get("label", "").split(",")[0] + "`")


def verdict(row):
    met = row["reached"] >= row["goal"] if row["at_least"] == 1 else row["reached"] <= row["goal"]
    if met:
        return "met"
    return "at its bound" if row.get("of_bound", float("inf")) <= NEAR else "missed"


def bound_text(name, row):
    if "bound" not in row:
        return ""
    of_bound = f" ({row['of_bound']:.2f})" if "of_bound" in row else ""
    return figure(name, row["bound"]) + of_bound


def line(name, row, others):
    what = describe(name, row)
    if row.get("error_occurred") or row.get("skipped"):
        reason = row.get("error_message", row.get("skip_message", ""))
        return f"| {what} | - | not measured: {reason.removeprefix('not measured: ')} | | | | |" + " |" * len(others)
    theirs = f"{row['clock_ghz']:.2f} GHz" if "clock_ghz" in row else time_text(row["theirs_ns"])
    ours = f"{row['ns_each']:.3g} ns" if "ns_each" in row else time_text(row["ours_ns"])
    cells = [what, ("at least " if row["at_least"] == 1 else "") + figure(name, row["goal"]),
             f"**{figure(name, row['reached'])}**", bound_text(name, row), verdict(row), ours, theirs]
    # The bridge to aihwkit is a ratio to OpenBLAS with AVX2: against another core it says nothing.
    others = [{} if name.startswith("goal/aihwkit") else o.get(name, {}) for o in others]
    cells += [figure(name, o["reached"]) if "reached" in o else "" for o in others]
    return "| " + " | ".join(cells) + " |"


def core_text(context):
    """OpenBLAS's core, and the one it would have taken."""
    core, own = context.get("openblas_core", "unknown"), context.get("openblas_default_core")
    text = f"OpenBLAS core `{core}`"
    if own and own.lower() != core.lower():
        text += f" (by itself it takes `{own}`)"
    return text


def table(document, also):
    context = document["context"]
    found, others = rows(document), [rows(d) for _, d in also]
    head = ["work", "goal", "reached", "bound (of it)", "", "ours", "theirs"]
    head += [f"reached against {n}" for n, _ in also]
    text = [f"Measured on {context.get('cpu', 'an unknown processor')} ({context['num_cpus']} cores), one thread, "
            f"kernels `{context.get('isa', '')}`, {context.get('compiler', '')}, {core_text(context)}, "
            f"{context['date'][:10]}. Both sides of a row and its bound are measured in one run, in alternation; figures "
            "are medians of the ratios of neighbouring batches, times medians. Bound: the same figure for the sum of "
            "the parts that the work cannot do without, each alone (`bench/bound.h`); in brackets how far the reached "
            "figure is from it.", "",
            "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(text + [line(n, r, others) for n, r in found.items()]) + "\n"


def put(path, text, names):
    block = f"<!-- performance:begin {shlex.join(names)} -->\n{text}<!-- performance:end -->"
    with open(path, encoding="utf-8") as file:
        old = file.read()
    new = BLOCK.sub(lambda _: block, old, count=1) if BLOCK.search(old) else f"{old.rstrip()}\n\n{block}\n"
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(new)
    os.replace(path + ".new", path)


def check(path):
    with open(path, encoding="utf-8") as file:
        found = BLOCK.search(file.read())
    names = shlex.split(found.group(1)) if found else []
    if not names:
        sys.exit(f"{path} has no table of goals that names its documents")
    if found.group(2) != table_of(names, os.path.dirname(os.path.abspath(path))):
        sys.exit(f"{path}: the table of goals is not that of {found.group(1).strip()}; make it again with --readme")
    print(f"{path}: the table is that of {found.group(1).strip()}")


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def table_of(names, folder):
    """The table of RESULT.json, NAME=RESULT.json...; paths are relative to the folder."""
    also = [name.split("=", 1) for name in names[1:]]
    document = load(os.path.join(folder, names[0]))
    if not rows(document):
        sys.exit(f"{names[0]} holds no benchmark goal/...")
    return table(document, [(name, load(os.path.join(folder, path))) for name, path in also])


def main():
    parser = argparse.ArgumentParser(description="The table of goals from a run of the benchmarks.")
    parser.add_argument("result", nargs="?", metavar="RESULT.json")
    parser.add_argument("--readme", metavar="FILE")
    parser.add_argument("--also", metavar="NAME=RESULT.json", action="append", default=[])
    parser.add_argument("--check", metavar="FILE")
    args = parser.parse_args()
    if args.check:
        check(args.check)
        return
    if not args.result:
        parser.error("no RESULT.json")
    text = table_of([args.result, *args.also], ".")
    if args.readme:
        folder = os.path.dirname(os.path.abspath(args.readme))
        also = [name.split("=", 1) for name in args.also]
        put(args.readme, text, [os.path.relpath(args.result, folder),
                                *(f"{name}={os.path.relpath(path, folder)}" for name, path in also)])
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
