# SPDX-License-Identifier: Apache-2.0
"""Reading what a report is made of: documents of benchmarks, of trainings, of sweeps (results/README.md), and of what was
reported (tools/paper/reported.json)."""
import json
import math
import os
import statistics
from collections import namedtuple

LARGEST = 64 << 20  # bytes
# Keys of a row of Google Benchmark's that are no counters.
PLAIN_KEYS = {"family_index", "per_family_instance_index", "repetitions", "repetition_index", "threads", "iterations",
              "real_time", "cpu_time", "cpu_coefficient", "real_coefficient", "rms"}
FLAG_PARTS = ("iterations:", "repeats:", "min_time:", "min_warmup_time:")
FLAG_WORDS = {"real_time", "manual_time", "process_time"}
UNITS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


class Fault(Exception):
    """A document that cannot be used: file and place, what was found, what is allowed."""


Document = namedtuple("Document", "path name kind data")
# `time` in nanoseconds and the counters are medians over the repetitions; `skipped` says why there is none.
Benchmark = namedtuple("Benchmark", "name group what variant size team rest time repetitions counters skipped")


def found(value):
    """What a value is, for messages."""
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return kinds.get(type(value), "a number")


def need(document, place, value, kind):
    names = {dict: "an object", list: "a list", str: "a text"}
    if not isinstance(value, kind):
        raise Fault(f"{document}: {place}: found {found(value)}, allowed is {names[kind]}")
    return value


def finite(value):
    """The number, or None where there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        value = float(value)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def kind_of(path, data):
    """What the document is."""
    if isinstance(data, dict):
        schema = data.get("schema")
        name = schema.get("name") if isinstance(schema, dict) else None
        if name in ("rpubench-result", "rpubench-sweep", "rpubench-reported"):
            return name[len("rpubench-"):]
        if "benchmarks" in data and name is None:
            return "benchmarks"
    raise Fault(f"{path}: is no document of benchmarks, of a training, of a sweep or of what was reported")


def load(path):
    """Reads a document."""
    try:
        if os.path.isfile(path) and os.path.getsize(path) > LARGEST:
            raise Fault(f"{path}: is larger than {LARGEST >> 20} MiB, the most that is read")
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except OSError as error:
        raise Fault(f"{path}: cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise Fault(f"{path}: is nested too deeply") from error
    except ValueError as error:
        raise Fault(f"{path}: is not JSON: {error}") from error
    kind = kind_of(path, data)
    for key, wanted in {"benchmarks": (("benchmarks", list),), "result": (("epochs", list),),
                        "sweep": (("runs", list), ("settings", list)),
                        "reported": (("rows", list), ("orderings", list), ("figures", list))}[kind]:
        need(path, key, data.get(key), wanted)
    name = os.path.splitext(os.path.basename(path))[0]
    if name in ("result", "sweep"):  # of a folder that says more
        name = os.path.basename(os.path.dirname(os.path.abspath(path))) or name
    return Document(path, name, kind, data)


# ---- benchmarks ----

def plain_name(name):
    """The name without what Google Benchmark appends."""
    return "/".join(p for p in name.split("/") if p not in FLAG_WORDS and not p.startswith(FLAG_PARTS))


def time_of(document, place, row):
    unit = row.get("time_unit", "ns")
    if unit not in UNITS:
        raise Fault(f"{document.path}: {place}.time_unit: found {unit!r}, allowed is ns, us, ms or s")
    value = finite(row.get("real_time"))
    if value is None or value <= 0:
        raise Fault(f"{document.path}: {place}.real_time: found {row.get('real_time')!r}, allowed is a number above 0")
    return value * UNITS[unit]


def counters_of(row):
    return {k: v for k, v in ((k, finite(v)) for k, v in row.items()) if v is not None and k not in PLAIN_KEYS}


def split_name(name):
    """group, what, variant, size, team and the rest of a name."""
    parts = name.split("/")
    team, rest = None, []
    for at, part in enumerate(parts):
        if part.startswith("team:") and part[5:].isdigit():
            team, rest, parts = int(part[5:]), parts[at + 1:], parts[:at]
            break
    group, what, variant = (parts + ["", "", ""])[:3]
    return group, what, variant, "/".join(parts[3:]), team, "/".join(rest)


def middle(rows):
    """Medians of the times and of each counter."""
    counters = {}
    for _, more in rows:
        for key, value in more.items():
            counters.setdefault(key, []).append(value)
    return statistics.median(t for t, _ in rows), {k: statistics.median(v) for k, v in counters.items()}


def benchmarks(document):
    """The benchmarks of a document in its order: of repetitions the median, else the median or mean that it states."""
    runs, aggregates, skipped, names = {}, {}, {}, []
    for i, row in enumerate(document.data["benchmarks"]):
        place = f"benchmarks[{i}]"
        need(document.path, place, row, dict)
        name = plain_name(need(document.path, place + ".name", row.get("run_name", row.get("name")), str))
        if name not in names[-1:] and name not in runs and name not in aggregates and name not in skipped:
            names.append(name)
        if row.get("error_occurred") or row.get("skipped"):
            reason = str(row.get("error_message") or row.get("skip_message") or "no reason is given")
            skipped[name] = reason.removeprefix("not measured: ")
        elif "aggregate_name" not in row:
            runs.setdefault(name, []).append((time_of(document, place, row), counters_of(row)))
        elif row["aggregate_name"] == "median" or (row["aggregate_name"] == "mean" and name not in aggregates):
            aggregates[name] = [(time_of(document, place, row), counters_of(row))]
    result = []
    for name in names:
        rows = runs.get(name) or aggregates.get(name)
        if rows or name in skipped:
            time, counters = middle(rows) if rows and name not in skipped else (None, {})
            result.append(Benchmark(name, *split_name(name), time, len(runs.get(name, ())), counters,
                                    skipped.get(name)))
    return result


def context(document):
    value = document.data.get("context", {})
    return need(document.path, "context", value, dict)


# ---- trainings ----

Epoch = namedtuple("Epoch", "number train_loss test_loss test_error train_seconds seconds")


def epochs(document):
    """The epochs of a training; numbers that there are not are None."""
    result = []
    for i, row in enumerate(document.data["epochs"]):
        need(document.path, f"epochs[{i}]", row, dict)
        result.append(Epoch(i + 1, *(finite(row.get(key)) for key in Epoch._fields[1:])))
    return result
