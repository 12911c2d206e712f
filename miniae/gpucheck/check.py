"""The command `python -m miniae.gpucheck`."""

from __future__ import annotations

import argparse
import datetime
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from miniae.backend import Backend, BackendUnavailable, get
from miniae.backend.kernels import hashes
from miniae.backend.philox import Generator
from miniae.data import write_json
from miniae.functions.catalogue import check_all
from miniae.gpucheck.kernels import check_kernels
from miniae.gpucheck.models import MODELS, check_curve, check_gradients, check_replay
from miniae.models import Autoencoder

__all__ = ["CURVES", "DIFFERENCES", "GRADIENTS", "compare", "main", "ran", "shortcomings", "storable", "timings",
           "versions"]

GRADIENTS = 1e-10  # of float64 gradients relative to NumPy's
DIFFERENCES = 1e-6  # of gradients from central differences
CURVES = 1e-4  # of float32 losses relative to NumPy's


def compare(gpu: Backend, cpu: Backend) -> dict[str, Any]:
    """All checks in short."""
    return {
        "kernels": check_kernels(gpu, cpu),
        "differences": {row.name: max(row.gradient_error, row.jvp_error or 0.0) for row in check_all(gpu)},
        "gradients": {name: check_gradients(name, gpu, cpu) for name in MODELS},
        "curves": {name: check_curve(name, gpu, cpu, 20, 32) for name in MODELS},
        "replay": {name: check_replay(name, gpu, 2) for name in MODELS},
    }


def shortcomings(results: dict[str, Any]) -> list[str]:
    """What of these results, as `compare` gives them or a part of them, is not as it should be: a line each."""
    found = []
    for part, bound, what in (("kernels", 1.0, "times the tolerance off NumPy's"),
                              ("differences", DIFFERENCES, "off the central differences"),
                              ("gradients", GRADIENTS, "off NumPy's gradients")):
        found += [f"{name}: {value:.2g} {what}, at most {bound:g} is good"
                  for name, value in results.get(part, {}).items() if not value <= bound]
    for name, curve in results.get("curves", {}).items():
        if not curve["largest_difference"] <= CURVES:
            found.append(f"{name}: losses differ from NumPy's by {curve['largest_difference']:.2g}, at most {CURVES:g} "
                         "is good")
    for name, replay in results.get("replay", {}).items():
        if not replay["same_bits"]:
            found.append(f"{name}: replayed steps leave other bits")
        elif not replay["replayed"]:
            found.append(f"{name}: no step was replayed: {replay['not_replayed']}")
        elif replay["has_graphs"] and replay["graphed"] < replay["replayed"]:
            found.append(f"{name}: {replay['graphed']} of {replay['replayed']} replays were of a graph")
    return found


def storable(value: Any) -> Any:
    """A value as JSON can hold it: numbers that are not finite become text."""
    if isinstance(value, dict):
        return {name: storable(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def ran(be: Backend) -> dict[str, str]:
    """The checksums of the kernels that have run on this backend, by name."""
    launched = be.kernels.launched if hasattr(be, "kernels") else set()
    return {name: value for name, value in hashes().items() if name in launched}


def versions(gpu: Backend) -> dict[str, Any]:
    """The GPU, its driver and CuPy."""
    runtime = gpu.xp.cuda.runtime
    return {**gpu.device_info(), "cupy": gpu.xp.__version__, "driver": runtime.driverGetVersion(),
            "cuda": runtime.runtimeGetVersion()}


def timings(be: Backend) -> dict[str, float]:
    """Milliseconds, medians of 20: kernels on a million float32, and an epoch of training."""
    a = be.asarray(np.random.default_rng(0).standard_normal((1000, 1000)), "float32")
    out = be.zeros(a.shape, "float32")
    jobs: dict[str, Callable[[], Any]] = {
        "sigmoid_1e6": lambda: be.sigmoid(a, out=out), "matmul_1000": lambda: be.matmul(a, a, out=out),
        "uniform_1e6": lambda: Generator(0, 0, be).uniform((1000, 1000), "float32")}
    model = Autoencoder([128, 64], 32, batch_size=128, backend=be)
    x = np.random.default_rng(0).random((12800, 784), np.float32)
    jobs["epoch_784-128-64-32_100_batches"] = lambda: model.partial_fit(x)
    result = {}
    for name, job in jobs.items():
        times = []
        for _ in range(21):
            began = time.perf_counter()
            job()
            be.synchronize()
            times.append((time.perf_counter() - began) * 1e3)
        result[name] = float(np.median(times[1:]))
    return result


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when everything agrees, 1 when something does not, 2 without a usable GPU."""
    parser = argparse.ArgumentParser(
        prog="python -m miniae.gpucheck",
        description="Checks the CuPy backend on the GPU at hand: its kernels, gradients, loss curves and replayed "
                    "steps beside NumPy's.")
    parser.add_argument("--out", default="gpucheck.json", metavar="FILE", help="default: gpucheck.json")
    args = parser.parse_args(arguments)
    try:
        gpu = get("cupy")
    except BackendUnavailable as why:
        print(f"miniae: {why}", file=sys.stderr)
        return 2
    results = compare(gpu, get("numpy"))
    wrong = shortcomings(results)
    write_json(args.out, {
        "command": "python -m miniae.gpucheck",
        "date": datetime.date.today().isoformat(),
        "machine": versions(gpu),
        "kernel_sha256": ran(gpu),
        "results": storable({"good": not wrong, **results, "milliseconds": timings(gpu)}),
    })
    for line in wrong:
        print(line)
    print(f"{'SOMETHING DISAGREES' if wrong else 'everything agrees'}; written to {args.out}")
    return 1 if wrong else 0
