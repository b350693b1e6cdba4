#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Faults of the system, through the program: full disks, folders and files that cannot be written or are gone, memory
and system calls that fail, clocks that jump, and standard streams that take nothing. RPU_TEST_FAULTS names the library
that makes faults; tools/fault_check.py is the long form of what uses it."""
import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from unittest import mock

import e2e
from e2e import SMALL, Skipped, fails, run, succeed

sys.path.insert(0, os.path.join(e2e.ROOT, "tools"))
import fault_check  # pylint: disable=wrong-import-position
from fault_check import read  # pylint: disable=wrong-import-position

NAME = "checkpoint.safetensors"
TRAIN = ["train", "lenet-fp", *SMALL, "--quiet"]
NOBODY = 65534


def digest(path):
    return json.loads(read(path))["weights_digest"]


def leftovers(folder="."):
    return [name for name in os.listdir(folder) if ".tmp-" in name]


# ---- faults that are made ----

def check():
    library = os.environ.get("RPU_TEST_FAULTS", "")
    if not os.path.exists(library):
        raise Skipped("no library of faults (RPU_TEST_FAULTS)")
    made = fault_check.Check(e2e.PROGRAM, library)
    made.fresh()
    return made


def able(faults):
    """A check, where such faults can be made."""
    made = check()
    result = made.run(["presets"], faults)
    if result.returncode == 99 or not (result.report.get("allocations") or result.report.get("calls write")):
        made.close()
        raise Skipped("no faults can be made here: " + (result.stderr or "another allocator is before this one"))
    return made


def step(what, faults, few, kinds):
    """Walks of every command, each with that many faults at most or so; some of each kind."""
    made = able(faults)
    for name in fault_check.COMMANDS:
        what(made, name, few)
    made.close()
    print(dict(made.counts), flush=True)
    assert made.failures == 0
    assert not made.never(kinds), made.never(kinds)


def test_memory():
    def some(made, name, few):
        made.fresh()
        n = made.run(fault_check.COMMANDS[name], "alloc=0").report["allocations"]
        made.walk_memory(name, n // few + 1)
    step(some, "alloc=0", 6, ["memory"])


def test_failures_without_a_fault_are_seen():
    made = able("alloc=0")
    with mock.patch.dict(fault_check.COMMANDS, {"wrong": ["presets", "none"]}), \
            contextlib.redirect_stdout(io.StringIO()) as said:
        assert not made.hurt("wrong", "alloc=0", None, True, "none")
    assert made.never(["memory"]) == ["memory"]
    made.close()
    assert made.failures == 1 and "fails without a fault" in said.getvalue(), said.getvalue()


def test_system_calls_that_fail():
    def some(made, name, few):
        if name in ("train", "eval", "compare"):
            made.walk_calls(name, few, few)
    step(some, "short=1000000000", 25, fault_check.WAYS)


def test_short_and_interrupted_calls():
    step(lambda made, name, few: name in ("idx", "resume", "compare") and made.partly(name), "short=1000000000", 0,
         ["short", "interrupts"])


def test_clocks_that_jump():
    made = check()
    args = ["train", "net.yaml", *SMALL, "--out", "plain", "--checkpoint-every", "10minutes", "--quiet"]
    assert made.run(args).returncode == 0
    alone = fault_check.plain(json.loads(read(os.path.join(made.work, "plain", "result.json"))))
    for faults in ("realtime=1000000000", "realtime=-1000000000", "monotonic=3600", "monotonic=3600,realtime=-4000000000"):
        made.fresh()
        result = made.run(args, faults)
        assert result.returncode == 0 and not result.stderr, (faults, result)
        assert result.report["looks"] > 0, faults
        document = json.loads(read(os.path.join(made.work, "plain", "result.json")))
        assert fault_check.plain(document) == alone, faults
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["date"]), document["date"]
        for epoch in document["epochs"]:
            assert 0.0 <= epoch["train_seconds"] <= epoch["seconds"], (faults, epoch)
            assert epoch["seconds"] < 60.0 or "monotonic" in faults, (faults, epoch)
        assert made.run(["inspect", "--quiet", f"plain/{NAME}"]).returncode == 0
    made.close()


# ---- disks ----

def in_tmpfs(options, args):
    """Runs the program in a folder `disk` with a file system of its own, which has in it what `disk` has now; afterwards
    its files are in `after`."""
    script = ('mount -t tmpfs -o "$1" faults disk && shift && cp -a before/. disk && { [ -z "$RO" ] || mount -o remount,ro '
              'disk; } || exit 98; "$@"; code=$?; cp -a disk/. after; exit $code')
    shutil.rmtree("before", ignore_errors=True)
    shutil.rmtree("after", ignore_errors=True)
    shutil.copytree("disk", "before")
    os.mkdir("after")
    own = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    if not shutil.which("unshare"):
        raise Skipped("no unshare")
    extra = {"RO": "1"} if options == "ro" else {}
    result = subprocess.run([*own, "sh", "-c", script, "sh", "size=16m" if extra else options, e2e.PROGRAM, *args],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, env=e2e.environment(extra), check=False)
    if result.returncode == 98 or "unshare" in result.stderr:
        raise Skipped(f"no file systems can be mounted here: {result.stderr}")
    return result


def old_training():
    succeed(*TRAIN, "--out", "disk", "--checkpoint-every", "1epoch")
    return {name: read(f"disk/{name}") for name in os.listdir("disk")}


def test_full_disk():
    os.mkdir("disk")
    old = old_training()
    used = sum((len(content) + 4095) // 4096 + 1 for content in old.values()) + 2  # pages, and some for names
    more = len(old[NAME]) // 4096
    codes = set()
    for pages in [*range(0, 6), more // 2, more, more + 1, more + 2, more + 3, more + 6, 2 * more + 40]:
        result = in_tmpfs(f"size={4 * (used + pages)}k", [*TRAIN, "--epochs", "2", "--out", "disk", "--resume",
                                                         "--checkpoint-every", "1epoch"])
        codes.add(result.returncode)
        assert result.returncode in (0, 1), result
        assert result.returncode == 0 or "No space left on device" in result.stderr, result.stderr
        assert sorted(os.listdir("after")) == sorted(old), (pages, os.listdir("after"))
        for name in old:
            assert read(f"after/{name}").endswith(b"\n") or name == NAME, (pages, name)
        succeed("inspect", "--quiet", f"after/{NAME}")
        assert digest("after/result.json")
    assert codes == {0, 1}, "too much or too little room each time"


def test_read_only_file_system():
    os.mkdir("disk")
    old = old_training()
    for args in ([*TRAIN, "--epochs", "2", "--out", "disk", "--resume"], [*TRAIN, "--json", "disk/new.json"],
                 [*TRAIN, "--json", "disk/result.json"], ["eval", f"disk/{NAME}", "--json", "disk/new.json"]):
        result = in_tmpfs("ro", args)
        assert result.returncode == 1 and "Read-only file system" in result.stderr, result
        assert "epoch" not in result.stdout and {n: read(f"after/{n}") for n in os.listdir("after")} == old


def as_nobody(*args):
    """Rights count for nothing with root, who becomes another user for a moment."""
    if os.geteuid() != 0:
        return run(*args)
    return run(*args, user=NOBODY, group=NOBODY, extra_groups=[])


def test_rights():
    os.chmod(".", 0o755)
    if as_nobody("presets").returncode != 0 or not os.access(".", os.X_OK):
        raise Skipped("the program cannot be run by another user")
    os.mkdir("disk")
    old = old_training()
    for name in old:
        os.chmod(f"disk/{name}", 0o444)

    def refused(*args):
        result = as_nobody(*args)
        assert result.returncode == 1 and "Permission denied" in result.stderr, result
        assert {n: read(f"disk/{n}") for n in os.listdir("disk")} == old
    # a folder in which nothing can be made, then files that cannot be replaced in one in which it can
    os.chmod("disk", 0o555)
    for args in ([*TRAIN, "--json", "disk/new.json"], [*TRAIN, "--out", "disk/new"],
                 [*TRAIN, "--epochs", "2", "--out", "disk", "--resume", "--checkpoint-every", "1epoch"],
                 [*TRAIN, "--epochs", "2", "--out", "disk", "--resume"]):
        refused(*args)
    os.chmod("disk", 0o777)
    refused(*TRAIN, "--epochs", "2", "--out", "disk", "--resume")
    refused("eval", f"disk/{NAME}", "--json", "disk/result.json")
    os.chmod(f"disk/{NAME}", 0)
    if os.geteuid() != 0:
        return
    os.chmod(f"disk/{NAME}", 0o200)
    result = as_nobody("eval", f"disk/{NAME}")
    assert result.returncode == 1 and f"{NAME}: cannot be opened: Permission denied" in result.stderr, result


# ---- what vanishes ----

def begin(*args):
    """A training that has finished its first epoch, and stands still."""
    child = subprocess.Popen([e2e.PROGRAM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env=e2e.environment())
    for line in child.stdout:
        if line.startswith("epoch 1/"):
            e2e.halt(child.pid)
            return child
    raise AssertionError(child.communicate())


def rest(child):
    """What a training prints from then on, goes on and ends."""
    child.send_signal(signal.SIGCONT)
    out, err = child.stdout.read(), child.stderr.read()
    child.wait(timeout=120)
    return out, err


LONG = ["--limit-train", "600", "--limit-test", "20", "--epochs", "8"]


def test_data_that_vanishes():
    made = check()
    shutil.copytree(os.path.join(made.master, "images"), "images")
    made.close()
    net = ["train", "lenet-fp", "--data", "images", "--epochs", "2000"]
    child = begin(*net, "--out", "run")
    shutil.rmtree("images")  # it is in memory
    child.send_signal(signal.SIGINT)
    _, err = rest(child)
    assert child.returncode == 130 and not err, (child.returncode, err)
    old = {name: read(f"run/{name}") for name in os.listdir("run")}
    for args in ([*net, "--out", "run", "--resume"], ["eval", f"run/{NAME}"]):
        fails(1, *args, says=["images: cannot open the data directory: No such file or directory"])
    os.makedirs("images")
    fails(1, *net, "--out", "run", "--resume", says=["images", "train-images-idx3-ubyte"])
    assert {name: read(f"run/{name}") for name in os.listdir("run")} == old


def test_an_output_folder_that_vanishes():
    child = begin("train", "lenet-fp", "--data", "digits", *LONG, "--out", "run", "--checkpoint-every", "1epoch")
    shutil.rmtree("run")
    out, err = rest(child)
    assert child.returncode == 1 and "epoch 8/8" in out, (child.returncode, out)
    assert f"run/{NAME}: cannot create the file: No such file or directory" in err, err
    assert "run/result.json: cannot give the file its name: No such file or directory" in err, err


# ---- standard streams ----

def printing():
    """A command line of everything that prints, without what takes long."""
    succeed("train", "lenet-fp", *SMALL, "--out", "run", "--checkpoint-every", "1epoch", "--quiet")
    made = fault_check.benchmark("kernel/tanh", 1.5)
    for name in ("a.json", "b.json"):
        with open(name, "w", encoding="utf-8") as file:
            json.dump(made, file)
    with open("sweep.yaml", "w", encoding="utf-8") as file:
        file.write("base: lenet-fp\ntraining: {epochs: 1}\ndata: {source: digits, limit_train: 6, limit_test: 3}\nseeds: [1]\n")
    return [["--help"], ["--version"], ["train", "--help"], ["presets"], ["presets", "lenet-rpu"], ["info"],
            ["info", "--json"], ["train", "lenet-fp", *SMALL], ["train", "lenet-fp", *SMALL, "--json", "-", "--quiet"],
            ["eval", f"run/{NAME}"], ["eval", f"run/{NAME}", "--json", "-", "--quiet"], ["inspect", f"run/{NAME}"],
            ["inspect", f"run/{NAME}", "--json", "-", "--quiet"], ["map"], ["map", "--json", "-"], ["compare", "a.json", "b.json"],
            ["compare", "a.json", "b.json", "--json", "-"], ["sweep", "sweep.yaml", "--out", "runs"]]


def with_streams(redirections, args, **more):
    return subprocess.run(["sh", "-c", f'exec "$0" "$@" {redirections}', e2e.PROGRAM, *args], text=True, check=False,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120, env=e2e.environment(), **more)


def test_standard_output_that_takes_nothing():
    ends = os.pipe()
    os.close(ends[0])  # a reader that has gone
    for args in printing():
        for redirection in ("> /dev/full", ">&-", f">&{ends[1]}"):
            result = with_streams(redirection, args, pass_fds=[ends[1]])
            assert result.returncode == 1, f"{args} {redirection}: exit {result.returncode}\n{result.stderr}"
            assert "rpubench: cannot write to standard output" in result.stderr, (args, redirection, result.stderr)
    os.close(ends[1])
    assert not leftovers() and not leftovers("run")


def test_files_are_written_without_standard_output():
    """What goes to files is there in the end, and nothing else is in them."""
    whole = ["train", "lenet-fp", *SMALL, "--out", "run", "--json", "new.json", "--checkpoint-every", "10images"]
    succeed(*whole)
    wanted = digest("new.json")
    for closed in ("<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-", "> /dev/full 2> /dev/full"):
        shutil.rmtree("run")
        os.remove("new.json")
        result = with_streams(closed, whole)
        assert result.returncode == (1 if ">&-" in closed.replace("2>&-", "") or "full" in closed else 0), (closed, result)
        assert digest("new.json") == digest("run/result.json") == wanted, closed
        succeed("inspect", "--quiet", f"run/{NAME}")
        assert sorted(os.listdir("run")) == [NAME, "config.yaml", "result.json"]


def test_a_reader_that_goes_away():
    child = begin("train", "lenet-fp", "--data", "digits", *LONG, "--out", "run")
    child.stdout.close()
    child.send_signal(signal.SIGCONT)
    err = child.stderr.read()
    assert child.wait(timeout=120) == 1 and "cannot write to standard output" in err, err
    assert json.loads(read("run/result.json"))["interrupted"] is False


def test_a_full_pipe_and_an_interrupt():
    """Output that waits for a reader is not lost when a signal comes."""
    ends = os.pipe()
    with open(ends[1], "wb") as pipe:
        os.set_blocking(ends[1], False)
        filled = 0
        try:
            while True:
                filled += os.write(ends[1], b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(ends[1], True)
        child = subprocess.Popen([e2e.PROGRAM, "train", "lenet-fp", "--data", "digits", *LONG, "--out", "run"], stdout=pipe,
                                 stderr=subprocess.PIPE, text=True, env=e2e.environment())
    for _ in range(100):  # until it waits: it has files open by then, and uses no time
        time.sleep(0.1)
        if os.path.isdir("run") and b"pipe_write" in read(f"/proc/{child.pid}/wchan"):
            break
    child.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert child.poll() is None, "it does not wait for its reader"
    with open(ends[0], "rb") as file:
        text = file.read()[filled:].decode()
    err = child.stderr.read()
    assert child.wait(timeout=60) == 130 and not err, (child.returncode, err)
    assert text.startswith("lenet-fp on digits") and "interrupted after" in text and "weights digest" in text, text
    assert json.loads(read("run/result.json"))["interrupted"] is True


if __name__ == "__main__":
    e2e.main(globals())
