#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints by way of the program: kills, interrupts, what is refused, eval and inspect."""
import fcntl
import gzip
import json
import math
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time

import checkpointfile
import e2e
from e2e import fails, succeed
from test_results import check_keys

sys.path.insert(0, os.path.join(e2e.ROOT, "tools"))
from kill_check import outcome  # pylint: disable=wrong-import-position

TRAINING = ["--limit-train", "60", "--limit-test", "20", "--epochs", "3", "--quiet"]
NAME = "checkpoint.safetensors"


def train(out, *more):
    succeed("train", *TRAINING, "--out", out, *more)
    return outcome(f"{out}/result.json")


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


# ---- going on ----

def test_kills():
    moments = "6" if e2e.INSTRUMENTED else "20"
    result = subprocess.run([os.path.join(e2e.ROOT, "tools", "kill_check.py"), e2e.PROGRAM, "--moments", moments],
                            capture_output=True, text=True, check=False)
    assert result.returncode == 0 and f"{moments} moments" in result.stdout, result.stdout + result.stderr


def test_kill_check_finds_another_outcome():
    """A program that says something else after a resume is found out."""
    with open("liar", "w", encoding="utf-8") as file:
        file.write(f'''#!/usr/bin/python3
import json, os, subprocess, sys
code = subprocess.run(["{e2e.PROGRAM}", *sys.argv[1:]]).returncode
if "--resume" in sys.argv and code == 0:
    path = sys.argv[sys.argv.index("--out") + 1] + "/result.json"
    result = json.load(open(path))
    result["epochs"][0]["test_loss"] += 1e-9
    json.dump(result, open(path, "w"))
sys.exit(code)
''')
    os.chmod("liar", 0o755)
    result = subprocess.run([os.path.join(e2e.ROOT, "tools", "kill_check.py"), "liar", "--moments", "1"],
                            capture_output=True, text=True, check=False)
    assert result.returncode == 1 and "another outcome" in result.stdout, result.stdout + result.stderr


def test_a_checkpoint_at_the_end_and_more_epochs():
    first = train("a", "--checkpoint-every", "1epoch")
    assert sorted(os.listdir("a")) == [NAME, "config.yaml", "result.json"]
    metadata, _ = checkpointfile.read(f"a/{NAME}")
    assert metadata["step"] == "180" and metadata["epoch"] == "3" and metadata["format"] == "rpubench-checkpoint"
    again = train("a", "--resume")
    assert again == first and read_json("a/result.json")["images_resumed"] == 180
    more = train("a", "--resume", "--epochs", "4", "--threads", "1", "--isa", "generic")
    assert more == train("b", "--epochs", "4")
    assert checkpointfile.read(f"a/{NAME}")[0]["epoch"] == "4"


def traced(threads, calls, *options):
    """The system calls that a training makes, as strace tells them."""
    if not shutil.which("strace") or "+++ exited with 0" not in subprocess.run(
            ["strace", "true"], capture_output=True, text=True, check=False).stderr:
        raise e2e.Skipped("strace is not installed, or not allowed")
    result = subprocess.run(["strace", *threads.split(), "-e", f"trace={calls}", e2e.PROGRAM, "train", *TRAINING, *options],
                            capture_output=True, text=True, check=False,
                            env={**e2e.environment(), "ASAN_OPTIONS": "detect_leaks=0"})
    assert result.returncode == 0, result.stderr
    return result.stderr


def test_a_new_folder_is_synced_where_it_is():
    os.mkdir("in")
    for out, folders in (("new", ["new"]), ("in/new", ["in/new"]), ("in/newer//", ["in/newer"]),
                         ("up/and/down", ["up", "up/and", "up/and/down"])):
        calls = traced("", "/mkdir.*,openat,fsync", "--out", out)
        for folder in folders:
            where = os.path.dirname(folder) or "."
            assert re.search(rf'^mkdir.*"{folder}".* = 0\nopenat\(.*"{where}/?", .*\) = (\d+)\nfsync\(\1\) += 0$', calls,
                             re.M), calls[-2000:]


def test_when_checkpoints_are_written():
    """Without --checkpoint-every there is none; with it, as many as the system sees renamed, each synced before."""
    train("none")
    assert sorted(os.listdir("none")) == ["config.yaml", "result.json"]
    for every, count in (("1image", 181), ("90images", 3), ("1epoch", 3), ("2epochs", 2), ("1000images", 1),
                         ("10minutes", 1)):
        shutil.rmtree("run", ignore_errors=True)
        calls = re.findall(rf'(fsync)\(|(rename)\(".*tmp-.*", ".*{NAME}"\)',
                           traced("-f", "rename,fsync", "--checkpoint-every", every, "--out", "run"))
        calls = ["rename" if rename else "fsync" for _, rename in calls]
        assert calls.count("rename") == count, (every, calls.count("rename"))
        for at in (i for i, call in enumerate(calls) if call == "rename"):
            assert calls[at - 1:at + 2] == ["fsync", "rename", "fsync"], "the file, its name, the folder"
        assert checkpointfile.read(f"run/{NAME}")[0]["step"] == "180"


