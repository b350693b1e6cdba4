#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""rpubench bench: groups, names, counters, context, wrong options, and what it does when the benchmarks fail."""
import csv
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time

import e2e
from e2e import fails, run, succeed

BRIEF = ["--repetitions", "1", "--min-time", "0.0001"]
GROUPS = {"machine", "kernel", "cycle", "baseline", "step", "scaling", "goal"}
SUFFIX = re.compile(r"/(real_time|manual_time|iterations:\d+|repeats:\d+)")
SIZE = r"\d+x\d+/cols:\d+/team:\d+"
NAMES = {
    "machine": r"machine/(read|triad|update)/\w+/(L\d|memory)/team:\d+|machine/fma/\w+/registers/team:\d+",
    "kernel": rf"kernel/\w+/\w+/{SIZE}/hot",
    "cycle": rf"cycle/((forward|backward)/\w+/{SIZE}|update/\w+/{SIZE}/bl:(1|10|31)/d:(sparse|dense|trained))/(hot|cold)",
    "baseline": rf"baseline/((forward|backward|update)/openblas|philox/random123)/{SIZE}/(hot|cold)",
    "step": r"step/[\w-]+/\w+/\d+x\d+/batch:\d+/team:\d+",
    "scaling": r"scaling/((strong|weak)/\w+/28x28/batch:\d+|wait/\w+/list/items:\d+)/team:\d+",
    "goal": r"goal/.+",
}
COUNTERS = {
    "machine": ["best_flops_per_second|best_bytes_per_second", "percent_of_roof"],
    "kernel": ["items_per_second", "bytes_per_second", "percent_of_roof", "roof_flops_per_second|roof_bytes_per_second",
               "working_set"],
    "cycle": ["crosspoints_per_second", "flops_per_second", "bytes_per_second", "flops_per_byte", "percent_of_roof",
              "roof_flops_per_second", "working_set"],
    "baseline": ["crosspoints_per_second|items_per_second", "bytes_per_second", "percent_of_roof"],
    "step": ["images_per_second", "crosspoints_per_second", "percent_forward_K1", "percent_update_K1",
             "percent_backward_K2", "percent_rest", "percent_of_roof", "flops_per_second", "bytes_per_second"],
    "scaling": ["speedup", "percent_of_roof"],
    "scaling/wait": ["wait_ns"],
    "goal": ["goal", "reached"],
}
_quick = {}


def no_constant(name):
    raise ValueError(f"{name} is no JSON")


def parse(text):
    return json.loads(text, parse_constant=no_constant)


def plain(row):
    return SUFFIX.sub("", row["run_name"])


def quick():
    """The document of --quick as it is without other options, and the tables, measured once."""
    if not _quick:
        start = time.monotonic()
        result = succeed("bench", "--quick", "--json", "-")
        print(f"rpubench bench --quick --json - took {time.monotonic() - start:.0f} s", flush=True)
        _quick.update(parse(result.stdout), tables=result.stderr)
    return _quick


def runs():
    """Its rows but the aggregates and what there was nothing to measure of."""
    return [row for row in quick()["benchmarks"] if row["run_type"] == "iteration" and not row.get("error_occurred")]


def documented():
    with open(os.path.join(e2e.ROOT, "results", "README.md"), encoding="utf-8") as file:
        text = file.read()
    return text[text.index("## The benchmark documents"):text.index("## The speed goals")]


# ---- what is measured ----

def test_quick_holds_every_group():
    groups = {row["name"].split("/")[0] for row in runs()}
    assert groups == GROUPS, groups ^ GROUPS
    for row in quick()["benchmarks"]:
        assert not row.get("error_occurred") or row["error_message"].startswith("not measured: "), row
    medians = {row["run_name"] for row in quick()["benchmarks"] if row.get("aggregate_name") == "median"}
    assert medians == {row["run_name"] for row in runs()}, medians


def test_names_are_what_they_are_documented_to_be():
    for row in runs():
        pattern = NAMES[row["name"].split("/")[0]]
        assert re.fullmatch(pattern, plain(row)), row["name"]


def test_every_kernel_and_variant_is_there():
    info = json.loads(succeed("info", "--json").stdout)
    found = {tuple(plain(row).split("/")[1:3]) for row in runs() if row["name"].startswith("kernel/")}
    best = info["variants_usable"][-1]
    for kernel in info["kernels"]:
        for variant in info["variants_usable"]:
            assert (kernel, variant) in found or (variant == best and info["kernels"][kernel] != best), (kernel, variant)


