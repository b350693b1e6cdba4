#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs of several processes: exchange between ranks, trainings and sweeps over 1, 2 and 3 of them, a rank that dies.

Environment: RPU_TEST_MPI=yes when the program was built with MPI; RPU_TEST_DIST, the program of test_dist.c;
RPU_TEST_FAULTS, the library of faults/inject.c.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import time

import e2e
from test_sweep import ENDLESS, EPOCHS, GRID, SLOW, children, leftovers, read_json, runs_in, stamp, states, table, until, write

BUILT = os.environ.get("RPU_TEST_MPI") == "yes"


def environment():
    env = e2e.environment()
    # Shared memory without the system call that containers forbid.
    env["OMPI_MCA_btl_vader_single_copy_mechanism"] = "none"
    # More ranks than cores, and others beside them: whoever waits lets the others work.
    env["OMPI_MCA_mpi_yield_when_idle"] = "1"
    # What MPI itself does not free is none of the program's leaks; test_sweep.py looks for those.
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    return env


def command(ranks, *words):
    if not BUILT:
        raise e2e.Skipped("built without MPI")
    if not shutil.which("mpirun"):
        raise e2e.Skipped("mpirun is not installed")
    options = ["--oversubscribe", "--bind-to", "none"] + (["--allow-run-as-root"] if os.getuid() == 0 else [])
    return ["mpirun", *options, "-n", str(ranks), *words]


def mpirun(ranks, *words):
    return subprocess.run(command(ranks, *words), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                          env=environment(), check=False)


def sweep(ranks, *args):
    result = mpirun(ranks, e2e.PROGRAM, "sweep", *args)
    assert result.returncode == 0, f"{ranks} ranks: exit {result.returncode}\n{result.stdout}{result.stderr}"
    return result


def start(ranks, *args, of="sweep", patience=4):
    return subprocess.Popen(command(ranks, e2e.PROGRAM, of, *args), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            # seconds that ranks which are told to stop have before they are killed, and that mpirun waits
                            # wherever it ends ranks; one is not enough beside other tests for a rank to write what it has
                            env={**environment(), "OMPI_MCA_odls_base_sigkill_timeout": str(patience)})


def rank_process(job, rank):
    """Process number of a rank, or None while there is none."""
    for pid in children(job.pid):
        with open(f"/proc/{pid}/environ", encoding="utf-8") as file:
            if f"OMPI_COMM_WORLD_RANK={rank}" in file.read().split("\0"):
                return pid
    return None


def digests(folder):
    return {name: record["weights_digest"] for name, record in table(folder).items()}


# ---- the exchange ----

def test_exchange_between_ranks():
    for ranks in (1, 2, 3):
        result = mpirun(ranks, os.environ["RPU_TEST_DIST"], str(ranks))
        assert result.returncode == 0, result.stdout + result.stderr


