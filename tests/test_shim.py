#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The C shim over Google Benchmark: what becomes of pauses, threads, repetitions, counters and flags. The program is
shim-use (bench/shim_use.c)."""
import json

import e2e
from e2e import succeed

_measured = {}


def measured():
    """{name: rows} of a run of all, and the context; what it said."""
    if not _measured:
        result = succeed("--benchmark_out=a.json", "--benchmark_out_format=json")
        with open("a.json", encoding="utf-8") as file:
            document = json.load(file)
        rows = {}
        for row in document["benchmarks"]:
            rows.setdefault(row["run_name"].split("/")[0], []).append(row)
        _measured.update(rows=rows, context=document["context"], result=result)
    return _measured


def only(name):
    rows = measured()["rows"][name]
    assert len(rows) == 1, rows
    return rows[0]


def test_what_is_paused_does_not_count():
    row = only("pause")
    seconds = row["real_time"] * 1e-6
    assert row["time_unit"] == "us" and row["iterations"] == 4 and row["paused"] >= 0.01, row
    assert row["counted"] <= seconds < row["counted"] + row["paused"] / 2, row


def test_threads():
    row = only("threads")
    assert row["name"] == "threads/iterations:4/real_time/threads:3" and row["threads"] == 3, row
    assert row["indices"] == 1 + 2 + 4 and row["threads_each"] == 3 * 3, row


def test_counters():
    row = only("rates")
    assert row["name"] == "rates/iterations:4/manual_time" and row["real_time"] == 0.25 and row["time_unit"] == "s", row
    expected = {"items_per_second": 32, "bytes_per_second": 64, "plain": 7, "rate": 10, "each_rate": 12,
                "per_iteration": 5, "seconds_per_thing": 0.2, "binary": 2048}
    for name, value in expected.items():
        assert abs(row[name] / value - 1) < 1e-9, (name, row)
    assert row["label"] == "a label" and "binary=2k" in measured()["result"].stdout, measured()["result"].stdout


def test_batches():
    row = only("batches")
    assert row["name"] == "batches/iterations:100" and row["calls"] == 4, row
    row = only("plain")
    assert row["name"] == "plain/real_time" and row["time_unit"] == "ns", row
    assert row["calls"] == 1 and row["done"] == row["wanted"] == row["iterations"], row


def test_aggregates_alone():
    rows = measured()["rows"]["aggregates"]
    assert [row["aggregate_name"] for row in rows] == ["mean", "median", "stddev", "cv"], rows
    assert all(row["run_type"] == "aggregate" and row["repetitions"] == 3 for row in rows), rows
    assert rows[0]["run_name"] == "aggregates/min_time:0.001/repeats:3/real_time", rows[0]
    assert rows[0]["time_unit"] == "ms" and rows[0]["calls"] == 1, rows[0]


def test_a_skip_is_reported_with_its_reason():
    rows = measured()["rows"]["skipped"]
    assert all(row["error_occurred"] and row["error_message"] == "a reason" for row in rows), rows
    assert "matched 7, skipped 1" in measured()["result"].stderr, measured()["result"].stderr


def test_flags_are_google_benchmarks():
    assert measured()["context"]["a key"] == "a value"
    assert succeed("--benchmark_list_tests", "--benchmark_filter=^pause").stdout.split() == ["pause/iterations:4/real_time"]
    rows = succeed("--benchmark_filter=^rates", "--benchmark_format=csv").stdout.splitlines()
    assert rows[0].startswith("name,") and rows[1].startswith('"rates/'), rows
    result = e2e.run("--no-such-flag")
    assert result.returncode == 2 and "--no-such-flag" in result.stderr, result


if __name__ == "__main__":
    e2e.main(globals())
