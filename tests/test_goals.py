#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""From the benchmarks of the goals to their table. The program is rpubench-bench."""
import json
import os
import subprocess
import sys

import e2e

AVX512_CORES = ("skylakex", "cooperlake", "sapphirerapids")
PARTS = {"forward": ["product", "noise", "converters"], "backward": ["product", "noise", "converters", "extremes"],
         "update": ["extremes", "gains", "thresholds", "bits", "noise", "positions", "weights"]}
NAME = "goal/forward/W3/128x513/cols:1"


def document(name, context=(), **counters):
    row = {"name": name + "/iterations:151/manual_time", "run_name": name, "ours_ns": 2000.0, "theirs_ns": 1000.0,
           "label": "sgemv, row-major; bound: product 1 us", **counters}
    return {"context": {"num_cpus": 2, "cpu": "Some CPU", "date": "2026-01-02T03:04:05+00:00", "isa": "avx2",
                        "openblas_core": "Haswell", **dict(context)}, "benchmarks": [row]}


def write(path, content):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file)
    return path


def table(*args):
    script = os.path.join(e2e.ROOT, "tools", "perf_table.py")
    return subprocess.run([sys.executable, script, *args], check=True, capture_output=True, text=True).stdout


def verdict(name=NAME, **counters):
    """Bound and verdict of a row."""
    last = table(write("one.json", document(name, **counters))).splitlines()[-1]
    return [cell.strip() for cell in last.strip("|").split("|")][3:5]


def measure(pattern, *args, **variables):
    """The document of a run without the caller's choice of OpenBLAS's core."""
    for key in ("OPENBLAS_CORETYPE", "RPUBENCH_OPENBLAS_FIRST_CORE"):
        os.environ.pop(key, None)
    e2e.succeed("--benchmark_filter=" + pattern, "--benchmark_out=run.json", "--benchmark_out_format=json", *args,
                env=variables)
    with open("run.json", encoding="utf-8") as file:
        return json.load(file)


def test_verdicts():
    more = {"at_least": 0, "bound": 1.0}
    assert verdict(goal=1.1, reached=1.05, of_bound=1.05, **more) == ["1.00x (1.05)", "met"]
    assert verdict(goal=1.0, reached=1.14, of_bound=1.14, **more) == ["1.00x (1.14)", "at its bound"]
    assert verdict(goal=1.0, reached=1.2, of_bound=1.2, **more) == ["1.00x (1.20)", "missed"]
    assert verdict(goal=1.0, reached=1.2, at_least=0) == ["", "missed"]


def test_what_was_not_measured_says_why():
    for why in ("no such unit", "not measured: no such unit"):
        text = table(write("one.json", document(NAME, error_occurred=True, error_message=why)))
        assert text.splitlines()[-1].endswith("| - | not measured: no such unit | | | | |"), text


def test_verdicts_where_more_is_better():
    more = {"name": "goal/aihwkit/bl:10", "goal": 25.0, "at_least": 1}
    assert verdict(reached=26.0, bound=32.5, of_bound=1.25, **more) == ["32.5x faster (1.25)", "met"]
    assert verdict(reached=20.0, bound=22.0, of_bound=1.1, **more) == ["22.0x faster (1.10)", "at its bound"]
    assert verdict(reached=10.0, bound=18.0, of_bound=1.8, **more) == ["18.0x faster (1.80)", "missed"]


def test_other_cores():
    counters = {"goal": 1.0, "at_least": 0, "bound": 1.0, "of_bound": 1.5}
    held = write("held.json", document(NAME, {"openblas_default_core": "SkylakeX"}, reached=1.5, **counters))
    own = write("own.json", document(NAME, reached=2.5, **counters))
    text = table("--also", f"SkylakeX={own}", held)
    assert "OpenBLAS core `Haswell` (by itself it takes `SkylakeX`)" in text, text
    assert "| reached against SkylakeX |" in text and text.splitlines()[-1].endswith("| 2.50x |"), text


def test_the_bridge_to_aihwkit_holds_for_one_core():
    counters = {"goal": 12.0, "at_least": 1, "bound": 9.0, "of_bound": 1.5}
    held = write("held.json", document("goal/aihwkit/bl:1/um", reached=6.0, **counters))
    own = write("own.json", document("goal/aihwkit/bl:1/um", reached=2.5, **counters))
    assert table("--also", f"SkylakeX={own}", held).splitlines()[-1].endswith("| 1 us |  |")


def test_the_table_in_a_document():
    with open("README.md", "w", encoding="utf-8") as file:
        file.write("before\n<!-- performance:begin -->\nold\n<!-- performance:end -->\nafter\n")
    table("--readme", "README.md", write("one.json", document("goal/gaussian", goal=2.0, at_least=0, reached=1.5)))
    with open("README.md", encoding="utf-8") as file:
        text = file.read()
    assert text.startswith("before\n<!-- performance:begin one.json -->\n"), text
    assert text.endswith("<!-- performance:end -->\nafter\n"), text
    assert "old" not in text and "1.50 cycles each" in text, text


def test_a_run_has_bounds():
    rows = measure("^goal/(forward|backward|update)/W4")["benchmarks"]
    assert len(rows) == 3, rows
    for row in rows:
        missing = [part for part in PARTS[row["name"].split("/")[1]] if not row.get(f"bound_{part}_ns", 0) > 0]
        assert not missing, (row["name"], missing)
        assert abs(row["of_bound"] * row["bound"] / row["reached"] - 1) < 1e-6, row
        total = sum(v for k, v in row.items() if k.startswith("bound_") and k.endswith("_ns"))
        assert 0.5 < total / row["theirs_ns"] / row["bound"] < 2, row
    assert table("run.json").count("\n| ") == 4


def test_openblas_takes_as_much_as_the_kernels():
    context = measure("^goal/forward/W4")["context"]
    core = context["openblas_core"].lower()
    assert core not in AVX512_CORES, core
    assert not {"avx2", "fma"} <= set(context["cpu_flags"].split()) or core in ("haswell", "zen"), core


def test_openblas_by_itself():
    context = measure("^goal/forward/W4", "--blas-core=default", OPENBLAS_CORETYPE="Nehalem")["context"]
    assert context["openblas_core"] == context["openblas_default_core"], context


def test_a_core_that_is_not_there():
    e2e.fails(2, "--blas-core=NoSuchCore", "--benchmark_list_tests", says=["NoSuchCore"])


if __name__ == "__main__":
    e2e.main(globals())
