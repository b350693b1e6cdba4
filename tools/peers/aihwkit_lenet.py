#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times the C++ engine of IBM's aihwkit on the arrays of LeNet: forward, backward and update, one thread, with the devices
and the periphery of our benchmarks. Writes the JSON of benchmarks, with the variant aihwkit in the names.

usage: aihwkit_lenet.py [--out FILE.json] [--filter REGEX] [--repetitions N] [--min-time SECONDS] [--list]

    python3 -m venv peer && peer/bin/pip install aihwkit==1.1.0 torch==2.10.0
    peer/bin/python tools/peers/aihwkit_lenet.py --out peer.json
    rpubench-bench --benchmark_filter='^cycle/' --benchmark_repetitions=9 --benchmark_out=ours.json
    rpubench compare peer.json ours.json --rename aihwkit=avx2        # below 1: ours is the faster one
    tools/report.py ours.json peer.json

What is timed is what aihwkit's Python layers call: the methods of the tile of its module rpu_base, on a block of columns
at a time. Inputs are made and weights put back outside the time. aihwkit has to meet the PyTorch that it was built with;
1.1.0 goes with 2.10.0. Exit code 77: aihwkit is not installed."""
import argparse
import datetime
import glob
import json
import os
import random
import re
import statistics
import sys
import tempfile
import time

ETA = 0.01
DW_MIN, SPREAD, IMBALANCE, BOUND = 0.001, 0.3, 0.01, 0.6
IN_STEP, OUT_STEP, NOISE, OUT_BOUND = 1 / (2**7 - 2), 1 / (2**9 - 2), 0.06, 12.0
ARRAYS = (("K1", 16, 26, 576), ("K2", 32, 401, 64), ("W3", 128, 513, 1), ("W4", 10, 129, 1))
MODES = ((1, True), (10, False), (31, False))  # bit length; with update management
INSTALL = """aihwkit_lenet.py: aihwkit cannot be imported ({why}).
It is on PyPI, and brings PyTorch along (some gigabytes), which has to be the version that it was built with; an
environment of its own:
    python3 -m venv peer && peer/bin/pip install aihwkit==1.1.0 torch==2.10.0
    peer/bin/python tools/peers/aihwkit_lenet.py --out peer.json"""


class Case:
    """One benchmark: a cycle of an array."""

    def __init__(self, cycle, array, mode=None, sparse=False):
        self.cycle, self.mode, self.sparse = cycle, mode, sparse
        _, self.out, self.inputs, self.columns = array
        how = f"bl:{mode[0]}/d:{'sparse' if sparse else 'dense'}/" if mode else ""
        self.name = f"cycle/{cycle}/aihwkit/{self.out}x{self.inputs}/cols:{self.columns}/team:1/{how}hot/real_time"


def cases():
    for array in ARRAYS:
        yield Case("forward", array)
        yield Case("backward", array, sparse=array[3] > 1)
        for mode in MODES:
            for sparse in (True, False):
                yield Case("update", array, mode, sparse)


# ---- inputs ----

def make_x(case, rng):
    """Uniform in [-1, 1], column by column."""
    return [[rng.uniform(-1, 1) for _ in range(case.inputs)] for _ in range(case.columns)]


def make_d(case, rng):
    """Gaussian with sigma 0.05. Sparse: as a pooling of 2 x 2 leaves it, one of four places of each window; with one
    column a quarter of the outputs."""
    d = [[rng.gauss(0, 0.05) for _ in range(case.out)] for _ in range(case.columns)]
    side = round(case.columns**0.5)
    for i in range(case.out if case.sparse else 0):
        if case.columns == 1:
            d[0][i] = d[0][i] if i % 4 == 0 else 0.0
            continue
        for y in range(0, side, 2):
            for x in range(0, side, 2):
                keep = rng.randrange(4)
                for place in (p for p in range(4) if p != keep):
                    d[(y + place // 2) * side + x + place % 2][i] = 0.0
    return d


# ---- the peer ----

def load_peer():
    """Its modules; ends the program where they are not installed."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    try:
        import torch  # pylint: disable=import-outside-toplevel
        import aihwkit  # pylint: disable=import-outside-toplevel
        from aihwkit.simulator import configs, tiles  # pylint: disable=import-outside-toplevel
        from aihwkit.simulator.parameters import enums  # pylint: disable=import-outside-toplevel
    except (ImportError, OSError, ValueError) as why:  # PyTorch raises the latter two where libraries are missing
        print(INSTALL.format(why=why), file=sys.stderr)
        sys.exit(77)
    torch.set_num_threads(1)
    torch.manual_seed(1)
    return torch, aihwkit, configs, tiles, enums


