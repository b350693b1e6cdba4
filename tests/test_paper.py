#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tools/paper.py: every experiment is run on a few images; going on, recording, what is refused. The page that sets
results beside reported ones: its figures against those of made-up trainings."""
import importlib.util
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time

import e2e
from test_sweep import children, stamp, until

SCRIPT = os.path.join(e2e.ROOT, "tools", "paper.py")
REPORT = os.path.join(e2e.ROOT, "tools", "report.py")
REPORTED = os.path.join(e2e.ROOT, "tools", "paper", "reported.json")


def paper(*args, env=None):
    return subprocess.run([sys.executable, SCRIPT, "--rpubench", e2e.PROGRAM, *args], capture_output=True, text=True,
                          env=e2e.environment(env), check=False)


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def tiny_images(folder):
    """Two classes of images in MNIST's format: six to train on, four to test on."""
    os.mkdir(folder)
    for kind, count in (("train", 6), ("t10k", 4)):
        with open(os.path.join(folder, f"{kind}-images-idx3-ubyte"), "wb") as file:
            file.write(struct.pack(">4i", 0x803, count, 28, 28))
            for i in range(count):
                file.write(bytes((200 if (p // 28 < 14) == (i % 2 == 0) else 0) for p in range(28 * 28)))
        with open(os.path.join(folder, f"{kind}-labels-idx1-ubyte"), "wb") as file:
            file.write(struct.pack(">2i", 0x801, count) + bytes(i % 2 for i in range(count)))


def reporting():
    return all(importlib.util.find_spec(name) for name in ("matplotlib", "jinja2"))


# ---- running ----

def test_all_experiments():
    tiny_images("few")
    result = paper("--data", "few", "--epochs", "1", "--out", "out", "--record", "kept")
    assert result.returncode == 0, result.stderr
    reported = read_json(REPORTED)
    cases = {row["case"]: row["experiment"] for row in reported["rows"]}
    seen = {}
    for letter, name in ((n[0], n) for n in sorted(os.listdir("out")) if os.path.isdir(os.path.join("out", n))):
        for run in read_json(os.path.join("out", name, "sweep.json"))["runs"]:
            assert run["state"] == "done", run
            case = run["values"]["case"]
            seen.setdefault(case, {})[int(run["values"]["training.seed"])] = run["weights_digest"]
            assert letter == "s" or cases[case] == letter, f"{case} stands in {name}, not in ({cases[case]})"
    assert set(seen) == set(cases), "each case that runs is reported on, and each that is reported on runs"
    named = {c for f in reported["figures"] for c in f["cases"]}
    named |= {c for o in reported["orderings"] for c in (o["better"], *(o["worse"] if isinstance(o["worse"], list) else
                                                                       [o["worse"]]))}
    assert named <= set(cases), named - set(cases)
    assert {c for c in cases if c not in {c for f in reported["figures"] for c in f["cases"]}} == set(), "in no picture"
    three = {c for c, seeds in seen.items() if set(seeds) == {1, 2, 3}}
    assert three == {"floating-point", "baseline", "nm-bm", "um-bl1", "k2-13", "everything"}, three
    assert all(len(set(seen[case].values())) == 3 for case in three), "seeds make a difference"
    # what further seeds repeat is what the first one is of
    for case in three:
        first, more = read_json(f"kept/{case}-seed1.json")["config"], read_json(f"kept/{case}-seed2.json")["config"]
        for config in (first, more):
            config.pop("preset")
            config["training"].pop("seed")
        assert first == more, case
    assert sum(name.endswith(".json") for name in os.listdir("kept")) == sum(len(seeds) for seeds in seen.values())
    assert read_json("kept/nm-bm-seed1.json")["config"]["data"]["source"] == "few"
    if reporting():
        assert "report.html" in os.listdir("out") and {"table.md", "headline.svg"} <= set(os.listdir("kept"))
    # recorded results stand for the trainings, elsewhere too, unless they are of another configuration
    digest = read_json("kept/k2-13-seed1.json")["weights_digest"]
    other = read_json("kept/k2-4-seed1.json")
    other["config"]["training"]["eta"] = 0.5
    with open("kept/k2-4-seed1.json", "w", encoding="utf-8") as file:
        json.dump(other, file)
    os.mkdir("elsewhere")
    os.rename("few", "elsewhere/few")
    moved = paper("--data", "elsewhere/few", "--epochs", "1", "--out", "new", "--record", "kept", "--only", "d")
    assert moved.returncode == 0 and "2 runs, 1 kept" in moved.stdout, moved.stdout + moved.stderr
    assert read_json("new/d-devices/case=k2-13,seed=1/result.json")["weights_digest"] == digest
    assert read_json("kept/k2-4-seed1.json")["config"]["training"]["eta"] == 0.01
    os.rename("elsewhere/few", "few")
    # as do those of this folder, by whatever name the images go
    for name in ("few", "few/", ".//few/."):
        again = paper("--data", name, "--epochs", "1", "--out", "out", "--record", "again", "--only", "d, f")
        assert again.returncode == 0 and again.stdout.count("2 kept") == 2, again.stdout + again.stderr
        assert "again: 4 results" in again.stdout, again.stdout
    tiny_images("few/few")
    other = paper("--data", "few/few", "--epochs", "1", "--out", "out", "--only", "d")
    assert other.returncode == 0 and "2 runs, 0 kept" in other.stdout, other.stdout + other.stderr


def test_what_is_recorded_stays():
    """Results of other calls in the same folder, of fewer epochs and of other images take the place of none."""
    def texts():
        found = {}
        for name in sorted(n for n in os.listdir("kept") if n.endswith(".json")):
            with open(os.path.join("kept", name), encoding="utf-8") as file:
                found[name] = file.read()
        return found
    tiny_images("few")
    tiny_images("others")
    assert paper("--data", "few", "--epochs", "2", "--out", "old", "--record", "kept", "--only", "b,d").returncode == 0
    full = texts()
    assert sorted(full) == [f"{case}-seed1.json" for case in ("bm", "k2-13", "k2-4", "nm-bm", "nm")]
    # other experiments in OUT are not those that were asked for
    assert paper("--data", "few", "--epochs", "2", "--out", "old", "--record", "kept-d", "--only", "d").returncode == 0
    assert {name for name in os.listdir("kept-d") if name.endswith(".json")} == {"k2-13-seed1.json", "k2-4-seed1.json"}
    assert paper("--data", "few", "--epochs", "1", "--out", "out", "--only", "b").returncode == 0
    result = paper("--data", "few", "--epochs", "2", "--out", "out", "--record", "kept", "--only", "d")
    assert result.returncode == 0 and texts() == full, result.stderr
    # nor is what the table still says of a sweep that cannot be run this time
    assert paper("--data", "few", "--epochs", "3", "--out", "out", "--only", "d").returncode == 0
    result = paper("--data", "few", "--epochs", "2", "--out", "out", "--record", "kept", "--only", "d",
                   env={"RPU_ISA": "none"})
    assert result.returncode == 2 and texts() == full, result.stderr
    for args, says in ((["--data", "few", "--epochs", "1"], "not replaced by 1 epochs on 6 images of few"),
                       (["--data", "others", "--epochs", "2"], "not replaced by 2 epochs on 6 images of others")):
        result = paper(*args, "--out", "short-" + args[1], "--record", "kept", "--only", "b")
        assert result.returncode == 1 and texts() == full, (args, result.stderr)
        assert f"bm-seed1.json: stays, with 2 epochs on 6 images of few; {says}" in result.stderr, result.stderr
        assert "3 runs, 0 kept" in result.stdout, "results on other images do not stand for these"
    result = paper("--data", "few", "--epochs", "3", "--out", "long", "--record", "kept", "--only", "b")
    assert result.returncode == 0, result.stderr
    changed = {name for name, text in texts().items() if text != full[name]}
    assert changed == {f"{case}-seed1.json" for case in ("bm", "nm", "nm-bm")}


# What the text of the experiments calls the baseline, and what they change about all four arrays.
BASELINE = {"device": "constant-step", "dw_min": 0.001, "dw_min_dtod": 0.3, "dw_min_ctoc": 0.3, "imbalance_dtod": 0.01,
            "bound": 0.6, "bound_dtod": 0.3, "update": {"bl": 10, "um": False}, "devices": 1, "copies": 1,
            "division": "blocks", "max_rows": 4096, "max_cols": 4096,
            **{cycle: {"in_bits": 7, "out_bits": 9, "noise": 0.06, "bound": 12, "nm": "none", "bm": "none", "bm_limit": 5}
               for cycle in ("forward", "backward")}}
NAMES = ("K1", "K2", "W3", "W4")
NM, BM = {"backward": {"nm": "abs-max"}}, {"forward": {"bm": "iterative"}}
# Of an output without bound, which has no converter.
UNBOUND = {"bound": 0, "out_bits": 0}
VARIATIONS = {"dw-dtod": "dw_min_dtod", "dw-ctoc": "dw_min_ctoc", "imbalance": "imbalance_dtod", "bound-dtod": "bound_dtod"}


def merged(one, other):
    """`one` with the settings of `other`, at any depth."""
    return {**one, **{k: merged(one[k], v) if isinstance(v, dict) else v for k, v in other.items()}}


def on_all(arrays, *settings):
    for setting in settings:
        arrays = {name: merged(array, setting) for name, array in arrays.items()}
    return arrays


def expected_cases():
    """The arrays of each case of all experiments."""
    base = {name: BASELINE for name in NAMES}
    managed = on_all(base, NM, BM)
    lenet = on_all(managed, {"update": {"bl": 1, "um": True}})
    quiet = {"backward": {"noise": 0}}
    cases = {"floating-point": {name: {"device": "perfect"} for name in NAMES}, "baseline": base,
             "no-backward-noise": on_all(base, quiet), "no-forward-noise": on_all(base, {"forward": {"noise": 0}}),
             "no-noise": on_all(base, quiet, {"forward": {"noise": 0}}),
             "no-w4-bound": merged(base, {"W4": {"forward": UNBOUND}}),
             "no-backward-noise-no-w4-bound": merged(on_all(base, quiet), {"W4": {"forward": UNBOUND}}),
             "no-bounds": on_all(base, {"forward": UNBOUND, "backward": UNBOUND}),
             "nm": on_all(base, NM), "bm": on_all(base, BM), "nm-bm": managed}
    for variation in (*VARIATIONS, "variations"):
        settings = dict.fromkeys([VARIATIONS[variation]] if variation in VARIATIONS else VARIATIONS.values(), 0)
        cases[f"no-{variation}"] = on_all(managed, settings)
        for name in NAMES:
            cases[f"{name.lower()}-no-{variation}"] = merged(managed, {name: settings})
    for n in (4, 13):
        several = {"K2": {"devices": n, "max_cols": 0}}
        cases[f"k2-{n}"] = merged(managed, several)
        cases["everything" if n == 13 else f"everything-k2-{n}"] = merged(lenet, several)
    for bl in (1, 2, 5, 10, 20, 40):
        cases[f"um-bl{bl}"] = on_all(lenet, {"update": {"bl": bl}})
        if bl != 10:  # which is nm-bm
            cases[f"bl{bl}"] = on_all(managed, {"update": {"bl": bl}})
    for side, usual in (("in", 7), ("out", 9)):
        for bits in (0, *range(3, 13)):
            if bits != usual:  # which is um-bl1
                cases[f"{side}-{bits or 'off'}"] = on_all(
                    lenet, {cycle: {f"{side}_bits": bits} for cycle in ("forward", "backward")})
    for division in ("blocks", "random", "redrawn"):
        for name, copies in (("k1-9", {"K1": 9}), ("k1-36-k2-4", {"K1": 36, "K2": 4})):
            cases[f"{name}-{division}"] = merged(lenet, {array: {"copies": n, "division": division}
                                                         for array, n in copies.items()})
    return cases


# Trainings that end alike after six images: no output is at its bound yet, and no weight of K1 and W4; and output converters
# of a few bits return 0 alone.
ALIKE = [["baseline", "bm"], ["k1-no-bound-dtod", "nm", "nm-bm", "w4-no-bound-dtod"], ["out-3", "out-4", "out-5"]]


def test_what_cases_set():
    """The configurations that the names promise, and no two the same."""
    tiny_images("few")
    assert paper("--data", "few", "--epochs", "1", "--out", "out", "--record", "kept").returncode == 0
    documents = {name.removesuffix("-seed1.json"): read_json(os.path.join("kept", name)) for name in os.listdir("kept")
                 if name.endswith("-seed1.json")}
    expected = expected_cases()
    assert set(documents) == set(expected), set(documents) ^ set(expected)
    common = documents["baseline"]["config"]
    assert common["training"] == {"epochs": 1, "batch": 1, "eta": 0.01, "seed": 1}
    for case, document in documents.items():
        assert document["config"] == {**common, "preset": document["config"]["preset"], "arrays": expected[case]}, case
    for one in expected:
        assert [other for other in expected if expected[other] == expected[one]] == [one]
    by_digest = {}
    for case in sorted(documents):
        by_digest.setdefault(documents[case]["weights_digest"], []).append(case)
    assert sorted(cases for cases in by_digest.values() if len(cases) > 1) == ALIKE


def test_what_is_recorded_with_the_project():
    """Trainings of the experiments as they are, whole ones, on all of MNIST."""
    folder, expected = os.path.join(e2e.ROOT, "results", "paper"), expected_cases()
    documents = {name: read_json(os.path.join(folder, name)) for name in os.listdir(folder) if name.endswith(".json")}
    assert documents
    common = documents["baseline-seed1.json"]["config"]
    for name, document in documents.items():
        case, seed = re.fullmatch(r"(.+)-seed(\d)\.json", name).groups()
        config, data = document["config"], document["data"]
        assert config["arrays"] == expected[case], f"{name} is of other arrays than its experiment"
        assert config["training"] == {"epochs": 30, "batch": 1, "eta": 0.01, "seed": int(seed)}, name
        assert {**config, "preset": "", "arrays": {}, "training": {}} == {**common, "preset": "", "arrays": {},
                                                                          "training": {}}, name
        assert len(document["epochs"]) == 30 and not document["interrupted"], name
        assert (data["source"], data["train_images"], data["test_images"]) == ("mnist", 60000, 10000), name


def test_what_is_refused():
    for args, says in ((["--only", "z", "--data", "x"], "allowed are letters from a, b, c, d, e, f, g, h, s"),
                       (["--only", "a", "--data", "digits", "--rpubench", "nowhere"], "no program"),
                       (["--quick", "--only", "a"], "--quick goes with")):
        result = paper(*args)
        assert result.returncode == 2 and says in result.stderr, (args, result.stderr)
    result = paper("--only", "a", "--data", "nowhere")
    assert result.returncode == 2 and "--data: found 'nowhere', allowed is a folder" in result.stderr, result.stderr
    assert os.listdir(".") == ["paper-runs"] and os.listdir("paper-runs") == []
    os.mkdir("empty")
    result = paper("--only", "a", "--data", "empty")
    assert result.returncode == 1 and "empty" in result.stderr, result.stderr


def test_damaged_documents():
    """A word on the file, and no training before it."""
    tiny_images("few")
    assert paper("--data", "few", "--epochs", "1", "--out", "out", "--record", "kept", "--only", "d").returncode == 0
    with open("kept/k2-4-seed1.json", encoding="utf-8") as file:
        whole = file.read()
    for text in (whole[:2000], "{}", "[]", whole.replace('"test_error"', '"error"')):
        with open("kept/k2-4-seed1.json", "w", encoding="utf-8") as file:
            file.write(text)
        result = paper("--data", "few", "--epochs", "1", "--out", "other", "--record", "kept", "--only", "d")
        assert result.returncode == 2 and result.stderr.startswith("paper.py: kept/k2-4-seed1.json: is n"), result.stderr
        assert result.stdout == "" and result.stderr.count("\n") == 1, result.stdout + result.stderr
    # what a sweep writes again is no fault, damaged or thrown away
    with open("out/d-devices/case=k2-4,seed=1/result.json", "w", encoding="utf-8") as file:
        file.write(whole[:2000])
    os.unlink("out/d-devices/case=k2-13,seed=1/result.json")
    result = paper("--data", "few", "--epochs", "1", "--out", "out", "--only", "d")
    assert result.returncode == 0 and "2 runs, 0 kept" in result.stdout, result.stdout + result.stderr
    os.unlink("out/d-devices/case=k2-13,seed=1/result.json")
    result = paper("--data", "few", "--epochs", "1", "--out", "out", "--only", "b")
    assert result.returncode == 0 and "3 runs, 0 kept" in result.stdout, result.stdout + result.stderr
    with open("out/d-devices/sweep.json", "w", encoding="utf-8") as file:
        file.write('{"runs": [{"values": {}}]}')
    result = paper("--data", "few", "--epochs", "1", "--out", "out", "--only", "b")
    assert result.returncode == 2 and "paper.py: out/d-devices/sweep.json: is no such document" in result.stderr, result
    assert result.stdout == "", result.stdout
    result = paper("--data", "few", "--epochs", "1", "--out", "new", "--record", "few/t10k-labels-idx1-ubyte", "--only", "d")
    assert result.returncode == 1 and "t10k-labels-idx1-ubyte: File exists" in result.stderr and result.stdout == "", result


def stops(pid):
    """Whether a process handles an interrupt."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        caught = int(re.search(r"^SigCgt:\s*(\w+)", file.read(), re.M)[1], 16)
    return all(caught >> (number - 1) & 1 for number in (signal.SIGINT, signal.SIGTERM))


def test_interrupts():
    """Signals to the script alone: the training stops with a checkpoint, what has ended is reported; the next call goes on.
    The training stops when the script is killed, too."""
    tiny_images("few")
    assert paper("--data", "few", "--epochs", "1", "--only", "d", "--out", "first", "--record", "kept").returncode == 0
    table, run = "kept/table.md", "out/b-management/case=nm,seed=1"
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL):
        if os.path.exists(table):
            os.unlink(table)
        before = stamp("out/b-management", "case=nm,seed=1") if os.path.exists(run) else None
        with subprocess.Popen([sys.executable, SCRIPT, "--rpubench", e2e.PROGRAM, "--data", "few", "--epochs", "1000",
                               "--only", "b,d", "--jobs", "1", "--out", "out", "--record", "kept"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=e2e.environment()) as job:
            until(lambda: any(stops(training) for sweep in children(job.pid) for training in children(sweep)), job)
            job.send_signal(number)
            if number == signal.SIGTERM: # as `timeout` does, to the script and to its group
                time.sleep(0.01)
                job.send_signal(number)
            out, err = job.communicate(timeout=120)  # which ends when the sweep has closed these streams as well
        killed = number == signal.SIGKILL
        assert job.returncode == (-number if killed else 130) and "== d-devices" not in out, out + err
        assert stamp("out/b-management", "case=nm,seed=1") != before, "the training has written a result"
        assert read_json(f"{run}/result.json")["interrupted"] and os.path.exists(f"{run}/checkpoint.safetensors"), out + err
        assert os.path.exists(table) == (reporting() and not killed), "what has ended before is reported"
    done = paper("--data", "few", "--epochs", "1000", "--only", "b", "--jobs", "1", "--out", "out")
    assert done.returncode == 0 and "1 kept" not in done.stdout, done.stdout + done.stderr
    resumed = read_json(f"{run}/result.json")
    alone = e2e.train(f"{run}/config.yaml")
    assert resumed["images_resumed"] > 0 and resumed["weights_digest"] == alone["weights_digest"]


def test_an_interrupt_between_two_commands():
    """The next one is not begun; what comes after the last has ended is not for the report."""
    tiny_images("few")
    code = f"""
import signal, sys
sys.path.insert(0, {os.path.dirname(SCRIPT)!r})
sys.argv = ["paper.py", "--rpubench", {e2e.PROGRAM!r}, "--data", "few", "--epochs", "1", "--only", "b,d", "--out", "out",
            "--record", "kept"]
import paper
at = {{}}
paper.restore = lambda *_: signal.raise_signal(signal.SIGTERM) if at.get("restore") else None
record = paper.record
paper.record = lambda *args: record(*args) + (signal.raise_signal(signal.SIGTERM) or 0)
codes = [paper.main()]
at["restore"] = True
paper.commands.interrupted = False
codes.append(paper.main())
print("codes", codes)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=e2e.environment(), check=False)
    assert "codes [0, 130]" in result.stdout and result.stdout.count("== ") == 2, result.stdout + result.stderr
    assert os.path.exists("kept/table.md") == reporting()


# ---- beside what was reported ----

def training(path, seed, errors):
    """Epochs of a quarter of an hour."""
    document = {"schema": {"name": "rpubench-result", "version": 1}, "seed": seed, "cpu": "A CPU",
                "images_trained": 450000 * seed * len(errors),
                "epochs": [{"test_error": e / 100.0, "train_seconds": 450, "seconds": 900} for e in errors]}
    for epoch in document["epochs"][:1]:  # when the machine stood still: it is the median that counts
        epoch.update(train_seconds=5000, seconds=9000)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)
    return path


def reported(**changes):
    document = {"schema": {"name": "rpubench-reported", "version": 1}, "source": "A & B (2017)", "confidence": {"A": "sure"},
                "rows": [{"case": c, "experiment": "a", "model": f"model {c}"} for c in ("one", "two", "three")],
                "orderings": [{"better": "one", "worse": "two"}], "figures": [{"ident": "f", "title": "F",
                                                                              "cases": ["one", "two", "three"]}]}
    document["rows"][0].update(reported="approximately 2 %", confidence="A", goal=[2, 3])
    document.update(changes)
    with open("reported.json", "w", encoding="utf-8") as file:
        json.dump(document, file)
    return "reported.json"


def page(*args):
    return subprocess.run([sys.executable, REPORT, *args, "-o", "page.html", "--files", "files"], capture_output=True,
                          text=True, check=False)


def tables():
    """Cells of the Markdown tables, by caption."""
    with open("files/table.md", encoding="utf-8") as file:
        parts = re.split(r"^## (.*)$", file.read(), flags=re.M)
    return {caption: [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
            for caption, text in zip(parts[1::2], parts[2::2])}


def need_libraries():
    if not reporting():
        raise e2e.Skipped("python3-matplotlib and python3-jinja2 are needed")


def test_means_and_spreads():
    """Seven epochs, of which the last five count; two seeds of one case."""
    need_libraries()
    os.mkdir("case=two,seed=1")
    runs = [training("one-seed1.json", 1, [90, 80, 2, 3, 2, 3, 2]), training("one-seed2.json", 2, [90, 80, 3, 4, 3, 4, 3]),
            training("case=two,seed=1/result.json", 1, [90, 80, 5, 5, 5, 5, 5]), training("other-seed1.json", 1, [7])]
    result = page(reported(), *runs)
    assert result.returncode == 0, result.stderr
    rows = tables()["Results beside the reported ones"]
    assert [r[1] for r in rows[2:]] == ["one", "two"]
    one = dict(zip(rows[0], rows[2]))
    assert one["test error, %"] == "2.90" and one["seeds"] == "1, 2" and one["epochs"] == "7", one
    assert one["spread of epochs"] == "0.55" and one["spread of seeds"] == "0.71", one  # sqrt(0.3), sqrt(0.5)
    assert (one["least"], one["most"], one["goal"]) == ("2.40", "3.40", "2 to 3: met"), one
    assert (one["reported"], one["confidence"], one["images/s"]) == ("approximately 2 %", "A", "1500"), one
    assert (one["hours"], one["processor"]) == ("3.50", "A CPU"), one
    two = dict(zip(rows[0], rows[3]))
    assert (two["test error, %"], two["spread of seeds"], two["goal"], two["reported"]) == ("5.00", "-", "-", "-"), two
    with open("page.html", encoding="utf-8") as file:
        text = file.read()
    assert "A &amp; B (2017)" in text and 'id="paper-f"' in text
    assert "other-seed1" in text and text.count("What each training came to") > 0  # belongs to no case
    with open("files/f.svg", encoding="utf-8") as file:
        svg = file.read()
    assert svg.startswith("<svg") and "one: 2.90 %" in svg and "http" not in svg.replace("http://www.w3.org", "")


def test_orderings():
    """Judged by the distance and by the spread over the last epochs."""
    need_libraries()
    runs = [training("one-seed1.json", 1, [2, 2, 2, 2, 2]), training("two-seed1.json", 1, [2.1, 2.3, 2.2, 2.2, 2.2]),
            training("three-seed1.json", 1, [1, 3, 2, 2, 2.5])]
    for better, worse, by, expected in (("one", "two", None, "yes"), ("two", "one", None, "no"),
                                        ("one", "three", None, "within the spread"),
                                        ("three", "one", "or equal", "yes, within the spread"),
                                        ("two", "one", "or equal", "no"), ("one", "two", "far", "no")):
        row = {"better": better, "worse": worse, **({"by": by} if by else {})}
        assert page(reported(orderings=[row]), *runs).returncode == 0
        assert tables()["Orderings"][2][-1] == expected, (row, tables()["Orderings"])
    for better, worse, within, expected in (("one", "two", 0.3, "yes"), ("two", "one", 0.3, "yes"),
                                            ("one", "two", 0.1, "no")):
        row = {"better": better, "worse": worse, "within": within}
        assert page(reported(orderings=[row]), *runs).returncode == 0
        assert tables()["Orderings"][2][-2:] == [f"within {within} points", expected], (row, tables()["Orderings"])
    assert page(reported(orderings=[{"better": "one", "worse": ["three", "two"]}]), *runs).returncode == 0
    assert [(r[2], r[-1]) for r in tables()["Orderings"][2:]] == [("model three", "within the spread"), ("model two", "yes")]
    # a model of one seed may differ from others of its own as much as those of the others do
    runs[-1:] = [training("three-seed1.json", 1, [5] * 5), training("three-seed2.json", 2, [5.4] * 5)]
    assert page(reported(orderings=[{"better": "one", "worse": case} for case in ("two", "three")]), *runs).returncode == 0
    assert [r[-1] for r in tables()["Orderings"][2:]] == ["within the spread", "yes"]
    training("two-seed1.json", 1, [6, 6, 6, 6, 6.1])
    assert page(reported(orderings=[{"better": "one", "worse": "two", "by": "far"}]), *runs).returncode == 0
    assert tables()["Orderings"][2][-1] == "yes"


def test_documents_that_do_not_fit():
    need_libraries()
    run = training("one-seed1.json", 1, [2])
    row = {"case": "one", "experiment": "a", "model": "m"}
    for changes, says in (({"rows": [3]}, "rows[0]: found a number"), ({"rows": [{}]}, "rows[0].case: found nothing"),
                          ({"rows": [row, row]}, "the case 'one' stands there twice"),
                          ({"rows": [{**row, "goal": [3, 2]}]}, "rows[0].goal"),
                          ({"orderings": [{"better": "one", "worse": "four"}]}, "orderings[0]: found 'four'"),
                          ({"orderings": [{"better": "one", "worse": ["two", "four"]}]}, "orderings[0]: found 'four'"),
                          ({"orderings": [{"better": "one", "worse": ["two", 3]}]}, "orderings[0].worse: found a number"),
                          ({"orderings": [{"better": "one", "worse": []}]}, "orderings[0].worse: found nothing"),
                          ({"orderings": [{"better": "one", "worse": "two", "by": "luck"}]}, "orderings[0].by"),
                          *(({"orderings": [{"better": "one", "worse": "two", "within": within}]},
                             f"orderings[0].within: found {within!r}, allowed are points above 0")
                            for within in (0, -1, "0.4", None, [0.4], True, 1e999)),
                          ({"orderings": [{"better": "one", "worse": "two", "within": 0.4, "by": "far"}]},
                           "orderings[0].within: found 0.4 beside by"),
                          ({"figures": [{"ident": "../x", "title": "F", "cases": []}]}, "figures[0].ident"),
                          ({"figures": [{"ident": "x", "title": "F", "cases": [1]}]}, "figures[0].cases"),
                          ({"figures": 3}, "figures: found a number"), ({"confidence": 3}, "confidence: found a number")):
        result = page(reported(**changes), run)
        assert result.returncode == 1 and result.stderr.startswith("report.py: reported.json: "), (changes, result.stderr)
        assert says in result.stderr and "Traceback" not in result.stderr, (changes, result.stderr)
    os.mkdir("case=one,seed=1")
    twice = page(reported(), run, training("case=one,seed=1/result.json", 1, [2]))
    assert twice.returncode == 1 and "a second training of one" in twice.stderr, twice.stderr
    bad = page(reported(), training("two-seed1.json", 1, []))
    assert bad.returncode == 1 and "two-seed1.json: epochs" in bad.stderr, bad.stderr
    assert not os.path.exists("page.html") and not os.path.exists("files")
    with open("files", "w", encoding="utf-8") as file:
        file.write("in the way")
    blocked = page(reported(), run)
    assert blocked.returncode == 1 and blocked.stderr.startswith("report.py: files: cannot be created"), blocked.stderr


def test_the_block_of_a_readme():
    need_libraries()
    os.mkdir("kept")
    document = {**read_json(reported(rows=[{"case": c, "experiment": "a", "model": f"model {c}", "reported": f"about {c}",
                                            "confidence": "A"} for c in ("one", "two", "three", "four")],
                                     orderings=[{"better": "one", "worse": "two", "by": "far"},
                                                {"better": "one", "worse": "four"},
                                                {"better": "one", "worse": ["two", "three"]}]))}
    with open("kept/reported.json", "w", encoding="utf-8") as file:
        json.dump(document, file)
    training("kept/one-seed1.json", 1, [9, 2, 3, 2, 3, 2])
    training("kept/two-seed1.json", 1, [3, 3, 3, 3, 3])
    training("kept/two-seed2.json", 2, [3, 3, 3, 3, 3])

    def report(*args):
        return subprocess.run([sys.executable, REPORT, *args], capture_output=True, text=True, check=False)

    def lines():
        with open("README.md", encoding="utf-8") as file:
            return file.read().splitlines()
    with open("README.md", "w", encoding="utf-8") as file:
        file.write("before\n<!-- paper:begin kept/reported.json kept -->\nold\n<!-- paper:end -->\nafter\n")
    assert report("--check", "README.md").returncode == 1
    for _ in range(2):
        result = report("--readme", "README.md")
        assert result.returncode == 0, result.stderr
        assert report("--check", "README.md").returncode == 0
    made = lines()
    assert made[:2] == ["before", "<!-- paper:begin kept/reported.json kept -->"] and "old" not in made
    assert made[-2:] == ["<!-- paper:end -->", "after"]
    assert "![Test error by epoch. Means over the last 5 epochs: model one 2.40 %; model two 3.00 %.](kept/f.svg)" in made
    assert any(line.startswith("3 trainings are recorded, which took 4.0 hours by their median epochs, tests included (A CPU).") for line in made)
    assert "| model one | about one | A | 2.40 +- 0.55 | 1 | 1.50 |" in made
    assert "| model two | about two | A | 3.00 +- 0.00 | 2 | 2.50 |" in made
    assert "| model four | about four | A | not run yet | - | - |" in made
    assert "| model one | 2.40 | model two | 3.00 | 3 times better | no |" in made
    assert "| model one | 2.40 | model four | - | better | not run yet |" in made
    assert "| model one | 2.40 | each of two, three | 3.00 | better | not run yet |" in made
    training("kept/three-seed1.json", 1, [2, 2, 2, 2, 2])  # the best, after all
    assert report("--check", "README.md").returncode == 1 and lines() == made
    assert report("--readme", "README.md").returncode == 0 and report("--check", "README.md").returncode == 0
    assert "| model one | 2.40 | each of two, three | 2.00 | better | within the spread |" in lines()
    training("kept/three-seed1.json", 1, [1, 1, 1, 1, 1])
    assert report("--readme", "README.md").returncode == 0
    assert "| model one | 2.40 | each of two, three | 1.00 | better | no |" in lines()
    for text, says in (("no block\n", "has no lines <!-- paper:begin"),
                       ("<!-- paper:begin kept/one-seed1.json kept -->\n<!-- paper:end -->\n", "allowed are what was reported"),
                       ("<!-- paper:begin none.json kept -->\n<!-- paper:end -->\n", "none.json: cannot be read")):
        with open("README.md", "w", encoding="utf-8") as file:
            file.write(text)
        result = report("--readme", "README.md")
        assert result.returncode == 1 and says in result.stderr and "\n".join(lines()) + "\n" == text, (text, result.stderr)


if __name__ == "__main__":
    e2e.main(globals())
