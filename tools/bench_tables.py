#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tables, as Markdown, of a document of `rpubench bench --json`.

usage: bench_tables.py RESULT.json...                  all tables, to standard output
       bench_tables.py --readme FILE RESULT.json...    the tables of whole cycles and of threads, into FILE
       bench_tables.py --readme FILE                   its table of a training, anew from the document that it names
       bench_tables.py --check FILE                    whether those tables are the ones of the documents they name

Several documents of one machine count as one. In FILE the text from the line <!-- throughput:begin RESULT.json... -->
to <!-- throughput:end --> is replaced, or put behind the table of goals where it is missing; that between
<!-- threads:begin ... --> and <!-- threads:end -->, where it is there. The text from <!-- training:begin RESULT.json -->
to <!-- training:end --> is made of the result.json of a training, which stays the one that is named. Paths are relative
to FILE."""
import argparse
import json
import os
import re
import shlex
import sys

SUFFIX = re.compile(r"/(real_time|manual_time|iterations:\d+|repeats:\d+)")
BLOCK = re.compile(r"<!-- (throughput|threads|training):begin (.*?) -->\n(.*?)<!-- \1:end -->", re.S)
GOALS_END = "<!-- performance:end -->"  # behind which a first table is put
UNITS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


class Row:
    def __init__(self, values):
        self.values = values
        self.name = SUFFIX.sub("", values["run_name"])
        parts = self.name.split("/")
        self.group, self.what, self.variant = (parts + ["", "", ""])[:3]
        self.rest = "/".join(parts[3:])
        self.ns = values.get("real_time", 0.0) * UNITS.get(values.get("time_unit"), 1.0)

    def get(self, name):
        return self.values.get(name)


def rows(documents):
    """Rows that were measured, by name; of repetitions the median."""
    found = {}
    for document in documents:
        for values in document["benchmarks"]:
            aggregate = values.get("aggregate_name")
            wanted = aggregate == "median" if aggregate else values.get("repetitions", 1) <= 1
            if wanted and not values.get("error_occurred"):
                row = Row(values)
                found[row.name] = row
    return found


# ---- cells ----

def time_text(row):
    if not row:
        return ""
    for unit, size in UNITS.items():
        if row.ns < 999.5 * size or unit == "s":
            return f"{row.ns / size:.3g} {unit}"
    return ""


def ratio_text(other, row):
    return f"{other.ns / row.ns:.2f}x" if other and row and other is not row and row.ns else ""


def number_text(value, form, unit=""):
    return "" if value is None else form.format(value) + unit


def images_text(row):
    rate = row.get("images_per_second")
    return number_text(rate, "{:,.0f}" if rate and rate >= 99.95 else "{:.1f}")


def giga_text(value, unit=""):
    return "" if value is None else f"{value / 1e9:.3g} G{unit}"


def roof_text(row):
    return number_text(row.get("percent_of_roof"), "{:.1f}", " %")


def table(head, lines):
    text = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(text + ["| " + " | ".join(line) + " |" for line in lines]) + "\n"


# ---- tables ----

def variants(found, group):
    names = []
    for row in found.values():
        if row.group == group and row.variant not in names:
            names.append(row.variant)
    return names


def baseline(found, row):
    """OpenBLAS's or Random123's row for the same work."""
    what = "update" if row.what in ("outer", "pulse_apply") else row.what
    rest = re.sub(r"/bl:\d+/d:\w+", "", row.rest)
    for name in ("openblas", "random123"):
        other = found.get(f"baseline/{what}/{name}/{rest}")
        if other:
            return other
    return None


def works(found, group, names, wanted=lambda row: True):
    """A line for each work: variants side by side, and the best of them against the others."""
    lines, done = [], set()
    for row in found.values():
        if row.group != group or (row.what, row.rest) in done or not wanted(row):
            continue
        done.add((row.what, row.rest))
        of = {v: found.get("/".join((group, row.what, v, row.rest))) for v in names}
        best = [r for r in of.values() if r][-1]
        lines.append([f"{row.what} {row.rest}", *(time_text(of[v]) for v in names),
                      ratio_text(of.get("autovec"), best), ratio_text(baseline(found, best), best),
                      giga_text(best.get("crosspoints_per_second")),
                      roof_text(best)])
    return lines


def work_table(found, group, wanted=lambda row: True):
    names = variants(found, group)
    head = [group, *names, "over autovec", "over the baseline", "crosspoints/s", "of roof"]
    return table(head, works(found, group, names, wanted))


def machine_table(found):
    lines = []
    for row in found.values():
        if row.group == "machine":
            flops = row.what == "fma"
            key, unit = ("flops_per_second", "flop/s") if flops else ("bytes_per_second", "B/s")
            lines.append([row.what, row.variant, row.rest, giga_text(row.get(key), unit),
                          giga_text(row.get("best_" + key), unit), roof_text(row)])
    return table(["machine", "vectors", "level", "average", "best", "of best"], lines)


def baseline_table(found):
    lines = [[f"{r.what} {r.rest}", r.variant, time_text(r), giga_text(r.get("crosspoints_per_second")),
              roof_text(r)] for r in found.values() if r.group == "baseline"]
    return table(["baseline", "by", "time", "crosspoints/s", "of roof"], lines)


def share(row, cycle):
    return sum(v for k, v in row.values.items() if k.startswith(f"percent_{cycle}_"))


def step_table(found):
    lines = []
    for row in found.values():
        if row.group == "step":
            autovec = found.get(f"step/{row.what}/autovec/{row.rest}")
            lines.append([f"{row.what} {row.rest}", row.variant, images_text(row),
                          ratio_text(autovec, row), *(f"{share(row, c):.0f} %" for c in ("forward", "backward", "update")),
                          number_text(row.get("percent_rest"), "{:.0f}", " %"), roof_text(row)])
    return table(["step", "variant", "images/s", "over autovec", "forward", "backward", "update", "rest", "of roof"],
                 lines)


def scaling_table(found):
    lines = []
    for row in found.values():
        if row.group == "scaling" and row.what != "wait":
            predicted = [row.get(f"predicted_speedup_{n}") for n in (8, 32, 64)]
            lines.append([f"{row.what} {row.rest}", images_text(row),
                          number_text(row.get("speedup"), "{:.2f}", "x"),
                          number_text(row.get("percent_efficiency"), "{:.0f}", " %"),
                          number_text(row.get("percent_serial"), "{:.1f}", " %"), roof_text(row),
                          number_text(row.get("waits_per_image"), "{:.2f}"), number_text(row.get("wait_ns"), "{:.0f}", " ns"),
                          ", ".join(f"{p:.1f}x" for p in predicted) if all(predicted) else ""])
    return table(["scaling", "images/s", "speed-up", "efficiency", "serial", "of roof", "waits an image", "each",
                  "prediction, not measured: 8, 32, 64 threads"], lines)


def official_table(found):
    lines = [[r.rest.split("team:")[1], r.variant, number_text(r.get("images_per_second"), "{:,.1f}"),
              number_text(r.get("seconds_to_2_percent"), "{:.2f}", " s"),
              number_text(r.get("test_error_percent"), "{:.2f}", " %"), (r.get("label") or "").split("; ")[-1]]
             for r in found.values() if r.group == "official"]
    return table(["threads", "kernels", "images/s", "to 2 % test error", "test error in the end", "weights"], lines)


def start(documents):
    c = documents[0]["context"]
    commit = re.sub(r"^([0-9a-f]{12})[0-9a-f]*", r"\1", c.get("commit", ""))  # and -dirty, where it says so
    return (f"Measured on {c.get('cpu', 'an unknown processor')} ({c.get('topology', '')}), kernels `{c.get('isa', '')}`, "
            f"{c.get('compiler', '')}, OpenBLAS core `{c.get('openblas_core', '')}`, commit `{commit}`, "
            f"{c.get('date', '')[:10]}.\n")


BASELINE = ("The baseline is OpenBLAS's dense product, whatever the errors are: three quarters of those of backward cycles of "
            "several columns and of `d:sparse` updates are 0, those of `d:trained` are as in training, and ours gain from it.\n")
KERNELS = ("Of several columns the errors of `backward`, `outer`, `pulse_draw` and `pulse_apply` are 0 but for one of four, and "
           "OpenBLAS's product is dense.\n")


def everything(documents):
    found = rows(documents)
    parts = [("The machine", "machine", machine_table), ("Kernels", "kernel", lambda f: KERNELS + "\n" + work_table(f, "kernel")),
             ("Whole cycles", "cycle", lambda f: BASELINE + "\n" + work_table(f, "cycle")),
             ("Baselines", "baseline", baseline_table),
             ("Training steps", "step", step_table), ("Scaling", "scaling", scaling_table),
             ("Fixed workload", "official", official_table)]
    text = ["# Benchmarks", "", start(documents)]
    for title, group, make in parts:
        if any(row.group == group for row in found.values()):
            text += [f"## {title}", "", make(found)]
    return "\n".join(text)


def for_readme(documents):
    """One thread, hot; BL = 1 of the updates, with errors as in training where there are such, else with what comes near:
    one of four behind a pooling, all of them where there is one column."""
    found = rows(documents)

    def is_nearest(row):
        size = row.rest.split("/bl:")[0]
        trained = any(r.what == "update" and r.rest.startswith(size + "/bl:1/d:trained/") for r in found.values())
        kind = "trained" if trained else "dense" if "/cols:1/" in row.rest else "sparse"
        return f"/bl:1/d:{kind}/" in row.rest
    text = work_table(found, "cycle", lambda r: "/team:1/" in r.rest and r.rest.endswith("/hot") and
                      (r.what != "update" or is_nearest(r)))
    return start(documents) + BASELINE + "\n" + text


def pick(found, group, what, rest):
    """The row of the best variant, which is the last."""
    of = [r for r in found.values() if (r.group, r.what, r.rest) == (group, what, rest)]
    return of[-1] if of else None


def threads_for_readme(documents):
    """Two threads against one: training steps, and cycles of the largest array."""
    found = rows(documents)
    lines = []
    for batch in (1, 16, 64):
        one, two = (pick(found, "scaling", "strong", f"28x28/batch:{batch}/team:{t}") for t in (1, 2))
        if one and two:
            one.ns = two.get("one_thread_ns") or one.ns / batch
            lines.append([f"training step, batch {batch}" + (", an image" if batch > 1 else ""), time_text(one),
                          number_text(two.get("speedup"), "{:.2f}", "x")])
    for work, what, pulses in (("forward read, 4096x4096", "forward", ""),
                               ("update, 4096x4096, BL = 1, every error of the vector", "update", "/bl:1/d:dense"),
                               ("the same, one error of four", "update", "/bl:1/d:sparse")):
        one, two = (pick(found, "cycle", what, f"4096x4096/cols:1/team:{t}{pulses}/hot") for t in (1, 2))
        if one and two:
            lines.append([work, time_text(one), ratio_text(one, two)])
    return table(["work", "one thread", "gain of two"], lines)


def training_for_readme(documents):
    """What a training took, and each array and cycle of it."""
    d, = documents
    seconds, threads = d["train_seconds"] / len(d["epochs"]), d["threads"]
    lines = []
    for a in d["arrays"]:
        cells = []
        for cycle in ("forward", "backward", "update"):
            took = d["cycles"][a["name"]][cycle]
            cells += [f"{took['ns_per_image']:,.0f}", giga_text(took["crosspoints_per_second"])] if took else ["-", "-"]
        lines.append([a["name"], f"{a['outputs']}x{a['inputs']}", str(a["columns_per_image"]), *cells])
    return (f"{len(d['epochs'])} epochs of `{d['config']['preset']}` on {d['data']['source']}, {threads} "
            f"thread{'s' * (threads != 1)} of {d['cpu']}, kernels `{d['isa']}`, commit `{d['commit'][:12]}`, {d['date'][:10]}: "
            f"{d['images_per_second']:,.0f} images a second, {seconds:.1f} s an epoch of "
            f"{d['data']['train_images']:,} images.\n\n" +
            table(["array", "shape", "ws", *(cell for cycle in ("forward", "backward", "update")
                                             for cell in (f"{cycle} ns/image", "crosspoints/s"))], lines))


BLOCKS = {"throughput": for_readme, "threads": threads_for_readme, "training": training_for_readme}


# ---- files ----

def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def put(readme, paths):
    folder = os.path.dirname(os.path.abspath(readme))
    given = [os.path.relpath(os.path.abspath(p), folder) for p in paths]
    with open(readme, encoding="utf-8") as file:
        old = file.read()

    def block(kind, names):
        documents = [load(os.path.join(folder, name)) for name in names]
        return f"<!-- {kind}:begin {shlex.join(names)} -->\n{BLOCKS[kind](documents)}<!-- {kind}:end -->"

    def again(match):
        kind, names, _ = match.groups()
        wanted = kind != "training" if given else kind == "training"
        return block(kind, given or shlex.split(names)) if wanted else match.group()
    new = BLOCK.sub(again, old)
    if given and "<!-- throughput:begin " not in old:
        if GOALS_END in old:
            new = new.replace(GOALS_END, GOALS_END + "\n\n" + block("throughput", given), 1)
        else:
            new = new.rstrip("\n") + "\n\n" + block("throughput", given) + "\n"
    with open(readme + ".new", "w", encoding="utf-8") as file:
        file.write(new)
    os.replace(readme + ".new", readme)


def check(readme):
    with open(readme, encoding="utf-8") as file:
        found = BLOCK.findall(file.read())
    if "throughput" not in [kind for kind, _, _ in found]:
        sys.exit(f"{readme} has no table of throughput")
    folder = os.path.dirname(os.path.abspath(readme))
    for kind, names, text in found:
        if text != BLOCKS[kind]([load(os.path.join(folder, name)) for name in shlex.split(names)]):
            sys.exit(f"{readme}: the table of {kind} is not that of {names}; make it again with --readme")
        print(f"{readme}: the table of {kind} is that of {names}")


def main():
    parser = argparse.ArgumentParser(description="Tables of a document of rpubench bench.")
    parser.add_argument("results", nargs="*", metavar="RESULT.json")
    parser.add_argument("--readme", metavar="FILE")
    parser.add_argument("--check", metavar="FILE")
    args = parser.parse_args()
    if args.check:
        check(args.check)
    elif args.readme:
        put(args.readme, args.results)
    elif not args.results:
        parser.error("no RESULT.json")
    else:
        print(everything([load(p) for p in args.results]), end="")


if __name__ == "__main__":
    main()
