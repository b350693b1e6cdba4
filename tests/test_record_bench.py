#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tools/record_bench.sh: what it makes of the documents of a program that writes known ones."""
import json
import os
import re
import shutil
import stat
import subprocess

import benchjson
import e2e

SCRIPT = os.path.join(e2e.ROOT, "tools", "record_bench.sh")
NAME = "some-cpu-2-10ghz"
README = "before\n<!-- performance:begin -->\ngoals\n<!-- performance:end -->\nafter\n"
CYCLE = "cycle/forward/avx2/128x513/cols:1/team:1/hot"


def write_json(path, rows, **context):
    benchjson.write(path, benchjson.document(rows, cpu="Some(R) CPU @ 2.10GHz", host_name="secret-host",
                                             executable="/home/secret/rpubench-bench", data="/home/secret/mnist/", **context))


def official(one, two):
    return [row for t, rate in ((1, one), (2, two)) for row in
            benchjson.iterations(f"official/lenet-rpu/avx2/28x28/batch:1/team:{t}/iterations:1/manual_time", [6.0], "s",
                                 images_per_second=rate, label="hot; in training; digest 0123456789abcdef PASS")]


def record(*args, fails_at=0, documents=True):
    """Runs the script with a program that copies documents, and fails at that call of it."""
    for folder in ("build", "tmp", "documents"):
        os.makedirs(folder, exist_ok=True)
    if documents:
        times = [2.0123456789, 2.5, 3.0]
        write_json("documents/1.json", benchjson.iterations(CYCLE, times, "us", percent_of_roof=75.0) +
                   benchjson.aggregates(CYCLE, times, "us", percent_of_roof=75.0))
        for n, rates in enumerate(((100.0, 300.0), (120.25, 200.0), (110.0, 400.0))):
            write_json(f"documents/{n + 2}.json", official(*rates))
    benchjson.write("build/build.ninja", "build rpubench: phony\nbuild bench/rpubench-bench: phony\n")
    benchjson.write("build/rpubench", f"""#!/bin/sh
echo "$*" >>'{os.getcwd()}/calls'
for word; do json=$word; done
number=$(wc -l <'{os.getcwd()}/calls')
cp "{os.getcwd()}/documents/$number.json" "$json"
[ "$number" != {fails_at} ]
""")
    os.chmod("build/rpubench", stat.S_IRWXU)
    benchjson.write("README.md", README)
    benchjson.write("calls", "")
    result = subprocess.run([SCRIPT, *args, "--out", "out", "--readme", "README.md", "build"], capture_output=True,
                            text=True, check=False, env=e2e.environment({"TMPDIR": os.path.abspath("tmp")}))
    assert os.listdir("tmp") == [], os.listdir("tmp")
    return result


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def need_ninja():
    if not shutil.which("ninja"):
        raise e2e.Skipped("no ninja")


def test_what_is_recorded():
    need_ninja()
    result = record("--quick")
    assert result.returncode == 0, result
    assert sorted(os.listdir("out")) == [NAME + "-official.json", NAME + ".json", NAME + ".md"], os.listdir("out")
    calls = read("calls").splitlines()
    assert len(calls) == 4 and calls[0].startswith("bench --quick --filter ^(machine|kernel|cycle|baseline|step|scaling)/ ")
    assert all(call.startswith("bench --official ") for call in calls[1:]), calls
    run = json.loads(read(f"out/{NAME}.json"))
    assert "secret" not in read(f"out/{NAME}.json") + read(f"out/{NAME}-official.json"), run["context"]
    assert run["context"]["executable"] == "rpubench-bench" and run["context"]["data"] == "mnist", run["context"]
    assert [row.get("aggregate_name", row["real_time"]) for row in run["benchmarks"]] == [2.012346, 2.5, 3.0, "median"], run


def test_the_best_of_three_runs_is_kept():
    need_ninja()
    record()
    rates = [row["images_per_second"] for row in json.loads(read(f"out/{NAME}-official.json"))["benchmarks"]]
    assert rates == [120.25, 200.0], rates


def test_tables():
    need_ninja()
    record()
    tables, readme = read(f"out/{NAME}.md"), read("README.md")
    assert "| forward 128x513/cols:1/team:1/hot | 2.5 us |" in tables, tables
    assert "| 1 | avx2 | 120.2 |" in tables and "digest 0123456789abcdef PASS" in tables, tables
    block = re.search(rf"<!-- throughput:begin out/{NAME}.json -->\n(.*)<!-- throughput:end -->", readme, re.S).group(1)
    assert "| forward 128x513/cols:1/team:1/hot | 2.5 us |" in block, readme
    assert readme.startswith(README[:README.index("after")]) and readme.endswith("\nafter\n"), readme
    subprocess.run([os.path.join(e2e.ROOT, "tools", "bench_tables.py"), "--check", "README.md"], check=True,
                   capture_output=True)


def test_a_run_that_fails_leaves_nothing_behind():
    need_ninja()
    for number in range(1, 5):
        result = record(fails_at=number)
        assert result.returncode != 0 and len(read("calls").splitlines()) == number, (number, result)
        assert not os.path.exists("out") and read("README.md") == README, number
    benchjson.write("documents/3.json", "{}")
    assert record(documents=False).returncode != 0
    assert not os.path.exists("out") and read("README.md") == README
    os.mkdir("out")
    benchjson.write("out/old", "kept")
    assert record(fails_at=1).returncode != 0 and os.listdir("out") == ["old"]


def test_usage():
    for args in (["--other"], ["--out"]):
        result = subprocess.run([SCRIPT, *args], capture_output=True, text=True, check=False)
        assert result.returncode == 2 and "usage: tools/record_bench.sh" in result.stderr, result


if __name__ == "__main__":
    e2e.main(globals())
