#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""From documents of rpubench bench to tables, and the tables of this tree against its documents."""
import glob
import importlib.util
import json
import os
import re
import subprocess
import sys

import e2e

SCRIPT = os.path.join(e2e.ROOT, "tools", "bench_tables.py")
SIZE = "128x513/cols:1/team:1"


def row(name, time, unit="us", **counters):
    return {"name": name + "/real_time", "run_name": name + "/real_time", "run_type": "iteration", "repetitions": 1,
            "real_time": time, "time_unit": unit, **counters}


def document(*rows):
    return {"context": {"cpu": "Some CPU", "topology": "1 packages", "num_cpus": 2, "isa": "avx2", "compiler": "gcc 12.2.0",
                        "openblas_core": "Haswell", "commit": "0123456789abcdef", "date": "2026-01-02T03:04:05+00:00"},
            "benchmarks": list(rows)}


def write(path, *rows):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document(*rows), file)
    return path


def tables(*args, code=0):
    result = subprocess.run([sys.executable, SCRIPT, *args], capture_output=True, text=True, check=False)
    assert result.returncode == code, (args, result.returncode, result.stderr)
    return result.stdout


def cells(text, start):
    lines = [line for line in text.splitlines() if line.startswith("| " + start)]
    assert len(lines) == 1, (start, text)
    return [cell.strip() for cell in lines[0].strip("|").split("|")]


CYCLES = [row(f"cycle/forward/autovec/{SIZE}/hot", 6.0, crosspoints_per_second=1.1e10, percent_of_roof=24.0),
          row(f"cycle/forward/avx2/{SIZE}/hot", 2000.0, "ns", crosspoints_per_second=3.3e10, percent_of_roof=75.0),
          row(f"cycle/update/avx2/{SIZE}/bl:1/d:trained/hot", 8.0, crosspoints_per_second=8e9, percent_of_roof=11.0),
          row(f"baseline/forward/openblas/{SIZE}/hot", 3.0), row(f"baseline/update/openblas/{SIZE}/hot", 4.0)]


def test_cycles():
    text = tables(write("a.json", *CYCLES))
    assert cells(text, f"forward {SIZE}/hot | 6") == [f"forward {SIZE}/hot", "6 us", "2 us", "3.00x", "1.50x", "33 G", "75.0 %"]
    assert "three quarters of those of backward cycles" in text
    assert cells(text, f"update {SIZE}/bl:1/d:trained/hot")[3:5] == ["", "0.50x"]


def test_a_commit_with_changes_says_so():
    assert "commit `0123456789ab`," in tables(write("a.json", *CYCLES))
    changed = document(*CYCLES)
    changed["context"]["commit"] += "-dirty"
    with open("b.json", "w", encoding="utf-8") as file:
        json.dump(changed, file)
    assert "commit `0123456789ab-dirty`," in tables("b.json")


def test_medians_count_and_failures_do_not():
    name = f"cycle/forward/avx2/{SIZE}/hot"
    runs = [{**row(name, t), "repetitions": 3} for t in (1.0, 2.0, 9.0)]
    median = {**row(name, 2.0), "name": name + "/real_time_median", "run_type": "aggregate", "aggregate_name": "median"}
    failed = {**row(f"cycle/backward/avx2/{SIZE}/hot", 0.0), "error_occurred": True, "error_message": "wrong"}
    text = tables(write("a.json", *runs, median, failed))
    assert cells(text, "forward")[1] == "2 us" and "| backward" not in text


def test_steps_scaling_and_the_fixed_workload():
    more = [row("step/lenet-rpu/avx2/28x28/batch:1/team:1", 146.0, images_per_second=6850.0, percent_forward_K1=20.0,
                percent_forward_K2=5.0, percent_update_K1=60.0, percent_rest=15.0, percent_of_roof=31.0),
            row("step/alexnet/avx2/227x227/batch:1/team:1", 250.0, "ms", images_per_second=4.0, percent_rest=2.0),
            row("machine/fma/avx2/registers/team:1", 1.0, "us", flops_per_second=9e10, best_flops_per_second=1e11,
                percent_of_roof=90.0),
            row("scaling/strong/avx2/28x28/batch:64/team:2", 5.0, "ms", images_per_second=12800.0, speedup=1.9,
                percent_efficiency=95.0, percent_serial=5.3, percent_of_roof=40.0, waits_per_image=0.08, wait_ns=330.0,
                predicted_speedup_8=5.8, predicted_speedup_32=12.1, predicted_speedup_64=14.7),
            row("official/lenet-rpu/avx2/28x28/batch:1/team:1", 6.3, "s", images_per_second=9496.7,
                seconds_to_2_percent=5.31, test_error_percent=1.8, label="hot; in training; digest 0123456789abcdef PASS")]
    text = tables(write("a.json", *more))
    assert cells(text, "lenet-rpu")[2:] == ["6,850", "", "25 %", "0 %", "60 %", "15 %", "31.0 %"]
    assert cells(text, "alexnet")[2] == "4.0" and cells(text, "alexnet")[-2:] == ["2 %", ""]
    assert cells(text, "fma")[3:] == ["90 Gflop/s", "100 Gflop/s", "90.0 %"]
    assert cells(text, "strong")[5] == "40.0 %"
    assert cells(text, "strong")[-1] == "5.8x, 12.1x, 14.7x" and "prediction, not measured" in text
    assert cells(text, "1 | avx2")[2:4] == ["9,496.7", "5.31 s"] 
    assert cells(text, "1 | avx2")[-1] == "digest 0123456789abcdef PASS"


