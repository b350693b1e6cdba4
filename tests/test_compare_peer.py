#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The comparison against others: p values against scipy, and documents in Google Benchmark's own compare.py."""
import json
import os
import random
import subprocess
import sys

import e2e
from benchjson import benchmarks, write

GOOGLE = "/usr/share/benchmark/compare.py"  # Debian's libbenchmark-tools


def mannwhitneyu():
    try:
        from scipy import stats  # pylint: disable=import-outside-toplevel
    except ImportError as why:
        raise e2e.Skipped("python3-scipy is not installed") from why
    return stats.mannwhitneyu


def samples(rng, n, ties):
    return [float(rng.randrange(1, 20)) if ties else rng.lognormvariate(3, 0.2) for _ in range(n)]


def expected(test, old, new):
    """p as documented: exact without ties up to 50 values, else from the normal distribution."""
    exact = len(set(old + new)) == len(old + new) and len(old + new) <= 50
    if len(set(old + new)) == 1:
        return 1.0
    return test(old, new, alternative="two-sided", method="exact" if exact else "asymptotic").pvalue


def test_p_is_that_of_scipy():
    test, rng = mannwhitneyu(), random.Random(3)
    old, new = {}, {}
    for i in range(400):
        ties = i % 3 == 0
        n, m = (rng.randrange(20, 60), rng.randrange(20, 60)) if i % 5 == 0 else (rng.randrange(1, 15),
                                                                               rng.randrange(1, 15))
        name = f"g/{i}"
        old[name], new[name] = samples(rng, n, ties), [t * (1 + 0.1 * (i % 4)) for t in samples(rng, m, False)]
        if ties:
            new[name] = samples(rng, m, True)
    result = e2e.run("compare", write("old.json", benchmarks(old)), write("new.json", benchmarks(new)), "--json", "-")
    rows = json.loads(result.stdout)["benchmarks"]
    assert len(rows) == 400
    for row in rows:
        right = expected(test, old[row["name"]], new[row["name"]])
        assert abs(row["p"] - right) <= 1e-9 + 1e-9 * right, (row, right, old[row["name"]], new[row["name"]])


def google_compare(*args):
    mannwhitneyu()
    if not os.path.exists(GOOGLE):
        raise e2e.Skipped("libbenchmark-tools is not installed")
    result = subprocess.run([sys.executable, GOOGLE, *args], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def check_with_google(old, new):
    """The tool reads both and finds what the files say; its own p values are the exact ones only up to 8 repetitions."""
    google_compare("--no-color", "-d", "found.json", "benchmarks", old, new)
    with open("found.json", encoding="utf-8") as file:
        found = {row["name"]: row for row in json.load(file)}
    ours = {r["name"]: r for r in json.loads(e2e.run("compare", old, new, "--json", "-").stdout)["benchmarks"]}
    assert ours and set(ours) <= set(found), (set(ours), set(found))
    for name, row in ours.items():
        google = found[name]
        assert len(google["measurements"]) == row["old_repetitions"], (name, google)
        assert abs(google["utest"]["time_pvalue"] - row["p"]) < 0.02, (google["utest"], row)


def test_google_benchmarks_own_tool_reads_documents():
    rng = random.Random(5)
    quiet = {f"cycle/forward/avx2/{n}x{n}/cols:1/team:1": samples(rng, 9, False) for n in (8, 16, 32)}
    slower = {name: [t * 1.2 for t in times] for name, times in quiet.items()}
    check_with_google(write("old.json", benchmarks(quiet)), write("new.json", benchmarks(slower)))


def test_google_benchmarks_own_tool_reads_a_run():
    program = os.path.join(os.path.dirname(e2e.PROGRAM), "bench", "rpubench-bench")
    if not os.path.exists(program):
        raise e2e.Skipped("the benchmarks are not built")
    google_compare("--help")
    for path in ("old.json", "new.json"):
        subprocess.run([program, "--benchmark_filter=^kernel/tanh/generic/1x129/", "--benchmark_min_time=0.001",
                        "--benchmark_repetitions=9", f"--benchmark_out={path}"], check=True, capture_output=True)
    check_with_google("old.json", "new.json")


if __name__ == "__main__":
    e2e.main(globals())