def test_without_a_checkpoint_it_begins():
    out = succeed("train", *TRAINING[:-1], "--out", "new", "--resume").stdout
    assert "no checkpoint in new yet: starting from the beginning" in out
    assert outcome("new/result.json") == train("plain")
    assert os.path.exists(f"new/{NAME}"), "--resume alone keeps the end, too"


# ---- interrupts ----

def interrupted(number, folder, after, *more):
    """A training that is interrupted; exit code and output."""
    command = ["train", "--limit-train", "60", "--limit-test", "20", "--epochs", "500", f"--out={folder}", *more]
    with e2e.begun(command, "epoch 1/500") as child:
        time.sleep(after)
        child.send_signal(number)
        out, err = child.communicate(timeout=120)
    assert child.returncode == 130, f"exit {child.returncode}: {err}"
    return out


def test_interrupts_leave_a_checkpoint():
    for number, after, more in ((signal.SIGINT, 0.0, ()), (signal.SIGTERM, 0.11, ("--batch", "7")),
                                (signal.SIGTERM, 0.3, ("--checkpoint-every", "50images", "--threads", "2"))):
        shutil.rmtree("run", ignore_errors=True)
        out = interrupted(number, "run", after, *more)
        result = read_json("run/result.json")
        images = result["images_trained"]
        assert result["interrupted"] is True and result["diverged"] is False
        assert int(checkpointfile.read(f"run/{NAME}")[0]["step"]) == images
        every = f" --checkpoint-every={more[1]}" if more[:1] == ("--checkpoint-every",) else ""
        says = re.search(rf"^to go on +rpubench (train run/config.yaml --out=run --resume{every})$", out, re.M)
        assert says, out
        # what it says works, for a few epochs more
        epochs = str(len(result["epochs"]) + 2)
        batch = more[:2] if more[:1] == ("--batch",) else ()
        text = succeed(*says.group(1).split(), "--epochs", epochs).stdout
        assert f"resumed after {images} images, in epoch {len(result['epochs']) + 1}\n" in text, text
        alone = e2e.train("--limit-train", "60", "--limit-test", "20", "--epochs", epochs, *batch)
        assert read_json("run/result.json")["weights_digest"] == alone["weights_digest"]
        assert not [n for n in os.listdir("run") if "tmp" in n]


def test_how_to_go_on_is_a_command_for_a_shell():
    for folder in ("a b", "it's $HOME; *", "-x", "~", "\u00e9\nnew"):
        out = interrupted(signal.SIGTERM, folder, 0.0)
        epochs = len(read_json(f"{folder}/result.json")["epochs"]) + 1
        command = re.search(r"^to go on +rpubench (.*)\Z", out, re.M | re.S).group(1).strip()
        result = subprocess.run(["sh", "-c", f'"$0" {command} --epochs={epochs}', e2e.PROGRAM], capture_output=True,
                                text=True, env=e2e.environment(), check=False)
        assert result.returncode == 0 and "resumed after" in result.stdout, (command, result.stderr)
        assert read_json(f"{folder}/result.json")["interrupted"] is False


def test_an_interrupt_without_a_folder_keeps_nothing():
    for quiet, says in (([], "rpubench train: interrupted, and no checkpoint was kept: that takes --out\n"),
                        (["--quiet"], "")):
        command = [e2e.PROGRAM, "train", "--limit-train", "60", "--limit-test", "20", "--epochs", "100000",
                   "--json", "a.json", *quiet]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=e2e.environment()) as child:
            while not os.listdir("."):  # its temporary comes after it catches signals
                assert child.poll() is None
                time.sleep(0.01)
            child.send_signal(signal.SIGTERM)
            _, err = child.communicate(timeout=120)
        assert child.returncode == 130 and err == says, (child.returncode, err)
        assert os.listdir(".") == ["a.json"]
        os.unlink("a.json")


def test_what_a_kill_left_half_written_goes():
    os.mkdir("out")
    for name in ("config.yaml", "result.json", NAME):
        with open(f"out/.{name}.tmp-1-0", "w", encoding="utf-8") as file:
            file.write("half")
    succeed("train", *TRAINING, "--out", "out")
    assert sorted(os.listdir("out")) == ["config.yaml", "result.json"]


def test_outputs_replace_no_input():
    train("runs", "--checkpoint-every", "1epoch")
    write_to = {"eval": ["--json"], "inspect": ["--json"], "train": ["--json", "--trace"]}
    with open(f"runs/{NAME}", "rb") as file:
        before = file.read()
    os.symlink(f"runs/{NAME}", "link")
    for command, options in write_to.items():
        for option in options:
            for path in (f"runs/{NAME}", "link", f"./runs/../runs/{NAME}"):
                more = ["--out", "runs", "--resume"] if command == "train" else [f"runs/{NAME}"]
                fails(2, command, *more, option, path, says=[f"{command}: {option}: found '{path}'"])
    new = ["train", *TRAINING, "--out", "new"]
    os.mkdir("new")
    for name in ("config.yaml", "result.json", NAME):
        fails(2, *new, "--json", f"new/{name}", says=["train: --json: found"])
        fails(2, *new, "--trace", f"new//{name}", says=["train: --trace: found"])
    fails(2, *new, "--json", "both", "--trace", "./both", says=["--json: found 'both'"])
    fails(2, "train", "runs/config.yaml", "--json", "runs/config.yaml", says=["--json: found"])
    fails(2, "map", "--net", "runs/config.yaml", "--json", "runs/config.yaml", says=["--json: found"])
    fails(2, "map", "--rereads", "runs/result.json", "--json", "runs/result.json", says=["--json: found"])
    fails(2, "compare", "runs/result.json", "runs/result.json", "--json", "runs/result.json", says=["--json: found"])
    with open(f"runs/{NAME}", "rb") as file:
        assert file.read() == before
    assert os.listdir("new") == []
    succeed(*new, "--json", "/dev/null", "--trace", "/dev/null")


