#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What trainings take of memory."""
import os
import re
import signal
import subprocess
import time

import e2e

NETWORK = """
preset: lenet-rpu
network:
  layers:
    - {type: fc, name: A, outputs: 4095}
    - {type: fc, name: B, outputs: %d}
    - {type: fc, name: C, outputs: 10}
    - {type: softmax}
"""


def most_memory(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return 1024 * int(re.search(r"^VmHWM:\s*(\d+) kB", file.read(), re.M)[1])


def test_memory_of_lenet():
    """With all of MNIST loaded, less than 150 MB."""
    for more in (["--threads", "1"], ["--threads", "2", "--batch", "64"]):
        with e2e.begun(["train", "lenet-rpu", "--data", e2e.mnist(), *more], "60000 training") as child:
            time.sleep(1)  # some hundred images
            most = most_memory(child.pid)
            child.send_signal(signal.SIGINT)
            child.communicate(timeout=60)
        assert 55_000_000 < most < 150_000_000, f"{more}: {most} bytes"


def test_memory_of_a_large_array():
    """At most 12 bytes for a crosspoint with all its parameters; beside them the vectors of a read."""
    most = []
    for outputs in (16, 4096):
        with open("net.yaml", "w", encoding="utf-8") as file:
            file.write(NETWORK % outputs)
        child = subprocess.Popen([e2e.PROGRAM, "train", "net.yaml", "--quiet", "--threads", "1", *e2e.SMALL[:2], "--limit-train",
                                  "4", "--limit-test", "4", "--epochs", "1"], env=e2e.environment())
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        most.append(1024 * usage.ru_maxrss)
    crosspoints = 4096 * (4096 - 16)
    assert 11 * crosspoints < most[1] - most[0] < 12 * crosspoints + 2_000_000, most


if __name__ == "__main__":
    e2e.main(globals())
