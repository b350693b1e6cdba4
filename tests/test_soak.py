#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The long training in a short form, and that it finds what it looks for."""
import os
import subprocess

import e2e

SOAK = os.path.join(e2e.ROOT, "tools", "soak.py")


def soak(program, *args):
    result = subprocess.run([SOAK, program, *args], capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


def test_memory_and_weights():
    code, said = soak(e2e.PROGRAM, "--images", "300")
    assert code == 0 and "weights the same" in said, said


def liar(grows, digest):
    """A program that says what a training says; `digest` is an expression in Python."""
    with open("liar", "w", encoding="utf-8") as file:
        file.write(f'''#!/usr/bin/python3
import json, os, sys, time
kept = []
for epoch in range(3):
    kept.append(bytearray({grows}))
    print("epoch", epoch, flush=True)
    time.sleep(0.2)
out = sys.argv[sys.argv.index("--out") + 1]
os.makedirs(out)
with open(out + "/result.json", "w") as file:
    json.dump({{"weights_digest": {digest}}}, file)
''')
    os.chmod("liar", 0o755)
    return "./liar"


def test_finds_growth():
    code, said = soak(liar(0, "'a'"), "--epochs", "3")
    assert code == 0, said
    code, said = soak(liar(4 << 20, "'a'"), "--epochs", "3")
    assert code == 1 and "growth 0.00" not in said, said


def test_finds_weights_that_depend_on_memory():
    code, said = soak(liar(0, "os.environ['MALLOC_PERTURB_']"), "--epochs", "3")
    assert code == 1 and "DIFFERENT" in said, said


if __name__ == "__main__":
    e2e.main(globals())
