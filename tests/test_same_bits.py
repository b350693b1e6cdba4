#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One configuration and one seed give the same results with every kernel variant, any number of threads, always."""
import e2e

PRESETS = ["lenet-rpu", "lenet-rpu-baseline", "lenet-fp"]
# 19 images: minibatches of 8 leave an incomplete one.
SHORT = ["--limit-train", "19", "--limit-test", "10", "--epochs", "2"]
VARYING = {"seconds", "train_seconds", "images_per_second", "cycles", "date", "threads", "places", "isa", "kernels", "run",
           "config"}


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
