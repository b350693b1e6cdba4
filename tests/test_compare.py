#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""rpubench compare: verdicts, exit codes, contexts, and documents that are none."""
import json
import math
import os
import random
import re
import time

import benchjson
import e2e
from benchjson import benchmarks, document, iterations, write
from e2e import fails, run
from test_results import check_keys, documented

QUIET = [100, 101, 99, 102, 98, 100.5, 99.5, 101.5, 98.5]
NAME = "cycle/forward/avx2/16x26/cols:576/team:1/hot/real_time"


def times(factor, base=None):
    """Repetitions without ties with those of QUIET."""
    return [t * factor + 0.001 for t in base or QUIET]


def compare(old, new, *args, code=0):
    """The comparison as JSON."""
    result = run("compare", write("old.json", old), write("new.json", new), "--json", "-", *args)
    assert result.returncode == code, f"exit {result.returncode}: {result.stderr}{result.stdout}"
    return json.loads(result.stdout)


def text(old, new, *args, code=0):
    result = run("compare", write("old.json", old), write("new.json", new), *args)
    assert result.returncode == code, f"exit {result.returncode}: {result.stderr}{result.stdout}"
    return result.stdout


def only(comparison):
    assert len(comparison["benchmarks"]) == 1, comparison["benchmarks"]
    return comparison["benchmarks"][0]


# ---- verdicts ----

def test_the_same_file():
    row = only(compare(benchmarks({NAME: QUIET}), benchmarks({NAME: QUIET})))
    assert row["verdict"] == "same" and row["ratio"] == 1 and row["p"] == 1, row


def test_a_regression():
    old, new = benchmarks({NAME: QUIET, "kernel/tanh/a/1x8": QUIET}), benchmarks({NAME: times(3),
                                                                                "kernel/tanh/a/1x8": times(1)})
    comparison = compare(old, new, code=1)
    slow, same = comparison["benchmarks"]
    assert slow["verdict"] == "slower" and 2.9 < slow["ratio_low"] < 3 < slow["ratio_high"] < 3.1, slow
    assert abs(slow["p"] * 48620 - 2) < 1e-9, slow
    assert same["verdict"] == "same", same
    printed = text(old, new, code=1)
    assert "regression: 1 significantly slower\n" in printed, printed
    assert re.search(rf"^{NAME} +100 ns +300 ns +3\.\d+ .* slower$", printed, re.M), printed


def test_an_improvement():
    old, new = benchmarks({NAME: QUIET}), benchmarks({NAME: times(0.5)})
    assert only(compare(old, new))["verdict"] == "faster"
    assert "no regression\n" in text(old, new)


def test_the_threshold():
    old, new = benchmarks({NAME: QUIET}), benchmarks({NAME: times(1.1)})
    assert only(compare(old, new, code=1))["verdict"] == "slower"
    assert only(compare(old, new, "--threshold", "12"))["verdict"] == "same"
    assert only(compare(new, old, "--threshold=7"))["verdict"] == "faster"
    assert only(compare(new, old, "--threshold=12"))["verdict"] == "same"


def test_the_whole_interval_has_to_be_beyond_the_threshold():
    row = only(compare(benchmarks({NAME: QUIET}), benchmarks({NAME: times(1.11)}), "--threshold=10"))
    assert row["verdict"] == "unclear" and row["p"] < 0.001, row
    assert 1 < row["ratio_low"] < 1.1 < row["ratio"] < row["ratio_high"], row
    row = only(compare(benchmarks({NAME: QUIET}), benchmarks({NAME: times(1.15)}), "--threshold=10", code=1))
    assert row["verdict"] == "slower" and row["ratio_low"] > 1.1, row


def test_noise_is_no_regression():
    noisy = [100, 300, 90, 310, 95, 320, 110, 305, 105]
    other = [101, 299, 302, 311, 96, 321, 111, 306, 304]
    row = only(compare(benchmarks({NAME: noisy}), benchmarks({NAME: other})))
    assert row["verdict"] in ("same", "unclear") and row["p"] > 0.05, row
    row = only(compare(benchmarks({NAME: [100, 101, 102, 103, 140]}), benchmarks({NAME: [99, 120, 121, 122, 123]})))
    assert row["verdict"] == "unclear" and row["ratio"] > 1.05, row


