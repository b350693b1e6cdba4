#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sweeps: what is run and written, going on after an interrupt, runs that fail, what is refused."""
import csv
import json
import math
import os
import pty
import re
import shutil
import signal
import subprocess
import time

import checkpointfile
import e2e
from e2e import fails, run, succeed
from test_cli import read_terminal
from test_results import check_keys

# Runs of a few hundredths of a second.
QUICK = """\
data: {limit_train: 40, limit_test: 20}
training: {epochs: 1}
"""
# Runs long enough to be interrupted, short enough to be waited for; and some that end in no test.
EPOCHS = 6 if e2e.INSTRUMENTED else 30
SLOW = f"""\
data: {{limit_train: 60, limit_test: 20}}
training: {{epochs: {EPOCHS}}}
"""
ENDLESS = SLOW.replace(f"epochs: {EPOCHS}", "epochs: 100000")
GRID = QUICK + """\
grid:
  arrays.default.update.bl: [1, 5]
seeds: [1, 2]
"""


def write(name, text):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def table(folder):
    """The runs of DIR/sweep.json by name."""
    document = read_json(os.path.join(folder, "sweep.json"))
    assert document["schema"] == {"name": "rpubench-sweep", "version": 1}
    return {record["run"]: record for record in document["runs"]}


def states(folder):
    return {name: record["state"] for name, record in table(folder).items()}


def runs_in(folder):
    return sorted(name for name in os.listdir(folder) if os.path.isdir(os.path.join(folder, name)))


def stamp(folder, name):
    """Changes when the run is trained again: its result is another file then."""
    status = os.stat(os.path.join(folder, name, "result.json"))
    return status.st_ino, status.st_mtime_ns


def leftovers(folder):
    return [os.path.join(base, name) for base, _, names in os.walk(folder) for name in names if ".tmp-" in name]


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        return [int(child) for child in file.read().split()]


