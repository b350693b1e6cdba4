#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Kills trainings at random moments (SIGKILL), lets them go on from their checkpoints, and compares what they end with:
weights, history and counts have to be those of a training that was left alone, for any moment, number of threads and
kernel variant. After each kill the checkpoint that is there has to be whole.

usage: kill_check.py [PROGRAM] [--moments N] [--seed S]

Ends with a line of figures; the exit code is 1 when a training came to another end.
"""
import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TRAINING = ["--data", "digits", "--limit-train", "60", "--limit-test", "20", "--epochs", "3", "--quiet"]
EVERY = ("1images", "7images", "1epoch")


def environment():
    return {k: v for k, v in os.environ.items() if k not in ("RPU_ISA", "OMP_NUM_THREADS")}


def outcome(path):
    """What has to be the same: everything but times and provenance."""
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    for epoch in result["epochs"]:
        del epoch["seconds"], epoch["train_seconds"]
    return {key: result[key] for key in ("epochs", "pulses", "images_trained", "test_error", "weights_digest",
                                         "interrupted", "diverged")}


class Check:
    def __init__(self, program, rng):
        self.program, self.rng = program, rng
        self.folder = tempfile.mkdtemp(prefix="rpubench-kill-")
        self.kills = self.before_first = self.half_written = self.trainings = self.failures = 0
        self.seen = set()  # half-written files that earlier kills left
        self.alone, self.lasts = {}, {}
        self.isas = json.loads(self.run("info", "--json").stdout)["variants_usable"]

    def run(self, *args):
        return subprocess.run([self.program, *args], capture_output=True, text=True, env=environment(), check=False)

    def reference(self, options, every):
        """The outcome of a training that is left alone, and how long one with checkpoints lasts."""
        if options not in self.alone:
            out = os.path.join(self.folder, f"alone-{len(self.alone)}")
            result = self.run("train", *options, *TRAINING, "--out", out)
            assert result.returncode == 0, result.stderr
            self.alone[options] = outcome(os.path.join(out, "result.json"))
        if (options, every) not in self.lasts:
            out, began = os.path.join(self.folder, "timed"), time.monotonic()
            result = self.run("train", *options, *TRAINING, "--out", out, "--checkpoint-every", every)
            assert result.returncode == 0, result.stderr
            self.lasts[options, every] = time.monotonic() - began
            shutil.rmtree(out)
        return self.alone[options], self.lasts[options, every]

    def report(self, command, what):
        self.failures += 1
        print(f"FAILED: {what}\n  {' '.join(command)}", flush=True)

    def look_at(self, out, command):
        """After a kill: the checkpoint is whole, or there is none."""
        checkpoint = os.path.join(out, "checkpoint.safetensors")
        names = os.listdir(out) if os.path.isdir(out) else []
        half = {n for n in names if n.startswith(".checkpoint.safetensors.tmp-")}
        self.half_written += bool(half - self.seen)
        self.seen = half
        if not os.path.exists(checkpoint):
            self.before_first += 1
            return
        result = self.run("inspect", "--quiet", checkpoint)
        if result.returncode != 0:
            self.report(command, f"damaged: {result.stderr}")

    def training(self, most):
        """One training, killed until it comes to its end, at most so often."""
        options = (self.rng.choice(("lenet-rpu", "lenet-rpu", "lenet-fp")), "--batch", self.rng.choice(("1", "5")))
        every = self.rng.choice(EVERY)
        alone, lasts = self.reference(options, every)
        out = os.path.join(self.folder, f"run-{self.trainings}")
        self.trainings += 1
        killed = 0
        while True:
            command = [self.program, "train", *options, *TRAINING, "--out", out, "--checkpoint-every", every, "--resume",
                       "--threads", self.rng.choice("123"), "--isa", self.rng.choice(self.isas)]
            child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment())
            if killed < most:
                time.sleep(self.rng.uniform(0.0, lasts))
                child.kill()
            _, err = child.communicate()
            if child.returncode != -9:
                break
            killed += 1
            self.kills += 1
            self.look_at(out, command)
        if child.returncode != 0:
            self.report(command, f"exit code {child.returncode}: {err}")
        elif outcome(os.path.join(out, "result.json")) != alone:
            self.report(command, "another outcome than that of a training left alone")
        elif [n for n in os.listdir(out) if ".tmp-" in n]:
            self.report(command, f"left behind: {os.listdir(out)}")
        shutil.rmtree(out, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("program", nargs="?", default=os.path.join(ROOT, "build", "rpubench"))
    parser.add_argument("--moments", type=int, default=500, help="kills (default: 500)")
    parser.add_argument("--seed", type=int, default=None, help="of the moments; default: another each time")
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1 << 32)
    check = Check(os.path.abspath(args.program), random.Random(seed))
    try:
        while check.kills < args.moments:
            check.training(min(4, args.moments - check.kills))
    finally:
        shutil.rmtree(check.folder, ignore_errors=True)
    print(f"{check.kills} moments of SIGKILL in {check.trainings} trainings (seed {seed}): {check.before_first} before the "
          f"first checkpoint, {check.half_written} within the writing of one; {check.failures} failures")
    sys.exit(1 if check.failures else 0)


if __name__ == "__main__":
    main()
