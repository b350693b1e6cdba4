#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The short version of the paper's experiments: trainings on generated digits come in the expected order.

Test errors of four models, means over three epochs of 20,000 digits and three seeds; margins and how often other random
numbers would miss them stand in tools/paper.py. The same seeds always give the same errors."""
import os
import re
import subprocess
import sys

import e2e

SCRIPT = os.path.join(e2e.ROOT, "tools", "paper.py")


def test_order():
    result = subprocess.run([sys.executable, SCRIPT, "--quick", "--rpubench", e2e.PROGRAM, "--out", "runs"],
                            capture_output=True, text=True, env=e2e.environment(), check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    for better, worse, factor in (("nm-bm", "baseline", 2.0), ("nm-bm", "bm", 2.0), ("um-bl1", "nm-bm", 1.0)):
        line = re.search(rf"^{worse} ([\d.]+) %, {better} ([\d.]+) %: as expected", result.stdout, re.M)
        assert line and float(line[1]) > factor * float(line[2]), result.stdout
        print(line[0])


if __name__ == "__main__":
    e2e.main(globals())
