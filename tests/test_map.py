#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`rpubench map`: networks and options, the table and its document, rereads of a training, and that a network that is
mapped is the one that trains."""
import json
import os
import random
import re
import struct

import e2e
from e2e import SMALL, fails, succeed

# The published table of AlexNet: array, M x N, ws, MMAC, microseconds at 80 ns.
PAPER = [("K1", 96, 363, 3025, 105, "242 us"), ("K2", 256, 2400, 729, 448, "58.3 us"),
         ("K3", 384, 2304, 169, 150, "13.5 us"), ("K4", 384, 3456, 169, 224, "13.5 us"),
         ("K5", 256, 3456, 169, 150, "13.5 us"), ("W6", 4096, 9216, 1, 38, "80 ns"), ("W7", 4096, 4096, 1, 17, "80 ns"),
         ("W8", 1000, 4096, 1, 4, "80 ns")]
# AlexNet with few channels, so that it trains in a moment: the options that make it.
REDUCED = [option for layer, outputs in ((0, 8), (3, 12), (6, 12), (8, 10), (10, 6), (13, 24), (15, 16), (17, 5))
           for option in ("--set", f"network.layers.{layer}.outputs={outputs}")]


def mapping(*args):
    """The document of a mapping."""
    return json.loads(succeed("map", "--json", "-", *args).stdout)


def of(document, key):
    return {array["name"]: array[key] for array in document["arrays"]}


def close(a, b):
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b))


# ---- AlexNet ----

def test_alexnet_is_the_published_table():
    document = mapping("--net", "alexnet")
    found = [(a["name"], a["outputs"], a["inputs"], a["columns_per_image"], round(a["macs"] / 1e6))
             for a in document["arrays"]]
    assert found == [row[:5] for row in PAPER], found
    for a, row in zip(document["arrays"], PAPER):
        assert a["forward"]["ns_per_image"] == 80 * row[3] == a["update"]["ns_per_image"], row
        assert a["backward"] is None if row[0] == "K1" else a["backward"]["ns_per_image"] == 80 * row[3], row
    assert f"{document['macs'] / 1e9:.2f}" == "1.14" and document["macs"] == sum(of(document, "macs").values())
    assert document["image"] == {"height": 227, "width": 227, "channels": 3}
    lines = succeed("map", "--net=alexnet").stdout.splitlines()
    for name, m, n, ws, _, time in PAPER:
        line = next(line for line in lines if line.startswith(name + " "))
        assert re.match(rf"{name} +{m}x{n} +{ws} ", line), line
        assert line.rsplit("|")[-1].count(time) == (2 if name == "K1" else 3), line
    fast = mapping("--net", "alexnet", "--t-meas", "10")
    assert of(fast, "forward")["K2"]["ns_per_image"] == 7290 and of(fast, "forward")["K1"]["ns_per_image"] == 30250


def test_tiles_that_alexnet_needs():
    document = mapping("--net", "alexnet", "--array", "512x512=10")
    assert list(of(document, "tiles").values()) == [1, 5, 5, 7, 7, 144, 64, 16] and document["tiles"] == 249
    assert of(document, "grid")["W6"] == {"rows": 8, "cols": 18}
    assert of(document, "tile")["K4"] == {"rows": 512, "cols": 512, "t_meas_ns": 10}
    assert close(of(document, "used")["K2"], 256 * 2400 / (5 * 512**2))
    assert close(document["used"], document["weights"] / document["crosspoints"])
    # without --array the tiles are those that the training divides arrays among
    own = mapping("--net", "alexnet", "--set", "arrays.default.max_cols=1000", "--set", "arrays.W7.max_rows=0")
    assert of(own, "grid")["K3"] == {"rows": 1, "cols": 3} and of(own, "grid")["W7"] == {"rows": 1, "cols": 5}


def test_two_kinds_of_tiles():
    bimodal = ["--net", "alexnet", "--array", "4096x4096=80,512x512=10"]
    document = mapping(*bimodal)
    assert [a["tile"]["rows"] for a in document["arrays"]] == [512] + 7 * [4096]
    assert document["inference"]["slowest"] == "K2" and document["inference"]["ns_per_image"] == 58320
    document = mapping(*bimodal, "--place", "default=512x512,K5=4096x4096")
    assert [a["tile"]["rows"] for a in document["arrays"]] == 4 * [512] + [4096] + 3 * [512]
    document = mapping("--net", "alexnet", "--array", "4096x4096,512x512=10", "--t-meas", "60")
    assert of(document, "tile")["W7"]["t_meas_ns"] == 60 and of(document, "tile")["K1"]["t_meas_ns"] == 10


def test_copies_and_the_balance():
    single, document = mapping("--net", "alexnet"), mapping("--net", "alexnet", "--replicas", "K1=12,K2=5")
    assert of(document, "copies") == {"K1": 12, "K2": 5, "K3": 1, "K4": 1, "K5": 1, "W6": 1, "W7": 1, "W8": 1}
    assert of(document, "columns_per_copy")["K1"] == 253 and document["tiles"] == single["tiles"] + 11 + 4
    assert of(document, "forward")["K1"]["ns_per_image"] == 253 * 80
    assert document["replication"] == single["replication"], "what balances is a matter of single copies"
    balanced = single["replication"]["training"][-1]
    assert balanced["copies"] == of(document, "copies") and balanced["leader"] == "K3"
    assert balanced["ns_per_image"] == document["training"]["ns_per_image"] == 3 * 169 * 80
    assert close(balanced["images_per_second"], 1e9 / (3 * 169 * 80)) and balanced["tiles"] == document["tiles"]
    assert single["training"]["slowest"] == "K1" and single["replication"]["inference"][-1]["copies"]["K1"] == 18
    text = succeed("map", "--net", "alexnet").stdout
    assert "balanced    --replicas K1=12,K2=5\n" in text, text
    assert "balanced    --replicas K1=18,K2=5\n" in succeed("map", "--net", "alexnet", "--for", "inference").stdout


# ---- networks ----

def test_lenet_and_its_options():
    document = mapping()
    shapes = [(a["name"], a["outputs"], a["inputs"], a["columns_per_image"]) for a in document["arrays"]]
    assert shapes == [("K1", 16, 26, 576), ("K2", 32, 401, 64), ("W3", 128, 513, 1), ("W4", 10, 129, 1)]
    assert document["network"] == "lenet" and document["config"]["preset"] == "lenet-rpu"
    for args in (["--net", "lenet"], ["--net", "lenet-fp"]):
        assert [a["inputs"] for a in mapping(*args)["arrays"]] == [26, 401, 513, 129]
    document = mapping("--set", "network.layers.0.bias=false", "--input", "32x32x3", "--t-slot", "2")
    assert (of(document, "inputs")["K1"], of(document, "columns_per_image")["K1"]) == (75, 784)
    assert of(document, "update")["K2"]["ns_per_column"] == 2 and document["t_slot_ns"] == 2, "BL is 1"


def test_a_file():
    with open("net.yaml", "w", encoding="utf-8") as file:
        file.write("network:\n  height: 20\n  width: 30\n  channels: 2\n  layers:\n"
                   "  - {type: conv, outputs: 7, kernel: 3, stride: 2, padding: 1}\n"
                   "  - {type: maxpool, window: 3, stride: 2}\n  - {type: fc, outputs: 4}\n  - {type: softmax}\n"
                   "data: {source: nowhere}\n")
    document = mapping("--net", "net.yaml")
    assert [(a["outputs"], a["inputs"], a["columns_per_image"]) for a in document["arrays"]] == \
        [(7, 19, 150), (4, 7 * 4 * 7 + 1, 1)]
    fails(2, "map", "--net", "net.yaml", "--set", "network.width=0", says=["--input", "network.height"])
    fails(2, "map", "--net", "none.yaml", says=["none.yaml", "alexnet"])
    fails(2, "map", "--net", "net.yaml", "--input", "2x2x2", says=["layer 2", "the window is larger than its input"])


def write_images(folder, side, channels, counts, classes):
    """The four files of a data set with random images."""
    source = random.Random(7)
    os.mkdir(folder)
    for prefix, count in zip(("train", "t10k"), counts):
        with open(f"{folder}/{prefix}-images-idx4-ubyte", "wb") as file:
            file.write(struct.pack(">IIIII", 0x804, count, side, side, channels))
            file.write(source.randbytes(count * side * side * channels))
        with open(f"{folder}/{prefix}-labels-idx1-ubyte", "wb") as file:
            file.write(struct.pack(">II", 0x801, count) + bytes(i % classes for i in range(count)))


def test_the_network_that_is_mapped_trains():
    """AlexNet with few channels: a few steps, and its arrays are those of the mapping."""
    write_images("images", 227, 3, (6, 2), 5)
    with open("alexnet.yaml", "w", encoding="utf-8") as file:
        file.write(succeed("presets", "alexnet").stdout)
    training = ["--data", "images", "--epochs", "1", *REDUCED]
    result = e2e.train("alexnet.yaml", *training, "--set", "arrays.K2.max_cols=100", "--out", "run")
    document = mapping("--net", "alexnet.yaml", *REDUCED, "--set", "arrays.K2.max_cols=100")
    for trained, mapped in zip(result["arrays"], document["arrays"], strict=True):
        for key in ("name", "outputs", "inputs", "columns_per_image", "tiles"):
            assert trained[key] == mapped[key], (key, trained, mapped)
    assert of(document, "tiles")["K2"] == 2 and of(document, "columns_per_image")["K1"] == 3025
    assert result["images_trained"] == 6 and 0 < result["epochs"][0]["train_loss"] < 20
    for name, pulses in result["pulses"].items():
        assert pulses["coincidences"] > 0, f"{name} was not trained"
    # the file that the training wrote is mapped as well, and the preset trains as its file does
    assert mapping("--net", "run/config.yaml")["arrays"] == document["arrays"]
    plain = e2e.train("alexnet.yaml", *training)["weights_digest"]
    assert e2e.train("alexnet", *training, "--threads", "3", "--isa", "generic")["weights_digest"] == plain
    mapping("--net", "alexnet", *REDUCED, "--set", "arrays.K2.max_cols=100", "--rereads", "run/result.json")


def test_images_that_the_network_is_not_for():
    fails(2, "train", "alexnet", *SMALL, says=["network.height: the network is for 227, but the images are of 28 x 28 x 1"])
    fails(2, "train", "lenet-fp", *SMALL, "--set", "network.channels=3", says=["network.channels", "28 x 28 x 1"])
    assert e2e.train("lenet-fp", *SMALL, "--set", "network.width=28")["config"]["network"]["width"] == 28


# ---- rereads ----

def test_rereads_of_a_training():
    """A low bound, so that bound management reads again, forward and backward."""
    options = ["--set", "arrays.default.forward.bound=0.7", "--set", "arrays.default.backward.bm=iterative",
               "--set", "arrays.default.backward.bound=0.3", "--set", "arrays.default.backward.nm=abs-max"]
    succeed("train", "--quiet", *SMALL, *options, "--epochs", "2", "--out", "run")
    with open("run/result.json", encoding="utf-8") as file:
        result = json.load(file)
    plain, document = mapping(), mapping("--rereads", "run/result.json")
    repeated = 0
    for a, without in zip(document["arrays"], plain["arrays"]):
        for cycle in ("forward", "backward"):
            if a[cycle] is None:
                continue
            reads = [e["arrays"][a["name"]][cycle] for e in result["epochs"]]
            mean = sum(r["rereads"] for r in reads) / sum(r["columns"] for r in reads)
            assert close(a[cycle]["rereads_per_column"], mean), (a, mean)
            assert close(a[cycle]["ns_per_image"], without[cycle]["ns_per_image"] * (1 + mean)), a
            repeated += mean > 0.01
        assert a["update"] == without["update"]
    assert repeated >= 5, f"{repeated} cycles with rereads"
    assert document["rereads_of"] == "run/result.json" and plain["rereads_of"] is None
    text = succeed("map", "--rereads", "run/result.json").stdout
    assert re.search(r"^rereads +K1 [\d.e-]+, K2 [\d.e-]+/[\d.e-]+, .*run/result\.json$", text, re.M), text
    whole = {"rows": 1, "cols": 1}
    assert "divided" not in text and all((a["reread_grid"], a["reread_copies"]) == (whole, 1) for a in document["arrays"])
    assert all(a["reread_grid"] is None and a["reread_copies"] is None for a in plain["arrays"])
    # what was divided otherwise is taken, and said
    succeed("train", "--quiet", *SMALL, *options, "--set", "arrays.W3.max_rows=64", "--set", "arrays.K1.copies=9", "--out", "two")
    for path, more, says in (("run", ["--array", "512x401=10"], ["W3 was divided 1x1 (copies: 1) there, 1x2 (1) here"]),
                             ("run", ["--replicas", "K1=4"], ["K1 was divided 1x1 (copies: 1) there, 1x1 (4) here"]),
                             ("two", ["--array", "256x512", "--replicas", "K1=9"],
                              ["W3 was divided 2x1 (copies: 1) there, 1x2 (1) here"])):
        text = succeed("map", "--rereads", path + "/result.json", *more).stdout
        assert re.findall(r"^ +(\w+ was divided .*): how often", text, re.M) == says, text
    same = ["--set", "arrays.W3.max_rows=64", "--set", "arrays.K1.copies=9"]
    assert "divided" not in succeed("map", "--rereads", "two/result.json", *same).stdout


def test_results_that_do_not_fit():
    succeed("train", "--quiet", "lenet-fp", *SMALL, "--out", "run")
    fits = ["map", "--rereads", "run/result.json"]
    succeed(*fits)
    fails(2, *fits, "--set", "network.layers.3.outputs=33", says=["run/result.json", "K2 is 32 x 401 with 64 columns"])
    fails(2, *fits, "--set", "network.layers.0.name=A", says=["run/result.json", "has no array A"])
    succeed("train", "--quiet", *SMALL, "--set", "arrays.K2.devices=2", "--out", "two")
    succeed("map", "--rereads", "two/result.json", "--set", "arrays.K2.devices=2")
    fails(2, "map", "--rereads", "two/result.json", says=["two/result.json", "K2 has 2 devices for a weight; the network's has 1"])
    fails(2, *fits, "--net", "lenet", "--set", "arrays.K2.devices=3", says=["K2 has 1 devices for a weight; the network's has 3"])
    recorded = os.path.join(e2e.ROOT, "results", "mnist", "lenet-rpu-seed1.json")  # from before there were several
    succeed("map", "--rereads", recorded)
    fails(2, "map", "--rereads", recorded, "--set", "arrays.K2.devices=2", says=["K2 has 1 devices for a weight"])
    fails(2, "map", "--rereads", "none.json", says=["none.json"])
    with open("run/result.json", encoding="utf-8") as file:
        text = file.read()
    for broken, says in ((text[:-20], "is not JSON"), ("{}", "is no results document"), ("[1]", "is no results document"),
                         (json.dumps({**json.loads(text), "epochs": []}), "no finished epoch with reads of K1 (forward)"),
                         (json.dumps({**json.loads(text), "epochs": [3, {"arrays": {"K1": 4}}]}), "no finished epoch"),
                         (json.dumps({**json.loads(text), "arrays": 5}), "has no array K1")):
        with open("broken.json", "w", encoding="utf-8") as file:
            file.write(broken)
        fails(2, "map", "--rereads", "broken.json", says=["broken.json", says])
    with open("large.json", "wb") as file:
        file.truncate((64 << 20) + 1)
    fails(2, "map", "--rereads", "large.json", says=["large.json", "64 MiB"])
    fails(2, "map", "--rereads", "/dev/zero", says=["/dev/zero", "64 MiB"])


# ---- usage and output ----

def test_the_table_of_the_readme():
    with open(os.path.join(e2e.ROOT, "README.md"), encoding="utf-8") as file:
        block = re.search(r"^    \$ rpubench (map .*)\n((?:    .*\n|\n)+)", file.read(), re.M)
    shown = "\n".join(line[4:] for line in block.group(2).rstrip().splitlines())
    assert shown == succeed(*block.group(1).split()).stdout.rstrip()


def test_wrong_options():
    for option, value, says in (
            ("array", "512", "ROWSxCOLS"), ("array", "512x0", "ROWSxCOLS"), ("array", "512x512=0", "above 0"),
            ("array", "512x512=x", "ROWSxCOLS"), ("array", "512x512=", "ROWSxCOLS"), ("array", "", "ROWSxCOLS"),
            ("array", "512x512,", "ROWSxCOLS"), ("array", "512x512,512x512=3", "different sizes"),
            ("array", "512x1048577", "1048576"), ("array", ",".join(f"{i}x{i}" for i in range(1, 10)), "up to 8"),
            ("array", "512x512=nan", "above 0"), ("array", "512x512=0x8", "above 0"), ("array", "1" * 60, "ROWSxCOLS"),
            ("t-meas", "0", "nanoseconds"), ("t-meas", "x", "nanoseconds"), ("t-slot", "-1", "nanoseconds"),
            ("replicas", "K9=2", "arrays are K1, K2, W3, W4"), ("replicas", "K1", "NAME=COPIES"),
            ("replicas", "K1=0", "NAME=COPIES"), ("replicas", "K1=2.5", "NAME=COPIES"),
            ("replicas", "K1=4,K2=2,K1=5", "each array once"),
            ("place", "K1=512x512", "a size that --array has"), ("for", "fun", "training or inference"),
            ("input", "28x28", "HEIGHTxWIDTHxCHANNELS"), ("input", "28x28x1x", "HEIGHTxWIDTHxCHANNELS")):
        result = fails(2, "map", f"--{option}={value}", says=[f"rpubench map: --{option}: found '{value}'", says])
        assert result.stdout == ""
    fails(2, "map", "--replicas", "W4=2", says=["W4: 2 copies; allowed are 1 to 1"])
    fails(2, "map", "--array", "8x8", "--set", "arrays.K2.devices=16",
          says=["K2: 8 inputs of a tile cannot hold the 16 devices of a weight"])
    fails(2, "map", "--array", "64x64", "--place", "K1=32x32", says=["--place", "a size that --array has"])
    fails(2, "map", "--set", "training.etta=1", says=["training.etta"])
    fails(2, "map", "lenet", says=["unexpected argument 'lenet'"])


def test_the_document_as_a_file():
    text = succeed("map", "--json", "map.json").stdout
    assert text.startswith("lenet for images of 28x28x1: 4 arrays")
    with open("map.json", encoding="utf-8") as file:
        assert json.load(file) == mapping()
    fails(1, "map", "--json", "none/map.json", says=["none"])
    assert sorted(os.listdir()) == ["map.json"]


if __name__ == "__main__":
    e2e.main(globals())
