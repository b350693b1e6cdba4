#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The command line: help, errors and exit codes, output files, progress, interrupts."""
import json
import math
import os
import pty
import re
import select
import signal
import subprocess
import time

import e2e
from e2e import SMALL, fails, run, succeed

COMMANDS = ["train", "eval", "inspect", "sweep", "bench", "compare", "map", "presets", "info", "help"]
TRAIN_OPTIONS = ["data", "epochs", "batch", "seed", "threads", "isa", "limit-train", "limit-test", "set", "out", "json",
                 "trace", "bind", "share", "checkpoint-every", "resume", "quiet", "help", "version"]
SWEEP_OPTIONS = ["data", "epochs", "batch", "seed", "threads", "isa", "limit-train", "limit-test", "set", "out", "jobs",
                 "quiet", "help", "version"]
MAP_OPTIONS = ["net", "input", "set", "array", "place", "t-meas", "t-slot", "replicas", "rereads", "for", "json", "help",
               "version"]
EVAL_OPTIONS = ["data", "limit-test", "read", "threads", "bind", "isa", "json", "quiet"]
INSPECT_OPTIONS = ["array", "json", "quiet"]
COMPARE_OPTIONS = ["threshold", "alpha", "time", "rename", "json", "quiet", "help", "version"]


def leftovers(folder="."):
    return [name for name in os.listdir(folder) if ".tmp" in name]


# ---- help and usage ----

def test_help_of_every_command():
    for command in COMMANDS:
        text = succeed(command, "--help").stdout
        assert text.startswith(f"Usage: rpubench {command} "), text
        assert text == succeed("help", command).stdout
        assert text == succeed(command, "-h").stdout
        for code in ("0 ", "1 ", "2 ", "3 ", "130 "):
            assert re.search(rf"^  {code}", text, re.M), f"exit code {code} is not documented for {command}"
    for option in TRAIN_OPTIONS:
        assert f"--{option}" in succeed("train", "--help").stdout, option
    for option in SWEEP_OPTIONS:
        assert f"--{option}" in succeed("sweep", "--help").stdout, option
    for option in MAP_OPTIONS:
        assert f"--{option}" in succeed("map", "--help").stdout, option
    for command, options in (("eval", EVAL_OPTIONS), ("inspect", INSPECT_OPTIONS)):
        for option in options:
            assert f"--{option}" in succeed(command, "--help").stdout, option
    for option in COMPARE_OPTIONS:
        assert f"--{option}" in succeed("compare", "--help").stdout, option


def test_help_of_the_program():
    text = succeed("--help").stdout
    assert text == succeed("help").stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", text, re.M), command
    assert max(len(line) for line in text.splitlines()) <= 100


VARIABLES = {"RPU_ISA": {"train", "eval", "sweep", "bench", "info"},
             "OMP_NUM_THREADS": {"train", "eval", "bench", "info"},
             "RPUBENCH_BENCH": {"bench"}}


def test_environment_variables_where_they_matter():
    text = succeed("--help").stdout
    for name, commands in VARIABLES.items():
        assert re.search(rf"^  {name} ", text, re.M), name
        for command in COMMANDS:
            there = re.search(rf"^  {name} ", succeed(command, "--help").stdout, re.M)
            assert bool(there) == (command in commands), f"{name} in the help of {command}"
    for command in COMMANDS:
        matters = any(command in commands for commands in VARIABLES.values())
        assert ("Environment:" in succeed(command, "--help").stdout) == matters, command


def test_man_page():
    path = os.path.join(os.path.dirname(e2e.PROGRAM), "tools", "rpubench.1")
    if not os.path.exists(path):
        raise e2e.Skipped("no man page in this build")
    with open(path, encoding="utf-8") as file:
        page = file.read()
    with open(os.path.join(e2e.ROOT, "include/rpu/version.h"), encoding="utf-8") as file:
        date = re.search(r'RPU_VERSION_DATE +"(\d{4}-\d\d-\d\d)"', file.read()).group(1)
    assert f'.TH RPUBENCH 1 "{date}" "rpubench ' in page
    environment = page[page.index(".SH ENVIRONMENT"):page.index(".SH EXIT STATUS")]
    assert re.findall(r"^\.B (\w+)$", environment, re.M) == list(VARIABLES)