def test_ranks_without_mpi_are_refused():
    write("sweep.yaml", GRID)
    if BUILT:
        command(1)
        result = subprocess.run([e2e.PROGRAM, "sweep", "sweep.yaml"], env={**environment(), "PMI_SIZE": "2"},
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == 2 and "by the launcher of another MPI" in result.stderr, result.stderr
        assert os.listdir(".") == ["sweep.yaml"]
        return
    for variable in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"):
        for args in (["sweep", "sweep.yaml"], ["train", *e2e.SMALL]):
            e2e.fails(2, *args, env={variable: "2"},
                      says=["started as one of 2 processes, but this program was built without MPI"])
    e2e.succeed("sweep", "sweep.yaml", env={"OMPI_COMM_WORLD_SIZE": "1"})


# ---- training ----

FEW = ["--data", "digits", "--limit-train", "45", "--limit-test", "300", "--epochs", "2"]


def train(ranks, *args):
    """Trains on ranks and returns the results document."""
    result = mpirun(ranks, e2e.PROGRAM, "train", "--quiet", "--json", "-", *args)
    assert result.returncode == 0, f"{ranks} ranks: exit {result.returncode}\n{result.stdout}{result.stderr}"
    assert result.stderr == "", result.stderr
    return json.loads(result.stdout)


def outcome(record):
    """What is the same on any number of ranks."""
    epochs = [{k: v for k, v in epoch.items() if k not in ("seconds", "train_seconds")} for epoch in record["epochs"]]
    return [record[key] for key in ("weights_digest", "test_error", "images_trained", "pulses", "arrays")] + [epochs]


def test_trainings_give_the_same_on_any_number_of_ranks():
    # 45 images: the last minibatch of 8 has 5; 1 image, and 2, are fewer than 3 ranks.
    trainings = (("lenet-rpu", 8, 2), ("lenet-rpu", 1, 1), ("lenet-rpu-nm-bm", 2, 1), ("lenet-fp", 8, 1), ("lenet-fp", 1, 2))
    for preset, batch, threads in trainings[::2] if e2e.INSTRUMENTED else trainings:
        args = [preset, *FEW, "--batch", str(batch)]
        alone = e2e.train(*args, "--threads", "1")
        assert alone["ranks"] == 1 and alone["hosts"] == 1
        for ranks in (1, 2, 3):
            shared = train(ranks, *args, "--threads", str(threads))
            assert shared["images_alone"] == 0
            assert shared["ranks"] == ranks and shared["hosts"] == 1 and shared["threads"] == threads
            assert outcome(shared) == outcome(alone), f"{preset}, batch {batch}, {ranks} ranks"


def test_ranks_that_differ_in_threads():
    words = [e2e.PROGRAM, "train", "lenet-fp", *FEW, "--batch", "3", "--quiet", "--json", "-", "--threads"]
    result = mpirun(1, *words, "1", ":", "-n", "1", *words, "2", "--share", "always", "--bind", "compact")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["weights_digest"] == e2e.train("lenet-fp", *FEW, "--batch", "3")["weights_digest"]


def test_one_rank_speaks_and_writes():
    words = ["train", "lenet-fp", *FEW, "--batch", "3", "--out", "runs", "--json", "run.json", "--trace", "trace.json"]
    result = mpirun(3, e2e.PROGRAM, *words, "--threads", "1")
    assert result.returncode == 0 and result.stderr == "", result.stderr
    for text in ("epoch 1/2", "epoch 2/2", "weights digest", "1 thread in each of 3 ranks on 1 host"):
        assert result.stdout.count(text) == 1, f"{text}: {result.stdout}"
    assert sorted(os.listdir(".")) == ["run.json", "runs", "trace.json"]
    assert sorted(os.listdir("runs")) == ["config.yaml", "result.json"]
    assert read_json("run.json") == read_json("runs/result.json")
    names = {event["name"] for event in read_json("trace.json")["traceEvents"]}
    assert {"exchange", "exchange, in", "exchange, out"} <= names, names


def test_ranks_of_one_machine_are_not_bound_to_the_same_places():
    made_up = ["env", "HWLOC_SYNTHETIC=package:2 numanode:2 core:2 pu:2", e2e.PROGRAM, "train", *e2e.SMALL, "--threads", "2",
               "--quiet", "--json", "-"]
    limit = json.loads(e2e.succeed("info", "--json").stdout)["machine"]["time_limit"]
    for ranks, more, bind in ((1, [], "none" if limit else "spread"), (2, [], "none"), (2, ["--bind", "compact"], "compact")):
        result = mpirun(ranks, *made_up, *more)
        assert result.returncode == 0, result.stdout + result.stderr
        assert json.loads(result.stdout)["bind"] == bind, (ranks, more, result.stdout)
    write("sweep.yaml", "data: {limit_train: 40, limit_test: 20}\nrun: {threads: 2}\nseeds: [1, 2]\n")
    result = mpirun(2, *made_up[:2], e2e.PROGRAM, "sweep", "sweep.yaml", "--epochs", "1", "--out", "runs")
    assert result.returncode == 0, result.stdout + result.stderr
    assert [read_json(f"runs/seed={seed}/result.json")["bind"] for seed in (1, 2)] == ["none", "none"]


def test_fewer_images_than_ranks_is_warned_of():
    result = mpirun(3, e2e.PROGRAM, "train", "lenet-fp", *e2e.SMALL, "--batch", "2")
    assert result.returncode == 0 and result.stdout.count("weights digest") == 1, result.stdout + result.stderr
    assert result.stderr.count("warning: 3 ranks share minibatches of 2 images") == 1, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr


def test_errors_of_a_training_are_said_once():
    write("plain", "x")
    for args, code, says in ((["--batch", "0"], 2, "training.batch"), (["--isa", "none"], 2, "--isa"),
                             (["--out", "plain"], 1, "plain"), (["--no-such-option"], 2, "unknown option")):
        result = mpirun(2, e2e.PROGRAM, "train", *FEW, *args)
        assert result.returncode == code, f"{args}: exit {result.returncode}\n{result.stderr}"
        lines = [line for line in result.stderr.splitlines() if line.startswith("rpubench")]
        assert len(lines) == 1 and says in lines[0], f"{args}: {result.stderr}"
        assert result.stdout == "", result.stdout
    assert os.listdir(".") == ["plain"]


def test_ranks_that_differ_are_refused():
    one = [e2e.PROGRAM, "train", *FEW, "--batch", "2"]
    for other, says in ((["--seed", "2"], "configuration"), (["--data", "nowhere"], "rank 1: nowhere: cannot open")):
        result = mpirun(1, *one, ":", "-n", "1", *one, *other)
        assert result.returncode != 0 and result.stderr.count(says) == 1 and result.stdout == "", result.stderr


def test_a_rank_without_memory():
    """Whenever memory ends on a rank, the job ends and says so; no rank waits for another."""
    library = os.environ.get("RPU_TEST_FAULTS", "")
    if not library or e2e.INSTRUMENTED:
        raise e2e.Skipped("faults cannot be injected beside a sanitizer")
    words = [e2e.PROGRAM, "train", "lenet-fp", *FEW[:2], "--limit-train", "4", "--limit-test", "4", "--epochs", "1",
             "--batch", "2", "--threads", "1"]

    def run(faults):
        return mpirun(1, *words, ":", "-n", "1", "env", f"LD_PRELOAD={library}", f"RPU_FAULTS={faults}",
                      "RPU_FAULTS_REPORT=report", *words)
    assert run("alloc=0").returncode == 0
    with open("report", encoding="utf-8") as file:
        count = int(re.search(r"^allocations (\d+)$", file.read(), re.M)[1])
    for number in (1, *(count * k // 8 for k in range(1, 8))):  # that allocation, and all after it
        result = run(f"alloc={number}+")
        assert result.returncode != 0, number
        assert re.search("out of memory|Cannot allocate memory", result.stderr), f"alloc={number}+: {result.stderr}"
        assert "rank 1: : " not in result.stderr, result.stderr


# Images of an epoch: few lines, since mpirun does not read them while it ends ranks, and who cannot write does not stop.
EACH = 40 if e2e.INSTRUMENTED else 1000
LONG = ["lenet-fp", "--data", "digits", "--limit-train", str(EACH), "--limit-test", "20", "--batch", "4",
        "--threads", "1"]


def test_a_rank_of_a_training_that_dies():
    before = train(2, *LONG, "--epochs", "1", "--out", "runs")
    with start(2, *LONG, "--epochs", "100000", "--out", "runs", of="train") as job:
        assert "lenet-fp on digits" in job.stdout.readline()
        until(lambda: "epoch 1/" in job.stdout.readline(), job)
        os.kill(rank_process(job, 1), signal.SIGKILL)
        _, err = job.communicate(timeout=60)
    assert job.returncode not in (0, 130)
    assert re.search(r"rank 1 .*signal 9", err), err
    assert read_json("runs/result.json") == before, "the results of before are still there, whole"
    assert train(3, *LONG, "--epochs", "1", "--out", "runs")["weights_digest"] == before["weights_digest"]


def test_ranks_go_on_from_a_checkpoint():
    """Killed on three ranks, gone on with two, interrupted, ended by a single process: the bits of one alone."""
    alone = e2e.train(*LONG, "--epochs", "8")
    kept = ["--checkpoint-every", f"{EACH // 5}images", "--out", "runs", "--resume"]
    with start(3, *LONG, *kept, "--epochs", "100000", of="train") as job:
        until(lambda: "epoch 2/" in job.stdout.readline(), job)
        os.kill(rank_process(job, 1), signal.SIGKILL)
        job.communicate(timeout=60)
    assert job.returncode not in (0, 130)
    e2e.succeed("inspect", "-q", "runs/checkpoint.safetensors")
    with start(2, *LONG, *kept, "--epochs", "100000", of="train") as job:
        until(lambda: "resumed after" in job.stdout.readline(), job)
        until(lambda: "epoch " in job.stdout.readline(), job)
        job.send_signal(signal.SIGINT)
        check_interrupted(job)
    images = read_json("runs/result.json")["images_trained"]
    assert sorted(os.listdir("runs")) == ["checkpoint.safetensors", "config.yaml", "result.json"]
    epochs = str(max(8, images // EACH + 1))
    if epochs != "8":
        alone = e2e.train(*LONG, "--epochs", epochs)
    for ranks in (2, 1):
        shutil.copytree("runs", f"on{ranks}")
        record = train(ranks, *LONG, "--epochs", epochs, "--resume", "--out", f"on{ranks}")
        assert record["images_resumed"] == images and record["ranks"] == ranks
        assert outcome(record) == outcome(alone), ranks
    with open("runs/checkpoint.safetensors", "r+b") as file:
        file.truncate(1000)
    result = mpirun(3, e2e.PROGRAM, "train", *LONG, "--epochs", epochs, "--resume", "--out", "runs")
    assert result.returncode == 1 and result.stderr.count("runs/checkpoint.safetensors: ") == 1, result.stderr


def check_interrupted(job):
    """The job has been told to stop: rank 0 has written what was finished, at the end of a minibatch."""
    _, err = job.communicate(timeout=60)
    assert job.returncode != 0
    record = read_json("runs/result.json")
    assert record["interrupted"] is True and record["images_trained"] % 4 == 0, err
    finished = len(record["epochs"])
    assert finished >= 1 and finished * EACH <= record["images_trained"] <= (finished + 1) * EACH
    assert sorted(os.listdir("runs")) == ["checkpoint.safetensors", "config.yaml", "result.json"]
    alone = e2e.train(*LONG, "--epochs", "1")
    assert record["epochs"][0]["train_loss"] == alone["epochs"][0]["train_loss"]


def test_interrupt_of_a_training():
    with start(2, *LONG, "--epochs", "100000", "--out", "runs", of="train") as job:
        until(lambda: "epoch 1/" in job.stdout.readline(), job)
        job.send_signal(signal.SIGTERM)
        check_interrupted(job)
    result = mpirun(2, e2e.PROGRAM, "train", *LONG, "--epochs", "100000", "--out", "runs")
    assert result.returncode != 0 and result.stderr.count("--out: found runs/checkpoint.safetensors") == 1, result.stderr
    os.unlink("runs/checkpoint.safetensors")
    # Told to one rank alone, all stop.
    with start(3, *LONG, "--epochs", "100000", "--out", "runs", of="train") as job:
        until(lambda: "epoch 1/" in job.stdout.readline(), job)
        os.kill(rank_process(job, 2), signal.SIGTERM)
        check_interrupted(job)
    assert job.returncode == 130, job.returncode
    # A launcher's two kinds are one interrupt; the second would have killed the rank that has begun to stop.
    shutil.rmtree("runs")
    with start(2, *LONG, "--epochs", "100000", "--out", "runs", of="train") as job:
        until(lambda: "epoch 1/" in job.stdout.readline(), job)
        pid = rank_process(job, 0)
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
        check_interrupted(job)
    assert job.returncode == 130, job.returncode


# ---- sweeps ----

def test_sweeps_give_the_same_on_any_number_of_ranks():
    write("sweep.yaml", GRID)
    e2e.succeed("sweep", "sweep.yaml", "--out", "alone", "--jobs", "1")
    for ranks in (1, 2, 3):
        out = sweep(ranks, "sweep.yaml", "--out", f"on{ranks}").stdout
        assert digests(f"on{ranks}") == digests("alone"), f"{ranks} ranks"
        assert sorted(os.listdir(f"on{ranks}")) == sorted(os.listdir("alone")) and not leftovers(f"on{ranks}")
        for name in runs_in("alone"):
            assert sorted(os.listdir(f"on{ranks}/{name}")) == ["config.yaml", "result.json"]
            with open(f"on{ranks}/{name}/config.yaml", encoding="utf-8") as a, \
                    open(f"alone/{name}/config.yaml", encoding="utf-8") as b:
                assert a.read() == b.read(), name
        assert out.count("4 runs: 4 done") == 1 and "at work" not in out, out
        assert len(re.findall(r"^run [1-4]/4: \S+ done", out, re.M)) == 4, out
        if ranks > 1:
            assert f"{ranks} ranks, 1 thread each" in out, out
        assert "4 kept from before" in sweep(ranks, "sweep.yaml", "--out", "alone").stdout


def test_ranks_share_the_runs():
    write("sweep.yaml", ENDLESS + "seeds: [1, 2, 3, 4]\n")
    with start(3, "sweep.yaml", "--out", "runs") as job:
        until(lambda: all(os.path.exists(f"runs/seed={k}/stderr.log") for k in (1, 2, 3)), job)
        assert not os.path.exists("runs/seed=4"), "one run at a time for each rank"
        job.send_signal(signal.SIGTERM)
        job.communicate(timeout=60)
    assert job.returncode != 0


def test_a_run_that_fails():
    write("sweep.yaml", GRID + "list:\n  data.source: [nowhere, digits]\n")
    for ranks in (2, 3):
        result = mpirun(ranks, e2e.PROGRAM, "sweep", "sweep.yaml", "--out", f"on{ranks}")
        assert result.returncode == 1, result.stdout + result.stderr
        assert sorted(states(f"on{ranks}").values()) == ["done"] * 4 + ["failed"] * 4
        for name in runs_in(f"on{ranks}"):
            there = os.path.exists(f"on{ranks}/{name}/stderr.log")
            assert there == name.startswith("source=nowhere"), name
            assert (f"rpubench sweep: {name} failed with exit code 1: rpubench train: " in result.stderr) == there
        with open(f"on{ranks}/source=nowhere,bl=1,seed=1/stderr.log", encoding="utf-8") as file:
            assert re.fullmatch(r"rpubench train: .*nowhere.*\n", file.read())


def test_errors_end_all_ranks():
    write("bad.yaml", "seeds: [1, x]\n")
    write("sweep.yaml", GRID)
    write("plain", "x")
    for args, says in ((["bad.yaml"], "bad.yaml:1: training.seed: found 'x'"), (["none.yaml"], "cannot be opened"),
                       (["sweep.yaml", "--out", "plain"], "plain"),
                       (["sweep.yaml", "--jobs", "2"], "--jobs: found 2 and 3 ranks; allowed is one of both")):
        result = mpirun(3, e2e.PROGRAM, "sweep", *args)
        assert result.returncode != 0 and result.stderr.count(says) == 1, f"{args}: {result.stderr}"


def test_a_rank_that_dies():
    # The other rank works on until mpirun tells it to stop: more runs than it ends in that second.
    count = 24
    write("sweep.yaml", SLOW + f"seeds: {list(range(1, count + 1))}\n")
    with start(2, "sweep.yaml", "--out", "runs", patience=1) as job:
        until(lambda: os.path.isdir("runs") and any(os.path.exists(f"runs/{name}/result.json")
                                                    for name in os.listdir("runs")), job)
        os.kill(rank_process(job, 1), signal.SIGKILL)
        _, err = job.communicate(timeout=60)
    assert job.returncode not in (0, 130)
    assert re.search(r"rank 1 .*signal 9", err), err
    finished = {}
    for name in runs_in("runs"):
        if os.path.exists(f"runs/{name}/result.json") and not read_json(f"runs/{name}/result.json")["interrupted"]:
            finished[name] = stamp("runs", name)
    assert 1 <= len(finished) < count, finished
    sweep(2, "sweep.yaml", "--out", "runs")
    for name, state in states("runs").items():
        assert state == ("kept" if name in finished else "done"), f"{name}: {state}, finished before: {finished}"
    assert all(stamp("runs", name) == finished[name] for name in finished)
    assert not leftovers("runs")
    alone = e2e.train("--limit-train", "60", "--limit-test", "20", "--epochs", str(EPOCHS), "--seed", "8")
    assert digests("runs")["seed=8"] == alone["weights_digest"]


def test_interrupt():
    write("sweep.yaml", SLOW + "seeds: [1, 2, 3, 4, 5, 6, 7, 8]\n")
    with start(3, "sweep.yaml", "--out", "runs") as job:
        until(lambda: os.path.isdir("runs") and len(runs_in("runs")) > 3, job)
        time.sleep(0.05)
        job.send_signal(signal.SIGINT)
        job.communicate(timeout=60)
    assert job.returncode != 0
    for name in runs_in("runs"):
        if os.path.exists(f"runs/{name}/result.json"):
            assert isinstance(read_json(f"runs/{name}/result.json")["interrupted"], bool)
    sweep(3, "sweep.yaml", "--out", "runs")
    assert set(states("runs").values()) <= {"done", "kept"} and len(states("runs")) == 8


def test_slurm_script():
    command(1)  # skips without MPI
    if len(os.sched_getaffinity(0)) < 2:
        raise e2e.Skipped("a core for each of two ranks is needed")
    script = os.path.join(e2e.ROOT, "tools", "slurm.sh")
    env = {**environment(), "RPUBENCH": e2e.PROGRAM, "SLURM_NTASKS": "2", "SLURM_CPUS_PER_TASK": "1",
           "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    write("sweep.yaml", GRID)

    def slurm(*args):
        return subprocess.run([script, *args], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=120, check=False)

    result = slurm("sweep", "sweep.yaml", "--out", "runs")
    assert result.returncode == 0 and "2 ranks, 1 thread each" in result.stdout, result.stdout + result.stderr
    assert set(states("runs").values()) == {"done"}
    result = slurm("train", "lenet-fp", *e2e.SMALL, "--out", "one")
    assert result.returncode == 0 and result.stdout.count("weights digest") == 1, result.stdout + result.stderr
    record = read_json("one/result.json")
    assert record["threads"] == 1 and record["ranks"] == 2
    del env["SLURM_NTASKS"]
    for args, says in ((["sweep", "sweep.yaml"], "SLURM_NTASKS is not set"), ([], "usage: sbatch"), (["info"], "usage:")):
        result = slurm(*args)
        assert result.returncode == 2 and says in result.stderr and "set -euo" not in result.stderr, result.stderr


if __name__ == "__main__":
    e2e.main(globals())
