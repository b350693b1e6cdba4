# SPDX-License-Identifier: Apache-2.0
"""A reader of checkpoints that shares nothing with the program, and what tests do to such files."""
import ctypes
import ctypes.util
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


def xxh3(data):
    """XXH3-64 as the texts of the metadata have it."""
    library = ctypes.CDLL(ctypes.util.find_library("xxhash"))
    library.XXH3_64bits.restype = ctypes.c_uint64
    library.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return f"{library.XXH3_64bits(data, len(data)):020d}"


def forge(path, out, change):
    """Writes a checkpoint as `change` leaves metadata and entries of another, with checksums that say so."""
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    entries, body = json.loads(data[8:8 + length]), data[8 + length:]
    metadata = entries.pop("__metadata__")
    entries = change(metadata, entries) or entries
    metadata["tensors_xxh3"] = xxh3(body)
    del metadata["header_xxh3"]
    header = json.dumps({"__metadata__": {"header_xxh3": "0" * 20, **metadata}, **entries}).encode()
    header += b" " * (-len(header) % 8)
    header = header.replace(b"0" * 20, xxh3(header).encode(), 1)
    with open(out, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + body)


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at, 2 if at < 0 else 0)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 0x10]))