def test_version():
    with open(os.path.join(e2e.ROOT, "include/rpu/version.h"), encoding="utf-8") as file:
        version = re.search(r'RPU_VERSION_STRING "(.*)"', file.read()).group(1)
    for args in (["--version"], ["-V"], ["train", "--version"]):
        assert succeed(*args).stdout.startswith(f"rpubench {version} (commit "), args


def test_wrong_usage():
    cases = [
        ([], "rpubench: no command; see rpubench --help"),
        (["tarin"], "rpubench: unknown command 'tarin'; see rpubench --help"),
        (["--foo"], "rpubench: unknown option --foo; see rpubench --help"),
        (["train", "--foo"], "rpubench train: unknown option --foo; see rpubench train --help"),
        (["train", "--foo=3"], "rpubench train: unknown option --foo; see rpubench train --help"),
        (["train", "-x"], "rpubench train: unknown option -x; see rpubench train --help"),
        (["train", "--limit-t", "3"], "rpubench train: ambiguous option --limit-t; see rpubench train --help"),
        (["train", "--epochs"], "rpubench train: option --epochs needs an argument N; see rpubench train --help"),
        (["train", "-qe"], "rpubench train: option --epochs needs an argument N; see rpubench train --help"),
        (["train", "--quiet=1"], "rpubench train: option --quiet takes no argument; see rpubench train --help"),
        (["train", "lenet-rpu", "lenet-fp"], "rpubench train: unexpected argument 'lenet-fp'; see rpubench train --help"),
        (["info", "x"], "rpubench info: unexpected argument 'x'; see rpubench info --help"),
        (["help", "tarin"], "rpubench help: unknown command 'tarin'; see rpubench --help"),
    ]
    for args, message in cases:
        result = run(*args)
        assert result.returncode == 2, f"{args}: exit {result.returncode}"
        assert result.stderr == message + "\n", f"{args}: {result.stderr}"
        assert result.stdout == "", args


def test_ways_to_write_an_option():
    plain = e2e.train("lenet-fp", *SMALL, "--seed", "7")["weights_digest"]
    small = ["--data=digits", "--limit-train=40", "--limit-test=20"]
    assert e2e.train(*small, "-e1", "-s", "7", "--", "lenet-fp")["weights_digest"] == plain
    assert e2e.train("lenet-fp", *small, "--ep=1", "--see=7")["weights_digest"] == plain
    assert e2e.train("lenet-fp", *SMALL, "--seed", "9", "--seed", "7")["weights_digest"] == plain, "the last one counts"


# ---- configuration ----

def test_configuration_errors_name_their_origin():
    fails(2, "train", "no-such-preset", says=["no-such-preset"])
    fails(2, "train", "no-such-file.yaml", says=["no-such-file.yaml"])
    for option, value in (("--epochs", "1.5"), ("--epochs", "many"), ("--batch", "0"), ("--seed", "-1"),
                          ("--threads", "100000"), ("--limit-train", "0x"), ("--seed", "18446744073709551616")):
        fails(2, "train", option, value, says=[option, value])
    fails(2, "train", "--set", "training.nope=1", says=["--set", "training.nope"])
    fails(2, "train", "--set", "training.eta=nan", says=["--set", "training.eta"])
    fails(2, "train", "--set", "training.eta", says=["--set", "training.eta"])


def test_an_array_on_too_many_tiles():
    fails(2, "train", *SMALL, "--set", "arrays.W3.max_rows=1", "--set", "arrays.W3.max_cols=1", says=[
        "max_rows, max_cols: the 128 x 513 weights of array 3 make 128 x 513 tiles of at most 1 x 1; allowed are 4096 tiles"])
    succeed("train", *SMALL, "--limit-train", "1", "--set", "arrays.W4={max_rows: 1, max_cols: 1}")