def until(condition, child, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert child.poll() is None, f"ended too early: {child.communicate()}"
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def start(*args):
    return subprocess.Popen([e2e.PROGRAM, "sweep", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=e2e.environment())


# ---- what is run ----

def test_grid_and_seeds():
    write("sweep.yaml", "base: lenet-rpu\n" + GRID)
    out = succeed("sweep", "sweep.yaml", "--out", "runs", "--jobs", "2").stdout
    names = ["bl=1,seed=1", "bl=1,seed=2", "bl=5,seed=1", "bl=5,seed=2"]
    assert runs_in("runs") == names
    assert sorted(os.listdir("runs")) == names + ["sweep.csv", "sweep.json"]
    for name, bl, seed in ((n, n[3], n[-1]) for n in names):
        assert sorted(os.listdir(f"runs/{name}")) == ["config.yaml", "result.json"], "an empty log is not kept"
        result, record = read_json(f"runs/{name}/result.json"), table("runs")[name]
        alone = e2e.train("lenet-rpu", *e2e.SMALL, "--seed", seed, "--set", f"arrays.default.update.bl={bl}")
        again = e2e.train(f"runs/{name}/config.yaml")
        assert result["weights_digest"] == alone["weights_digest"] == again["weights_digest"], name
        assert record["values"] == {"arrays.default.update.bl": bl, "training.seed": seed}
        assert record["state"] == "done" and record["exit_code"] is None and record["epochs"] == 1
        for key in ("weights_digest", "test_error", "images_per_second", "train_seconds"):
            assert record[key] == result[key], key
        assert record["test_loss"] == result["epochs"][-1]["test_loss"]
        row = rf"^{bl} +{seed} +1 +[\d.]+ +[\d.]+ +{100 * result['test_error']:.2f} +\d+ +{result['weights_digest']}$"
        assert re.search(row, out, re.M), f"{row} in\n{out}"
    assert "\r" not in out and "4 runs: 4 done; table in runs/sweep.json" in out
    ended = re.findall(r"^run (\d)/4: (\S+) done(, \d+:\d\d:\d\d left)?$", out, re.M)
    assert [e[0] for e in ended] == list("1234") and sorted(e[1] for e in ended) == names, out
    assert all(e[2] for e in ended[:3]) and not ended[3][2], out


def test_cases():
    write("sweep.yaml", "base: lenet-rpu\n" + QUICK + """\
cases:
  plain: {}
  exact: {arrays.default.device: perfect}
seeds: [1, 2]
""")
    out = succeed("sweep", "sweep.yaml", "--out", "runs").stdout
    assert runs_in("runs") == ["case=exact,seed=1", "case=exact,seed=2", "case=plain,seed=1", "case=plain,seed=2"]
    for case, preset in (("plain", "lenet-rpu"), ("exact", "lenet-fp")):
        record = table("runs")[f"case={case},seed=2"]
        assert record["values"] == {"case": case, "training.seed": "2"}
        alone = e2e.train(preset, *e2e.SMALL, "--seed", "2")
        assert record["weights_digest"] == alone["weights_digest"], case
        assert re.search(rf"^{case} +2 +1 ", out, re.M), out
    again = succeed("sweep", "sweep.yaml", "--out", "runs").stdout
    assert "4 kept" in again, again


def test_table_as_csv_and_spread_over_seeds():
    write("sweep.yaml", GRID)
    out = succeed("sweep", "sweep.yaml", "--out", "runs").stdout
    with open("runs/sweep.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == list(table("runs"))
    for row in rows:
        record = table("runs")[row["run"]]
        assert row["arrays.default.update.bl"] == record["values"]["arrays.default.update.bl"]
        assert row["state"] == "done" and row["weights_digest"] == record["weights_digest"]
        assert abs(float(row["test_error"]) - record["test_error"]) < 1e-9
    settings = read_json("runs/sweep.json")["settings"]
    assert [s["values"] for s in settings] == [{"arrays.default.update.bl": "1"}, {"arrays.default.update.bl": "5"}]
    for setting, pair in zip(settings, (rows[:2], rows[2:])):
        a, b = (float(row["test_error"]) for row in pair)
        assert setting["runs"] == 2 and abs(setting["test_error_mean"] - (a + b) / 2) < 1e-9
        assert abs(setting["test_error_deviation"] - abs(a - b) / 2 ** 0.5) < 1e-9
        assert setting["test_error_least"] == min(a, b) and setting["test_error_most"] == max(a, b)
    assert "over the seeds:" in out


def test_list_goes_side_by_side():
    write("sweep.yaml", QUICK + "base: lenet-fp\nlist:\n  training.eta: [0.01, 0.02]\n  training.batch: [1, 4]\n")
    succeed("sweep", "sweep.yaml", "--quiet", "--out", "runs")
    assert runs_in("runs") == ["eta=0.01,batch=1", "eta=0.02,batch=4"]
    alone = e2e.train("lenet-fp", *e2e.SMALL, "--batch", "4", "--set", "training.eta=0.02")
    assert table("runs")["eta=0.02,batch=4"]["weights_digest"] == alone["weights_digest"]
    assert read_json("runs/sweep.json")["settings"] == []


def test_options_are_for_all_runs():
    os.mkdir("sub")
    write("sub/base.yaml", "preset: lenet-fp\ntraining: {epochs: 50}\n")
    write("sub/two.yaml", "base: base.yaml\nseeds: [3, 4]\n")
    result = succeed("sweep", "sub/two.yaml", "--quiet", *e2e.SMALL, "--set", "training.eta=0.02")
    assert result.stdout == "" and result.stderr == ""
    assert runs_in("two-runs") == ["seed=3", "seed=4"], "the folder's name comes from the file's"
    alone = e2e.train("lenet-fp", *e2e.SMALL, "--seed", "4", "--set", "training.eta=0.02")
    assert table("two-runs")["seed=4"]["weights_digest"] == alone["weights_digest"]


def test_kernel_variants():
    write("sweep.yaml", QUICK + f"base: lenet-fp\ngrid:\n  run.isa: [{', '.join(e2e.variants())}]\n")
    succeed("sweep", "sweep.yaml", "--out", "runs")
    assert len({record["weights_digest"] for record in table("runs").values()}) == 1
    for name in e2e.variants():
        assert read_json(f"runs/isa={name}/result.json")["isa"] == name
    write("one.yaml", QUICK + "base: lenet-fp\nseeds: [1]\n")
    succeed("sweep", "one.yaml", "--out", "one", env={"RPU_ISA": "generic"})
    assert read_json("one/seed=1/result.json")["isa"] == "generic"
    write("some.yaml", QUICK + "base: lenet-fp\ncases: {slow: {run.isa: generic}, best: {}}\n")
    succeed("sweep", "some.yaml", "--out", "some")
    assert [read_json(f"some/case={case}/result.json")["isa"] for case in ("slow", "best")] == ["generic", e2e.variants()[-1]]
    succeed("sweep", "one.yaml", "--out", "two", "--isa", "generic", env={"RPU_ISA": "autovec"})
    assert read_json("two/seed=1/result.json")["isa"] == "generic"


def test_each_run_has_cores_of_its_own():
    usable = os.sched_getaffinity(0)
    machine = json.loads(succeed("info", "--json").stdout)["machine"]
    cores_left = machine["cores"]
    if machine["time_limit"]:
        cores_left = min(cores_left, math.ceil(machine["time_limit"]))
    write("sweep.yaml", ENDLESS + "seeds: [1, 2, 3]\n")
    for jobs, threads in (((), 1), (("--jobs", "2"), 1), (("--threads", str(len(usable))), len(usable))):
        expected = int(jobs[1]) if jobs[:1] == ("--jobs",) else max(1, cores_left // threads)
        with start("sweep.yaml", "--out", "runs", *jobs) as sweep:
            until(lambda: len(children(sweep.pid)) == min(expected, 3), sweep)
            # the cores are set just before the program is started anew
            until(lambda: all("--quiet" in open(f"/proc/{pid}/cmdline", encoding="utf-8").read()
                              and open(f"/proc/{pid}/cmdline", encoding="utf-8").read().count("train")
                              for pid in children(sweep.pid)), sweep)
            cores = [os.sched_getaffinity(pid) for pid in children(sweep.pid)]
            sweep.send_signal(signal.SIGTERM)
            sweep.communicate(timeout=60)
        assert all(len(set_) == threads and set_ <= usable for set_ in cores), cores
        if expected * threads <= len(usable):
            assert len(set.union(*cores)) == threads * len(cores), f"shared cores: {cores}"


def test_what_several_at_a_time_gain():
    """tools/sweep_scaling.sh prints a line for each number of trainings at a time."""
    script = os.path.join(e2e.ROOT, "tools", "sweep_scaling.sh")
    result = subprocess.run([script, "--images", "60", "--repeats", "1", e2e.PROGRAM], capture_output=True, text=True,
                            env=e2e.environment(), check=False)
    assert result.returncode == 0, result.stderr
    assert "2 trainings of 60 digits" in result.stdout
    assert re.search(r"^\| 1 \| [\d.]+ \([\d.]+\) \| 1\.00x \(1\.00x\) \|\n\| 2 \| ", result.stdout, re.M), result.stdout
    for options in (["--jobs", "2 3"], ["--images"], ["--what"], ["--repeats", "0"]):
        assert subprocess.run([script, *options], capture_output=True, check=False).returncode == 2, options


def test_runs_with_different_threads():
    write("sweep.yaml", GRID + "list:\n  run.threads: [1, 2]\n")
    out = succeed("sweep", "sweep.yaml", "--out", "runs", "--jobs", "1").stdout
    assert "; 1 at a time, up to 2 threads each\n" in out, out


def test_keys_are_those_documented():
    write("sweep.yaml", GRID + "list:\n  data.source: [nowhere, digits]\n")
    run("sweep", "sweep.yaml", "--out", "runs")
    check_keys("The table of a sweep", read_json("runs/sweep.json"))


# ---- going on ----

def interrupted_sweep(number, code, slow=SLOW):
    """Starts four runs, one at a time, and stops the sweep in the second; returns the stamp of the first."""
    write("sweep.yaml", slow + "seeds: [1, 2, 3, 4]\n")
    with start("sweep.yaml", "--out", "runs", "--jobs", "1") as sweep:
        # the files in the making are there once the training handles signals
        until(lambda: os.path.isdir("runs/seed=2") and any(name.startswith(".result.json.tmp-")
                                                           for name in os.listdir("runs/seed=2")), sweep)
        time.sleep(0.05)
        child = children(sweep.pid)[0]
        e2e.halt(child) # so that it does not come to its end meanwhile
        if number == signal.SIGKILL: # without a parent a group that stands still is hung up on
            os.kill(child, signal.SIGCONT)
        sweep.send_signal(number)
        if number != signal.SIGKILL:
            os.kill(child, signal.SIGCONT)
        out, err = sweep.communicate(timeout=60)
    assert sweep.returncode == code, f"exit {sweep.returncode}: {out}{err}"
    assert err == "", err
    assert read_json("runs/seed=1/result.json")["interrupted"] is False
    return stamp("runs", "seed=1"), out


def goes_on(before):
    out = succeed("sweep", "sweep.yaml", "--out", "runs").stdout
    assert states("runs") == {"seed=1": "kept", "seed=2": "done", "seed=3": "done", "seed=4": "done"}
    assert stamp("runs", "seed=1") == before, "a finished run was repeated"
    assert "3 done, 1 kept from before" in out, out
    alone = e2e.train("--limit-train", "60", "--limit-test", "20", "--epochs", str(EPOCHS), "--seed", "2")
    assert table("runs")["seed=2"]["weights_digest"] == alone["weights_digest"]
    assert 0 < read_json("runs/seed=2/result.json")["images_resumed"] <= read_json("runs/seed=2/result.json")["images_trained"]
    assert read_json("runs/seed=3/result.json")["images_resumed"] == 0
    assert sorted(os.listdir("runs/seed=2")) == ["config.yaml", "result.json"]
    assert not leftovers("runs")


def test_interrupt():
    before, out = interrupted_sweep(signal.SIGINT, 130)
    assert states("runs") == {"seed=1": "done", "seed=2": "interrupted", "seed=3": "waiting", "seed=4": "waiting"}
    assert "1 done, 1 interrupted, 2 not begun" in out, out
    assert not leftovers("runs"), "trainings end after the minibatch in work and leave nothing behind"
    goes_on(before)


def test_termination():
    before, _ = interrupted_sweep(signal.SIGTERM, 130)
    goes_on(before)


def test_kill():
    before, _ = interrupted_sweep(signal.SIGKILL, -9)
    goes_on(before)


def test_all_killed_under_checkpoints():
    """Nobody is left to write one: the one that is there counts."""
    write("sweep.yaml", SLOW + "seeds: [1, 2, 3, 4]\n")
    with start("sweep.yaml", "--out", "runs", "--jobs", "1", "--checkpoint-every", "2epochs") as sweep:
        until(lambda: os.path.exists("runs/seed=2/checkpoint.safetensors") and children(sweep.pid), sweep)
        e2e.halt(sweep.pid) # so that it does not begin the next run
        os.kill(children(sweep.pid)[0], signal.SIGKILL)
        sweep.kill()
        sweep.communicate(timeout=60)
    goes_on(stamp("runs", "seed=1"))


def test_how_often_checkpoints_are_written():
    write("sweep.yaml", GRID)
    fails(2, "sweep", "sweep.yaml", "--out", "runs", "--checkpoint-every", "often",
          says=["sweep: --checkpoint-every: found 'often', allowed is a whole number from 1"])
    fails(2, "sweep", "sweep.yaml", "--out", "runs", "--checkpoint-every", 80 * "0" + "5images", says=["at most 60 characters"])
    assert not os.path.exists("runs")
    succeed("sweep", "sweep.yaml", "--out", "runs", "--checkpoint-every", 52 * "0" + "60images")
    assert set(states("runs").values()) == {"done"}


def test_a_checkpoint_that_does_not_fit_is_set_aside():
    path = "runs/seed=2/checkpoint.safetensors"
    write("sweep.yaml", "data: {limit_train: 20, limit_test: 10}\ntraining: {epochs: 3}\nseeds: [2, 3]\n")
    for more, damage, says in ((["--set", "training.eta=0.02"], b"", "training.eta"),
                               (["--epochs", "2"], b"", "training.epochs is 2, but 3 are trained"), ([], b"x", path)):
        shutil.rmtree("runs", ignore_errors=True)
        os.mkdir("runs")
        succeed("train", "--limit-train", "20", "--limit-test", "10", "--epochs", "3", "--seed", "2", "--out", "runs/seed=2",
                "--checkpoint-every", "1epoch", "--quiet")
        with open(path, "ab") as file:
            file.write(damage)
        os.remove("runs/seed=2/result.json")
        with open(path, "rb") as file:
            before = file.read()
        err = succeed("sweep", "sweep.yaml", "--out", "runs", *more).stderr
        assert says in err and "the run begins anew" in err and err.count("\n") == 1, err
        with open(path + ".old", "rb") as file:
            assert file.read() == before
        assert read_json("runs/seed=2/result.json")["images_resumed"] == 0
        assert sorted(os.listdir("runs/seed=2")) == ["checkpoint.safetensors.old", "config.yaml", "result.json"]

    # what was set aside gives way to nothing
    os.rename(path + ".old", path)
    write(path + ".old", "of old")
    os.remove("runs/seed=2/result.json")
    fails(1, "sweep", "sweep.yaml", "--out", "runs", says=["checkpoint.safetensors.old"])
    assert states("runs") == {"seed=2": "failed", "seed=3": "kept"}
    with open(path, "rb") as file:
        assert file.read() == before


def test_a_minibatch_larger_than_the_images():
    interrupted_sweep(signal.SIGINT, 130, SLOW.replace(f"epochs: {EPOCHS}", f"epochs: {2 * EPOCHS}, batch: 100"))
    succeed("sweep", "sweep.yaml", "--out", "runs")
    assert read_json("runs/seed=2/result.json")["images_resumed"] > 0


def test_a_checkpoint_of_a_newer_version_stays():
    interrupted_sweep(signal.SIGINT, 130)
    path = "runs/seed=2/checkpoint.safetensors"

    def change(metadata, _):
        metadata["format_version"] = "2"

    checkpointfile.forge(path, path, change)
    fails(1, "sweep", "sweep.yaml", "--out", "runs", says=["checkpoint.safetensors"])
    assert states("runs") == {"seed=1": "kept", "seed=2": "failed", "seed=3": "done", "seed=4": "done"}
    assert os.path.exists(path)


def two_signals(first, second, pause):
    """The exit code of a sweep that gets them while its training, which ends as well, is in a minibatch."""
    shutil.rmtree("runs", ignore_errors=True)
    with start("sweep.yaml", "--out", "runs") as sweep:
        # the files in the making are there once the training handles signals
        until(lambda: os.path.isdir("runs/seed=1") and children(sweep.pid) and any(
            name.startswith(".result.json.tmp-") for name in os.listdir("runs/seed=1")), sweep)
        pid = children(sweep.pid)[0]
        time.sleep(0.1)
        sweep.send_signal(first)
        time.sleep(pause)
        sweep.send_signal(second)
        sweep.communicate(timeout=60)
    end = time.monotonic() + 60
    while os.path.exists(f"/proc/{pid}/exe"):
        assert time.monotonic() < end, "the training outlives the sweep"
        time.sleep(0.01)
    assert sweep.returncode in (-second, -max(first, second), 130), sweep.returncode # both at once: the lower one first
    return sweep.returncode


def end_at_once(first, second):
    """Whether the second signal ended the sweep and its training; one that is through with the minibatch writes what it
    has."""
    return two_signals(first, second, 0.4) == -second and not os.path.exists("runs/seed=1/result.json")


def test_a_second_signal_ends_at_once():
    """The sweep and its training, by either kind; a machine that is through with the minibatch gets another try."""
    write("sweep.yaml", "data: {limit_train: 2000, limit_test: 10}\ntraining: {epochs: 9, batch: 2000}\n"
          "run: {isa: generic, threads: 1}\nseeds: [1]\n")
    for first in (signal.SIGINT, signal.SIGTERM):
        for second in (signal.SIGINT, signal.SIGTERM):
            assert any(end_at_once(first, second) for _ in range(5)), f"{second} after {first} changed nothing"


def test_signals_close_together_are_one():
    write("sweep.yaml", "data: {limit_train: 300, limit_test: 10}\ntraining: {epochs: 99, batch: 300}\n"
          "run: {isa: generic, threads: 1}\nseeds: [1]\n")
    for second in (signal.SIGINT, signal.SIGTERM):
        assert any(two_signals(signal.SIGTERM, second, 0.01) == 130 for _ in range(5)), f"{second} ended it"
    assert read_json("runs/seed=1/result.json")["interrupted"]


def test_trainings_end_with_their_parent():
    write("sweep.yaml", ENDLESS + "seeds: [1, 2]\n")
    with start("sweep.yaml", "--out", "runs", "--jobs", "2") as sweep:
        until(lambda: len(children(sweep.pid)) == 2 and os.path.exists("runs/seed=2/stderr.log"), sweep)
        time.sleep(0.2)
        pids = children(sweep.pid)
        sweep.kill()
        sweep.communicate(timeout=60)
        end = time.monotonic() + 30
        while any(os.path.exists(f"/proc/{pid}/exe") for pid in pids):
            assert time.monotonic() < end, "trainings outlive the sweep"
            time.sleep(0.01)


def test_only_what_changed_is_run_again():
    write("sweep.yaml", GRID)
    succeed("sweep", "sweep.yaml", "--out", "runs")
    first = {name: stamp("runs", name) for name in runs_in("runs")}
    write("sweep.yaml", GRID.replace("[1, 5]", "[5, 3, 1]"))
    succeed("sweep", "sweep.yaml", "--out", "runs")
    assert states("runs") == {"bl=5,seed=1": "kept", "bl=5,seed=2": "kept", "bl=3,seed=1": "done",
                              "bl=3,seed=2": "done", "bl=1,seed=1": "kept", "bl=1,seed=2": "kept"}
    assert all(stamp("runs", name) == first[name] for name in first)
    succeed("sweep", "sweep.yaml", "--out", "runs", "--set", "training.eta=0.02")
    assert set(states("runs").values()) == {"done"}, "another learning rate is another training"
    write("runs/bl=1,seed=1/result.json", "{")
    os.unlink("runs/bl=1,seed=2/result.json")
    succeed("sweep", "sweep.yaml", "--out", "runs", "--set", "training.eta=0.02")
    assert [name for name, state in states("runs").items() if state == "done"] == ["bl=1,seed=1", "bl=1,seed=2"]


def test_two_sweeps_in_one_folder():
    write("sweep.yaml", ENDLESS + "seeds: [1]\n")
    with start("sweep.yaml", "--out", "runs") as sweep:
        until(lambda: os.path.exists("runs/seed=1/config.yaml"), sweep)
        fails(1, "sweep", "sweep.yaml", "--out", "runs", says=["another sweep is at work in runs"])
        sweep.send_signal(signal.SIGTERM)
        sweep.communicate(timeout=60)
    assert sweep.returncode == 130


def test_a_training_in_the_folder_of_a_run():
    """One that was started by hand: that run fails, the training's files stay, those in the making as well, and it ends
    as if left alone."""
    write("sweep.yaml", QUICK + "seeds: [1, 2]\n")
    os.mkdir("runs")
    command = [e2e.PROGRAM, "train", *e2e.SMALL, "--epochs", "3000", "--out", "runs/seed=1", "--checkpoint-every",
               "1epoch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=e2e.environment()) as child:
        until(lambda: "epoch 1/" in child.stdout.readline(), child)
        being_made = {name for name in os.listdir("runs/seed=1") if name.startswith((".result.json.", ".config.yaml."))}
        assert len(being_made) == 2
        for _ in range(2):  # before there is a result, and when the other run has one
            fails(1, "sweep", "sweep.yaml", "--out", "runs", says=["another training is at work in the folder runs/seed=1"])
            assert states("runs")["seed=1"] == "failed"
            assert being_made <= set(os.listdir("runs/seed=1")) and not os.path.exists("runs/seed=1/config.yaml")
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 130 and err == "", err
    assert read_json("runs/seed=1/result.json")["interrupted"] is True
    assert sorted(os.listdir("runs/seed=1")) == ["checkpoint.safetensors", "config.yaml", "result.json"]
    assert states("runs") == {"seed=1": "failed", "seed=2": "kept"}
    succeed("sweep", "sweep.yaml", "--out", "runs")
    assert states("runs") == {"seed=1": "done", "seed=2": "kept"}


# ---- runs that fail ----

def test_a_run_that_fails_does_not_stop_the_others():
    write("sweep.yaml", QUICK + "grid:\n  data.source: [nowhere, digits, 'no/where', 'no,where']\n")
    result = run("sweep", "sweep.yaml", "--out", "runs")
    assert result.returncode == 1, result.stderr
    assert runs_in("runs") == ["source=digits", "source=no%2Cwhere", "source=no%2Fwhere", "source=nowhere"]
    assert states("runs") == {"source=nowhere": "failed", "source=digits": "done", "source=no%2Fwhere": "failed",
                              "source=no%2Cwhere": "failed"}
    assert table("runs")["source=nowhere"]["exit_code"] == 1
    with open("runs/source=nowhere/stderr.log", encoding="utf-8") as file:
        log = file.read()
    assert log.startswith("rpubench train: ") and "nowhere" in log
    said = f"rpubench sweep: source=nowhere failed with exit code 1: {log.strip()} (runs/source=nowhere/stderr.log)\n"
    assert said in result.stderr
    assert "nowhere   failed, exit code 1" in result.stdout and "1 done, 3 failed" in result.stdout
    again = run("sweep", "sweep.yaml", "--out", "runs")
    assert again.returncode == 1 and states("runs")["source=digits"] == "kept", "what failed is tried again"


def test_a_run_that_is_killed():
    write("sweep.yaml", ENDLESS + "seeds: [1, 2]\n")
    with start("sweep.yaml", "--out", "runs", "--jobs", "1") as sweep:
        until(lambda: os.path.exists("runs/seed=1/stderr.log") and children(sweep.pid), sweep)
        os.kill(children(sweep.pid)[0], signal.SIGKILL)
        until(lambda: os.path.exists("runs/seed=2/stderr.log"), sweep)
        sweep.send_signal(signal.SIGTERM)
        _, err = sweep.communicate(timeout=60)
    assert sweep.returncode == 130
    assert "rpubench sweep: seed=1 failed: killed by signal 9" in err, err
    assert table("runs")["seed=1"]["exit_code"] == 137


def test_a_folder_that_cannot_be_written():
    write("sweep.yaml", QUICK + "base: lenet-fp\nseeds: [1, 2]\n")
    write("plain", "x")
    for out in ("plain", "plain/sub"):
        fails(1, "sweep", "sweep.yaml", "--out", out, says=[out])
    with start("sweep.yaml", "--out", "gone", "--jobs", "1", "--epochs", "100000") as sweep: # its lock goes with it
        until(lambda: os.path.isdir("gone/seed=1") and children(sweep.pid), sweep)
        os.rename("gone", "elsewhere")
        os.kill(children(sweep.pid)[0], signal.SIGKILL)
        _, err = sweep.communicate(timeout=60)
    assert sweep.returncode == 1 and "gone/seed=2" in err and not os.path.exists("gone"), err
    os.mkdir("runs")
    write("runs/seed=1", "in the way")
    result = fails(1, "sweep", "sweep.yaml", "--out", "runs", says=["runs/seed=1"])
    assert states("runs") == {"seed=1": "failed", "seed=2": "done"}, result.stderr


# ---- what is refused ----

def test_bad_sweep_files():
    cases = [
        ("", ["sweep.yaml:1: empty; allowed is one YAML document"]),
        ("[1]\n", ["sweep.yaml:1: found a list; allowed is a map of keys"]),
        ("seeds: [1\n", ["sweep.yaml:2: not valid YAML"]),
        ("base: lenet-rpu\n", ["sweep.yaml: nothing varies; allowed is at least one of grid, list"]),
        ("base: lenet-rpx\nseeds: [1]\n", ["sweep.yaml:1: base: found 'lenet-rpx', which is no preset",
                                           "presets are lenet-rpu"]),
        ("gird: {}\n", ["sweep.yaml:1: gird: unknown key (did you mean 'grid'?); allowed are base, grid, list, seeds, cases"]),
        ("seeds: [1]\nseeds: [2]\n", ["sweep.yaml:2: seeds: duplicate key; it was first given in line 1"]),
        ("seeds: [1]\ntraining:\n  epohcs: 1\n", ["sweep.yaml:3: training.epohcs: unknown key"]),
        ("grid:\n  training.epochs: 3\n", ["sweep.yaml:2: grid.training.epochs: found '3'; allowed is a list"]),
        ("grid:\n  training.epohcs: [3]\n", ["sweep.yaml:2: training.epohcs: unknown key (did you mean 'epochs'?)"]),
        ("seeds: [1, -1]\n", ["sweep.yaml:1: training.seed: found '-1', which"]),
        ("seeds: [1, 1]\n", ["sweep.yaml:1: seeds: found '1' again; allowed is once"]),
        ("seeds: [1]\ngrid: {training.seed: [2]}\n", ["sweep.yaml:1: seeds: varies training.seed, which grid varies"]),
        ("list: {training.eta: [1, 2], training.epochs: [1]}\n", ["list.training.epochs: found 1 values; allowed are 2"]),
        ("seeds: &a [1]\n", ["sweep.yaml:1: ", "anchors"]),
        ("grid:\n" + "".join(f"  arrays.K{k}.update.bl: [{', '.join(map(str, range(1, 101)))}]\n" for k in (1, 2))
         + "seeds: [1, 2]\n", ["sweep.yaml:4: seeds: makes 20000 runs or more; allowed are 10000"]),
    ]
    for text, says in cases:
        write("sweep.yaml", text)
        result = fails(2, "sweep", "sweep.yaml", "--out", "runs", says=says)
        assert result.stderr.startswith("rpubench sweep: ") and result.stdout == "", result.stderr
        assert os.listdir(".") == ["sweep.yaml"], f"something was run or written for {text}"
    fails(2, "sweep", "none.yaml", says=["none.yaml", "cannot be opened"])
    fails(2, "sweep", says=["no sweep file"])


def test_bad_options():
    write("sweep.yaml", "seeds: [1, 2]\n")
    for jobs in ("0", "x", "-1", "1025", "", " 1", "+1"):
        fails(2, "sweep", "sweep.yaml", f"--jobs={jobs}", says=["--jobs: found"])
    fails(2, "sweep", "sweep.yaml", "--seed", "3", says=["--seed: training.seed: cannot be set for all runs",
                                                        "sweep.yaml, line 1"])
    fails(2, "sweep", "sweep.yaml", "--epochs", "x", says=["--epochs"])
    fails(2, "sweep", "sweep.yaml", "--out", "", says=["--out"])
    fails(2, "sweep", "sweep.yaml", "--isa", "avx9", says=["--isa", "avx9"])
    fails(2, "sweep", "sweep.yaml", "other.yaml", says=["other.yaml"])


# ---- progress ----

def test_progress_on_a_terminal():
    write("sweep.yaml", SLOW + "seeds: [1, 2]\n")
    try:
        master, slave = pty.openpty()
    except OSError as why:  # a root folder without /dev/pts
        raise e2e.Skipped(f"no terminal to be had: {why}") from why
    with subprocess.Popen([e2e.PROGRAM, "sweep", "sweep.yaml", "--jobs", "1"], stdin=slave, stdout=slave, stderr=slave,
                          env=e2e.environment()) as child:
        os.close(slave)
        out = read_terminal(master, child)
        assert child.wait() == 0, out
    os.close(master)
    assert "\rrun 0/2: 1 at work" in out, out
    assert re.search(r"\rrun 1/2: 1 at work, \d+:\d\d:\d\d left", out), out
    assert re.search(r"\r *\r(\r\n|$)", out, re.M), "the line is taken away before the table"


if __name__ == "__main__":
    e2e.main(globals())
