#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Faults of the system, one at a time, in commands of the program: each allocation fails, each system call that opens,
reads, writes, syncs, closes or renames. A command then says what was wrong, fails, leaves every old file whole and nothing
half written; or it does without, and comes to the same. Faults are made by tests/faults/inject.c, loaded before the program.

usage: fault_check.py [PROGRAM] [--preload FILE] [--step N] [--only WORD]

--step takes each N-th allocation and call alone. Ends with a table of figures; the exit code is 1 when a fault did damage.
"""
import argparse
import collections
import errno
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SMALL = ["--data", "digits", "--limit-train", "6", "--limit-test", "3", "--epochs", "1"]
NET = """network:
  layers:
  - {type: conv, outputs: 2, kernel: 9, stride: 4}
  - {type: tanh}
  - {type: fc, outputs: 10}
  - {type: softmax}
"""
SWEEP = "base: net.yaml\ntraining: {epochs: 1}\ndata: {source: digits, limit_train: 6, limit_test: 3}\nseeds: [1, 2]\n"
# Commands by name; each is run in a copy of the folder that prepare() makes.
COMMANDS = {
    "train": ["train", "net.yaml", *SMALL, "--out", "plain", "--json", "new.json", "--trace", "trace.json",
              "--checkpoint-every", "3images"],
    "resume": ["train", "net.yaml", *SMALL, "--epochs", "2", "--out", "old", "--resume", "--quiet"],
    "idx": ["train", "net.yaml", "--data", "images", "--epochs", "1", "--json", "-", "--quiet"],
    "eval": ["eval", "old/checkpoint.safetensors", "--json", "new.json"],
    "inspect": ["inspect", "old/checkpoint.safetensors", "--json", "-", "--quiet"],
    "map": ["map", "--net", "lenet-rpu", "--rereads", "old.json", "--json", "new.json"],
    "compare": ["compare", "a.json", "b.json", "--json", "new.json"],
    "sweep": ["sweep", "sweep.yaml", "--out", "runs", "--jobs", "1"],
    "presets": ["presets", "lenet-rpu"],
    "info": ["info", "--json"],
}
# In what ways system calls fail.
WAYS = {"write": ("ENOSPC", "EIO"), "fsync": ("EIO", "ENOSPC"), "rename": ("EACCES", "EIO"), "openat": ("EMFILE", "EACCES"),
        "read": ("EIO",), "close": ("EIO",)}
# What may fail without a failure of the command, if that comes to the same: who looks for facts about the machine.
TOLERATED_CALLS = ("openat", "read", "close")


def environment(extra=None):
    env = {k: v for k, v in os.environ.items() if k not in ("RPU_ISA", "OMP_NUM_THREADS")}
    # the sanitizer's library has to come second; the leaks of a program that fails are looked for by test_faults
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0:detect_leaks=0"
    env.update(extra or {})
    return env


def benchmark(name, time):
    row = {"name": name, "run_name": name, "run_type": "iteration", "real_time": time, "cpu_time": time, "time_unit": "ns"}
    return {"context": {"cpu": name}, "benchmarks": [row, {**row, "real_time": time + 1.25}]}


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def plain(value):
    """A document without what differs from run to run, and what hwloc and libc say of the machine, who do without."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()
                if not re.search("second|^date$|^ns_per|^cpu$|^machine$|^places$|^threads$|^time_limit$", k)}
    return [plain(v) for v in value] if isinstance(value, list) else value


