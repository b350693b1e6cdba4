#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A long training on generated digits, with memory that is filled with a pattern when it is allocated and when it is freed
(MALLOC_PERTURB_ of the C library): resident memory after the first epoch may not grow, and the weights may not depend on
the pattern.

usage: soak.py [PROGRAM] [--epochs N] [--images N] [--threads T] [--growth PERCENT]

Ends with a line of figures; the exit code is 1 when memory grew by more, or when the weights differ."""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATTERNS = (85, 170)


def resident(pid):
    """Resident memory in KiB; None when the process has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            found = re.search(r"^VmRSS:\s*(\d+) kB", file.read(), re.MULTILINE)
    except OSError:
        return None
    return int(found.group(1)) if found else None


def train(args, pattern, out):
    """Resident memory at the end of each epoch, and the digest of the weights."""
    command = [args.program, "train", "lenet-rpu", "--data", "digits", "--epochs", str(args.epochs), "--limit-train",
               str(args.images), "--limit-test", str(max(1, args.images // 6)), "--threads", str(args.threads), "--out", out]
    environment = {k: v for k, v in os.environ.items() if k not in ("RPU_ISA", "OMP_NUM_THREADS")}
    sizes = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                          env={**environment, "MALLOC_PERTURB_": str(pattern)}) as child:
        for line in child.stdout:
            if line.startswith("epoch "):
                sizes.append(resident(child.pid))
    if child.returncode != 0 or len(sizes) != args.epochs:
        sys.exit(f"soak.py: the training ended with {child.returncode} after {len(sizes)} epochs")
    with open(os.path.join(out, "result.json"), encoding="utf-8") as file:
        return [size for size in sizes if size], json.load(file)["weights_digest"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=os.path.join(ROOT, "build", "rpubench"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images", type=int, default=60000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--growth", type=float, default=1.0, metavar="PERCENT", help="most that is allowed; default: 1")
    args = parser.parse_args()
    if args.epochs < 3 or args.images < 1:
        parser.error("at least three epochs, and an image")
    began, growth, first, digests = time.monotonic(), 0.0, 0, []
    for pattern in PATTERNS:
        with tempfile.TemporaryDirectory(prefix="rpubench-soak-") as folder:
            sizes, digest = train(args, pattern, os.path.join(folder, "run"))
        first = sizes[0]
        growth = max(growth, 100.0 * (max(sizes) - first) / first)
        digests.append(digest)
    same = len(set(digests)) == 1
    print(f"{args.epochs} epochs of {args.images} digits, {args.threads} threads, {len(PATTERNS)} patterns: "
          f"{first} KiB resident after the first epoch, growth {growth:.2f} %, "
          f"weights {'the same, ' + digests[0] if same else 'DIFFERENT: ' + ' and '.join(digests)}, "
          f"{time.monotonic() - began:.0f} s")
    return 0 if same and growth <= args.growth else 1


if __name__ == "__main__":
    sys.exit(main())
