#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when a file breaks the rules of the folders: who may include whom, and who may print.

usage: check_includes.py [ROOT]      check the tree at ROOT (default: the one this script lies in)
       check_includes.py --self-test check that trees with one fault each are found out
"""
import os
import re
import sys
import tempfile

LIBC = {
    "assert.h", "ctype.h", "errno.h", "fcntl.h", "float.h", "inttypes.h", "limits.h", "math.h", "signal.h",
    "stdalign.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h", "strings.h",
    "time.h", "unistd.h",
}
# What a kernel may take from the compiler and libc: types, numbers, vector instructions, memcpy.
KERNEL_SYSTEM = {"stddef.h", "stdint.h", "limits.h", "float.h", "math.h", "string.h", "immintrin.h", "arm_neon.h"}
# A system header that belongs to one file (by a pattern of its name) and the files that may include it.
RESERVED = [
    (re.compile(r"^omp\.h$"), {"src/sched.c"}),
    (re.compile(r"^hwloc(\.h$|/)"), {"src/topo.c"}),
    (re.compile(r"^mpi\.h$"), {"src/dist_mpi.c"}),
]
VECTOR = re.compile(r"^(\w*mmintrin|immintrin|x86intrin|arm_neon|arm_sve)\.h$")
# Headers that the build makes.
GENERATED = {"commit.h"}
# Internal headers that a file in tools/ may include: app.h is for all commands. The generator of the man page is no
# command: it prints the table of configuration keys.
TOOLS_INTERNAL = {"src/app.h"}
TOOLS_EXCEPTIONS = {"tools/manpage.c": {"src/config_table.h"}}

PRINTS = re.compile(r"\b(printf|vprintf|puts|putchar|putc|fputc|fputs|fprintf|vfprintf|dprintf|perror)\s*\(")
ENDS = re.compile(r"\b(exit|_exit|_Exit|quick_exit|abort|assert)\s*\(")
ALLOCATES = re.compile(r"\b(malloc|calloc|realloc|free|aligned_alloc|posix_memalign)\s*\(")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
PRAGMA_OMP = re.compile(r"^\s*#\s*pragma\s+omp\b|\b_Pragma\s*\(\s*\"omp\b", re.M)
FOLDERS = ("include", "kernels", "src", "bench", "tests", "tools")


def blank(match):
    """Comments and literals without their content, line breaks kept."""
    text = match.group(0)
    if text.startswith("/"):
        return re.sub(r"[^\n]", " ", text)
    return text[0] + " " * (len(text) - 2) + text[-1]


def strip_comments(text):
    """Takes comments away and leaves literals as they are."""
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"',
                  lambda m: blank(m) if m.group(0)[0] == "/" else m.group(0), text, flags=re.S)


def strip_literals(text):
    return re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


class Checker:
    def __init__(self, root):
        self.root = root
        self.faults = []

    def fault(self, path, line, text):
        self.faults.append(f"{path}:{line}: {text}")

    def resolve(self, path, kind, name):
        """The file of the tree that an include means, as a path from the root; None when it is a system header."""
        folders = ["include", "kernels", "src"]
        if kind == '"':
            folders.insert(0, os.path.dirname(path))
        for folder in folders:
            candidate = os.path.normpath(os.path.join(folder, name))
            if not candidate.startswith("..") and os.path.isfile(os.path.join(self.root, candidate)):
                return candidate
        return None

    def check_include(self, path, line, kind, name):
        target = self.resolve(path, kind, name)
        if target is None:
            if kind == '"' and name not in GENERATED and not (path.startswith("bench/") or path.startswith("tests/")):
                self.fault(path, line, f'"{name}" is not in the tree')
            elif kind == "<":
                self.check_system(path, line, name)
            return
        if target.startswith("bench/") and not path.startswith("bench/"):
            self.fault(path, line, f"only bench/ may include {target}")
            return
        rule = getattr(self, "rule_" + path.split("/")[0])
        why = rule(path, target)
        if why:
            self.fault(path, line, f"includes {target}: {why}")

    def check_system(self, path, line, name):
        for pattern, owners in RESERVED:
            if pattern.match(name) and path not in owners and path.split("/")[0] not in ("tests", "bench"):
                self.fault(path, line, f"<{name}> belongs to {', '.join(sorted(owners))} alone")
                return
        if path.startswith("include/") and name not in LIBC:
            self.fault(path, line, f"a public header includes only libc and <rpu/...>, not <{name}>")
        if path.startswith("kernels/") and name not in KERNEL_SYSTEM:
            self.fault(path, line, f"a kernel may not include <{name}>; allowed: {', '.join(sorted(KERNEL_SYSTEM))}")
        if path.startswith(("src/", "tools/")) and VECTOR.match(name):
            self.fault(path, line, f"<{name}>: vector instructions are for kernels/")

    @staticmethod
    def rule_include(_path, target):
        return None if target.startswith("include/rpu/") else "a public header includes only public headers"

    @staticmethod
    def rule_kernels(path, target):
        parts = target.split("/")
        if parts[0] == "kernels" and (len(parts) == 2 or os.path.dirname(target) == os.path.dirname(path)):
            return None
        return "a kernel includes kernels.h, headers beside it, and headers of its own variant's folder"

    @staticmethod
    def rule_src(_path, target):
        if target.startswith(("src/", "include/rpu/")) or target in ("kernels/kernels.h", "kernels/kernels.inc",
                                                                    "kernels/counter.h"):
            return None
        return "src/ includes public headers, its own, and kernels.h"

    @staticmethod
    def rule_bench(_path, target):
        if target.startswith(("bench/", "src/", "include/rpu/")) or target in ("kernels/kernels.h",
                                                                             "kernels/kernels.inc",
                                                                             "kernels/counter.h"):
            return None
        return "bench/ includes public headers, kernels.h and the headers of src/"

    @staticmethod
    def rule_tests(_path, _target):
        return None

    @staticmethod
    def rule_tools(path, target):
        allowed = TOOLS_INTERNAL | TOOLS_EXCEPTIONS.get(path, set())
        if target.startswith(("tools/", "include/rpu/")) or target in allowed:
            return None
        return "tools/ includes public headers, its own, and src/app.h"

    def check_calls(self, path, code):
        rules = [(PRINTS, "the library never prints"), (ENDS, "the library never ends the program")]
        if path.startswith("kernels/"):
            rules.append((ALLOCATES, "a kernel never allocates"))
        for pattern, why in rules:
            for match in pattern.finditer(code):
                self.fault(path, line_of(code, match.start()), f"{match.group(1)}(): {why}")

    def check_file(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            text = strip_comments(file.read())
        for match in INCLUDE.finditer(text):
            self.check_include(path, line_of(text, match.start(1)), match.group(1), match.group(2))
        if path != "src/sched.c" and not path.startswith(("tests/", "bench/")):
            for match in PRAGMA_OMP.finditer(text):
                self.fault(path, line_of(text, match.start()), "OpenMP is for src/sched.c alone")
        if path.startswith(("src/", "kernels/")):
            self.check_calls(path, strip_literals(text))

    def check_tree(self):
        checked = 0
        for folder in FOLDERS:
            for base, folders, files in os.walk(os.path.join(self.root, folder)):
                folders.sort()
                for name in sorted(files):
                    if name.endswith((".c", ".h", ".inc", ".cc", ".cpp", ".h.in")):
                        self.check_file(os.path.relpath(os.path.join(base, name), self.root))
                        checked += 1
        return checked


SOUND = {
    "include/rpu/a.h": "#include <stdint.h>\n",
    "kernels/kernels.h": '#include "counter.h"\n',
    "kernels/counter.h": "",
    "kernels/kernels.inc": "",
    "kernels/generic/k.c": '#include "kernels.h"\n#include <math.h>\n/* printf("x") <stdio.h> */\n',
    "kernels/avx2/avx2.h": "#include <immintrin.h>\n",
    "kernels/avx2/k.c": '#include "avx2.h"\n#include "../kernels.h"\n',
    "src/app.h": "#include <rpu/a.h>\n",
    "src/tile.h": '#include "kernels.h"\n',
    "src/config_table.h": "",
    "src/tile.c": '#include "tile.h"\n#include <stdio.h>\nconst char *s = "exit(1)";\nint f(void);\n',
    "src/sched.c": "#include <omp.h>\n#pragma omp parallel\n",
    "src/topo.c": "#include <hwloc.h>\n",
    "tools/own.h": "",
    "tools/main.c": '#include "own.h"\n#include "../src/app.h"\n#include <rpu/a.h>\n#include <stdio.h>\n',
    "tools/manpage.c": '#include "../src/config_table.h"\n',
    "tests/t.c": '#include "tile.h"\n',
    "bench/b.h": "",
    "bench/b.c": '#include "b.h"\n#include "tile.h"\n',
}
# Each of these, added to the sound tree, must be found.
BROKEN = {
    "a public header with an internal one": ("include/rpu/b.h", '#include "../../src/tile.h"\n'),
    "a public header with a foreign library": ("include/rpu/b.h", "#include <jansson.h>\n"),
    "a kernel with src/": ("kernels/generic/b.c", '#include "tile.h"\n'),
    "a kernel with stdio": ("kernels/generic/b.c", "#include <stdio.h>\n"),
    "a kernel with stdlib": ("kernels/generic/b.c", "#include <stdlib.h>\n"),
    "a kernel with OpenMP": ("kernels/generic/b.c", "#include <omp.h>\n"),
    "a kernel with a pragma of OpenMP": ("kernels/generic/b.c", "  # pragma omp simd\n"),
    "a kernel that allocates": ("kernels/generic/b.c", "void *f(void) { return malloc(1); }\n"),
    "a kernel with another variant's header": ("kernels/generic/b.c", '#include "../avx2/avx2.h"\n'),
    "a kernel with a public header": ("kernels/generic/b.c", "#include <rpu/a.h>\n"),
    "src/ with a header of kernels/ that is private": ("src/b.c", '#include "../kernels/avx2/avx2.h"\n'),
    "src/ with OpenMP": ("src/b.c", "#include <omp.h>\n"),
    "src/ with hwloc": ("src/b.c", "#include <hwloc.h>\n"),
    "src/ with MPI": ("src/b.c", "#include <mpi.h>\n"),
    "src/ with tools/": ("src/b.c", '#include "../tools/own.h"\n'),
    "src/ with vector instructions": ("src/b.c", "#include <immintrin.h>\n"),
    "src/ that prints": ("src/b.c", 'void f(void) { printf("x"); }\n'),
    "src/ that prints errors": ("src/b.c", 'void f(void) { fprintf(stderr, "x"); }\n'),
    "src/ that exits": ("src/b.c", "void f(void) { exit(1); }\n"),
    "src/ with a header that is not there": ("src/b.c", '#include "nowhere.h"\n'),
    "tools/ with an internal header": ("tools/b.c", '#include "../src/tile.h"\n'),
    "tools/ with the table of keys": ("tools/b.c", '#include "../src/config_table.h"\n'),
    "tools/ with kernels": ("tools/b.c", '#include "../kernels/kernels.h"\n'),
    "tools/ with bench/": ("tools/b.c", '#include "../bench/b.h"\n'),
    "tools/ with MPI": ("tools/b.c", "#include <mpi.h>\n"),
    "tests/ with bench/": ("tests/b.c", '#include "../bench/b.h"\n'),
    "bench/ with tools/": ("bench/c.c", '#include "../tools/own.h"\n'),
}


def check_in_temporary(files):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        checker = Checker(root)
        checker.check_tree()
        return checker.faults


def self_test():
    failed = 0
    faults = check_in_temporary(SOUND)
    if faults:
        failed += 1
        print("the sound tree is refused:", *faults, sep="\n  ")
    for name, (path, text) in BROKEN.items():
        faults = check_in_temporary({**SOUND, path: text})
        if len(faults) != 1 or not faults[0].startswith(path + ":1: "):
            failed += 1
            print(f"{name}: expected one fault in {path}:1, found {faults}")
    print(f"{len(BROKEN) + 1 - failed} of {len(BROKEN) + 1} trees judged rightly")
    return 1 if failed else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    checker = Checker(sys.argv[1] if len(sys.argv) > 1 else here)
    checked = checker.check_tree()
    for fault in checker.faults:
        print(fault)
    if checked == 0:
        print("no files found")
        return 1
    print(f"{checked} files checked, {len(checker.faults)} faults")
    return 1 if checker.faults else 0


if __name__ == "__main__":
    sys.exit(main())
