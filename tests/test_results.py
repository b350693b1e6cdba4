#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The results document: every documented key is there, every key there is documented, and the figures agree."""
import datetime
import json
import os
import re

import e2e
from e2e import SMALL, succeed

TYPES = {"string": (str,), "integer": (int,), "real": (float, int, type(None)), "boolean": (bool,), "object": (dict,),
         "null": (type(None),), "integer or string": (int, str), "integer or null": (int, type(None))}
# Objects whose keys are names.
NAMED = ("kernels", "cycles", "pulses", "epochs[].arrays", "runs[].values", "settings[].values",
         "replication.training[].copies", "replication.inference[].copies", "arrays[].quantities")


def documented(title):
    """Key and type of each row of the table under that title of results/README.md."""
    with open(os.path.join(e2e.ROOT, "results/README.md"), encoding="utf-8") as file:
        part = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", file.read(), re.M | re.S).group(1)
    return re.findall(r"^\| `([^`]+)` \| ([a-z ]+) \|", part, re.M)


def found(value, path=""):
    """Key and value of each leaf; the configuration is one."""
    if isinstance(value, dict) and path != "config":
        for key, inner in value.items():
            yield from found(inner, f"{path}.{'*' if path in NAMED else key}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from found(inner, path + "[]")
    else:
        yield path, value


def shared_result():
    """A training with everything: two epochs, saturation, pulses."""
    if not hasattr(shared_result, "result"):
        shared_result.result = e2e.train("lenet-rpu", "--limit-train", "40", "--limit-test", "20", "--epochs", "2")
    return shared_result.result


def check_keys(title, *documents):
    """The leaves of the documents are the rows of the table, and of their types."""
    rows, leaves = documented(title), [leaf for document in documents for leaf in found(document)]
    assert {key for key, _ in rows} == {key for key, _ in leaves}, \
        {key for key, _ in rows} ^ {key for key, _ in leaves}
    types = {}
    for key, kind in rows:
        types.setdefault(key, set()).update(TYPES[kind])
    for key, value in leaves:
        assert type(value) in types[key], f"{key} is {value!r}"


def test_keys_are_those_documented():
    assert len(documented("The document")) > 50
    check_keys("The document", shared_result())


def test_keys_of_a_mapping_are_those_documented():
    with open("result.json", "w", encoding="utf-8") as file:
        json.dump(shared_result(), file)
    documents = [json.loads(succeed("map", "--json", "-", *args).stdout)
                 for args in ([], ["--rereads", "result.json", "--t-slot", "1"])]
    check_keys("The document of a mapping", *documents)


def test_the_first_array_has_no_backward_cycle():
    result = shared_result()
    names = [array["name"] for array in result["arrays"]]
    assert names == ["K1", "K2", "W3", "W4"] == list(result["cycles"]) == list(result["pulses"])
    for name in names:
        assert (result["cycles"][name]["backward"] is None) == (name == "K1")
        for epoch in result["epochs"]:
            assert (epoch["arrays"][name]["backward"] is None) == (name == "K1")


def test_shapes_and_rates():
    result = shared_result()
    shapes = {a["name"]: (a["outputs"], a["inputs"], a["columns_per_image"]) for a in result["arrays"]}
    assert shapes == {"K1": (16, 26, 576), "K2": (32, 401, 64), "W3": (128, 513, 1), "W4": (10, 129, 1)}
    for name, cycles in result["cycles"].items():
        for cycle in filter(None, cycles.values()):
            m, n, ws = shapes[name]
            rate = m * n * ws / (cycle["ns_per_image"] * 1e-9)
            assert abs(cycle["crosspoints_per_second"] / rate - 1) < 1e-9, name
    assert abs(result["images_per_second"] * result["train_seconds"] / result["images_trained"] - 1) < 1e-9
    in_cycles = sum(c["ns_per_image"] for of in result["cycles"].values() for c in of.values() if c) * 1e-9
    assert in_cycles * result["images_trained"] <= result["train_seconds"] * 1.001


def test_epochs():
    result = shared_result()
    assert [e["epoch"] for e in result["epochs"]] == [1, 2]
    assert result["images_trained"] == 80 and result["interrupted"] is False
    assert result["test_error"] == result["epochs"][-1]["test_error"]
    for e in result["epochs"]:
        assert abs(e["test_error"] * 20 - round(e["test_error"] * 20)) < 1e-9 and 0 <= e["test_error"] <= 1
        assert 0 < e["train_seconds"] <= e["seconds"]
        assert 0 < e["train_loss"] < 10 and 0 < e["test_loss"] < 10
    assert abs(sum(e["train_seconds"] for e in result["epochs"]) / result["train_seconds"] - 1) < 1e-6


def test_pulses_add_up():
    result = shared_result()
    for name, pulses in result["pulses"].items():
        for key, value in pulses.items():
            assert value == sum(e["arrays"][name]["update"][key] for e in result["epochs"]), (name, key)
        assert pulses["coincidences"] > 0 and pulses["row_pulses"] > 0, name
    for name, ws in (("K1", 576), ("K2", 64), ("W3", 1), ("W4", 1)):
        for e in result["epochs"]:
            assert e["arrays"][name]["forward"]["columns"] == 40 * ws
            assert 0 <= e["arrays"][name]["at_bound"] < 1


def test_reads_that_saturate():
    """Counts stand under their own names: without bound management nothing is reread, with it nothing stays saturated."""
    tight = ["--set", "arrays.W4.forward.bound=0.4"]
    none = e2e.train("lenet-rpu", *SMALL, *tight, "--set", "arrays.W4.forward.bm=none")
    reads = none["epochs"][0]["arrays"]["W4"]["forward"]
    assert reads["columns"] == 40 and reads["rereads"] == 0 and 0 < reads["saturated"] <= 400, reads
    managed = e2e.train("lenet-rpu", *SMALL, *tight, "--set", "arrays.W4.forward.bm_limit=30")
    reads = managed["epochs"][0]["arrays"]["W4"]["forward"]
    assert reads["rereads"] > 0 and reads["saturated"] == 0, reads


def test_provenance():
    result = shared_result()
    info = json.loads(succeed("info", "--json").stdout)
    for key in ("version", "commit", "compiler", "flags", "cpu", "cpu_features", "isa", "kernels", "threads", "machine", "bind",
                "places"):
        assert result[key] == info[key], key
    assert re.fullmatch(r"unknown|[0-9a-f]{40}(-dirty)?", result["commit"]), result["commit"]
    assert re.match(r"(gcc|clang) \d+\.", result["compiler"]), result["compiler"]
    assert re.fullmatch(r"[0-9a-f]{16}", result["weights_digest"])
    began = datetime.datetime.strptime(result["date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    assert abs((datetime.datetime.now(datetime.timezone.utc) - began).total_seconds()) < 3600


def test_configuration():
    config = shared_result()["config"]
    assert config["preset"] == "lenet-rpu"
    assert config["training"]["epochs"] == 2 and config["training"]["eta"] == 0.01
    assert config["data"]["limit_train"] == 40
    assert set(config["arrays"]) == {"K1", "K2", "W3", "W4"}
    assert [layer["type"] for layer in config["network"]["layers"]].count("conv") == 2
    other = e2e.train("lenet-rpu", *SMALL, "--threads", "2", "--isa", "generic")
    assert other["config"]["run"] == {"threads": 2, "bind": "auto", "share": "auto", "isa": "generic"}
    assert other["threads"] == 2


def test_seeds_of_any_size():
    for seed, value in ((1, 1), (2**53, 2**53), (2**53 + 1, str(2**53 + 1)), (2**63 + 1, str(2**63 + 1)),
                        (2**64 - 1, str(2**64 - 1))):
        result = e2e.train("lenet-fp", *SMALL, "--seed", str(seed))
        assert result["seed"] == value and result["config"]["training"]["seed"] == value, seed


if __name__ == "__main__":
    e2e.main(globals())
