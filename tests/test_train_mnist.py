#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A short training on MNIST learns: far better than guessing after 2000 images."""
import e2e

SHORT = ["--epochs", "1", "--limit-train", "2000", "--limit-test", "500", "--seed", "1"]


def learns(preset, most):
    result = e2e.train(preset, "--data", e2e.mnist(), *SHORT)
    assert result["data"]["classes"] == 10 and result["data"]["train_images"] == 2000
    assert result["test_error"] < most, f"{preset} errs on {result['test_error']}, expected less than {most}"


def test_floating_point_learns():
    learns("lenet-fp", 0.25)


def test_arrays_learn():
    learns("lenet-rpu", 0.30)


if __name__ == "__main__":
    e2e.main(globals())