def make_tile(case, peer):
    """A tile as our benchmarks have it: constant steps with their spreads, converters, noise, bounds, NM backward."""
    torch, _, configs, tiles, enums = peer
    read = {"inp_bound": 1.0, "inp_res": IN_STEP, "inp_noise": 0.0, "out_bound": OUT_BOUND, "out_res": OUT_STEP,
            "out_noise": NOISE, "bound_management": enums.BoundManagementType.ITERATIVE}
    bl, um = case.mode or MODES[0]
    config = configs.SingleRPUConfig(
        device=configs.ConstantStepDevice(
            dw_min=DW_MIN, dw_min_dtod=SPREAD, dw_min_std=SPREAD, up_down=0.0, up_down_dtod=IMBALANCE, w_max=BOUND,
            w_min=-BOUND, w_max_dtod=SPREAD, w_min_dtod=SPREAD),
        forward=configs.IOParameters(noise_management=enums.NoiseManagementType.NONE, **read),
        backward=configs.IOParameters(noise_management=enums.NoiseManagementType.ABS_MAX, **read),
        update=configs.UpdateParameters(desired_bl=bl, update_management=um, update_bl_management=False,
                                        pulse_type=enums.PulseType.STOCHASTIC_COMPRESSED))
    tile = tiles.AnalogTile(case.out, case.inputs, config, bias=False).tile
    tile.set_learning_rate(ETA)
    rng = random.Random(2)
    weights = torch.tensor([[rng.uniform(-0.1, 0.1) for _ in range(case.inputs)] for _ in range(case.out)])
    try:
        tile.set_weights(weights)
    except RuntimeError as why:  # it reads the tensors of another version wrongly
        print(f"aihwkit_lenet.py: aihwkit does not understand the tensors of PyTorch {torch.__version__}: {why}\n"
              "Install the version that it was built with.", file=sys.stderr)
        sys.exit(1)
    return tile, tile.get_weights().clone()


def make_call(case, tile, torch):
    rng = random.Random(3)
    x, d = torch.tensor(make_x(case, rng)), torch.tensor(make_d(case, rng))
    calls = {"forward": lambda: tile.forward(x, False), "backward": lambda: tile.backward(d, False),
             "update": lambda: tile.update(x, d, False)}
    return calls[case.cycle]


def check(case, call, tile, weights):
    """The cycle does what its name says: a read has the shape of its output, an update moves weights (that of a small array
    may come to no coincidence)."""
    result = call()
    if case.cycle == "update":
        calls = 1
        while not bool((tile.get_weights() != weights).any()):
            assert calls < 100, f"{case.name}: no weight has moved in {calls} updates"
            call()
            calls += 1
        tile.set_weights(weights)
    else:
        wanted = (case.columns, case.out if case.cycle == "forward" else case.inputs)
        assert tuple(result.shape) == wanted and bool((result != 0).any()), f"{case.name}: {tuple(result.shape)}"


# ---- timing ----