def test_too_few_repetitions():
    for n, verdict, code in ((1, "too few repeats", 0), (4, "too few repeats", 0), (5, "slower", 1)):
        old, new = benchmarks({NAME: QUIET[:n]}), benchmarks({NAME: times(3)[:n]})
        row = only(compare(old, new, code=code))
        assert row["verdict"] == verdict and abs(row["ratio"] - 3) < 0.1, (n, row)
        assert (row["ratio_low"] is None) == (n < 5), (n, row)
    assert "too few repetitions" in text(benchmarks({NAME: [100]}), benchmarks({NAME: [100]}))
    assert only(compare(benchmarks({NAME: QUIET[:4]}), benchmarks({NAME: times(3)[:4]}), "--alpha=0.05",
                        code=1))["verdict"] == "slower"


def test_aggregates_alone():
    old = document(benchjson.aggregates(NAME, QUIET))
    new = document(benchjson.aggregates(NAME, times(2))[:1])
    row = only(compare(old, new))
    assert row["verdict"] == "too few repeats" and row["old_repetitions"] == 0, row
    assert row["old_ns"] == 100 and abs(row["ratio"] - 2) < 0.01 and row["p"] is None, row


def test_units_are_converted():
    old, new = document(iterations(NAME, QUIET, "us")), document(iterations(NAME, [t / 1000 for t in QUIET], "ms"))
    row = only(compare(old, new))
    assert abs(row["ratio"] - 1) < 1e-9 and row["old_ns"] == 1e5, row


def test_processor_time():
    old = iterations(NAME, QUIET)
    new = [{**row, "real_time": row["real_time"] * 3} for row in iterations(NAME, times(1))]
    assert only(compare(document(old), document(new), code=1))["verdict"] == "slower"
    comparison = compare(document(old), document(new), "--time", "cpu")
    assert only(comparison)["verdict"] == "same" and comparison["time"] == "cpu_time"


def test_geometric_means():
    old = benchmarks({"cycle/a/x": QUIET, "cycle/b/x": QUIET, "kernel/c/x": QUIET})
    new = benchmarks({"cycle/a/x": [4 * t for t in QUIET], "cycle/b/x": QUIET, "kernel/c/x": [t / 4 for t in QUIET]})
    comparison = compare(old, new, code=1)
    groups = {g["name"]: (round(g["ratio"], 3), g["benchmarks"]) for g in comparison["groups"]}
    assert groups == {"cycle": (2.0, 2), "kernel": (0.25, 1)}, groups
    assert abs(comparison["all"]["ratio"] - 1) < 0.01, comparison["all"]
    assert re.search(r"^cycle +2\.0\d\d  of 2$", text(old, new, code=1), re.M)


# ---- pairing ----

def test_flags_of_google_benchmark_do_not_matter():
    old = benchmarks({"kernel/a/x/iterations:100/repeats:9/real_time": QUIET})
    new = benchmarks({"kernel/a/x/min_time:0.500/min_warmup_time:0.1/repeats:5/real_time": QUIET})
    assert only(compare(old, new))["name"] == "kernel/a/x/real_time"


def test_benchmarks_in_one_file_only():
    old, new = benchmarks({NAME: QUIET, "kernel/gone/x": QUIET}), benchmarks({NAME: QUIET, "kernel/more/x": QUIET})
    comparison = compare(old, new)
    assert comparison["only_old"] == ["kernel/gone/x"] and comparison["only_new"] == ["kernel/more/x"]
    printed = text(old, new)
    assert "only in the old file:\n  kernel/gone/x\n" in printed and "only in the new file:\n  kernel/more/x\n" in printed


def test_nothing_in_common():
    old, new = write("old.json", benchmarks({"a/x": QUIET})), write("new.json", benchmarks({"b/x": QUIET}))
    fails(2, "compare", old, new, says=["new.json", "old.json", "no benchmark in common"])


def test_variants_side_by_side():
    both = benchmarks({"kernel/a/autovec/8x8": QUIET, "kernel/a/avx2/8x8": times(0.25), "kernel/a/generic/8x8": QUIET})
    comparison = compare(both, both, "--rename", "autovec=avx2")
    rows = {r["name"]: r["verdict"] for r in comparison["benchmarks"]}
    assert rows == {"kernel/a/avx2/8x8": "faster", "kernel/a/generic/8x8": "same"}, rows
    assert comparison["only_old"] == comparison["only_new"] == []