def test_counters():
    for row in runs():
        group, what = row["name"].split("/")[:2]
        for names in COUNTERS.get(f"{group}/{what}", COUNTERS[group]):
            assert any(row.get(name, -1) >= 0 for name in names.split("|")), (row["name"], names)
        if re.fullmatch(r"scaling/wait/.*/team:2", plain(row)) and len(os.sched_getaffinity(0)) >= 2:
            assert all(0 < row[f"line_{what}_ns"] < 1e5 for what in ("turn", "read", "write")), row
        if "percent_of_roof" in row and "roof_flops_per_second" in row:
            share = 100 * row["flops_per_second"] / row["roof_flops_per_second"]
            assert abs(share / row["percent_of_roof"] - 1) < 1e-3, row


def best(what, level, team):
    """The best rate of a row machine/ of the document: that of its last repetition."""
    for row in reversed(runs()):
        if re.fullmatch(rf"machine/{what}/\w+/{level}/team:{team}", plain(row)):
            return row["best_flops_per_second" if what == "fma" else "best_bytes_per_second"]
    raise AssertionError(("machine", what, level, team))


def test_no_average_is_above_the_best():
    rows = [row for row in runs() if row["name"].startswith("machine/")]
    for row in rows:
        rate = "flops_per_second" if "/fma/" in row["name"] else "bytes_per_second"
        assert row[rate] <= row["best_" + rate] * 1.000001 and row["percent_of_roof"] < 100.0001, row


