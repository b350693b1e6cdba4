#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in the Python package `safetensors`: from PyPI, in an environment of its own beside the program, or of
the interpreter that $RPU_SAFETENSORS_PYTHON names. Skipped where neither can be had."""
import json
import os
import shutil
import struct
import subprocess
import sys

import checkpointfile
import e2e

READ = """
import json, sys
from safetensors import safe_open
with safe_open(sys.argv[1], framework="np") as file:
    tensors = {name: file.get_tensor(name) for name in file.keys()}
    print(json.dumps({"metadata": file.metadata(), "tensors": {k: [str(v.dtype), v.shape, v.tobytes().hex()]
                                                               for k, v in tensors.items()}}))
"""
IMPORT = "import numpy, safetensors; print(safetensors.__version__)"


def has_package(python):
    return subprocess.run([python, "-c", IMPORT], capture_output=True, check=False).returncode == 0


def interpreter():
    named = os.environ.get("RPU_SAFETENSORS_PYTHON")
    folder = os.path.join(os.path.dirname(e2e.PROGRAM), "safetensors-python")
    python = named or os.path.join(folder, "bin", "python")
    if os.path.exists(python) and has_package(python):
        return python
    if named:
        raise e2e.Skipped(f"{named} has no safetensors and numpy")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", folder], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise e2e.Skipped("no environment can be made (python3-venv is not installed)")
    got = subprocess.run([python, "-m", "pip", "install", "--quiet", "--timeout", "15", "--retries", "1", "safetensors",
                          "numpy"], capture_output=True, text=True, check=False)
    if got.returncode != 0:
        raise e2e.Skipped(f"safetensors cannot be installed: {got.stderr.strip().splitlines()[-1:]}")
    return python


def test_the_package_reads_it():
    python = interpreter()
    for preset, more in (("lenet-rpu", ["--set", "arrays.W3.max_cols=100"]), ("lenet-fp", [])):
        shutil.rmtree("run", ignore_errors=True)
        e2e.succeed("train", preset, *e2e.SMALL, "--quiet", "--out", "run", "--checkpoint-every", "1epoch", *more)
        path = "run/checkpoint.safetensors"
        result = subprocess.run([python, "-c", READ, path], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        theirs = json.loads(result.stdout)
        metadata, tensors = checkpointfile.read(path)
        assert theirs["metadata"] == metadata and all(isinstance(v, str) for v in metadata.values())
        assert set(theirs["tensors"]) == set(tensors) and len(tensors) == (4 if preset == "lenet-fp" else 5 * 9)
        for name, (dtype, shape, data) in theirs["tensors"].items():
            assert dtype == "float32" and shape == [len(tensors[name]), len(tensors[name][0])], name
            flat = [v for row in tensors[name] for v in row]
            assert bytes.fromhex(data) == struct.pack(f"<{len(flat)}f", *flat), name
        # the texts are what the documentation says
        assert json.loads(metadata["config"])["network"] and json.loads(metadata["progress"])["epoch_images"] == 0
        assert [e["epoch"] for e in json.loads(metadata["history"])] == [1]
        for key in ("step", "epoch", "tensors_xxh3", "header_xxh3", "training_set_xxh3", "test_set_xxh3"):
            assert 0 <= int(metadata[key]) < 1 << 64, key


if __name__ == "__main__":
    e2e.main(globals())
