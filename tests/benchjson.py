# SPDX-License-Identifier: Apache-2.0
"""Documents of benchmarks as Google Benchmark writes them, made up for tests."""
import copy
import json
import statistics

CONTEXT = {
    "date": "2026-01-02T03:04:05+00:00", "host_name": "here", "executable": "rpubench-bench", "num_cpus": 2,
    "mhz_per_cpu": 2600, "load_avg": [0.5, 0.4, 0.3], "library_build_type": "release",
    "caches": [{"type": "Data", "level": 1, "size": 49152, "num_sharing": 1}],
    "schema": "rpubench-bench 1", "version": "0.1.0", "commit": "0123abc", "compiler": "gcc 12.2.0", "flags": "release -O3",
    "cpu": "Some CPU", "isa": "avx2", "kernels": "forward=avx2 backward=avx2 pulse=avx2",
}


def iterations(name, times, unit="ns", **more):
    """A row for each repetition."""
    return [{"name": name, "run_name": name, "run_type": "iteration", "repetitions": len(times), "repetition_index": i,
             "threads": 1, "iterations": 100, "real_time": t, "cpu_time": t, "time_unit": unit, **more}
            for i, t in enumerate(times)]


def aggregates(name, times, unit="ns", **more):
    """Rows of mean, median, deviation and variation."""
    mean = statistics.fmean(times)
    deviation = statistics.stdev(times) if len(times) > 1 else 0.0
    values = {"mean": mean, "median": statistics.median(times), "stddev": deviation, "cv": deviation / mean}
    return [{"name": f"{name}_{a}", "run_name": name, "run_type": "aggregate", "repetitions": len(times), "threads": 1,
             "aggregate_name": a, "aggregate_unit": "percentage" if a == "cv" else "time", "iterations": len(times),
             "real_time": v, "cpu_time": v, "time_unit": unit, **more} for a, v in values.items()]


def document(rows, **context):
    return {"context": {**copy.deepcopy(CONTEXT), **context}, "benchmarks": rows}


def benchmarks(series, **context):
    """A document of {name: times}, aggregates included."""
    rows = []
    for name, times in series.items():
        rows += iterations(name, times) + aggregates(name, times)
    return document(rows, **context)


def write(path, content):
    with open(path, "w", encoding="utf-8") as file:
        if isinstance(content, str):
            file.write(content)
        else:
            json.dump(content, file)
    return path