def test_the_recorded_documents():
    recorded = [os.path.join(e2e.ROOT, "results", *path) for path in
                (("peers", "aihwkit-1.1.0-intel-xeon-processor.json"), ("bench", "intel-xeon-processor.json"))]
    result = run("compare", *recorded, "--rename", "aihwkit=avx2", "--json", "-")
    assert result.returncode == 0, result.stderr
    comparison = json.loads(result.stdout)
    assert comparison["all"]["benchmarks"] == len(comparison["benchmarks"]) == 32, comparison["all"]
    assert not comparison["only_old"], comparison["only_old"]
    assert all(row["verdict"] == "faster" for row in comparison["benchmarks"]), comparison["benchmarks"]
    stated = [d for d in comparison["differences"] if d["kind"] == "machine" and None not in (d["old"], d["new"])]
    assert not stated, stated  # the peer's document says what the machine is, and it is ours
    assert "32 compared" in run("compare", *recorded, "--rename", "aihwkit=avx2").stdout


def test_benchmarks_that_were_not_measured():
    failed = {"name": NAME, "run_name": NAME, "run_type": "iteration", "error_occurred": True,
              "error_message": "no such machine\nhere", "real_time": 0, "cpu_time": 0, "time_unit": "ns"}
    old, new = benchmarks({NAME: QUIET, "a/b": QUIET}), document([failed] + iterations("a/b", QUIET))
    comparison = compare(old, new)
    row = comparison["benchmarks"][0]
    assert row["verdict"] == "not measured" and row["reason"] == "no such machine\nhere" and row["ratio"] is None
    assert comparison["all"]["benchmarks"] == 1
    assert "no such machine?here" in text(old, new)
    skipped = {"name": NAME, "run_type": "iteration", "skipped": True, "skip_message": "not today"}
    assert compare(old, document([skipped]))["benchmarks"][0]["reason"] == "not today"
    nothing = {**failed, "error_message": "not measured: no such unit"}
    assert compare(old, document([nothing]))["benchmarks"][0]["reason"] == "no such unit"


# ---- contexts ----

def test_the_same_context():
    old = benchmarks({NAME: QUIET})
    new = benchmarks({NAME: QUIET}, date="2027-01-01", load_avg=[9, 9, 9], mhz_per_cpu=1, host_name="there")
    assert compare(old, new)["differences"] == []
    assert "differ" not in text(old, new)


def test_contexts_that_differ():
    old = benchmarks({NAME: QUIET})
    new = benchmarks({NAME: QUIET}, cpu="Another CPU", kernels="forward=avx2 backward=generic pulse=avx2",
                     flags="debug -O0", teams="1 2")
    found = {d["key"]: (d["kind"], d["old"], d["new"]) for d in compare(old, new)["differences"]}
    assert found == {"cpu": ("machine", "Some CPU", "Another CPU"),
                     "kernels": ("kernels", "forward=avx2 backward=avx2 pulse=avx2",
                                 "forward=avx2 backward=generic pulse=avx2"),
                     "flags": ("build", "release -O3", "debug -O0"), "teams": ("run", None, "1 2")}, found
    printed = text(old, new)
    assert "(machine, kernels, build, run)" in printed and "new: Another CPU" in printed, printed
    assert "  only the new file states: teams\n" in printed and "only the old" not in printed, printed


def test_what_is_not_stated_need_not_differ():
    old, new = benchmarks({NAME: QUIET}), benchmarks({NAME: QUIET}, governor="performance")
    printed = text(old, new)
    assert "do not state the same of their runs:\n  only the new file states: governor\n" in printed, printed
    assert "differ" not in printed, printed


def test_long_values_show_what_differs():
    words = " ".join(f"kernel{i}=avx2" for i in range(40))
    printed = text(benchmarks({NAME: QUIET}, kernels=words),
                   benchmarks({NAME: QUIET}, kernels=words.replace("kernel7=avx2", "kernel7=neon")))
    assert "old: kernel7=avx2\n" in printed and "new: kernel7=neon\n" in printed, printed


def test_values_without_end():
    """What differs behind the first few thousand bytes is not looked for: of megabytes that would take hours."""
    words = " ".join(f"kernel{i}=avx2" for i in range(200000))
    printed = text(benchmarks({NAME: QUIET}, kernels=words + " a"), benchmarks({NAME: QUIET}, kernels=words + " b"))
    assert len(words) > 3000000 and "old: ...\n" in printed and "new: ...\n" in printed, printed
    printed = text(benchmarks({NAME: QUIET}, kernels="a " + words), benchmarks({NAME: QUIET}, kernels="b " + words))
    assert "old: a...\n" in printed and "new: b...\n" in printed, printed


