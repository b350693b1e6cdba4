#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints a Markdown table of results documents: one row a file, test error by epoch.

usage: tools/results_table.py FILE.json...
"""

import json
import os
import sys


def row(path):
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    errors = " / ".join(f"{100 * epoch['test_error']:.2f}" for epoch in result["epochs"])
    name = os.path.splitext(os.path.basename(path))[0]
    return f"| {name} | {result['seed']} | {errors} | `{result['weights_digest']}` |"


def main(paths):
    if not paths or paths[0].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 0 if paths else 2
    print("| run | seed | test error after each epoch, % | weights digest |")
    print("|---|---|---|---|")
    for path in paths:
        try:
            print(row(path))
        except (OSError, ValueError, KeyError) as error:
            print(f"{path}: no results document: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