def test_two_trainings_in_one_folder():
    """The second is refused, with --resume or without, and the first one's files stay, those in the making as well."""
    command = ["train", "--limit-train", "60", "--limit-test", "20", "--epochs", "500", "--out", "run"]
    with e2e.begun(command, "epoch 1/500") as child:
        before = sorted(os.listdir("run"))
        assert len(before) == 2 and all(".tmp-" in name for name in before)
        for more in ((), ("--resume",)):
            fails(1, "train", *TRAINING, "--out", "run", *more, says=["--out: another training is at work in the folder run"])
            assert sorted(os.listdir("run")) == before
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=120)
    assert child.returncode == 130 and err == "", err
    assert sorted(os.listdir("run")) == [NAME, "config.yaml", "result.json"]


def test_no_checkpoint_is_read_while_another_training_may_write_it():
    os.mkdir("run")
    with open(f"run/{NAME}", "w", encoding="utf-8") as file:
        file.write("no checkpoint")
    fails(1, "train", *TRAINING, "--out", "run", "--resume", says=[NAME])
    folder = os.open("run", os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    fails(1, "train", *TRAINING, "--out", "run", "--resume", says=["--out: another training is at work in the folder run"])
    os.close(folder)


def end_at_once(first, second, pause=0.4, images="2000"):
    """Whether the second signal ended a training of minibatches of 2000 images, and not the first, after one of them."""
    command = ["train", "--limit-train", images, "--limit-test", "10", "--epochs", "99", "--batch", images,
               "--isa", "generic", "--threads", "1", "--out", "run"]
    shutil.rmtree("run", ignore_errors=True)
    with e2e.begun(command, "kernels generic") as child:
        time.sleep(0.1)
        child.send_signal(first)
        time.sleep(pause)
        child.send_signal(second)
        child.communicate(timeout=120)
    assert child.returncode in (-second, -max(first, second), 130), child.returncode # both at once: the lower one first
    return child.returncode == -second


def test_a_second_signal_ends_at_once():
    """Of either kind; a machine that is through with the minibatch by then gets another try."""
    for first in (signal.SIGINT, signal.SIGTERM):
        for second in (signal.SIGINT, signal.SIGTERM):
            assert any(end_at_once(first, second) for _ in range(5)), f"{second} after {first} changed nothing"


def test_signals_close_together_are_one():
    """As `timeout` sends them, to the program and to its group; a machine that puts them far apart gets another try."""
    for first in (signal.SIGINT, signal.SIGTERM):
        for second in (signal.SIGINT, signal.SIGTERM):
            assert not all(end_at_once(first, second, 0.01, "300") for _ in range(5)), f"{second} with {first} ended it"
    assert os.path.exists("run/checkpoint.safetensors")


# ---- what is refused ----

def test_usage():
    fails(2, "train", "--checkpoint-every", "1epoch", says=["--checkpoint-every", "--out"])
    fails(2, "train", "--resume", says=["--resume", "--out"])
    for text in ("", "0images", "1", "images", "1.5epochs", "-1epoch", "5000000000images", "1 epoch", "2imagess", "1hours"):
        fails(2, "train", "--out", "x", "--checkpoint-every", text, says=["--checkpoint-every", f"'{text}'", "500images"])
    fails(2, "train", "--out", "x", "--checkpoint-every", "2\x1b[31m\x7f", says=["found '2?[31m?', allowed"])
    fails(2, "train", "--out", "x", "--checkpoint-every", 55 * "0" + "1image", says=["found '000", "at most 60 characters"])
    assert not os.path.exists("x")
    for command in ("eval", "inspect"):
        fails(2, command, says=["no checkpoint"])
        fails(1, command, "none", says=["none: cannot be opened"])
        fails(1, command, ".", says=[".: is no regular file"])


def test_a_checkpoint_is_not_replaced_by_another_training():
    """Without --resume a folder that has one is refused, be it damaged or of the very same configuration."""
    train("a", "--checkpoint-every", "1epoch")
    os.mkdir("damaged")
    with open(f"damaged/{NAME}", "wb") as file:
        file.write(b"half")
    for folder in ("a", "damaged"):
        before = {name: open(f"{folder}/{name}", "rb").read() for name in os.listdir(folder)}
        for more in (["--checkpoint-every", "1epoch"], [], ["--seed", "2", "--json", "new.json"]):
            result = fails(2, "train", *TRAINING[:-1], "--out", folder, *more, says=[
                f"--out: found {folder}/{NAME}, where a training stands that this one would replace; "
                "allowed is --resume, to go on from it, another folder, or to remove it first"])
            assert result.stdout == "" and not os.path.exists("new.json")
            assert {name: open(f"{folder}/{name}", "rb").read() for name in os.listdir(folder)} == before
    os.unlink(f"a/{NAME}")
    train("a", "--seed", "2")


def test_another_configuration_is_refused():
    train("a", "--checkpoint-every", "1epoch")
    before = open(f"a/{NAME}", "rb").read()
    for options, says in ((["--set", "training.eta=0.02"], ["training.eta: 0.01 then, 0.02 now"]),
                          (["--seed", "2", "--set", "arrays.K2.update.bl=3"],
                           ["training.seed: 1 then, 2 now", "arrays.K2.update.bl: 1 then, 3 now"]),
                          (["--batch", "2"], ["training.batch: 1 then, 2 now"]),
                          (["--limit-train", "59"], ["data.limit_train: 60 then, 59 now"]),
                          (["--epochs", "2"], ["training.epochs is 2, but 3 are trained"])):
        fails(2, "train", *TRAINING, "--out", "a", "--resume", *options, says=[f"--resume: a/{NAME}", *says])
    fails(2, "train", "lenet-fp", *TRAINING, "--out", "a", "--resume", says=["arrays.K1.device: constant-step then, perfect now"])
    assert open(f"a/{NAME}", "rb").read() == before
    assert sorted(os.listdir("a")) == [NAME, "config.yaml", "result.json"]


def write_images(folder, change):
    """Sixty and twenty images of the four files."""
    os.makedirs(folder, exist_ok=True)
    for name, count in (("train", 60), ("t10k", 20)):
        pixels = bytes((i * 7919 + i // 784 * 31) % 256 for i in range(count * 784))
        if change and name == "train":
            pixels = pixels[:5000] + bytes([pixels[5000] ^ 1]) + pixels[5001:]
        with gzip.open(f"{folder}/{name}-images-idx3-ubyte.gz", "wb") as file:
            file.write(struct.pack(">IIII", 0x803, count, 28, 28) + pixels)
        with open(f"{folder}/{name}-labels-idx1-ubyte", "wb") as file:
            file.write(struct.pack(">II", 0x801, count) + bytes(i % 10 for i in range(count)))


def test_other_images_are_refused():
    write_images("images", False)
    write_images("copy", False)
    write_images("other", True)
    train("a", "--data", "images", "--checkpoint-every", "1epoch", "--epochs", "2")
    fails(1, "train", *TRAINING, "--data", "other", "--out", "a", "--resume",
          says=["the training set is not that of the checkpoint: 60 images"])
    fails(1, "train", *TRAINING, "--data", "digits", "--out", "a", "--resume", says=["the training set is not that"])
    shutil.rmtree("images")
    fails(1, "train", *TRAINING, "--data", "images", "--out", "a", "--resume", says=["images: cannot open"])
    moved = train("a", "--data", "copy", "--resume")
    assert moved == train("b", "--data", "copy")


def test_damage_is_noticed():
    train("a", "--checkpoint-every", "1epoch")
    size = os.path.getsize(f"a/{NAME}")
    whole = open(f"a/{NAME}", "rb").read()
    for at in (0, 5, 9, 60, 700, 5000, size // 2, -1):
        checkpointfile.flip(f"a/{NAME}", at)
        for command in (["train", *TRAINING, "--out", "a", "--resume"], ["eval", f"a/{NAME}"], ["inspect", f"a/{NAME}"]):
            fails(1, *command, says=[f"a/{NAME}: "])
        checkpointfile.flip(f"a/{NAME}", at)
    assert open(f"a/{NAME}", "rb").read() == whole
    for length in (0, 7, 8, 100, size // 2, size - 1):
        with open(f"a/{NAME}", "wb") as file:
            file.write(whole[:length])
        fails(1, "train", *TRAINING, "--out", "a", "--resume", says=[f"a/{NAME}: "])
        assert os.path.getsize(f"a/{NAME}") == length, "a damaged file is left to its owner"
    for text in (b"hello, world", b"{}" * 100, b"\x7fELF" + bytes(1000)):
        with open("junk", "wb") as file:
            file.write(text)
        fails(1, "inspect", "junk", says=["junk: "])


# ---- files that are made to do harm ----

def test_texts_of_a_checkpoint_drive_no_terminal():
    write_images("\x1b[31mred\x07", False)
    train("a", "--checkpoint-every", "1epoch", "--data", "\x1b[31mred\x07")
    said = succeed("train", *TRAINING[:-1], "--data", "\x1b[31mred\x07", "--out", "b").stdout
    assert " on ?[31mred?: " in said and not re.search("[\x00-\x09\x0b-\x1f\x7f]", said), said

    def change(metadata, _):
        metadata["version"] = "\x1b]0;title\x07"

    checkpointfile.forge(f"a/{NAME}", "bad", change)
    for command, says in (("inspect", ["written by rpubench ?]0;title?\n", "on ?[31mred? ("]),
                          ("eval", ["20 test images of ?[31mred?, analog"])):
        text = succeed(command, "bad").stdout
        assert all(part in text for part in says) and not re.search("[\x00-\x09\x0b-\x1f\x7f]", text), text


def test_any_folder_of_images_can_be_read_back():
    """What JSON writes as it is, and YAML does not take."""
    folder = "im\x7f\u2028x \U0001f600"
    write_images(folder, False)
    train("a", "--checkpoint-every", "1epoch", "--data", folder)
    metadata, _ = checkpointfile.read(f"a/{NAME}")
    assert json.loads(metadata["config"])["data"]["source"] == folder
    succeed("inspect", f"a/{NAME}")
    assert "resumed after" in succeed("train", *TRAINING[:-1], "--epochs", "4", "--data", folder, "--out", "a",
                                      "--resume").stdout


def test_a_network_beyond_its_tensors_is_not_made():
    train("a", "--checkpoint-every", "1epoch")
    assert os.path.getsize(f"a/{NAME}") < 2000000

    def change(metadata, _):
        config = json.loads(metadata["config"])
        config["network"]["layers"][6]["outputs"] = 65536
        config["arrays"]["W3"]["devices"] = 16
        metadata["config"] = json.dumps(config)

    checkpointfile.forge(f"a/{NAME}", "bad", change)
    for read in ("analog", "perfect"):
        fails(1, "eval", "bad", "--read", read, says=[
            "array W3: the checkpoint's configuration has 65536 x 513 weights, of 16 devices, in 1 copies; "
            "its tensors have 65664 values"])


def test_more_digits_than_anybody_asked_for_are_not_made():
    train("a", "--checkpoint-every", "1epoch")

    def change(metadata, _):
        config = json.loads(metadata["config"])
        config["data"]["limit_test"] = 1048577
        metadata["config"] = json.dumps(config)

    checkpointfile.forge(f"a/{NAME}", "bad", change)
    fails(2, "eval", "bad", says=["bad: data.limit_test: found 1048577; so many digits are generated only when --limit-test"])
    asked, trained = evaluation("bad", "--limit-test", "20"), evaluation(f"a/{NAME}")
    assert [asked[key] for key in ("test_images", "test_loss")] == [trained[key] for key in ("test_images", "test_loss")]


def test_an_image_of_too_many_vectors_is_not_made():
    with open("net.yaml", "w", encoding="utf-8") as file:
        file.write("network:\n  layers:\n    - {type: conv, outputs: 1, kernel: 60, padding: 59}\n"
                   "    - {type: fc, outputs: 10}\n    - {type: softmax}\n")
    succeed("train", "net.yaml", "--limit-train", "1", "--limit-test", "1", "--epochs", "1", "--quiet", "--out", "a",
            "--checkpoint-every", "1epoch", "--set", "arrays.default.device=perfect")
    fails(1, "eval", f"a/{NAME}", says=["an image is 7569 vectors of 3601 inputs; allowed are 16777216 numbers"])


def test_outputs_without_end_are_not_made():
    """Sixty poolings that leave the 28x28x65536 outputs of a convolution as they are: 25 GB; or as many outputs in all."""
    with open("net.yaml", "w", encoding="utf-8") as file:
        file.write("network:\n  layers:\n    - {type: maxpool, window: 1, stride: 28}\n    - {type: conv, outputs: 65536, "
                   "kernel: 1}\n    - {type: fc, outputs: 10}\n    - {type: softmax}\n")
    succeed("train", "net.yaml", "--limit-train", "1", "--limit-test", "1", "--epochs", "1", "--quiet", "--out", "a",
            "--checkpoint-every", "1epoch", "--set", "arrays.default.device=perfect", "--set", "arrays.default.max_rows=65536",
            "--set", "arrays.default.max_cols=65537")

    def change(metadata, _):
        config = json.loads(metadata["config"])
        pool, conv, fc, softmax = config["network"]["layers"]
        same = {**pool, "stride": 1}
        config["network"]["layers"] = [conv, *[same] * 60, pool, fc, softmax]
        metadata["config"] = json.dumps(config)

    checkpointfile.forge(f"a/{NAME}", "bad", change)
    with open(e2e.PROGRAM, "rb") as file:
        sanitized = b"__asan_init" in file.read()  # which takes any address space
    limit = None if sanitized else lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    fails(1, "eval", "bad", "--threads", "1", preexec_fn=limit, says=[
        "the layers' outputs and vectors of an image are 3134260788 numbers; allowed are 67108864"])
    assert evaluation(f"a/{NAME}")["test_images"] == 1


def test_inspect_of_tiles_in_any_order():
    """The figures do not depend on where a tile's tensors stand; a tile that lacks some, or has no place, is refused."""
    train("a", "--checkpoint-every", "1epoch", "--set", "arrays.W3.max_cols=1", "--set", "arrays.default.bound=0.1")

    def figures(path):
        return json.loads(succeed("inspect", path, "-q", "--json", "-").stdout)["arrays"]

    def renamed(old, new):
        return lambda _, entries: {new if name == old else name: entry for name, entry in entries.items()}

    def backwards(quantities):
        return lambda _, entries: {re.sub(rf"^W3\.(\d+)\.(?={quantities})", lambda m: f"W3.{512 - int(m[1])}.", name):
                                   entry for name, entry in entries.items()}

    whole = figures(f"a/{NAME}")
    assert whole[2]["tiles"] == 513 and whole[2]["at_upper"] + whole[2]["at_lower"] > 0
    checkpointfile.forge(f"a/{NAME}", "bad", backwards(""))
    assert figures("bad") == whole
    checkpointfile.forge(f"a/{NAME}", "bad", backwards("bound_"))  # weights with the bounds of others
    other = figures("bad")[2]
    assert other["at_upper"] + other["at_lower"] < whole[2]["at_upper"] + whole[2]["at_lower"]
    assert other["quantities"] == whole[2]["quantities"]
    for old, new, says in (("W3.7.bound_upper", "W3.513.bound_upper", "array W3: weights or bounds are missing"),
                           ("W3.7.weight", "W3.513.weight", "array W3: weights or bounds are missing"),
                           ("W3.7.weight", "W3.4294967295.weight", "array W3: tile 4294967295 of a checkpoint of 2580")):
        checkpointfile.forge(f"a/{NAME}", "bad", renamed(old, new))
        fails(1, "inspect", "bad", says=[says])


def test_tensors_in_any_order():
    """Forty thousand in the reverse order come to the same, and take seconds, not minutes; an empty one is refused."""
    tiles = 2 * 64 * 64
    train("a", "--limit-train", "1", "--limit-test", "1", "--epochs", "1", "--checkpoint-every", "1epoch", "--set",
          "network.layers=[{type: conv, outputs: 64, kernel: 8, stride: 4, bias: false}, {type: maxpool, window: 6, "
          "stride: 6}, {type: fc, outputs: 10}, {type: softmax}]", "--set", "arrays.K1={max_rows: 1, max_cols: 1, copies: 2}")

    def backwards(_, entries):
        return {re.sub(r"^K1\.(\d+)", lambda m: f"K1.{tiles - 1 - int(m[1])}", name): entry
                for name, entry in entries.items()}

    def empty(_, entries):
        at = entries["K1.0.weight"]["data_offsets"][0]
        new = {"K1.9999.weight": {"dtype": "F32", "shape": [0, 1], "data_offsets": [at, at]}}
        return {**new, **entries} if at == 0 else None

    checkpointfile.forge(f"a/{NAME}", "bad", backwards)
    checkpointfile.forge("bad", "good", backwards)

    def processor_time(path):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = evaluation(path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return found, after.ru_utime - before.ru_utime

    found, seconds = processor_time(f"a/{NAME}")
    assert processor_time("good")[0]["weights_digest"] == found["weights_digest"]
    other, longer = processor_time("bad")
    assert other["weights_digest"] != found["weights_digest"]
    assert longer < 4 * seconds, f"{longer} s of processor time, where {seconds} s are enough"
    checkpointfile.forge(f"a/{NAME}", "bad", empty)
    fails(1, "eval", "bad", says=["bad: tensor K1.9999.weight: allowed are dtype F32, a shape of two numbers from 1 on"])


# ---- writing fails ----

def limited():
    """Files of at most 100 kB, and no signal when that is not enough: as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))


def test_a_checkpoint_that_cannot_be_written():
    """The training goes on, its results are written, the old checkpoint stays, and the exit code tells."""
    alone = train("a", "--checkpoint-every", "1epoch", "--epochs", "1") and train("b")
    before = open(f"a/{NAME}", "rb").read()
    result = e2e.run("train", *TRAINING, "--out", "a", "--checkpoint-every", "1epoch", "--resume", preexec_fn=limited)
    assert result.returncode == 1, result.stderr
    assert "rpubench train: no checkpoint after 120 images: " in result.stderr and "File too large" in result.stderr
    assert outcome("a/result.json") == alone
    assert open(f"a/{NAME}", "rb").read() == before
    assert sorted(os.listdir("a")) == [NAME, "config.yaml", "result.json"]


def test_an_unwritable_checkpoint_is_found_before_training():
    os.makedirs(f"taken/{NAME}")
    result = fails(1, "train", *TRAINING, "--out", "taken", "--checkpoint-every", "1epoch", says=[f"taken/{NAME}"])
    assert "epoch" not in result.stdout
    assert os.listdir("taken") == [NAME]
    for name in (NAME, "result.json", "config.yaml"):
        os.mkdir(name + "-folder")
        os.mkfifo(f"{name}-folder/{name}")
        for more in ((), ("--checkpoint-every", "1epoch"), ("--resume",)):
            fails(1, "train", *TRAINING, "--out", f"{name}-folder", *more, says=[f"{name}-folder/{name}", "is no regular file"],
                  timeout=60)
        assert os.listdir(f"{name}-folder") == [name]
    if os.geteuid() != 0:
        os.mkdir("locked", 0o555)
        fails(1, "train", *TRAINING, "--out", "locked", "--checkpoint-every", "1epoch", says=["locked"])


# ---- a training that diverges ----

def test_divergence():
    deep = "network.layers=[" + "{type: fc, outputs: 50}, {type: relu}, " * 3 + "{type: fc, outputs: 10}, {type: softmax}]"
    for options, says in ((["--set", "training.eta=0.3"], "epoch 1 ends with train loss"),
                          (["--set", "training.eta=1000", "--set", deep], "the loss is no finite number")):
        shutil.rmtree("run", ignore_errors=True)
        result = fails(3, "train", "lenet-fp", *TRAINING, *options, "--out", "run", "--checkpoint-every", "1images",
                       says=["the training diverged", says, "eta is"])
        document = read_json("run/result.json")
        assert document["diverged"] is True and document["interrupted"] is True and document["epochs"] == []
        assert succeed("inspect", f"run/{NAME}"), "the last checkpoint from before"
        assert result.stdout == ""
    # analog arrays have bounds: a bad rate makes a bad training
    succeed("train", "lenet-rpu", *TRAINING, "--set", "training.eta=1000")


def test_no_number_comes_in():
    for value in (".nan", ".inf", "-.inf", "nan", "inf", "1e39", "-1"):
        fails(2, "train", "--set", f"training.eta={value}", says=["--set", "training.eta"])
        fails(2, "train", "--set", f"arrays.K1.dw_min={value}", says=["--set", "arrays.K1.dw_min"])
    with open("c.yaml", "w", encoding="utf-8") as file:
        file.write("preset: lenet-rpu\narrays:\n  default:\n    forward:\n      noise: .NaN\n")
    fails(2, "train", "c.yaml", says=["c.yaml:5", "noise"])
    # images of floats, the only ones that could bring one, are not read at all
    write_images("floats", False)
    os.remove("floats/train-images-idx3-ubyte.gz")
    with open("floats/train-images-idx3-ubyte", "wb") as file:
        file.write(struct.pack(">IIII", 0xd03, 60, 28, 28) + struct.pack(">f", math.nan) * 60 * 784)
    fails(1, "train", "--data", "floats", says=["train-images-idx3-ubyte", "0x0d"])


# ---- eval ----

def evaluation(*args):
    return json.loads(succeed("eval", *args, "--quiet", "--json", "-").stdout)


def test_eval_is_the_test_of_the_training():
    for preset, more in (("lenet-rpu", ()), ("lenet-fp", ()), ("lenet-rpu", ("--set", "arrays.W3.max_cols=100")),
                         ("lenet-rpu", ("--set", "arrays.default.devices=2"))):
        shutil.rmtree("a", ignore_errors=True)
        alone = train("a", preset, "--checkpoint-every", "1epoch", *more)
        last = alone["epochs"][-1]
        for options in ((), ("--threads", "2"), ("--isa", "generic")):
            e = evaluation(f"a/{NAME}", *options)
            assert (e["test_error"], e["test_loss"]) == (last["test_error"], last["test_loss"]), (preset, e, last)
            assert e["weights_digest"] == alone["weights_digest"] and e["read"] == "analog"
            assert sum(map(sum, e["confusion"])) == e["test_images"] == 20
            assert sum(e["confusion"][c][c] for c in range(10)) == 20 - e["errors"]
        perfect = evaluation(f"a/{NAME}", "--read", "perfect")
        assert perfect["read"] == "perfect" and perfect["weights_digest"] == alone["weights_digest"]
        assert (perfect["test_loss"] == last["test_loss"]) == (preset == "lenet-fp"), "noise makes a difference"
        text = succeed("eval", f"a/{NAME}").stdout
        assert f"test error      {100 * last['test_error']:.2f} %" in text, text
        assert len(re.findall(r"^ *\d( +\d+){10}$", text, re.M)) == 10, text


def test_eval_of_fewer_classes_than_outputs():
    write_images("images", False)
    for name, count in (("train", 60), ("t10k", 20)):
        with open(f"images/{name}-labels-idx1-ubyte", "wb") as file:
            file.write(struct.pack(">II", 0x801, count) + bytes(i % 2 for i in range(count)))
    train("a", "--data", "images", "--checkpoint-every", "1epoch", "--set", "training.eta=0.0001")  # taken for any of the ten
    e = evaluation(f"a/{NAME}")
    assert [len(row) for row in e["confusion"]] == [10] * 10
    assert sum(map(sum, e["confusion"][:2])) == 20 and not any(map(sum, e["confusion"][2:])), e["confusion"]


def test_eval_of_many_outputs():
    """The confusion matrix has the square of their number, which a small file could make too large for any memory."""
    for outputs in (1024, 1025, 40000):
        shutil.rmtree("a", ignore_errors=True)
        train("a", "lenet-fp", "--checkpoint-every", "1epoch", "--epochs", "1", "--set", "network.layers="
              "[{type: maxpool, window: 14, stride: 14}, {type: fc, outputs: %d}, {type: softmax}]" % outputs)
        assert os.path.getsize(f"a/{NAME}") < 1000000
        if outputs > 1024:
            for read in ("analog", "perfect"):
                fails(2, "eval", f"a/{NAME}", "--read", read, says=[
                    f"the checkpoint's network has {outputs} outputs; a confusion matrix has at most 1024"])
        else:
            assert [len(row) for row in evaluation(f"a/{NAME}")["confusion"]] == [1024] * 1024


def test_eval_on_other_images():
    train("a", "--checkpoint-every", "1epoch")
    write_images("images", False)
    assert evaluation(f"a/{NAME}", "--data", "images")["test_images"] == 20
    assert evaluation(f"a/{NAME}", "--data", "digits", "--limit-test", "300")["test_images"] == 300
    fails(2, "eval", f"a/{NAME}", "--limit-test", "x", says=["--limit-test", "'x'"])
    fails(2, "eval", f"a/{NAME}", "--read", "both", says=["--read", "'both'", "analog or perfect"])
    fails(2, "eval", f"a/{NAME}", "--isa", "avx9", says=["--isa", "avx9"])
    fails(1, "eval", f"a/{NAME}", "--data", "nowhere", says=["nowhere"])
    fails(1, "eval", f"a/{NAME}", "--json", "no/file", says=["no/file"])
    with open("images/t10k-labels-idx1-ubyte", "r+b") as file:
        file.seek(8)
        file.write(bytes([10]))
    fails(2, "eval", f"a/{NAME}", "--data", "images", says=["labels up to 10", "10 classes"])
    for name, count in (("train", 60), ("t10k", 20)):
        os.remove(f"images/{name}-images-idx3-ubyte.gz")
        with open(f"images/{name}-images-idx3-ubyte", "wb") as file:
            file.write(struct.pack(">IIII", 0x803, count, 14, 56) + bytes(count * 784))
    fails(2, "eval", f"a/{NAME}", "--data", "images", says=["14x56x1", "28x28x1"])


# ---- inspect ----

def test_documents_have_the_keys_that_are_documented():
    train("a", "--checkpoint-every", "1epoch")
    check_keys("The test of a checkpoint", evaluation(f"a/{NAME}"))
    check_keys("The arrays of a checkpoint", json.loads(succeed("inspect", f"a/{NAME}", "-q", "--json", "-").stdout))


def test_inspect():
    train("a", "--checkpoint-every", "1epoch", "--set", "arrays.W3.max_cols=100", "--set", "arrays.default.bound=0.1")
    _, tensors = checkpointfile.read(f"a/{NAME}")
    document = json.loads(succeed("inspect", f"a/{NAME}", "--json", "-", "--quiet").stdout)
    assert [a["name"] for a in document["arrays"]] == ["K1", "K2", "W3", "W4"]
    assert [a["tiles"] for a in document["arrays"]] == [1, 1, 6, 1]
    assert document["test_error"] == read_json("a/result.json")["test_error"]
    saturated = 0
    for array in document["arrays"]:
        for quantity, found in array["quantities"].items():
            v = checkpointfile.values(tensors, array["name"], quantity)
            mean = math.fsum(v) / len(v)
            assert array["crosspoints"] == len(v) == sum(found["bins"])
            assert abs(found["least"] - min(v)) + abs(found["most"] - max(v)) < 1e-12
            assert abs(found["mean"] - mean) < 1e-12
            deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in v) / len(v))
            assert abs(found["deviation"] - deviation) < 1e-12
            width = (max(v) - min(v)) / 20
            for b in range(20):  # at the edges a value may fall to either side
                low, high = min(v) + width * b, min(v) + width * (b + 1)
                inner = sum(low + 1e-9 < x < high - 1e-9 for x in v)
                outer = sum(low - 1e-9 <= x <= high + 1e-9 for x in v)
                assert inner <= found["bins"][b] <= outer, (array["name"], quantity, b)
        weights = checkpointfile.values(tensors, array["name"], "weight")
        upper = checkpointfile.values(tensors, array["name"], "bound_upper")
        lower = checkpointfile.values(tensors, array["name"], "bound_lower")
        assert array["at_upper"] == sum(w == u for w, u in zip(weights, upper))
        assert array["at_lower"] == sum(w == -b for w, b in zip(weights, lower))
        saturated += array["at_upper"] + array["at_lower"]
    assert saturated > 0
    one = succeed("inspect", f"a/{NAME}", "--array", "K2").stdout
    assert "array K2: 12832 crosspoints on 1 tile" in one and "array K1" not in one
    assert len(re.findall(r"^ +[-\d.e+]+ to +[-\d.e+]+ +\d+", one, re.M)) == 5 * 20
    fails(2, "inspect", f"a/{NAME}", "--array", "K9", says=["'K9'", "K1, K2, W3, W4"])


def test_inspect_of_floating_point():
    train("a", "lenet-fp", "--checkpoint-every", "1epoch")
    document = json.loads(succeed("inspect", f"a/{NAME}", "--json", "-", "-q", "--array", "W4").stdout)
    assert len(document["arrays"]) == 1 and list(document["arrays"][0]["quantities"]) == ["weight"]
    assert document["arrays"][0]["at_upper"] is None
    assert "saturated" not in succeed("inspect", f"a/{NAME}").stdout


if __name__ == "__main__":
    e2e.main(globals())