# ---- output ----

def test_json_is_as_documented():
    old = benchmarks({NAME: QUIET, "a/gone": QUIET, "a/few": [1]})
    new = benchmarks({NAME: times(2), "a/more": QUIET, "a/few": [1]}, cpu="Another CPU", teams="1")
    failed = {"name": "a/bad", "run_type": "iteration", "error_occurred": True, "error_message": "no"}
    for doc in (old, new):
        doc["benchmarks"].append(failed)
    assert len(documented("The comparison")) > 25
    check_keys("The comparison", compare(old, new, code=1))


def test_json_file_and_quiet():
    old, new = benchmarks({NAME: QUIET, "a/b": QUIET}), benchmarks({NAME: times(3), "a/b": QUIET})
    printed = text(old, new, "--quiet", "--json", "out.json", code=1)
    assert NAME in printed and "a/b" not in printed, printed
    with open("out.json", encoding="utf-8") as file:
        assert json.load(file)["counts"]["slower"] == 1
    fails(2, "compare", "old.json", "new.json", "--json", "nowhere/out.json", says=["nowhere/out.json"])


def test_a_document_that_cannot_be_read_leaves_the_old_output():
    write("old.json", benchmarks({NAME: QUIET}))
    write("bad.json", "{")
    write("out.json", "what was there")
    fails(2, "compare", "old.json", "bad.json", "--json", "out.json", says=["bad.json:1: is not JSON"])
    with open("out.json", encoding="utf-8") as file:
        assert file.read() == "what was there"
    assert sorted(os.listdir(".")) == ["bad.json", "old.json", "out.json"]


# ---- usage ----

def test_usage():
    write("a.json", benchmarks({NAME: QUIET}))
    fails(2, "compare", says=["two files"])
    fails(2, "compare", "a.json", says=["two files"])
    fails(2, "compare", "a.json", "a.json", "a.json", says=["a.json"])
    for option, bad in (("threshold", ["x", "-1", "nan", "inf", "", "1e300", "5%", "0x10", " 5"]),
                        ("alpha", ["0", "1", "x", "nan", "-0.1"]), ("time", ["real", ""]),
                        ("rename", ["a", "=b", "a=", "a=b=c", "a/b=c", "a=a", "a=" + 100 * "b"])):
        for value in bad:
            fails(2, "compare", "a.json", "a.json", f"--{option}={value}", says=[f"--{option}", "allowed is"])
    fails(2, "compare", "a.json", "a.json", *["--rename=a=b"] * 17, says=["--rename"])


def test_files_that_are_not_there():
    write("a.json", benchmarks({NAME: QUIET}))
    os.mkdir("folder")
    fails(2, "compare", "a.json", "missing.json", says=["missing.json", "No such file"])
    fails(2, "compare", "folder", "a.json", says=["folder", "Is a directory"])


# ---- hostile documents ----

def row(**more):
    return {**iterations(NAME, [100])[0], **more}


