# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: running the program, and running tests by name.

Each test file is called as: FILE PROGRAM [NAME OF A TEST]...
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ""
# A program that looks after itself is slower by an order of magnitude: what repeats something does it less often there.
INSTRUMENTED = os.path.isfile(PROGRAM) and b"__asan_init" in open(PROGRAM, "rb").read()
# A training small enough to be run many times.
SMALL = ["--data", "digits", "--limit-train", "40", "--limit-test", "20", "--epochs", "1"]


class Skipped(Exception):
    """Raised by a test that cannot run here."""


def environment(extra=None):
    env = {k: v for k, v in os.environ.items() if k not in ("RPU_ISA", "OMP_NUM_THREADS")}
    env.update(extra or {})
    return env


def run(*args, env=None, timeout=500, **more):
    """Runs the program; result.returncode, .stdout and .stderr as text."""
    return subprocess.run([PROGRAM, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
                          env=environment(env), check=False, **more)


def succeed(*args, **more):
    result = run(*args, **more)
    assert result.returncode == 0, f"{args}: exit {result.returncode}\n{result.stderr}"
    return result


def train(*args, **more):
    """Trains and returns the results document."""
    return json.loads(succeed("train", "--quiet", "--json", "-", *args, **more).stdout)


def halt(pid):
    """Stops a process; returns when it stands still."""
    os.kill(pid, signal.SIGSTOP)
    while True:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            if file.read().rpartition(")")[2].split()[0] in "TZX":
                return
        time.sleep(0.001)


def begun(arguments, line):
    """A started program that has printed a line with this text; to be used as a context."""
    child = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env=environment())
    while line not in child.stdout.readline():
        assert child.poll() is None, child.communicate()
    return child


def fails(code, *args, says=(), **more):
    """Checks that the program fails with this code and names these things on standard error, and only there."""
    result = run(*args, **more)
    assert result.returncode == code, f"{args}: exit {result.returncode}, expected {code}\n{result.stderr}"
    for text in says:
        assert text in result.stderr, f"{args}: '{text}' is missing in: {result.stderr}"
    assert result.stderr.startswith("rpubench"), result.stderr
    return result


def variants():
    """Names of the kernel variants that this machine can run."""
    return json.loads(succeed("info", "--json").stdout)["variants_usable"]


def presets():
    return [line.split()[0] for line in succeed("presets").stdout.splitlines()]


MNIST_FILES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
               "t10k-labels-idx1-ubyte"]


def mnist():
    """The folder of MNIST; skips the test where the four files, each plain or gzip, are not there."""
    folder = os.environ.get("RPU_MNIST_DIR") or os.path.join(os.path.dirname(ROOT), "shared", "data", "mnist")
    paths = [os.path.join(folder, name) for name in MNIST_FILES]
    if not all(os.path.isfile(path) or os.path.isfile(path + ".gz") for path in paths):
        raise Skipped(f"no MNIST in {folder}; RPU_MNIST_DIR names a folder that has it")
    return folder


def main(tests):
    """Runs all functions test_* of a dictionary, or those named on the command line, each in an empty folder."""
    names = sys.argv[2:] or [name for name in tests if name.startswith("test_")]
    failed = skipped = 0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            began = time.monotonic()
            try:
                tests[name]()
                print(f"[       OK ] {name} ({time.monotonic() - began:.1f} s)", flush=True)
            except Skipped as why:
                skipped += 1
                print(f"[  SKIPPED ] {name}: {why}", flush=True)
            except Exception:  # pylint: disable=broad-except
                failed += 1
                traceback.print_exc(file=sys.stdout)
                print(f"[  FAILED  ] {name}", flush=True)
                print(f"run it alone: {' '.join(sys.argv[:2])} {name}", flush=True)
            os.chdir("/")
    sys.exit(1 if failed else 77 if skipped == len(names) else 0)
