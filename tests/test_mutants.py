#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tools/mutants.py: which test has found a fault, where some take longer than they are given."""
import json
import os
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tools"))
import mutants  # pylint: disable=wrong-import-position


class FirstFailure(unittest.TestCase):
    def found(self, *runs):
        """What is found where the tests' results are these, run by run."""
        runs = list(runs)

        def run(command):
            results = runs.pop(0)
            self.assertEqual(command[command.index("--timeout-multiplier") + 1], "1" if self.again else "0.3")
            self.again = True
            with open(os.path.join(mutants.BUILD, "meson-logs", "testlog.json"), "w", encoding="utf-8") as log:
                for name, result in results:
                    log.write(json.dumps({"name": "rpubench:unit / " + name, "result": result}) + "\n")
            return int(any(result != "OK" for _, result in results))

        self.again = False
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(mutants, "BUILD", folder), \
                mock.patch.object(mutants, "run", run):
            os.mkdir(os.path.join(folder, "meson-logs"))
            by = mutants.first_failure(["--suite", "unit"])
        self.assertEqual(runs, [])
        return by

    def test_failures(self):
        self.assertIsNone(self.found([("idx", "OK")]))
        self.assertEqual(self.found([("idx", "OK"), ("tile", "FAIL")]), "tile")

    def test_tests_that_take_too_long(self):
        late = [("idx", "TIMEOUT")]
        self.assertIsNone(self.found(late, [("idx", "OK"), ("tile", "OK")]))
        self.assertEqual(self.found(late, [("idx", "OK"), ("tile", "FAIL")]), "tile")
        self.assertEqual(self.found(late, late), "idx (timeout)")


if __name__ == "__main__":
    unittest.main()
