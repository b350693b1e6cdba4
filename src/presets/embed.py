#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns preset files into C: embed.py OUTPUT FILE.yaml... The first line of each is "# NAME: summary"."""
import pathlib
import re
import sys


def bytes_of(text):
    """Initializer of a zero-terminated array; a string literal of this size is beyond what C compilers must take."""
    numbers = [str(b) for b in text.encode()] + ["0"]
    return ",\n    ".join(", ".join(numbers[i : i + 24]) for i in range(0, len(numbers), 24))


def main(output, paths):
    arrays, rows = [], []
    for index, path in enumerate(map(pathlib.Path, paths)):
        text = path.read_text(encoding="utf-8")
        head = re.match(r"# ([a-z0-9-]+): ([^\n\"\\]+)\n", text)
        if not head or head[1] != path.stem:
            sys.exit(f'{path}:1: the first line must be "# {path.stem}: summary"')
        arrays.append(f"static const char text_{index}[] = {{\n    {bytes_of(text)}}};\n")
        rows.append(f'    {{"{head[1]}", "{head[2]}", text_{index}}},\n')
    pathlib.Path(output).write_text(
        '#include "config_table.h"\n\n'
        + "".join(arrays)
        + "\nconst struct rpu_preset rpu_presets[] = {\n"
        + "".join(rows)
        + "};\nconst size_t rpu_preset_count = sizeof rpu_presets / sizeof rpu_presets[0];\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