def test_a_broken_file_is_named_with_its_line():
    with open("broken.yaml", "w", encoding="utf-8") as file:
        file.write("training:\n  epochs: 2\n  epohcs: 3\n")
    fails(2, "train", "broken.yaml", says=["broken.yaml:3", "epohcs"])


def test_set_overrides():
    result = e2e.train("lenet-rpu", *SMALL, "--set", "training.eta=0.02", "--set", "arrays.K2.update.bl=5")
    config = result["config"]
    assert config["training"]["eta"] == 0.02
    assert config["arrays"]["K2"]["update"]["bl"] == 5
    assert config["arrays"]["K1"]["update"]["bl"] == 1
    last = e2e.train("lenet-fp", *SMALL, "--set", "training.epochs=3")
    assert last["config"]["training"]["epochs"] == 3, "assignments count in the order of the command line"


def test_text_options_are_taken_as_they_are():
    fails(1, "train", "--data", "a: [b", says=["a: [b"])
    fails(1, "train", "--data", "12", says=["12"])
    fails(1, "train", "--data", 'quote"back\\slash', says=['quote"back\\slash'])


def test_presets_round_trip():
    for preset in e2e.presets():
        if preset == "alexnet":  # not for digits: see test_map.py
            continue
        with open("preset.yaml", "w", encoding="utf-8") as file:
            file.write(succeed("presets", preset).stdout)
        assert e2e.train("preset.yaml", *SMALL)["weights_digest"] == e2e.train(preset, *SMALL)["weights_digest"], preset
    fails(2, "presets", "lenet-zzz", says=["lenet-zzz", *e2e.presets()])


def test_presets_are_listed():
    assert {"lenet-fp", "lenet-rpu-baseline", "lenet-rpu-nm", "lenet-rpu-bm", "lenet-rpu-nm-bm",
            "lenet-rpu", "alexnet"} <= set(e2e.presets())


# ---- kernel variants ----

def test_unknown_isa_lists_the_valid_ones():
    names = e2e.variants()
    assert names[0] == "generic"
    for args, env in ((["train", *SMALL, "--isa", "avx9"], None), (["train", *SMALL], {"RPU_ISA": "avx9"}),
                      (["info", "--isa", "avx9"], None), (["info"], {"RPU_ISA": "avx9"}),
                      (["train", *SMALL, "--set", "run.isa=avx9"], None)):
        result = run(*args, env=env)
        assert result.returncode == 2, f"{args}: exit {result.returncode}"
        for name in ["avx9", *names]:
            assert name in result.stderr, result.stderr


def test_what_asked_for_an_unknown_isa_is_named():
    said = 'kernel variant "avx9" is unknown'
    for args, env, origin in ((["train", *SMALL], {"RPU_ISA": "avx9"}, "RPU_ISA"),
                              (["info"], {"RPU_ISA": "avx9"}, "RPU_ISA"),
                              (["train", *SMALL, "--isa=avx9"], {"RPU_ISA": "generic"}, "--isa"),
                              (["info", "--isa=avx9"], {"RPU_ISA": "generic"}, "--isa"),
                              (["train", *SMALL, "--set", "run.isa=avx9"], {"RPU_ISA": "generic"}, "run.isa")):
        result = fails(2, *args, env=env)
        assert result.stderr.startswith(f"rpubench {args[0]}: {origin}: {said}"), result.stderr


def test_isa_of_the_environment():
    assert e2e.train(*SMALL, env={"RPU_ISA": "generic"})["isa"] == "generic"
    assert e2e.train(*SMALL, "--isa", "generic", env={"RPU_ISA": "avx9"})["isa"] == "generic"
    assert e2e.train(*SMALL, env={"RPU_ISA": ""})["isa"] == e2e.variants()[-1]