def timed(call, count):
    """Wall and processor seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        call()
    return (time.perf_counter() - wall) / count, (time.process_time() - cpu) / count


def measure(case, peer, repetitions, min_time):
    """Rows of the document: the repetitions, and their median and mean."""
    tile, weights = make_tile(case, peer)
    call, times = make_call(case, tile, peer[0]), []
    check(case, call, tile, weights)
    count = max(1, round(min_time / min(timed(call, 1)[0] for _ in range(3))))
    for _ in range(repetitions):
        tile.set_weights(weights)
        times.append(timed(call, count))
    points = case.out * case.inputs * case.columns

    def row(name, kind, wall, cpu, iterations, **more):
        return {"name": name, "run_name": case.name, "run_type": kind, "repetitions": repetitions, **more, "threads": 1,
                "iterations": iterations, "real_time": wall * 1e9, "cpu_time": cpu * 1e9, "time_unit": "ns",
                "crosspoints_per_second": points / wall, "label": "hot; aihwkit's C++ engine"}

    rows = [row(case.name, "iteration", *t, count, repetition_index=i) for i, t in enumerate(times)]
    for name, middle in (("mean", statistics.fmean), ("median", statistics.median)):
        wall, cpu = (middle(t) for t in zip(*times))
        rows.append(row(f"{case.name}_{name}", "aggregate", wall, cpu, repetitions, aggregate_name=name,
                        aggregate_unit="time"))
    return rows


# ---- the document ----

def cpu_fact(key):
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return re.search(rf"^{key}\s*: (.*)$", file.read(), re.M).group(1)
    except (OSError, AttributeError):
        return "unknown"


def processors(text):
    """How many a list such as 0-3,8 names."""
    ends = [part.split("-") for part in text.strip().split(",")]
    return sum(int(end[-1]) - int(end[0]) + 1 for end in ends)


def cache_levels():
    """Data caches of the first processor, as our benchmarks state them."""
    levels = []
    for folder in sorted(glob.glob("/sys/devices/system/cpu/cpu0/cache/index*")):
        found = {}
        for key in ("type", "level", "size", "shared_cpu_list"):
            with open(os.path.join(folder, key), encoding="utf-8") as file:
                found[key] = file.read().strip()
        if found["type"] in ("Data", "Unified"):
            shared = processors(found["shared_cpu_list"])
            levels.append(f"L{found['level']} {found['size'].rstrip('K')} KiB of {shared} processor{'s' * (shared != 1)}")
    return ", ".join(levels)


def context(peer):
    version = getattr(peer[1], "__version__", "of unknown version")
    return {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "executable": sys.argv[0],
            "num_cpus": os.cpu_count(), "load_avg": list(os.getloadavg()), "cpu": cpu_fact("model name"),
            "cpu_flags": cpu_fact("flags"), "cache_levels": cache_levels(), "isa": "aihwkit",
            "isas": "aihwkit", "teams": "1", "version": f"aihwkit {version}", "compiler": f"torch {peer[0].__version__}",
            "peer": f"aihwkit {version}, torch {peer[0].__version__}, python {sys.version.split()[0]}"}


def write(path, document):
    text = json.dumps(document, indent=1) + "\n"
    if path == "-":
        sys.stdout.write(text)
        return
    folder = os.path.dirname(os.path.abspath(path))
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, suffix=".tmp", delete=False) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def main():
    parser = argparse.ArgumentParser(description="Times aihwkit's C++ engine on the arrays of LeNet.")
    parser.add_argument("--out", metavar="FILE.json", default="-", help="default: standard output")
    parser.add_argument("--filter", metavar="REGEX", default="", help="only benchmarks whose names match")
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--min-time", type=float, default=0.1, metavar="SECONDS", help="of a repetition; default: 0.1")
    parser.add_argument("--list", action="store_true", help="print the names and end; aihwkit is not needed")
    args = parser.parse_args()
    chosen = [c for c in cases() if re.search(args.filter, c.name)]
    if args.list:
        print("\n".join(c.name for c in chosen))
        return 0
    if not chosen or args.repetitions < 1 or not args.min_time >= 0:
        print("aihwkit_lenet.py: nothing to measure with these options", file=sys.stderr)
        return 2
    peer = load_peer()
    document = {"context": context(peer), "benchmarks": []}
    for case in chosen:
        rows = measure(case, peer, args.repetitions, args.min_time)
        document["benchmarks"] += rows
        print(f"{case.name}: {rows[-1]['real_time'] / 1e3:.2f} us", file=sys.stderr)
    write(args.out, document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
