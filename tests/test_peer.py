#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The script that measures aihwkit: what can be checked without it, and a short run where it is installed, for
/usr/bin/python3 or for the interpreter that $RPU_AIHWKIT_PYTHON names."""
import json
import os
import subprocess
import sys

import e2e
from benchjson import benchmarks, write
from test_report import page_of

SCRIPT = os.path.join(e2e.ROOT, "tools", "peers", "aihwkit_lenet.py")
PYTHON = os.environ.get("RPU_AIHWKIT_PYTHON", sys.executable)


def peer(*args, python=sys.executable, **variables):
    return subprocess.run([python, SCRIPT, *args], capture_output=True, text=True, check=False,
                          env={**os.environ, **variables})


def listed(*args):
    result = peer("--list", *args)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_syntax():
    with open(SCRIPT, encoding="utf-8") as file:
        compile(file.read(), SCRIPT, "exec")


def test_names_are_those_of_our_benchmarks():
    names = listed()
    assert len(names) == len(set(names)) == 4 * (2 + 3 * 2), names
    with open(os.path.join(e2e.ROOT, "results", "bench", "intel-xeon-processor.json"), encoding="utf-8") as file:
        ours = {b["run_name"] for b in json.load(file)["benchmarks"]}
    assert not {n for n in names if n.replace("/aihwkit/", "/avx2/") not in ours}, names
    assert all("bl:" in n for n in listed("--filter", "update"))


def test_where_it_is_missing():
    os.mkdir("aihwkit")
    write("aihwkit/__init__.py", "raise ImportError('not here')\n")
    write("torch.py", "raise ImportError('not here')\n")
    result = peer("--out", "peer.json", PYTHONPATH=os.getcwd())
    assert result.returncode == 77 and "pip install aihwkit==" in result.stderr, result.stderr
    assert not os.path.exists("peer.json")


def test_usage():
    assert peer("--filter", "nothing like it").returncode == 2
    assert peer("--repetitions", "0").returncode == 2
    assert peer("--other").returncode == 2


def test_a_run():
    args = ["--filter", "10x129", "--repetitions", "5", "--min-time", "0.002", "--out", "peer.json"]
    result = peer(*args, python=PYTHON)
    if result.returncode == 77:
        raise e2e.Skipped("aihwkit is not installed")
    assert result.returncode == 0, result.stderr
    names = listed("--filter", "10x129")
    write("ours.json", benchmarks({n.replace("aihwkit", "avx2"): [100, 101, 102, 103, 104] for n in names}))
    result = e2e.run("compare", "peer.json", "ours.json", "--rename", "aihwkit=avx2", "--json", "-")
    rows = json.loads(result.stdout)["benchmarks"]
    assert len(rows) == len(names) and all(r["verdict"] == "faster" for r in rows), rows
    page, _ = page_of("peer.json")
    assert "aihwkit" in page.words["bench0-cycle-update"]


if __name__ == "__main__":
    e2e.main(globals())