def test_info():
    info = json.loads(succeed("info", "--json", "--threads", "2").stdout)
    text = succeed("info", "--threads=2").stdout
    assert info["threads"] == 2 and re.search(r"^threads +2, (not bound|spread)$", text, re.M)
    assert set(info["variants_usable"]) <= set(info["variants_built"])
    assert info["kernels"] and set(info["kernels"].values()) <= set(info["variants_usable"])
    for name, variant in info["kernels"].items():
        assert re.search(rf"^  {name} +{variant}$", text, re.M), name
    generic = json.loads(succeed("info", "--json", "--isa", "generic").stdout)
    assert set(generic["kernels"].values()) == {"generic"}
    for value in ("x", "-1", "1025", ""):
        fails(2, "info", f"--threads={value}", says=["--threads"])
    fails(2, "info", "--bind=wide", says=["--bind", "wide", "compact"])
    fails(2, "train", "--bind=wide", says=["--bind", "wide", "compact"])
    fails(2, "train", "--share=never", says=["--share", "never", "always"])


# A machine of two packages of two NUMA nodes of two cores of two processors, as hwloc makes it up.
MADE_UP = {"HWLOC_SYNTHETIC": "package:2 numanode:2 core:2 pu:2"}


def test_openmp_binding_leaves_the_machine_whole():
    plain = json.loads(succeed("info", "--json").stdout)
    for extra in ({"OMP_PROC_BIND": "true"}, {"OMP_PLACES": "cores"}):
        info = json.loads(succeed("info", "--json", env=extra).stdout)
        assert info["machine"] == plain["machine"] and info["threads"] == plain["threads"], extra
    one = min(os.sched_getaffinity(0))
    info = json.loads(succeed("info", "--json", env={"OMP_PLACES": f"{{{one}}}", "OMP_PROC_BIND": "true"}).stdout)
    assert info["machine"]["processors"] == 1 and info["threads"] == 1


def test_info_draws_the_machine():
    text = succeed("info", "--threads=3", "--bind=spread", env=MADE_UP).stdout
    assert re.search(r"^machine +2 packages, 4 NUMA nodes, 8 cores, 16 of 16 processors$", text, re.M), text
    assert re.search(r"^threads +3, spread$", text, re.M), text
    drawn = re.findall(r"^  package (\d), node (\d): (.*)$", text, re.M)
    assert [d[:2] for d in drawn] == [("0", "0"), ("0", "1"), ("1", "2"), ("1", "3")]
    assert [d[2] for d in drawn] == ["[P0 t0 P1] [P2 P3]", "[P4 t1 P5] [P6 P7]", "[P8 t2 P9] [P10 P11]",
                                     "[P12 P13] [P14 P15]"], text
    info = json.loads(succeed("info", "--json", "--threads=9", "--bind=compact", env=MADE_UP).stdout)
    assert info["places"] == [0, 2, 4, 6, 8, 10, 12, 14, 1] and info["bind"] == "compact"
    assert info["machine"]["numa_nodes"] == 4 and info["machine"]["cores"] == 8
    unbound = json.loads(succeed("info", "--json", "--threads=3", "--bind=none", env=MADE_UP).stdout)
    assert unbound["places"] == [None] * 3 and unbound["bind"] == "none"