def bandwidth(row, writes, team):
    """Bytes a second for the working set: each level gives what fits there and not before."""
    levels = re.findall(r"(L\d) (\d+) KiB of (\d+)", quick()["context"]["cache_levels"])
    size, before, seconds = row["working_set"], 0.0, 0.0
    kinds = ("read", "triad", "update") if writes else ("read",)

    def fastest(level):
        return max(best(what, level, team) for what in kinds)
    if plain(row).endswith("/cold"):
        return fastest("memory")
    for name, kib, shared in [*levels, ("memory", "0", "1")]:
        held = 1024 * int(kib) * -(-team // int(shared))
        held = size if name == "memory" or held >= size else held
        if held > before:
            seconds += (held - before) / fastest(name)
            before = held
    return size / seconds


def test_roofs_follow_from_the_rows_of_the_machine():
    rows = [row for row in runs() if row["name"].startswith(("kernel/", "cycle/"))
            and "roof_flops_per_second" in row]
    for row in rows:
        team = int(re.search(r"team:(\d+)", row["name"]).group(1))
        peak = best("fma", "registers", team)
        assert row["roof_flops_per_second"] <= peak * 1.000001, row
        if row["name"].startswith("cycle/"):
            writes = row["name"].startswith("cycle/update/")
            roof = min(peak, row["flops_per_byte"] * bandwidth(row, writes, team))
            assert abs(row["roof_flops_per_second"] / roof - 1) < 1e-3, (row, roof)
    assert {row["name"].split("/")[1] for row in rows} >= {"forward", "backward", "update"}, rows


def test_labels_state_the_cache():
    for row in runs():
        if not row["name"].startswith("goal/"):
            cold = re.match("machine/.*/memory/|.*/cold", row["name"])
            assert row["label"].split("; ")[0] == ("cold" if cold else "hot"), (row["name"], row["label"])


def test_rates_follow_from_the_shape():
    for row in runs():
        size = re.search(r"/(\d+)x(\d+)/cols:(\d+)/", row["name"])
        if not row["name"].startswith("cycle/") or not size:
            continue
        out, inputs, columns = (int(n) for n in size.groups())
        seconds = row["real_time"] * {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}[row["time_unit"]]
        rate = out * inputs * columns / seconds
        assert abs(row["crosspoints_per_second"] / rate - 1) < 1e-3, row


def test_shares_make_a_whole():
    for row in runs():
        if row["name"].startswith("step/"):
            shares = [v for k, v in row.items() if k.startswith("percent_") and k != "percent_of_roof"]
            assert all(v >= 0 for v in shares) and abs(sum(shares) - 100) < 1, row


def test_scaling_says_what_is_a_prediction():
    rows = [row for row in runs() if row["name"].startswith("scaling/strong/")]
    teams = {int(plain(row).rsplit(":", 1)[1]): row for row in rows}
    last = teams[max(teams)]
    if max(teams) == 1:
        raise e2e.Skipped("one processor")
    speedups = [last[f"predicted_speedup_{n}"] for n in (8, 32, 64)]
    assert all(0 < s <= n for s, n in zip(speedups, (8, 32, 64))), speedups
    assert "prediction" in last["label"]
    assert last["percent_serial"] >= 0 and last["waits_per_image"] > 0
    assert abs(last["percent_efficiency"] * max(teams) / 100 / last["speedup"] - 1) < 1e-3, last
    assert teams[1]["speedup"] == 1, teams[1]
    team_ns = last["one_thread_ns"] / last["speedup"]  # the same work as the row's own time, measured just before
    assert 0.25 < team_ns * last["images_per_second"] / 1e9 < 4, last
    assert last["percent_chain"] > 0 and max(speedups) <= 100 / last["percent_chain"] * 1.0001


def test_counters_and_context_are_documented():
    text = documented()
    own = {"name", "family_index", "per_family_instance_index", "run_name", "run_type", "repetitions",
           "repetition_index", "threads", "iterations", "real_time", "cpu_time", "time_unit", "label"}
    with open(os.path.join(e2e.ROOT, "results", "goals", "README.md"), encoding="utf-8") as file:
        goals = file.read()
    for row in runs():
        for key in set(row) - own:
            if row["name"].startswith("goal/"):
                key = re.sub(r"^bound_\w+_ns$", "bound_<part>_ns", key)
                key = re.sub(r"^(forward|backward|update)_[KW]\d$", "<cycle>_<array>", key)
                assert f"`{key}`" in goals, key
                continue
            key = re.sub(r"^percent_(forward|backward|update)_\w+$", "percent_<cycle>_<array>", key)
            key = re.sub(r"^predicted_speedup_\d+$", "predicted_speedup_8", key)
            assert f"`{key}`" in text, key
    theirs = {"date", "host_name", "executable", "num_cpus", "mhz_per_cpu", "cpu_scaling_enabled", "caches", "load_avg",
              "library_build_type"}
    for key in set(quick()["context"]) - theirs:
        assert f"`{key}`" in text, key


def test_provenance():
    context, info = quick()["context"], json.loads(succeed("info", "--json").stdout)
    for key in ("version", "commit", "compiler", "flags", "cpu", "isa", "bind"):
        assert context[key] == info[key], key
    assert dict(pair.split("=") for pair in context["kernels"].split()) == info["kernels"]
    for key in ("schema", "cpu_flags", "cache_levels", "topology", "places", "governor", "frequency", "openblas_core"):
        assert context[key], key
    assert len(context["load_avg"]) == 3 and context["date"] and context["selection"] == "quick"


# ---- choosing ----

def names_of(*args):
    return [plain(row) for row in parse(succeed("bench", "--json", "-", *BRIEF, *args).stdout)["benchmarks"]]


def listed():
    """The names of the full choice."""
    program = os.path.join(os.path.dirname(e2e.PROGRAM), "bench", "rpubench-bench")
    return subprocess.run([program, "--benchmark_list_tests"], capture_output=True, text=True, check=True).stdout.split()


def test_names_of_the_full_choice():
    names = listed()
    assert len(names) > 500 and len(names) == len(set(names)), [n for n in set(names) if names.count(n) > 1]
    for preset, size in (("lenet-rpu", "28x28"), ("alexnet", "227x227")):
        for batch in (1, 16, 64):
            assert any(re.match(rf"step/{preset}/\w+/{size}/batch:{batch}/team:1/", n) for n in names), (preset, batch)
    for kernel, size in (("forward", "4096x9216/cols:1"), ("im2col", "96x363/cols:3025"), ("maxpool", "96x363/cols:3025")):
        assert any(re.match(rf"kernel/{kernel}/\w+/{size}/team:1/hot", n) for n in names), (kernel, size)
    with open(os.path.join(e2e.ROOT, "bench", "shapes_alexnet.txt"), encoding="utf-8") as file:
        alexnet = ["x".join(line.split()[1:3]) for line in file if line[0] != "#"]
    small = ["16x26", "32x401", "128x513", "10x129", "256x256", "512x512", "1024x1024"]  # for the oracle's own kernels
    updates = [f"/bl:{bl}/d:{d}" for bl in (1, 10, 31) for d in ("sparse", "dense")]
    assert len(alexnet) == 8, alexnet
    for size in [*small, *alexnet, "2048x2048", "4096x4096"]:
        for cycle, rests in (("forward", [""]), ("backward", [""]), ("update", updates)):
            for variant in e2e.variants():
                for rest in rests:
                    pattern = rf"cycle/{cycle}/{variant}/{size}/cols:\d+/team:1{rest}/hot/"
                    if variant != "generic" or size in small:
                        assert any(re.match(pattern, n) for n in names), pattern
            pattern = rf"baseline/{cycle}/openblas/{size}/cols:\d+/team:1/hot/"
            assert any(re.match(pattern, n) for n in names), pattern


def test_baseline_of_random_numbers():
    if "RPU_RANDOM123" not in os.environ:
        raise e2e.Skipped("RPU_RANDOM123 does not say whether Random123 was there for the build")
    lengths = [129, 513, 3072, 65536] if os.environ["RPU_RANDOM123"] == "1" else []
    names = [f"baseline/philox/random123/1x{n}/cols:1/team:1/hot/real_time" for n in lengths]
    assert [name for name in listed() if name.startswith("baseline/philox/")] == names, names


def test_csv():
    program = os.path.join(os.path.dirname(e2e.PROGRAM), "bench", "rpubench-bench")
    done = subprocess.run([program, "--benchmark_filter=^cycle/forward/.*/16x26/", "--benchmark_format=csv",
                           "--benchmark_min_time=0.001"], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("name,"))
    rows = list(csv.DictReader(lines[start:]))
    assert len(rows) >= 3, done.stdout
    assert all(float(row["real_time"]) > 0 and float(row["crosspoints_per_second"]) > 0 for row in rows), rows


def test_filter_isa_and_threads():
    names = names_of("--filter", "^cycle/.*/128x513/", "--isa", "autovec", "--threads", "1")
    assert names and all(name.split("/")[2] == "autovec" and "/team:1/" in name for name in names), names
    names = names_of("--filter", "^cycle/forward/.*/1024x1024/", "--threads=2,1", "--quick")
    assert {name.split("team:")[1][0] for name in names} == {"1", "2"}, names
    names = names_of("--filter", "^kernel/tanh/.*1x129/", "--isa=all")
    assert [name.split("/")[2] for name in names] == e2e.variants(), names


def test_repetitions_have_a_median():
    document = parse(succeed("bench", "--json", "-", "--filter", "^cycle/forward/.*10x129.*team:1/hot", "--isa=autovec",
                             "--repetitions=4", "--min-time=0.0001").stdout)
    kinds = [row.get("aggregate_name", "run") for row in document["benchmarks"]]
    assert kinds.count("run") == 4 and "median" in kinds, kinds


def test_tables():
    text = quick()["tables"]
    for title in ("machine", "kernel", "cycle", "baseline", "step", "scaling of lenet-rpu", "goal"):
        assert re.search(rf"^{title} +\w", text, re.M), title
    line = re.search(r"^forward 128x513/cols:1/team:1/hot +.*$", text, re.M).group(0)
    assert len(re.findall(r"\d\.\d\dx", line)) == (2 if len(e2e.variants()) > 2 else 1), line
    assert re.search(r"\d %$", line), line


def test_json_to_a_file():
    result = succeed("bench", "--filter", "^kernel/relu/.*1x129/", "--json", "a.json", *BRIEF)
    with open("a.json", encoding="utf-8") as file:
        assert parse(file.read())["benchmarks"]
    assert "relu" in result.stdout and os.listdir(".") == ["a.json"]
    quiet = succeed("bench", "--filter", "^kernel/relu/.*1x129/", "--quiet", *BRIEF)
    assert quiet.stdout == "" and quiet.stderr == ""


def test_the_fixed_workload():
    result = succeed("bench", "--official", "--threads=1", "--json=a.json")
    assert re.search(r"^1 thread, \w+: [\d.]+ images/s, 2 % test error after [\d.]+ s \(\d+ images\), "
                     r"digest [0-9a-f]{16} PASS$", result.stdout, re.M), result.stdout
    with open("a.json", encoding="utf-8") as file:
        row = parse(file.read())["benchmarks"][0]
    assert re.fullmatch(r"official/lenet-rpu/\w+/28x28/batch:1/team:1", plain(row)), row["name"]
    assert row["test_error_percent"] <= 2 and row["images_per_second"] > 0


# ---- what can go wrong ----

def test_wrong_options():
    for args, says in ((["--isa", "avx9"], ["--isa", "avx9", *e2e.variants()]),
                       (["--isa", "autovec,avx9"], ["--isa", "avx9"]),
                       (["--threads", "0"], ["--threads", "'0'", "1024"]),
                       (["--threads", "1,x"], ["--threads", "1,x"]),
                       (["--filter", "nothing-has-this-name"], ["--filter", "nothing-has-this-name"]),
                       (["--filter", "("], ["--filter", "'('"]),
                       (["--repetitions", "0"], ["--repetitions", "'0'"]),
                       (["--repetitions", "1.5"], ["--repetitions", "1.5"]),
                       (["--min-time", "soon"], ["--min-time", "soon"]),
                       (["--official", "--quick"], ["--official", "--quick"]),
                       (["--official", "--data", "."], ["--official", "--data"])):
        result = fails(2, "bench", *args, says=says)
        assert result.stdout == "", args
    fails(1, "bench", "--json", "none/a.json", says=["none/a.json"])
    result = fails(1, "bench", "--data", "no-such-folder", "--filter", "^step/lenet-fp/.*batch:1/", "--repetitions", "3",
                   "--min-time", "0.0001", says=["--data", "no-such-folder"])
    failed = re.findall(r"^FAILED (\S+): no training images$", result.stdout, re.M)
    assert failed and len(failed) == len(set(failed)), result.stdout
    assert f" {len(failed)} benchmarks failed" in result.stderr, result.stderr


def test_wrong_shapes():
    program = os.path.join(os.path.dirname(e2e.PROGRAM), "bench", "rpubench-bench")
    for line in ("K1 16 26", "K1 16 0 576", "K1 16 26 576 5 1", "K1 16 26 576 6 1 0", "K1 16 26 576 5 1 0 25 2"):
        with open("shapes_lenet.txt", "w", encoding="utf-8") as file:
            file.write(f"# a comment\n{line}\n")
        result = subprocess.run([program, "--shapes=.", "--benchmark_list_tests"], capture_output=True, text=True,
                                check=False)
        assert result.returncode == 2 and "shapes_lenet.txt:2: expected" in result.stderr, (line, result.stderr)


def test_isa_of_the_environment():
    document = parse(succeed("bench", "--json", "-", "--filter", "^kernel/relu/.*1x129/", *BRIEF,
                             env={"RPU_ISA": "autovec"}).stdout)
    assert document["context"]["isas"] == "autovec"


def test_neither_blas_nor_stdcpp():
    if not shutil.which("ldd"):
        raise e2e.Skipped("no ldd")
    libraries = subprocess.run(["ldd", e2e.PROGRAM], check=True, capture_output=True, text=True).stdout
    assert "libc.so" in libraries, libraries
    for name in ("blas", "libstdc++", "benchmark"):
        assert name not in libraries, libraries


def test_without_the_benchmarks():
    shutil.copy(e2e.PROGRAM, "rpubench")
    result = subprocess.run(["./rpubench", "bench"], capture_output=True, text=True, check=False,
                            env=e2e.environment({"RPUBENCH_BENCH": ""}))
    assert result.returncode == 1 and result.stdout == ""
    for text in ("rpubench-bench", "libbenchmark-dev", "-Dbench=enabled", "RPUBENCH_BENCH"):
        assert text in result.stderr, result.stderr
    fails(1, "bench", env={"RPUBENCH_BENCH": "/no/such/program"}, says=["RPUBENCH_BENCH", "/no/such/program"])


def pretend(body):
    """A program in the place of rpubench-bench; $OUT is where the document belongs."""
    with open("pretend", "w", encoding="utf-8") as file:
        file.write('#!/bin/sh\nfor a in "$@"; do case $a in --benchmark_out=*) OUT=${a#*=} ;; esac; done\n' + body)
    os.chmod("pretend", stat.S_IRWXU)
    return {"RPUBENCH_BENCH": os.path.abspath("pretend")}


ROW = ('{"run_name": "kernel/tanh/avx2/1x8/cols:1/team:1/hot/real_time", "name": "x", "run_type": "iteration", '
       '"repetitions": 1, %s}')


def test_interleave():
    env = pretend("echo \"$*\" >options\necho '{\"context\": {}, \"benchmarks\": []}' >$OUT\n")
    for more, given in (([], False), (["--interleave"], True)):
        succeed("bench", *more, env=env)
        with open("options", encoding="utf-8") as file:
            assert ("--benchmark_enable_random_interleaving=true" in file.read().split()) is given
    rows = parse(succeed("bench", "--json", "-", "--filter", "^kernel/(tanh|relu)/.*1x129/", "--interleave",
                         "--repetitions=3", "--min-time=0.0001").stdout)["benchmarks"]
    names = [row["run_name"] for row in rows if row["run_type"] == "iteration"]
    assert len(set(names)) > 3 and all(names.count(name) == 3 for name in names)


def test_a_wrong_result():
    row = ROW % '"error_occurred": true, "error_message": "the result differs"'
    env = pretend(f"echo '{{\"context\": {{}}, \"benchmarks\": [{row}]}}' >$OUT\n"
                  "echo 'rpubench-bench: 1 benchmarks failed' >&2\nexit 1\n")
    result = run("bench", "--json", "a.json", env=env)
    assert result.returncode == 1 and "1 benchmarks failed" in result.stderr
    assert re.search(r"^FAILED kernel/tanh/avx2/1x8/cols:1/team:1/hot: the result differs$", result.stdout, re.M)
    with open("a.json", encoding="utf-8") as file:
        assert parse(file.read())["benchmarks"][0]["error_occurred"]


def test_a_failure_is_printed_once_whatever_the_repetitions():
    row = ROW.replace('"repetitions": 1', '"repetitions": 3') % '"error_occurred": true, "error_message": "the result differs"'
    rows = ", ".join([row] * 3 + [row.replace("tanh", "relu")] * 3)
    result = run("bench", env=pretend(f"echo '{{\"context\": {{}}, \"benchmarks\": [{rows}]}}' >$OUT\nexit 1\n"))
    failed = re.findall(r"^FAILED kernel/(\w+)/", result.stdout, re.M)
    assert result.returncode == 1 and failed == ["tanh", "relu"], result.stdout


def test_nothing_to_measure_is_no_failure():
    result = succeed("bench", "--isa", "autovec", "--filter", "^goal/autovec", "--json", "a.json", *BRIEF)
    assert re.search(r"^goal/autovec: not measured: no hand-written kernels to compare$", result.stdout, re.M), result.stdout
    assert "FAILED" not in result.stdout and result.stderr == "", result
    with open("a.json", encoding="utf-8") as file:
        row = parse(file.read())["benchmarks"][0]
    assert row["error_occurred"] and row["iterations"] == 0, row
    rows = [ROW.replace("kernel/tanh", "goal/" + name) % f'"error_occurred": true, "error_message": "{why}"'
            for name, why in (("a", "not measured: no such unit"), ("b", "it was not measured: no unit"))]
    result = run("bench", env=pretend(f"echo '{{\"context\": {{}}, \"benchmarks\": [{', '.join(rows)}]}}' >$OUT\nexit 1\n"))
    assert re.search(r"^goal/a/avx2/.*: not measured: no such unit$", result.stdout, re.M), result.stdout
    assert re.findall(r"^FAILED goal/(\w+)/", result.stdout, re.M) == ["b"] and result.returncode == 1, result.stdout


def test_numbers_that_are_none():
    values = '"real_time": 2.0, "time_unit": "us", "label": "NaN, -NaN", "a": NaN, "b": -NaN,\n"c": -Infinity, "d": Infinity'
    env = pretend(f"cat >$OUT <<'END'\n{{\"context\": {{}}, \"benchmarks\": [{ROW % values}]}}\nEND\n")
    row = parse(succeed("bench", "--json", "-", env=env).stdout)["benchmarks"][0]
    assert [row[key] for key in "abcd"] == [None] * 4 and row["label"] == "NaN, -NaN"


def test_a_program_that_breaks_off():
    fails(1, "bench", "--json", "a.json", env=pretend("echo '{\"context\": ' >$OUT\n"), says=["cannot be read"])
    fails(1, "bench", "--json", "a.json", env=pretend("kill -9 $$\n"), says=["signal 9"])
    assert os.listdir(".") == ["pretend"]


def test_interrupt():
    for closes in ("", "exec >&-\n"): # waits for a line, and for the end
        env = e2e.environment(pretend(closes + "touch begun\nexec sleep 600\n"))
        with subprocess.Popen([e2e.PROGRAM, "bench", "--json", "a.json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=env, text=True) as process:
            while not os.path.exists("begun"):
                assert process.poll() is None, process.communicate()
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)
        assert process.returncode == 130 and out == "", process.returncode
        os.remove("begun")
        assert os.listdir(".") == ["pretend"]


# ---- the tables, of numbers that are known ----

def printed(*rows):
    """The lines that the program prints of rows (name, microseconds, counters), with single spaces."""
    document = {"context": {}, "benchmarks": [
        {"name": name + "/real_time", "run_name": name + "/real_time", "run_type": "iteration", "repetitions": 1,
         "real_time": us, "time_unit": "us", **counters} for name, us, counters in rows]}
    with open("known.json", "w", encoding="utf-8") as file:
        json.dump(document, file)
    lines = succeed("bench", env=pretend(f"cat '{os.path.abspath('known.json')}' >$OUT\n")).stdout.splitlines()
    return [" ".join(line.split()) for line in lines]


SHAPE = "128x513/cols:1/team:1"


def test_lines_of_cycles():
    def points(rate, percent):
        return {"crosspoints_per_second": rate, "percent_of_roof": percent}
    lines = printed(
        (f"cycle/forward/generic/{SHAPE}/hot", 0.0241, points(1e9, 1.0)),
        (f"cycle/forward/autovec/{SHAPE}/hot", 6.0, points(1.1e10, 25.0)),
        (f"cycle/forward/avx2/{SHAPE}/hot", 2.0, points(3.284e10, 75.06)),
        (f"cycle/forward/avx2/{SHAPE}/cold", 4.0, points(1.6e10, 12.0)),
        (f"cycle/backward/autovec/{SHAPE}/hot", 5.0, points(1.3e10, 30.0)),
        (f"cycle/update/autovec/{SHAPE}/bl:10/d:sparse/hot", 1500.0, points(4e7, 0.06)),
        (f"cycle/update/avx2/{SHAPE}/bl:10/d:sparse/hot", 1000.0, points(6e7, 0.04)),
        (f"baseline/forward/openblas/{SHAPE}/hot", 3.0, points(2.2e10, 50.0)),
        (f"baseline/forward/openblas/{SHAPE}/cold", 1.0, points(6.6e10, 99.0)),
        (f"baseline/update/openblas/{SHAPE}/hot", 250.0, {}))
    at = lines.index("cycle generic autovec avx2 /autovec /baseline points/s of roof")
    assert lines[at + 1:at + 5] == [
        f"forward {SHAPE}/hot 24.1 ns 6.00 us 2.00 us 3.00x 1.50x 32.84 G 75.1 %",
        f"forward {SHAPE}/cold - - 4.00 us - 0.25x 16.00 G 12.0 %",
        f"backward {SHAPE}/hot - 5.00 us - - - 13.00 G 30.0 %",
        f"update {SHAPE}/bl:10/d:sparse/hot - 1.50 ms 1.00 ms 1.50x 0.25x 0.06 G 0.0 %"], lines
    at = lines.index("baseline openblas points/s of roof")
    assert lines[at + 1] == f"forward {SHAPE}/hot 3.00 us 22.00 G 50.0 %", lines
    assert lines[at + 3] == f"update {SHAPE}/hot 250 us - -", lines


def test_lines_of_kernels():
    row = "1x129/cols:1/team:1/hot"
    lines = printed(
        (f"kernel/tanh/autovec/{row}", 0.3, {"percent_of_roof": 20.0}),
        (f"kernel/tanh/avx2/{row}", 0.1, {"percent_of_roof": 60.0}),
        (f"kernel/philox/avx2/{row}", 0.2, {"percent_of_roof": 40.0}),
        (f"kernel/outer/avx2/{SHAPE}/hot", 2.0, {"crosspoints_per_second": 3e10, "percent_of_roof": 5.0}),
        (f"baseline/philox/random123/{row}", 0.5, {}),
        (f"baseline/update/openblas/{SHAPE}/hot", 3.0, {}))
    at = lines.index("kernel autovec avx2 /autovec /baseline points/s of roof")
    assert lines[at + 1:at + 4] == [
        f"tanh {row} 300 ns 100 ns 3.00x - - 60.0 %",
        f"philox {row} - 200 ns - 2.50x - 40.0 %",
        f"outer {SHAPE}/hot - 2.00 us - 1.50x 30.00 G 5.0 %"], lines


def test_lines_of_the_other_groups():
    lines = printed(
        ("machine/fma/avx2/registers/team:1", 1.0,
         {"flops_per_second": 9e10, "best_flops_per_second": 1e11, "percent_of_roof": 90.0}),
        ("machine/read/avx2/L1/team:2", 1.0,
         {"bytes_per_second": 1.5e11, "best_bytes_per_second": 2e11, "percent_of_roof": 75.0}),
        ("step/lenet-rpu/autovec/28x28/batch:1/team:1", 600.0, {"images_per_second": 1666.7}),
        ("step/lenet-rpu/avx2/28x28/batch:1/team:1", 150.0,
         {"images_per_second": 6666.7, "percent_forward_K1": 20.0, "percent_backward_K1": 4.0, "percent_update_K1": 36.0,
          "percent_forward_K2": 10.0, "percent_update_K2": 15.0, "percent_rest": 15.0, "percent_of_roof": 31.25}),
        ("scaling/strong/avx2/28x28/batch:1/team:2", 100.0,
         {"images_per_second": 64.25, "speedup": 1.5, "percent_efficiency": 75.0, "percent_serial": 33.3,
          "percent_of_roof": 20.0, "waits_per_image": 1.25, "wait_ns": 333.3, "predicted_speedup_8": 2.0,
          "predicted_speedup_32": 3.04, "predicted_speedup_64": 3.06}),
        ("goal/forward/W3/128x513/cols:1", 1.0, {"goal": 1.0, "reached": 0.9, "bound": 0.8, "of_bound": 1.125}),
        ("goal/backward/W3/128x513/cols:1", 1.0, {"goal": 1.0, "reached": 1.1, "bound": 1.0, "of_bound": 1.1}),
        ("goal/autovec", 1.0, {"goal": 1.5, "reached": 1.4, "at_least": 1}))
    for line in ("fma registers/team:1, avx2 90.00 Gflop/s 100.00 Gflop/s 90.0 %",
                 "read L1/team:2, avx2 150.00 GB/s 200.00 GB/s 75.0 %",
                 "step images/s /autovec forward backward update rest of roof",
                 "lenet-rpu 28x28/batch:1/team:1, autovec 1667 - - - - - -",
                 "lenet-rpu 28x28/batch:1/team:1, avx2 6667 4.00x 30.0 % 4.0 % 51.0 % 15.0 % 31.2 % K1 60 %, K2 25 %",
                 "scaling of lenet-rpu images/s speed-up efficient serial of roof waits ns each",
                 "strong 28x28/batch:1/team:2, avx2 64.2 1.50x 75.0 % 33.3 % 20.0 % 1.25 333",
                 "prediction, not measured: speed-up 2.0 with 8 threads, 3.0 with 32, 3.1 with 64",
                 "forward W3/128x513/cols:1 1.00 0.90 0.80 met",
                 "backward W3/128x513/cols:1 1.00 1.10 1.00 at its bound",
                 "autovec 1.50 1.40 - missed"):
        assert line in lines, (line, lines)


def test_medians_are_printed():
    run = {"repetitions": 3}
    more = {"repetitions": 3, "run_type": "aggregate"}
    name = f"kernel/tanh/avx2/{SHAPE}/hot"
    lines = printed((name, 1.0, run), (name, 4.0, run), (name, 9.0, run), (name, 5.0, {**more, "aggregate_name": "mean"}),
                    (name, 4.0, {**more, "aggregate_name": "median"}), (name, 2.0, {**more, "aggregate_name": "stddev"}))
    assert [line for line in lines if line.startswith("tanh")] == [f"tanh {SHAPE}/hot 4.00 us - - - -"], lines


if __name__ == "__main__":
    e2e.main(globals())
