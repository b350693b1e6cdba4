#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Counts individual tests in a log of `meson test` and shows what failed or was skipped.

usage: test_counts.py TITLE TESTLOG_JSON COUNTS     appends lines "passed NAME", "failed NAME", "skipped NAME" to COUNTS

A test program that names its own tests (as cmocka does) counts with each of them, the kernel checker with each variant
of each kernel; any other counts as one.
"""
import json
import re
import sys

INNER = re.compile(r"^\[\s*(OK|FAILED|ERROR|SKIPPED)\s*\] (?!\d+ test\(s\))([A-Za-z_]\S*)", re.M)
# A line of the kernel checker: operation, variant, number of cases.
KERNEL = re.compile(r"^(\w+) +(\w+) +\d+ cases (ok|FAILED)$", re.M)
VERDICTS = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}
TAIL = 60


def outcomes(entry):
    """(verdict, name) of each test in one entry of the log."""
    name = entry["name"].split(" / ")[-1]
    verdict = VERDICTS.get(entry["result"], "failed")
    text = (entry.get("stdout") or "") + "\n" + (entry.get("stderr") or "")
    inner = {}
    for word, test in INNER.findall(text):
        mapped = {"OK": "passed", "SKIPPED": "skipped"}.get(word, "failed")
        if inner.get(test) != "failed":
            inner[test] = mapped
    for operation, variant, word in KERNEL.findall(text):
        inner[f"{operation} {variant}"] = "passed" if word == "ok" else "failed"
    found = [(v, f"{name}: {test}") for test, v in inner.items()]
    if not found or (verdict == "failed" and all(v != "failed" for v, _ in found)):
        found.append((verdict, name))
    return found, text


def main():
    title, log, counts = sys.argv[1:4]
    with open(log, encoding="utf-8") as file:
        entries = [json.loads(line) for line in file if line.strip()]
    with open(counts, "a", encoding="utf-8") as out:
        for entry in entries:
            found, text = outcomes(entry)
            for verdict, name in found:
                out.write(f"{verdict} {title}: {name}\n")
                if verdict != "passed":
                    print(f"{verdict.upper()}: {title}: {name}")
            if any(verdict == "failed" for verdict, _ in found):
                print(f"--- {entry['name']}: {entry['result']}, the end of its log:")
                print("\n".join(text.strip().splitlines()[-TAIL:]))
                print("---")
    return 0


if __name__ == "__main__":
    sys.exit(main())