def test_the_table_in_a_document():
    os.mkdir("results")
    write("results/a.json", *CYCLES)
    with open("README.md", "w", encoding="utf-8") as file:
        file.write("before\n<!-- performance:begin -->\ngoals\n<!-- performance:end -->\nafter\n")
    tables("--check", "README.md", code=1)
    for _ in range(2):
        tables("--readme", "README.md", "results/a.json")
    with open("README.md", encoding="utf-8") as file:
        text = file.read()
    assert text.count("throughput:begin results/a.json -->") == 1 and text.endswith("-->\nafter\n"), text
    assert "0.50x" in text and text.index("goals") < text.index("0.50x")
    tables("--check", "README.md")
    with open("README.md", "w", encoding="utf-8") as file:
        file.write(text.replace("0.50x", "0.05x"))
    tables("--check", "README.md", code=1)


def test_updates_with_the_errors_that_come_nearest_to_training():
    """d:trained where there is one, else d:dense of one column and d:sparse of several."""
    large, several = "256x256/cols:1/team:1", "96x363/cols:3025/team:1"
    kinds = [(SIZE, "sparse"), (SIZE, "dense"), (SIZE, "trained"), (large, "sparse"), (large, "dense"), (several, "sparse"),
             (several, "dense")]
    write("a.json", *(row(f"cycle/update/avx2/{size}/bl:{bl}/d:{kind}/hot", 1.0 + k)
                      for bl in (1, 10) for k, (size, kind) in enumerate(kinds)))
    with open("README.md", "w", encoding="utf-8"):
        pass
    tables("--readme", "README.md", "a.json")
    with open("README.md", encoding="utf-8") as file:
        found = [line.split(" | ")[0] for line in file if line.startswith("| update")]
    assert found == [f"| update {size}/bl:1/d:{kind}/hot" for size, kind in
                     ((SIZE, "trained"), (large, "dense"), (several, "sparse"))], found


def test_the_table_of_threads():
    size = "4096x4096/cols:1"
    write("a.json", *CYCLES, *(row(f"scaling/strong/avx2/28x28/batch:{b}/team:{t}", 99.0 * b / t, speedup=1.0 + 0.7 * (t - 1),
                                   one_thread_ns=1e5)
                               for b in (1, 16) for t in (1, 2)),
          *(row(f"cycle/{what}/{v}/{size}/team:{t}{rest}/hot", n / t * (1 if v == "avx2" else 9), "ms")
            for v in ("autovec", "avx2") for t in (1, 2)
            for what, rest, n in (("forward", "", 3.0), ("update", "/bl:1/d:dense", 8.0), ("update", "/bl:10/d:dense", 5.0))))
    with open("README.md", "w", encoding="utf-8") as file:
        file.write("before\n<!-- threads:begin a.json -->\nold\n<!-- threads:end -->\nafter\n")
    tables("--readme", "README.md", "a.json")
    with open("README.md", encoding="utf-8") as file:
        text = file.read()
    assert text.startswith("before\n<!-- threads:begin a.json -->\n") and "old" not in text, text
    block = text[:text.index("<!-- threads:end -->")]
    assert block.count("\n| ") == 5, block
    assert cells(block, "training step, batch 16") == ["training step, batch 16, an image", "100 us", "1.70x"]
    assert cells(block, "forward read")[1:] == ["3 ms", "2.00x"] and cells(block, "update")[1:] == ["8 ms", "2.00x"]
    tables("--check", "README.md")
    with open("README.md", "w", encoding="utf-8") as file:
        file.write(text.replace("1.70x", "1.77x"))
    tables("--check", "README.md", code=1)


def test_the_table_of_a_training():
    trained = e2e.train("--data", "digits", "--limit-train", "60", "--limit-test", "20", "--epochs", "2", "--threads", "1")
    with open("r.json", "w", encoding="utf-8") as file:
        json.dump(trained, file)
    write("a.json", *CYCLES)
    with open("README.md", "w", encoding="utf-8") as file:
        file.write("before\n<!-- training:begin r.json -->\nformer\n<!-- training:end -->\nafter\n")
    tables("--readme", "README.md")
    tables("--readme", "README.md", "a.json")  # which leaves it alone
    with open("README.md", encoding="utf-8") as file:
        text = file.read()
    assert f"2 epochs of `lenet-rpu` on digits, 1 thread of {trained['cpu']}" in text and "former" not in text, text
    assert f"{trained['images_per_second']:,.0f} images a second, {trained['train_seconds'] / 2:.1f} s an epoch of 60" in text
    assert cells(text, "K1")[:3] == ["K1", "16x26", "576"] and cells(text, "K1")[5:7] == ["-", "-"], text
    took = f"{trained['cycles']['W3']['update']['ns_per_image']:,.0f}"
    assert cells(text, "W3")[7] == took, text
    tables("--check", "README.md")
    with open("README.md", "w", encoding="utf-8") as file:
        file.write(text.replace(f"| {took} |", "| 1 |"))
    tables("--check", "README.md", code=1)


