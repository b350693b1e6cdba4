#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Comparisons of real runs: a kernel slowed threefold is a regression; and the check of noise. The program is
rpubench-bench; rpubench lies in the folder above it."""
import json
import os
import subprocess

import e2e
from benchjson import benchmarks, write

RPUBENCH = os.path.join(os.path.dirname(os.path.dirname(e2e.PROGRAM)), "rpubench")
QUIET = [100, 101, 99, 102, 98, 100.5, 99.5, 101.5, 98.5]


def measure():
    """Both programs in turn: a machine that changes its speed does so for either."""
    documents = {"old.json": [], "new.json": []}
    for _ in range(5):
        for path, args in (("old.json", ()), ("new.json", ("--slow=forward",))):
            e2e.succeed("--benchmark_filter=^kernel/(forward|tanh)/generic/(1x129|10x129)/",
                        "--benchmark_min_time=0.003", "--benchmark_repetitions=3", f"--benchmark_out={path}", *args)
            with open(path, encoding="utf-8") as f:
                documents[path].append(json.load(f))
    for path, runs in documents.items():
        rows = [row for run in runs for row in run["benchmarks"] if row["run_type"] == "iteration"]
        write(path, {"context": runs[0]["context"], "benchmarks": rows})
    return list(documents)


def compare(*args):
    result = subprocess.run([RPUBENCH, "compare", "--json", "-", *args], capture_output=True, text=True, check=False)
    assert result.returncode in (0, 1), result.stderr
    return result.returncode, json.loads(result.stdout)


def test_a_kernel_slowed_threefold():
    code, comparison = compare(*measure(), "--time=cpu", "--threshold=50")
    verdicts = {row["name"].split("/")[1]: row for row in comparison["benchmarks"]}
    assert code == 1 and set(verdicts) == {"forward", "tanh"}, comparison
    assert verdicts["forward"]["verdict"] == "slower" and verdicts["forward"]["ratio"] > 2, verdicts
    assert verdicts["forward"]["old_repetitions"] == verdicts["forward"]["new_repetitions"] == 15, verdicts
    assert verdicts["tanh"]["verdict"] != "slower", verdicts
    assert 2 < verdicts["forward"]["ratio"] / verdicts["tanh"]["ratio"] < 4.5, verdicts
    assert [d["key"] for d in comparison["differences"]] == ["slow"], comparison["differences"]


def test_unknown_kernels_are_not_slowed():
    e2e.fails(2, "--slow=nothing", "--benchmark_list_tests", says=["--slow", "'nothing'", "forward"])


def noise_check(old, new, *args):
    """The check with a program that gives these times, one after the other."""
    os.makedirs("build/bench", exist_ok=True)
    for name, times in (("old", old), ("new", new)):
        write(f"{name}.json", benchmarks({"kernel/a/b": times}))
    write("build/bench/rpubench-bench", """#!/bin/sh
here=%s
for word; do case $word in --benchmark_out=*) out=${word#*=} ;; esac; done
case $out in *-old.json) cp "$here/old.json" "$out" ;; *) cp "$here/new.json" "$out" ;; esac
""" % os.getcwd())
    os.chmod("build/bench/rpubench-bench", 0o755)
    if not os.path.exists("build/rpubench"):
        os.symlink(RPUBENCH, "build/rpubench")
    result = subprocess.run([os.path.join(e2e.ROOT, "tools", "noise_check.sh"), "--build", "build",
                             *args], capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


def test_the_check_of_noise():
    code, said = noise_check(QUIET, [t * 1.02 + 0.01 for t in QUIET])
    assert code == 0 and "10 of 10 comparisons at 10 % say: no significant change\n" in said, said
    code, said = noise_check(QUIET, [t * 1.2 for t in QUIET], "--count", "2")
    assert code == 1 and "0 of 2 comparisons" in said and "slower" in said, said
    code, said = noise_check(QUIET, [t * 0.8 for t in QUIET], "--count", "1", "--threshold", "15")
    assert code == 1 and "0 of 1 comparisons at 15 %" in said and "faster" in said, said
    code, said = noise_check(QUIET, [t * 1.2 for t in QUIET], "--count", "1", "--threshold", "25")
    assert code == 0, said


def test_the_check_of_noise_needs_repetitions():
    code, said = noise_check(QUIET[:1], QUIET[:1], "--count", "1", "--rounds", "4")
    assert code == 1 and "0 of 1 comparisons" in said, said


def test_usage_of_the_check():
    for args in (["--count"], ["--rounds", "0"], ["--count", "0"], ["--count", "x"], ["--other", "1"]):
        code, said = noise_check(QUIET, QUIET, *args)
        assert code == 2 and said, (args, said)


if __name__ == "__main__":
    e2e.main(globals())