class Check:
    """Runs of one program with faults."""

    def __init__(self, program, preload):
        self.program, self.preload = os.path.abspath(program), os.path.abspath(preload)
        self.folder = tempfile.mkdtemp(prefix="rpubench-fault-")
        self.master, self.work = os.path.join(self.folder, "master"), os.path.join(self.folder, "work")
        self.report_path = os.path.join(self.folder, "report")
        self.failures = 0
        self.counts = collections.Counter()
        self.prepare()

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, args, faults=None, cwd=None):
        """Runs the program; .report is what the faults came to."""
        more = {"LD_PRELOAD": self.preload, "RPU_FAULTS": faults, "RPU_FAULTS_REPORT": self.report_path} if faults else {}
        if os.path.exists(self.report_path):
            os.remove(self.report_path)
        result = subprocess.run([self.program, *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=300,
                                env=environment(more), check=False, cwd=cwd or self.work)
        result.stdout, result.stderr = result.stdout.decode(errors="replace"), result.stderr.decode(errors="replace")
        result.report = {}
        if os.path.exists(self.report_path):
            for line in read(self.report_path).decode().splitlines():
                key, value = line.rsplit(" ", 1)
                result.report[key] = int(value)
        return result

    def prepare(self):
        """The folder that every command starts from: results of trainings, images, benchmarks, a sweep."""
        os.makedirs(self.master)
        os.makedirs(os.path.join(self.master, "images"))
        write(os.path.join(self.master, "net.yaml"), NET)
        write(os.path.join(self.master, "sweep.yaml"), SWEEP)
        write(os.path.join(self.master, "a.json"), json.dumps(benchmark("kernel/tanh", 1.5)))
        write(os.path.join(self.master, "b.json"), json.dumps(benchmark("kernel/tanh", 2.5)))
        for name in ("train", "t10k"):
            with open(os.path.join(self.master, "images", f"{name}-images-idx3-ubyte"), "wb") as file:
                file.write(bytes([0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes(i % 256 for i in range(3136)))
            with open(os.path.join(self.master, "images", f"{name}-labels-idx1-ubyte"), "wb") as file:
                file.write(bytes([0, 0, 8, 1, 0, 0, 0, 4, 0, 1, 2, 9]))
        for args in (["train", "net.yaml", *SMALL, "--out", "old", "--checkpoint-every", "1epoch", "--quiet"],
                     ["train", "net.yaml", *SMALL, "--out", "plain", "--quiet"],
                     ["train", "lenet-rpu", *SMALL, "--json", "old.json", "--quiet"]):
            result = self.run(args, cwd=self.master)
            assert result.returncode == 0, result.stderr
        write(os.path.join(self.master, "new.json"), "\"old\"")

    def fresh(self):
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.master, self.work)

    def files(self, folder):
        """Names below the folder and contents."""
        return {os.path.relpath(os.path.join(where, name), folder): read(os.path.join(where, name))
                for where, _, names in os.walk(folder) for name in names}

    def outcome(self, result):
        """What a command that succeeds comes to, without times."""
        found = {name: content for name, content in self.files(self.work).items()
                 if name.endswith((".json", ".csv", ".yaml")) and "trace" not in name}
        text = result.stdout if result.stdout.startswith("{") else ""
        documents = {name: plain(json.loads(content)) for name, content in found.items() if name.endswith(".json")}
        weights = {name: re.findall(rb'"(?:step|tensors_xxh3)": "\d+"', content)
                   for name, content in self.files(self.work).items() if name.endswith(".safetensors")}
        return documents, weights, sorted(self.files(self.work)), plain(json.loads(text)) if text else None

    def damage(self, before):
        """What is wrong with the files after a command: half written ones, old ones that are neither old nor whole."""
        after = self.files(self.work)
        for name, content in after.items():
            if ".tmp-" in name:
                return f"left behind: {name}"
            if content == before.get(name) or name.endswith(("log.txt", "train.log")):
                continue
            if name.endswith(".json"):
                try:
                    json.loads(content)
                except ValueError:
                    return f"no JSON: {name}"
            elif name.endswith(".safetensors"):
                if self.run(["inspect", "--quiet", name]).returncode != 0:
                    return f"damaged: {name}"
            elif not content and name.endswith(".yaml"):
                return f"empty: {name}"
        gone = [name for name in before if name not in after]
        return f"gone: {gone}" if gone else None

    def complain(self, name, faults, what, result):
        self.failures += 1
        print(f"FAILED: {name} with RPU_FAULTS={faults}: {what}\n  exit {result.returncode}, {result.stderr.strip()!r}",
              flush=True)

    def hurt(self, name, faults, wanted, may_succeed, message):
        """One run with a fault; whether there was one."""
        self.fresh()
        before = self.files(self.work)
        result = self.run(COMMANDS[name], faults)
        made = result.report.get("injected", 0) + sum(v for k, v in result.report.items() if k.startswith("failed "))
        wrong = self.damage(before)
        if result.returncode < 0 or result.returncode >= 99 or not result.report:
            wrong = "does not end by itself"
        elif not wrong and not made and result.returncode != 0:
            wrong = "fails without a fault"
        elif not wrong and made and result.returncode == 0:
            if not may_succeed:
                wrong = "succeeds"
            elif self.outcome(result) != wanted:
                wrong = "succeeds, and comes to something else"
        elif not wrong and made and not re.search(message, result.stderr):
            wrong = "says something else"
        if wrong:
            self.complain(name, faults, wrong, result)
        return made

    def never(self, kinds):
        """Of these kinds of faults those of which none was made: what was to make them does nothing."""
        return [kind for kind in kinds if not self.counts[kind]]

    def walk_memory(self, name, step):
        """Each allocation fails, alone and with all after it."""
        self.fresh()
        result = self.run(COMMANDS[name], "alloc=0")
        assert result.returncode == 0, f"{name}: {result.stderr}"
        wanted, n = self.outcome(result), result.report["allocations"]
        if n == 0:
            return 0
        for plus in ("", "+"):
            for nth in range(1, n + 1, step):
                if self.hurt(name, f"alloc={nth}{plus}", wanted, True, r"[Mm]emory"):
                    self.counts["memory"] += 1
        return n

    def walk_calls(self, name, step, step_written=1):
        """Each system call fails, in the ways in which it may; of those that write, each `step_written`-th."""
        self.fresh()
        result = self.run(COMMANDS[name], "short=1000000000")
        assert result.returncode == 0, f"{name}: {result.stderr}"
        wanted = self.outcome(result)
        for call, errors in WAYS.items():
            n = result.report[f"calls {call}"]
            for error in errors:
                for plus in ("", "+"):
                    for nth in range(1, n + 1, step if call in TOLERATED_CALLS else step_written):
                        if self.hurt(name, f"{call}={getattr(errno, error)}:{nth}{plus}", wanted,
                                     call in TOLERATED_CALLS, "rpubench"):
                            self.counts[call] += 1

    def partly(self, name):
        """Short reads and writes, and calls that signals interrupt: the command comes to the same."""
        self.fresh()
        result = self.run(COMMANDS[name])
        assert result.returncode == 0, f"{name}: {result.stderr}"
        wanted = self.outcome(result)
        for faults, what in (("short=1", "short"), ("short=7", "short"), ("short=1000", "short"),
                             ("interrupts=2", "interrupts"), ("interrupts=3", "interrupts"),
                             ("short=5,interrupts=2", "interrupts")):
            self.fresh()
            result = self.run(COMMANDS[name], faults)
            if result.returncode != 0 or self.outcome(result) != wanted:
                self.complain(name, faults, "does not come to the same", result)
            self.counts[what] += result.report.get("injected", 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("program", nargs="?", default=os.path.join(ROOT, "build", "rpubench"))
    parser.add_argument("--preload", metavar="FILE", default=os.path.join(ROOT, "build", "tests", "libfaults_preload.so"))
    parser.add_argument("--step", type=int, default=1, help="each N-th allocation and call alone (default: 1)")
    parser.add_argument("--only", default="", help="commands whose names have this word")
    args = parser.parse_args()
    check = Check(args.program, args.preload)
    try:
        for name in COMMANDS:
            if args.only in name:
                n = check.walk_memory(name, args.step)
                check.walk_calls(name, args.step)
                check.partly(name)
                print(f"{name}: {n} allocations; so far {dict(check.counts)}, {check.failures} failures", flush=True)
    finally:
        check.close()
    never = [] if args.only else check.never(["memory", *WAYS, "short", "interrupts"])
    if never:
        print("FAILED: no faults of these kinds were made:", ", ".join(never))
    sys.exit(1 if check.failures or never else 0)


if __name__ == "__main__":
    main()