def goals(code, *args):
    result = subprocess.run([sys.executable, os.path.join(e2e.ROOT, "tools", "perf_table.py"), *args], capture_output=True,
                            text=True, check=False)
    assert result.returncode == code, (args, result.returncode, result.stderr)


def test_the_table_of_goals():
    os.mkdir("results")
    goal = {"ours_ns": 2000.0, "theirs_ns": 1000.0, "goal": 1.0, "at_least": 0, "bound": 1.0, "of_bound": 1.5}
    for name, reached in (("results/a.json", 1.5), ("results/b.json", 2.5)):
        write(name, row("goal/forward/W3/128x513/cols:1", 2.0, reached=reached, **goal))
    with open("README.md", "w", encoding="utf-8") as file:
        file.write("before\n<!-- performance:begin -->\nold\n<!-- performance:end -->\nafter\n")
    goals(1, "--check", "README.md")
    goals(0, "--readme", "README.md", "--also", "another core=results/b.json", "results/a.json")
    goals(0, "--check", "README.md")
    with open("README.md", encoding="utf-8") as file:
        text = file.read()
    assert "| reached against another core |" in text and "2.50x" in text and text.endswith("-->\nafter\n"), text
    with open("README.md", "w", encoding="utf-8") as file:
        file.write(text.replace("2.50x", "0.25x"))
    goals(1, "--check", "README.md")


def test_the_goals_of_this_tree():
    goals(0, "--check", os.path.join(e2e.ROOT, "README.md"))


def test_the_tables_of_this_tree():
    folder = os.path.join(e2e.ROOT, "results", "bench")
    recorded = [n for n in os.listdir(folder) if n.endswith(".md") and n != "README.md"] if os.path.isdir(folder) else []
    if not recorded:
        raise e2e.Skipped("no run is recorded in results/bench")
    checked = tables("--check", os.path.join(e2e.ROOT, "README.md"))
    assert all(f"table of {kind}" in checked for kind in ("throughput", "threads", "training")), checked
    for name in recorded:
        path = os.path.join(folder, name[:-len(".md")])
        with open(path + ".md", encoding="utf-8") as file:
            assert file.read() == tables(path + ".json", path + "-official.json"), name


def texts(value, key=""):
    """All texts of a document, each with its key."""
    if isinstance(value, dict):
        return [pair for k, v in value.items() for pair in texts(v, k)]
    if isinstance(value, list):
        return [pair for v in value for pair in texts(v, key)]
    return [(key, value)] if isinstance(value, str) else []


def test_the_documents_of_this_tree_name_no_host_and_no_folder():
    documents = glob.glob(os.path.join(e2e.ROOT, "results", "**", "*.json"), recursive=True)
    if not documents:
        raise e2e.Skipped("no run is recorded in results")
    for path in documents:
        with open(path, encoding="utf-8") as file:
            named = [(key, text) for key, text in texts(json.load(file)) if key == "host_name" or text.startswith("/")]
        assert not named, (path, named)


def test_the_papers_experiments_of_this_tree():
    """README, table and pictures are of the recorded trainings."""
    if not all(importlib.util.find_spec(name) for name in ("matplotlib", "jinja2")):
        raise e2e.Skipped("python3-matplotlib and python3-jinja2 are needed")
    readme, folder = os.path.join(e2e.ROOT, "README.md"), os.path.join(e2e.ROOT, "results", "paper")
    script = [sys.executable, os.path.join(e2e.ROOT, "tools", "report.py")]
    result = subprocess.run([*script, "--check", readme], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    subprocess.run([*script, os.path.join(e2e.ROOT, "tools", "paper", "reported.json"),
                    *glob.glob(os.path.join(folder, "*-seed*.json")), "-o", "page.html", "--files", "files"], check=True)

    def text(*path):
        with open(os.path.join(*path), encoding="utf-8") as file:
            return file.read()

    def said(picture):
        return re.findall(r"<(?:title|desc)[^>]*>[^<]*<", picture)

    assert text(folder, "table.md") == text("files", "table.md")
    pictures = sorted(name for name in os.listdir("files") if name.endswith(".svg"))
    assert pictures and pictures == sorted(name for name in os.listdir(folder) if name.endswith(".svg"))
    for name in pictures:
        assert said(text(folder, name)) == said(text("files", name)), name
    block = text(readme).split("<!-- paper:begin")[1]
    assert block[block.index("![") + 2:block.index("](results/paper/headline.svg)")] in text(folder, "headline.svg")


if __name__ == "__main__":
    e2e.main(globals())
