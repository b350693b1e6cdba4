#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Do the tests find faults? Applies each fault of tests/mutants.txt to a copy of the tree, builds, and runs the tests.

Suites `kernels`, `unit` and `long` come first, then the recorded digests, then the end-to-end tests of the program; the
first test that fails has found the fault. Prints a line for each fault and the totals. Fails where less than 95 % are
found, where an entry's old text does not stand in its file exactly once, and where a fault does not compile.

usage: tools/mutants.py [--check] [--part K/N] [--trust] [--only WORD] [--least PERCENT]
  --check      only looks whether every entry still fits the tree (a second; the test `mutants-fit`)
  --part K/N   the K-th of N equal parts of the list
  --trust      takes it for granted that the tests pass without a fault
  --only WORD  entries whose file or description has this word
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIST = os.path.join(ROOT, "tests", "mutants.txt")
WORK = os.path.join(ROOT, "build-mutants")
TREE = os.path.join(WORK, "tree")
BUILD = os.path.join(WORK, "build")
LEAST_ENTRIES = 40
STAGES = [["--suite", "kernels", "--suite", "unit", "--suite", "long"], ["--suite", "digests"],
          ["cli", "results", "sweep", "same-bits", "map", "compare", "checkpoint", "faults"]]


def entries():
    """The list: file, description, old and new text, line of the entry."""
    found = []
    with open(LIST, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if line.startswith("@ "):
                where, _, what = line[2:].partition(": ")
                found.append({"file": where, "what": what, "old": [], "new": [], "line": number})
            elif line[:2] in ("- ", "+ ") and found:
                found[-1]["old" if line[0] == "-" else "new"].append(line[2:])
            elif line and not line.startswith("#"):
                sys.exit(f"{LIST}:{number}: not an entry: {line}")
    return found


def apply(entry, root):
    """The file's text with the fault; ends the program where the entry does not fit."""
    with open(os.path.join(root, entry["file"]), encoding="utf-8") as file:
        text = file.read()
    old, new = "\n".join(entry["old"]), "\n".join(entry["new"])
    count = text.count(old) if old else 0
    if count != 1 or not new or old == new:
        sys.exit(f"{LIST}:{entry['line']}: the old text stands in {entry['file']} {count} times, not once: {old}")
    return text.replace(old, new)


def prepare():
    """A copy of what git knows or would add, built as it is."""
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                           stdout=subprocess.PIPE, text=True).stdout.split("\0")
    for name in filter(None, names):
        source, to = os.path.join(ROOT, name), os.path.join(TREE, name)
        if not os.path.exists(source):
            continue
        os.makedirs(os.path.dirname(to), exist_ok=True)
        with open(source, "rb") as file:
            data = file.read()
        if os.path.exists(to):
            with open(to, "rb") as file:
                if file.read() == data:
                    continue
        shutil.copyfile(source, to)
        shutil.copymode(source, to)
    if not os.path.exists(os.path.join(BUILD, "build.ninja")):
        run(["meson", "setup", BUILD, TREE, "-Dtests=true", "-Dbench=disabled", "-Dmpi=disabled", "-Dwerror=false",
             "-Dbuildtype=release"], must=True)
    run(["ninja", "-C", BUILD], must=True)


def run(command, must=False):
    with open(os.path.join(WORK, "log"), "w", encoding="utf-8") as log:
        code = subprocess.run(command, cwd=TREE, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              check=False).returncode
    if must and code:
        with open(os.path.join(WORK, "log"), encoding="utf-8", errors="replace") as log:
            sys.exit(f"{' '.join(command)}: exit code {code}\n{log.read()[-3000:]}")
    return code


def first_failure(stage, patience="0.3"):
    """Runs the tests of a stage; the name of the first that failed, or None. One that took too long says nothing before
    all have had the time that they have by themselves."""
    log = os.path.join(BUILD, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.remove(log)
    code = run(["meson", "test", "-C", BUILD, "--no-rebuild", "--maxfail", "1", "--timeout-multiplier", patience, *stage])
    if code == 0:
        return None
    if os.path.exists(log):
        with open(log, encoding="utf-8") as file:
            for result in map(json.loads, file):
                if result["result"] == "TIMEOUT" and patience != "1":
                    return first_failure(stage, "1")
                if result["result"] in ("FAIL", "TIMEOUT", "ERROR", "UNEXPECTEDPASS"):
                    late = " (timeout)" if result["result"] == "TIMEOUT" else ""
                    return re.sub(r"^.* / ", "", result["name"]) + late
    sys.exit(f"the tests could not be run; see {WORK}/log")


def find(entry):
    """The test that finds the fault, or None; the copy is as before afterwards."""
    path = os.path.join(TREE, entry["file"])
    with open(path, encoding="utf-8") as file:
        before = file.read()
    faulty = apply(entry, TREE)
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(faulty)
        if run(["ninja", "-C", BUILD]):
            return "does not compile"
        return next(filter(None, map(first_failure, STAGES)), None)
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(before)


def chosen(options):
    listed = entries()
    if len(listed) < LEAST_ENTRIES:
        sys.exit(f"{LIST}: {len(listed)} entries; at least {LEAST_ENTRIES} are needed")
    for entry in listed:
        apply(entry, ROOT)
    if options.only:
        listed = [e for e in listed if options.only in e["file"] + ": " + e["what"]]
    part, parts = map(int, options.part.split("/"))
    return listed[len(listed) * (part - 1) // parts:len(listed) * part // parts]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--part", default="1/1")
    parser.add_argument("--trust", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--least", type=float, default=95.0)
    options = parser.parse_args()
    listed = chosen(options)
    if options.check:
        print(f"{len(listed)} entries fit")
        return
    os.makedirs(TREE, exist_ok=True)
    prepare()
    for stage in [] if options.trust else STAGES:
        if first_failure(stage):
            sys.exit("without any fault the tests fail, too")
    caught = 0
    for entry in listed:
        started = time.monotonic()
        by = find(entry)
        if by == "does not compile":
            run(["ninja", "-C", BUILD], must=True)
            sys.exit(f"{LIST}:{entry['line']}: does not compile; see {WORK}/log")
        caught += by is not None
        print(f"{'caught by ' + by if by else 'SURVIVED':24} {entry['file']}: {entry['what']} "
              f"({time.monotonic() - started:.0f} s)", flush=True)
    run(["ninja", "-C", BUILD], must=True)
    share = 100.0 * caught / len(listed) if listed else 100.0
    print(f"{caught} of {len(listed)} caught, {share:.1f} %")
    sys.exit(share < options.least)


if __name__ == "__main__":
    main()
