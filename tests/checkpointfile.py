# SPDX-License-Identifier: Apache-2.0
"""A reader of checkpoints that shares nothing with the program, and what tests do to such files."""
import json
import struct


def read(path):
    """Header and, for each tensor, its values as lists of rows."""
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    body = data[8 + length:]
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        assert entry["dtype"] == "F32", entry
        rows, cols = entry["shape"]
        begin, end = entry["data_offsets"]
        flat = struct.unpack(f"<{(end - begin) // 4}f", body[begin:end])
        assert len(flat) == rows * cols
        tensors[name] = [flat[r * cols:(r + 1) * cols] for r in range(rows)]
    return metadata, tensors


def values(tensors, array, quantity):
    """All values of a quantity of an array, over its tiles."""
    found = []
    for name, rows in tensors.items():
        if name.split(".")[0] == array and name.split(".")[2] == quantity:
            found += [v for row in rows for v in row]
    return found


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at, 2 if at < 0 else 0)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 0x10]))