def test_malformed_documents():
    write("good.json", benchmarks({NAME: QUIET}))
    at = "benchmarks[1]"
    cases = [
        ("", "bad.json:1: is not JSON: the text ends too early"), ("{", "is not JSON: the text ends too early"), ("[]", "benchmarks: found nothing"),
        ("{\n\n\"benchmarks\": [}", "bad.json:3: is not JSON"),
        ({}, "benchmarks: found nothing"), ({"benchmarks": {}}, "benchmarks: found an object"),
        ({"context": 3, "benchmarks": []}, "context: found a whole number"),
        ([row(), 5], f"{at}: found a whole number"), ([row(), None], f"{at}: found null"),
        ([row(), {}], f"{at}.name: found nothing"), ([row(), row(run_name="")], f"{at}.name: found an empty text"),
        ([row(), row(name=3)], f"{at}.name: found a whole number"), ([row(), row(run_name=[])], f"{at}.run_name"),
        ([row(), row(run_name="x" * 501)], f"{at}.name"), ([row(), row(run_type="other")], f"{at}.run_type"),
        ([row(), row(run_type="aggregate")], f"{at}.aggregate_name"),
        ([row(), row(real_time="fast")], f"{at}.real_time: found a text"),
        ([row(), row(real_time=None)], f"{at}.real_time: found null"),
        ([row(), row(real_time=True)], f"{at}.real_time: found true"),
        ([row(), row(real_time=0)], f"{at}.real_time: found 0"),
        ([row(), row(real_time=-5.5)], f"{at}.real_time: found -5.5"),
        ([row(), row(real_time=math.nan)], f"{at}.real_time: found no finite number"),
        ([row(), row(real_time=math.inf)], f"{at}.real_time: found no finite number"),
        ([row(), row(real_time=-math.inf)], f"{at}.real_time: found no finite number"),
        ([row(), row(real_time=1e300)], f"{at}.real_time: found 1e+300"),
        ([row(), row(time_unit="years")], f"{at}.time_unit"), ([row(), row(time_unit=1)], f"{at}.time_unit"),
        ([row()] * 1001, "benchmarks[1000]: found one more repetition"),
        ('{"benchmarks": [' + "1" * 400 + "]}", "is not JSON"), ('{"benchmarks": [1e999]}', "is not JSON"),
        ("[" * 100000, "is not JSON"), ('{"benchmarks": ["\\ud800"]}', "is not JSON"),
    ]
    without = row()
    del without["real_time"]
    cases.append(([row(), without], f"{at}.real_time: found nothing"))
    for content, says in cases:
        write("bad.json", document(content) if isinstance(content, list) else content)
        fails(2, "compare", "good.json", "bad.json", says=["rpubench compare: bad.json", says])
        fails(2, "compare", "bad.json", "good.json", says=[says])
    with open("bad.json", "wb") as file:
        file.write(b'{"benchmarks": ["\xff\xfe\x00"]}')
    fails(2, "compare", "good.json", "bad.json", says=["bad.json:1: is not JSON"])


def test_counters_that_are_not_finite():
    """Google Benchmark writes NaN and Infinity as they stand; only in times do they matter."""
    odd = [row(real_time=t, speed=math.nan, limit=math.inf, other=-math.inf, label='"NaN" \\ Infinity') for t in QUIET]
    assert only(compare(document(odd), document(odd)))["verdict"] == "same"


def test_names_with_control_characters():
    doc = document(iterations("a/\x1b[31mred\n", QUIET))
    assert "a/?[31mred?" in text(doc, doc) and "\x1b" not in text(doc, doc)


def test_a_document_that_is_too_large():
    write("good.json", benchmarks({NAME: QUIET}))
    with open("large.json", "wb") as file:
        file.truncate((64 << 20) + 1)
    fails(2, "compare", "good.json", "large.json", says=["large.json", "64 MiB"])
    fails(2, "compare", "good.json", "/dev/zero", says=["/dev/zero", "64 MiB"])


def test_many_benchmarks_take_no_long_time():
    many = document([r for i in range(20000) for r in iterations(f"g{i}/x", [1 + i % 7])])
    write("many.json", many)
    start = time.monotonic()
    assert run("compare", "many.json", "many.json", "-q").returncode == 0
    assert time.monotonic() - start < 30


def test_mutated_documents():
    """Whatever the bytes, the exit code is one of three and an error is told on one line."""
    good = json.dumps(benchmarks({NAME: QUIET[:5], "a/b": QUIET[:5]}))
    write("good.json", good)
    rng = random.Random(1)
    codes = []
    for _ in range(150):
        bad = list(good)
        for _ in range(rng.choice((1, 1, 3, 20))):
            at = rng.randrange(len(bad))
            kind = rng.randrange(4)
            if kind == 0:
                del bad[at:at + rng.randrange(1, 40)]
            elif kind == 1:
                bad[at] = rng.choice('{}[]",:0-9eE.NaN\\ \n')
            elif kind == 2:
                bad.insert(at, rng.choice(("null", "-", "1e400", "[[", '""', "NaN", "{}", "\u00e9")))
            else:
                bad[at:at] = bad[rng.randrange(len(bad)):][:60]
        write("bad.json", "".join(bad))
        result = run("compare", "good.json", "bad.json")
        assert result.returncode in (0, 1, 2), (result.returncode, "".join(bad))
        assert (result.returncode == 2) == result.stderr.startswith("rpubench compare: ") and \
            result.stderr.count("\n") <= 1, result.stderr
        codes.append(result.returncode)
    assert 2 in codes and 0 in codes, codes


if __name__ == "__main__":
    e2e.main(globals())