def affinities(pid):
    """Of each thread of a process the processors that it may run on."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="utf-8") as file:
            found.append(re.search(r"^Cpus_allowed_list:\s*(\S+)$", file.read(), re.M)[1])
    return sorted(found)


def test_threads_are_bound_to_their_places():
    machine = json.loads(succeed("info", "--json", "--threads=2", "--bind=compact").stdout)
    if None in machine["places"]:
        raise e2e.Skipped("one processor")
    several = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    for bind, expected in (("compact", sorted(map(str, machine["places"]))), ("none", None)):
        with e2e.begun(["train", "lenet-rpu", "--limit-test", "50", "--limit-train", "100", "--epochs", "100000",
                        "--threads", "2", "--bind", bind], "epoch 1/") as process:
            found = affinities(process.pid)
            process.kill()
        if expected:
            assert found == expected, (found, expected)
        else:
            assert len(found) == 2 and len(set(found)) == 1 and found[0] not in several.split(","), found


def test_threads_by_default():
    def threads(*args, env=None):
        return json.loads(succeed("info", "--json", *args, env=env).stdout)["threads"]
    assert threads(env={"OMP_NUM_THREADS": "3"}) == 3
    assert threads(env={"OMP_NUM_THREADS": " 3 ,2"}) == 3
    assert threads("--threads=2", env={"OMP_NUM_THREADS": "3"}) == 2
    for nonsense in ("abc", "3x", "0", "-2", ""):  # as if it was not set
        assert threads(env={"OMP_NUM_THREADS": nonsense}) == threads(), nonsense
    machine = json.loads(succeed("info", "--json").stdout)["machine"]
    assert threads() == min(machine["cores"], math.ceil(machine["time_limit"] or 10000))
    assert machine["processors"] == len(os.sched_getaffinity(0))


# ---- traces ----

def test_trace():
    for threads in ("1", "2"):
        e2e.train("lenet-rpu", *SMALL, "--threads", threads, "--trace", "trace.json")
        with open("trace.json", encoding="utf-8") as file:
            trace = json.load(file)
        work = [e for e in trace["traceEvents"] if e["ph"] == "X"]
        assert trace["otherData"]["lost"] == 0
        for cycle in ("forward", "update"):
            for array in ("K1", "K2", "W3", "W4"):
                assert any(e["name"].startswith(cycle) and e["name"].endswith(" " + array) for e in work), (cycle, array)
        for array in ("K1", "K2", "W3", "W4"):
            assert sum(e["name"] == "test " + array for e in work) == 20, "images of the test have a name of their own"
        assert {e["tid"] for e in work} <= set(range(int(threads)))
        for thread in range(int(threads)):  # one thing at a time
            mine = sorted((e["ts"], e["ts"] + e["dur"]) for e in work if e["tid"] == thread)
            assert all(a[1] <= b[0] + 0.01 for a, b in zip(mine, mine[1:]))
        assert not leftovers()
    fails(1, "train", *SMALL, "--trace", "no/such/folder/t.json", says=["no/such/folder"])


# ---- output ----

def test_out_writes_results_and_configuration():
    printed = succeed("train", "lenet-rpu", *SMALL, "--out", "run").stdout
    with open("run/result.json", encoding="utf-8") as file:
        result = json.load(file)
    assert sorted(os.listdir("run")) == ["config.yaml", "result.json"]
    assert f"weights digest  {result['weights_digest']}" in printed
    again = e2e.train("run/config.yaml", "--out", "run")
    assert again["weights_digest"] == result["weights_digest"], "the effective configuration trains the same"
    for document in (again, result):
        document["config"].pop("preset", None)
    assert again["config"] == result["config"]
    assert sorted(os.listdir("run")) == ["config.yaml", "result.json"]


def test_json_to_a_file_and_to_standard_output():
    result = succeed("train", "lenet-fp", *SMALL, "--json", "a.json")
    with open("a.json", encoding="utf-8") as file:
        in_file = json.load(file)
    assert "epoch 1/1" in result.stdout and result.stderr == ""
    both = succeed("train", "lenet-fp", *SMALL, "--json", "-")
    assert json.loads(both.stdout)["weights_digest"] == in_file["weights_digest"]
    assert "epoch 1/1" in both.stderr and "weights digest" in both.stderr
    quiet = succeed("train", "lenet-fp", *SMALL, "--quiet")
    assert quiet.stdout == "" and quiet.stderr == ""
    assert not leftovers()


def test_unwritable_output_is_found_before_training():
    with open("plain", "w", encoding="utf-8") as file:
        file.write("x")
    os.mkdir("dir")
    os.makedirs("taken/result.json")
    for args, named in ((["--json", "none/a.json"], "none/a.json"), (["--json", "plain/a.json"], "plain/a.json"),
                        (["--json", "dir"], "dir"), (["--json", ""], "empty"), (["--out", "plain"], "plain"),
                        (["--out", "plain/sub"], "plain/sub"), (["--out", "taken"], "taken/result.json")):
        result = fails(1, "train", "lenet-fp", *SMALL, *args, says=[named])
        assert "epoch" not in result.stdout, args
    assert os.listdir("taken") == ["result.json"] and not leftovers() and not leftovers("dir")


def test_an_old_file_survives_a_failure():
    with open("old.json", "w", encoding="utf-8") as file:
        file.write("old")
    fails(1, "train", "--data", "no-such-folder", "--json", "old.json")
    with open("old.json", encoding="utf-8") as file:
        assert file.read() == "old"
    assert os.listdir(".") == ["old.json"]


def test_links_and_devices_stay_what_they_are():
    os.mkdir("there")
    with open("there/real.json", "w", encoding="utf-8") as file:
        file.write("old")
    os.symlink("there/real.json", "link.json")
    succeed("train", "lenet-fp", *SMALL, "--quiet", "--json", "link.json")
    os.symlink("new.json", "there/second.json")
    os.symlink("there/second.json", "dangling.json")
    succeed("train", "lenet-fp", *SMALL, "--quiet", "--json", "dangling.json")
    assert os.path.islink("link.json") and os.path.islink("dangling.json") and os.path.islink("there/second.json")
    for path in ("there/real.json", "there/new.json"):
        with open(path, encoding="utf-8") as file:
            assert json.load(file)["weights_digest"]
    os.symlink("round.json", "round.json")
    fails(1, "train", "lenet-fp", *SMALL, "--quiet", "--json", "round.json", says=["round.json", "symbolic links"])
    os.mkfifo("pipe")
    with subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        succeed("train", "lenet-fp", *SMALL, "--quiet", "--json", "pipe")
        assert json.loads(reader.communicate(timeout=60)[0])["weights_digest"]
    fails(1, "train", "lenet-fp", *SMALL, "--quiet", "--json", "pipe", says=["pipe: ", "no reader"], timeout=60)
    for path in ("/dev/stdout", ">(cat)"):
        command = f'"$0" train lenet-fp "$@" --quiet --json {path} | cat'
        result = subprocess.run(["bash", "-c", command, e2e.PROGRAM, *SMALL], capture_output=True, text=True,
                                env=e2e.environment(), timeout=60, check=False)
        assert json.loads(result.stdout)["weights_digest"], result.stderr
    assert sorted(os.listdir(".")) == ["dangling.json", "link.json", "pipe", "round.json", "there"]


def test_folders_are_made_with_those_above():
    succeed("train", "lenet-fp", *SMALL, "--quiet", "--out", "new/deep//folder/")
    assert sorted(os.listdir("new/deep/folder")) == ["config.yaml", "result.json"]
    with open("plain", "w", encoding="utf-8") as file:
        file.write("a file")
    fails(1, "train", *SMALL, "--out", "plain/in/it", says=["--out", "plain/in/it", "Not a directory"])
    fails(1, "train", *SMALL, "--out", "", says=["--out"])
    fails(1, "train", *SMALL, "--out", "x" * 300 + "/y", says=["--out", "File name too long"])
    assert sorted(os.listdir(".")) == ["new", "plain"]


def test_an_old_file_keeps_its_rights():
    for rights in (0o600, 0o664): # the second are more than a usual umask leaves
        with open("old.json", "w", encoding="utf-8") as file:
            file.write("old")
        os.chmod("old.json", rights)
        succeed("train", "lenet-fp", *SMALL, "--quiet", "--json", "old.json")
        assert os.stat("old.json").st_mode & 0o777 == rights


def test_lost_standard_output_is_noticed():
    if not os.path.exists("/dev/full"):
        raise e2e.Skipped("no /dev/full")
    for args in (["presets"], ["info"], ["--help"], ["presets", "lenet-rpu"],
                 ["train", "lenet-fp", *SMALL, "--quiet", "--json", "-"]):
        for redirection in ("> /dev/full", ">&-"):
            result = subprocess.run(["sh", "-c", f'"$0" "$@" {redirection}', e2e.PROGRAM, *args], text=True,
                                    stderr=subprocess.PIPE, env=e2e.environment(), check=False)
            assert result.returncode == 1, f"{args} {redirection}: exit {result.returncode}"
            assert "rpubench: cannot write to standard output" in result.stderr, result.stderr


# ---- data ----

def test_data_errors():
    fails(1, "train", "--data", "no-such-folder", says=["no-such-folder"])
    os.mkdir("empty")
    fails(1, "train", "--data", "empty", says=["empty", "train-images"])
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                 "t10k-labels-idx1-ubyte"):
        with open(os.path.join("empty", name), "wb") as file:
            file.write(b"\0\0\10\3\0\0")
    fails(1, "train", "--data", "empty", says=["train-images-idx3-ubyte"])


def test_a_folder_without_mnist_skips():
    old = os.environ.get("RPU_MNIST_DIR")
    os.environ["RPU_MNIST_DIR"] = os.getcwd()
    try:
        for name in e2e.MNIST_FILES:
            try:
                e2e.mnist()
            except e2e.Skipped:
                pass
            else:
                raise AssertionError(f"does not miss {name}")
            with open(name + ".gz", "wb"):
                pass
        assert e2e.mnist() == os.getcwd()
    finally:
        if old is None:
            del os.environ["RPU_MNIST_DIR"]
        else:
            os.environ["RPU_MNIST_DIR"] = old


# ---- progress and interrupts ----

def test_a_line_for_each_epoch_in_a_pipe():
    out = succeed("train", "lenet-fp", *SMALL[:-1], "3").stdout
    assert "\r" not in out
    assert re.findall(r"^epoch (\d)/3: train loss [\d.]+, test loss [\d.]+, test error [\d.]+ %", out, re.M) == \
        ["1", "2", "3"]
    assert re.search(r"^K1 +16x26 +576 \|( +[\d.e+]+){2} \| +- +- \|( +[\d.e+]+){2}$", out, re.M), out
    assert re.search(r"^W4 +10x129 +1 \|( +[\d.e+]+){2} \|( +[\d.e+]+){2} \|( +[\d.e+]+){2}$", out, re.M), out


def read_terminal(master, child):
    out = b""
    while True:
        if select.select([master], [], [], 0.2)[0]:
            try:
                chunk = os.read(master, 65536)
            except OSError:  # the terminal's other side is closed
                break
            if not chunk:
                break
            out += chunk
        elif child.poll() is not None:
            break
    return out.decode()


def test_a_line_that_is_rewritten_on_a_terminal():
    try:
        master, slave = pty.openpty()
    except OSError as why:  # a root folder without /dev/pts
        raise e2e.Skipped(f"no terminal to be had: {why}") from why
    with subprocess.Popen([e2e.PROGRAM, "train", "lenet-rpu", "--limit-train", "5000", "--limit-test", "50", "--epochs",
                           "1"], stdin=slave, stdout=slave, stderr=slave, env=e2e.environment()) as child:
        os.close(slave)
        out = read_terminal(master, child)
        assert child.wait() == 0, out
    os.close(master)
    assert re.search(r"\repoch 1/1: image \d+/5000, \d+ images/s, \d+:\d\d:\d\d left", out), out
    assert re.search(r"\r *\repoch 1/1: train loss ", out), "the line is taken away before the epoch's"


def interrupt(number):
    arguments = ["train", "lenet-rpu", "--limit-test", "50", "--epochs", "500", "--limit-train", "60", "--json", "a.json",
                 "--out", "run"]
    with e2e.begun(arguments, "epoch 1/500") as child:
        time.sleep(0.3)
        child.send_signal(number)
        out, err = child.communicate(timeout=120)
    assert child.returncode == 130, f"exit {child.returncode}: {err}"
    assert "interrupted after" in out
    for name in ("a.json", "run/result.json"):
        with open(name, encoding="utf-8") as file:
            result = json.load(file)
        assert result["interrupted"] is True
        assert 1 <= len(result["epochs"]) < 500
        assert result["images_trained"] >= 60 * len(result["epochs"])
        assert result["test_error"] == result["epochs"][-1]["test_error"]
    assert sorted(os.listdir(".")) == ["a.json", "run"] and not leftovers("run")


def test_interrupt():
    interrupt(signal.SIGINT)


def test_termination():
    interrupt(signal.SIGTERM)


if __name__ == "__main__":
    e2e.main(globals())
