#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs of several processes: exchange between ranks, sweeps over 1, 2 and 3 of them, a rank that dies.

Environment: RPU_TEST_MPI=yes when the program was built with MPI; RPU_TEST_DIST, the program of test_dist.c.
"""
import os
import re
import shutil
import signal
import subprocess
import time

import e2e
from test_sweep import GRID, SLOW, children, leftovers, read_json, runs_in, stamp, states, table, until, write

BUILT = os.environ.get("RPU_TEST_MPI") == "yes"


def environment():
    env = e2e.environment()
    # Shared memory without the system call that containers forbid.
    env["OMPI_MCA_btl_vader_single_copy_mechanism"] = "none"
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


def start(ranks, *args):
    return subprocess.Popen(command(ranks, e2e.PROGRAM, "sweep", *args), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())


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
        e2e.fails(2, "sweep", "sweep.yaml", env={variable: "2"},
                  says=["started as one of 2 processes, but this program was built without MPI"])
    e2e.succeed("sweep", "sweep.yaml", env={"OMPI_COMM_WORLD_SIZE": "1"})


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
        if ranks > 1:
            assert f"{ranks} ranks, 1 thread each" in out, out
        assert "4 kept from before" in sweep(ranks, "sweep.yaml", "--out", "alone").stdout


def test_ranks_share_the_runs():
    write("sweep.yaml", SLOW.replace("30", "100000") + "seeds: [1, 2, 3, 4]\n")
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
    write("sweep.yaml", SLOW + "seeds: [1, 2, 3, 4, 5, 6, 7, 8]\n")
    with start(2, "sweep.yaml", "--out", "runs") as job:
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
    assert 1 <= len(finished) < 8, finished
    sweep(2, "sweep.yaml", "--out", "runs")
    for name, state in states("runs").items():
        assert state == ("kept" if name in finished else "done"), f"{name}: {state}, finished before: {finished}"
    assert all(stamp("runs", name) == finished[name] for name in finished)
    assert not leftovers("runs")
    alone = e2e.train("--limit-train", "60", "--limit-test", "20", "--epochs", "30", "--seed", "8")
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
    assert set(states("runs").values()) == {"done", "kept"} and len(states("runs")) == 8


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
    assert read_json("one/result.json")["threads"] == 1
    del env["SLURM_NTASKS"]
    for args, says in ((["sweep", "sweep.yaml"], "SLURM_NTASKS is not set"), ([], "usage: sbatch"), (["info"], "usage:")):
        result = slurm(*args)
        assert result.returncode == 2 and says in result.stderr and "set -euo" not in result.stderr, result.stderr


if __name__ == "__main__":
    e2e.main(globals())
