#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What gives other bits than its oracle is not timed: each group of benchmarks with a kernel that is wrong on purpose.
The program is rpubench-bench; rpubench lies in the folder above it."""
import json
import os
import re
import stat
import subprocess

import e2e

RPUBENCH = os.path.join(os.path.dirname(os.path.dirname(e2e.PROGRAM)), "rpubench")


def measure(wrong, names, *args, **variables):
    """The rows of these names and the exit code, with a kernel that is wrong."""
    args = (f"--wrong={wrong}", *args) if wrong else args
    result = e2e.run(f"--benchmark_filter=^({names})", "--benchmark_min_time=0.001", "--benchmark_out=a.json", *args,
                     env=variables)
    with open("a.json", encoding="utf-8") as file:
        document = json.load(file)
    assert document["context"].get("wrong") == wrong, document["context"]
    return document["benchmarks"], result


def check(wrong, names, says, *args, **variables):
    """All rows fail, none is timed."""
    rows, result = measure(wrong, names, *args, **variables)
    assert rows and result.returncode == 1, (wrong, names, result)
    assert f"{len(rows)} benchmarks failed" in result.stderr, result.stderr
    for row in rows:
        assert row.get("error_occurred") and row["error_message"] == says, row
        assert row["iterations"] == 0 and row["real_time"] == 0, row


RESULT, WEIGHTS = "the result differs from the oracle's", "the weights differ from the oracle's"


def test_kernels():
    check("tanh", "kernel/tanh/.*/1x129/", RESULT)
    check("forward", "kernel/forward/.*/10x129/", RESULT)
    check("pulse_apply", "kernel/pulse_apply/.*/10x129/", RESULT)


def test_only_what_is_wrong_fails():
    rows, result = measure("tanh", "kernel/(tanh|relu)/generic/1x129/")
    assert result.returncode == 1 and [row.get("error_occurred", False) for row in rows] == [True, False], rows
    assert rows[1]["iterations"] > 0, rows


def test_cycles():
    for team in (1, 2):
        check("forward", "cycle/forward/.*/16x26/", RESULT, f"--threads={team}")
        check("backward", "cycle/backward/.*/16x26/", RESULT, f"--threads={team}")
        check("pulse_apply", "cycle/update/.*/16x26/.*/bl:1/", RESULT, f"--threads={team}")
    check("forward", "cycle/forward/.*/10x129/.*/cold", RESULT, "--threads=1")


def test_steps_and_scaling():
    check("forward", "step/lenet-rpu/.*/batch:1/", WEIGHTS, "--threads=1")
    check("backward", "step/lenet-rpu/.*/batch:16/", WEIGHTS, "--threads=2")
    check("forward", "scaling/(strong|weak)/.*/batch:(1|16)/team:1", WEIGHTS, "--threads=1")


def test_goals():
    check("gaussian", "goal/gaussian", RESULT)
    check("forward", "goal/(forward/W4|aihwkit/bl:1/|autovec)", RESULT)
    check("pulse_apply", "goal/update/W4", RESULT)
    check("forward", "goal/step/bl:1/", WEIGHTS)


def test_products_of_openblas():
    library = os.environ.get("RPU_TEST_WRONG_BLAS")
    if not library:
        raise e2e.Skipped("no library that spoils OpenBLAS: RPU_TEST_WRONG_BLAS")
    for names in ("baseline/.*/(10x129|16x26)/", "goal/(forward|update)/W4"):
        check(None, names, "OpenBLAS gives other numbers than plain sums", LD_PRELOAD=library)


def test_loops_of_the_machine():
    def ends(loop, names):
        result = e2e.run(f"--wrong={loop}", f"--benchmark_filter=^{names}", "--benchmark_min_time=0.001")
        assert result.returncode == 1, (loop, result)
        assert f"machine/{loop} gives other numbers than plain sums" in result.stderr, result.stderr
    for loop in ("read", "triad", "update", "fma"):
        ends(loop, f"machine/{loop}/.*/(L1|registers)/")
    ends("fma", "kernel/forward/.*/10x129/")  # whose roof they are


def test_the_fixed_workload():
    with open("wrong", "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec "{e2e.PROGRAM}" --wrong=tanh "$@"\n')
    os.chmod("wrong", stat.S_IRWXU)
    result = subprocess.run([RPUBENCH, "bench", "--official", "--threads=1"], capture_output=True, text=True, check=False,
                            env=e2e.environment({"RPUBENCH_BENCH": os.path.abspath("wrong")}))
    assert result.returncode == 1, result
    failed = re.search(r"^FAILED official/lenet-rpu/.*: .*digest ([0-9a-f]{16}), expected ([0-9a-f]{16}): FAIL$",
                       result.stdout, re.M)
    assert failed and failed.group(1) != failed.group(2), result.stdout
    assert "PASS" not in result.stdout and "images/s" not in result.stdout, result.stdout


def test_unknown_kernels_are_not_wrong():
    e2e.fails(2, "--wrong=nothing", "--benchmark_list_tests", says=["--wrong", "'nothing'", "pulse_apply", "triad"])


if __name__ == "__main__":
    e2e.main(globals())
