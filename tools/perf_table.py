#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the table of goals from a run of the benchmarks, or puts it into a README.

usage: perf_table.py [--readme FILE] [--also NAME=RESULT.json]... RESULT.json

RESULT.json is what `build/bench/rpubench-bench --benchmark_filter=^goal/ --benchmark_out=RESULT.json` wrote. With
--readme the text between the lines <!-- performance:begin --> and <!-- performance:end --> of FILE is replaced (and
appended where they are missing). --also adds a column with what another run (another OpenBLAS core, say) reached.

Verdicts: "met"; "at its bound" when the goal is missed, but the figure lies within 15 % of the bound that was measured
beside it; else "missed"."""
import argparse
import json
import sys

BEGIN, END = "<!-- performance:begin -->", "<!-- performance:end -->"
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
        return f"| {what} | - | not measured: {reason} | | | | |" + " |" * len(others)
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


def put(path, text):
    block = f"{BEGIN}\n{text}{END}\n"
    with open(path, encoding="utf-8") as file:
        old = file.read()
    if BEGIN in old and END in old:
        new = old[:old.index(BEGIN)] + block.rstrip("\n") + old[old.index(END) + len(END):]
    else:
        new = old.rstrip("\n") + "\n\n" + block
    with open(path, "w", encoding="utf-8") as file:
        file.write(new)


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main():
    parser = argparse.ArgumentParser(description="The table of goals from a run of the benchmarks.")
    parser.add_argument("result")
    parser.add_argument("--readme", metavar="FILE")
    parser.add_argument("--also", metavar="NAME=RESULT.json", action="append", default=[])
    args = parser.parse_args()
    also = [(a.split("=", 1)[0], load(a.split("=", 1)[1])) for a in args.also]
    document = load(args.result)
    if not rows(document):
        sys.exit(f"{args.result} holds no benchmark goal/...")
    text = table(document, also)
    if args.readme:
        put(args.readme, text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
