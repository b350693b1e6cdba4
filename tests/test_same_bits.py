#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One configuration and one seed give the same results with every kernel variant, any number of threads, always."""
import e2e

PRESETS = ["lenet-rpu", "lenet-rpu-baseline", "lenet-fp"]
# 19 images: minibatches of 8 leave an incomplete one.
SHORT = ["--limit-train", "19", "--limit-test", "10", "--epochs", "2"]
VARYING = {"seconds", "train_seconds", "images_per_second", "cycles", "date", "threads", "places", "isa", "kernels", "run",
           "config", "bind", "images_alone"}


def bits(value):
    """A results document without what may differ: times, rates, and how it was computed."""
    if isinstance(value, dict):
        return {k: bits(v) for k, v in value.items() if k not in VARYING}
    return [bits(v) for v in value] if isinstance(value, list) else value


def compare(batch):
    for preset in PRESETS:
        first = bits(e2e.train(preset, *SHORT, "--batch", batch, "--isa", "generic", "--threads", "1"))
        for isa in e2e.variants():
            for threads in ("1", "2", "3"):
                again = bits(e2e.train(preset, *SHORT, "--batch", batch, "--isa", isa, "--threads", threads))
                assert again == first, f"{preset}, batch {batch}: {isa} with {threads} threads differs\n{again}\n{first}"


def test_variants_and_threads_batch_1():
    compare("1")


def test_variants_and_threads_batch_8():
    compare("8")


def test_any_number_of_threads():
    """More threads than most test machines have cores, minibatches that they do not divide evenly, bound and not."""
    for preset in ("lenet-rpu", "lenet-fp"):
        for batch, images in (("1", "12"), ("8", "20"), ("64", "70")):
            short = ["--limit-train", images, "--limit-test", "9", "--epochs", "1", "--batch", batch]
            first = bits(e2e.train(preset, *short, "--threads", "1"))
            for threads in ("2", "3", "4", "7"):
                for bind in ("none", "compact") if threads == "2" else ("none",):
                    again = bits(e2e.train(preset, *short, "--threads", threads, "--bind", bind))
                    assert again == first, f"{preset}, batch {batch}: {threads} threads, bind {bind} differ"


def test_shared_or_not():
    """So many minibatches that it is tried whether one thread alone is faster; interrupted by nothing else."""
    long = ["--set", "network.layers=[{type: fc, outputs: 10}, {type: softmax}]", "--limit-train", "700", "--limit-test", "9",
            "--epochs", "2"]
    one, auto = (e2e.train("lenet-rpu", *long, "--threads", threads) for threads in ("1", "2"))
    always = e2e.train("lenet-rpu", *long, "--threads", "2", "--share", "always")
    assert bits(one) == bits(auto) == bits(always)
    assert one["images_alone"] == always["images_alone"] == 0 < auto["images_alone"] < 1400
    assert always["config"]["run"]["share"] == "always"


def test_divided_arrays():
    """Arrays of several tiles; the limits matter to RPU arrays only."""
    divided = ["--set", "arrays.default.max_rows=20", "--set", "arrays.default.max_cols=200"]
    for batch in ("1", "4"):
        short = ["--limit-train", "10", "--limit-test", "5", "--epochs", "1", "--batch", batch]
        runs = [e2e.train("lenet-rpu", *short, *divided, "--threads", threads, "--isa", isa)
                for threads in ("1", "2", "3") for isa in ("generic", e2e.variants()[-1])]
        assert all(bits(r) == bits(runs[0]) for r in runs)
        assert [a["tiles"] for a in runs[0]["arrays"]] == [1, 2 * 3, 7 * 3, 1]
        assert runs[0]["weights_digest"] != e2e.train("lenet-rpu", *short)["weights_digest"]
        exact = e2e.train("lenet-fp", *short, *divided)
        assert exact["weights_digest"] == e2e.train("lenet-fp", *short)["weights_digest"]
        assert [a["tiles"] for a in exact["arrays"]] == [1] * 4


def test_devices_and_copies():
    """Weights of several devices, and convolutions of several arrays."""
    for division in ("random", "redrawn"):
        several = ["--set", "arrays.K1.copies=4", "--set", f"arrays.K1.division={division}",
                   "--set", "arrays.K2.devices=3", "--set", "arrays.K2.copies=2", "--set", "arrays.W3.devices=2"]
        for batch in ("1", "4"):
            short = ["--limit-train", "10", "--limit-test", "5", "--epochs", "1", "--batch", batch]
            runs = [e2e.train("lenet-rpu", *short, *several, "--threads", threads, "--isa", isa)
                    for threads in ("1", "2", "3") for isa in ("generic", e2e.variants()[-1])]
            assert all(bits(r) == bits(runs[0]) for r in runs)
            assert [a["tiles"] for a in runs[0]["arrays"]] == [4, 2, 1, 1]
            assert [(a["devices"], a["copies"]) for a in runs[0]["arrays"]] == [(1, 4), (3, 2), (2, 1), (1, 1)]
            assert runs[0]["weights_digest"] != e2e.train("lenet-rpu", *short)["weights_digest"]


def test_repeated_runs():
    runs = [bits(e2e.train("lenet-rpu", *SHORT)) for _ in range(3)]
    assert runs[0] == runs[1] == runs[2]


def test_seed_and_batch_matter():
    digests = {e2e.train("lenet-rpu", *SHORT, *more)["weights_digest"]
               for more in ([], ["--seed", "12345"], ["--batch", "8"])}
    assert len(digests) == 3


def test_evaluation_changes_no_training_number():
    few = e2e.train("lenet-rpu", *SHORT)
    more = e2e.train("lenet-rpu", *SHORT, "--limit-test", "30")
    assert few["weights_digest"] == more["weights_digest"]
    assert few["pulses"] == more["pulses"]
    assert [e["train_loss"] for e in few["epochs"]] == [e["train_loss"] for e in more["epochs"]]
    assert [e["arrays"] for e in few["epochs"]] == [e["arrays"] for e in more["epochs"]]


def test_a_shorter_training_is_the_beginning_of_a_longer_one():
    one = bits(e2e.train("lenet-rpu", "--limit-train", "19", "--limit-test", "10", "--epochs", "1"))
    two = bits(e2e.train("lenet-rpu", *SHORT))
    assert one["epochs"] == two["epochs"][:1]


if __name__ == "__main__":
    e2e.main(globals())
