"""Checks the CuPy backend on the GPU at hand: `python -m miniae.gpucheck [--out FILE]`.

Compares every kernel with the NumPy backend, every function's gradient with central differences, and a short training
with the same one on NumPy; times a few things; writes all of it as JSON, with the checksums of the kernels that ran.
Exit code 0 when everything agrees, 1 when something does not, 2 without a usable GPU.
"""

from __future__ import annotations

import argparse
import datetime
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
from miniae.models import Autoencoder
from miniae.rbm import RBM

_TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def check_kernels(gpu: Backend, cpu: Backend) -> dict[str, float]:
    """The worst error of each kernel against NumPy's, over both types and sizes from 0 to 100,000.

    Errors are relative, in units of the tolerance (1e-5 in float32, 1e-12 in float64): at most 1 is good.
    """
    kernels: dict[str, Callable[[Backend, Any, Any], Any]] = {
        "sigmoid": lambda be, a, b: be.sigmoid(a),
        "sigmoid_grad": lambda be, a, b: be.sigmoid_grad(a, b),
        "tanh": lambda be, a, b: be.tanh(a),
        "tanh_grad": lambda be, a, b: be.tanh_grad(a, b),
        "leaky_relu": lambda be, a, b: be.leaky_relu(a, 0.1),
        "leaky_relu_grad": lambda be, a, b: be.leaky_relu_grad(a, b, 0.1),
        "softplus": lambda be, a, b: be.softplus(a),
        "squared_error": lambda be, a, b: be.squared_error(a, b)[1],
        "bce_logits": lambda be, a, b: be.bce_logits(a, b)[1],
        "matmul": lambda be, a, b: be.matmul(a.reshape(1, -1), b.reshape(-1, 1)),
        "uniform": lambda be, a, b: Generator(3, "check", be).uniform(a.shape, a.dtype),
        "normal": lambda be, a, b: Generator(3, "check", be).normal(a.shape, a.dtype),
        "adam": _adam,
    }
    worst = dict.fromkeys(kernels, 0.0)
    rng = np.random.default_rng(0)
    for dtype, tolerance in _TOLERANCE.items():
        for n in (0, 1, 7, 1000, 100_000):
            a, b = (rng.standard_normal((n,)).astype(dtype) for _ in range(2))
            for name, kernel in kernels.items():
                ours, theirs = (be.to_host(kernel(be, be.asarray(a), be.asarray(b))) for be in (gpu, cpu))
                scale = max(float(np.abs(theirs).max(initial=0.0)), 1e-30)
                error = float(np.abs(ours.astype(np.float64) - theirs).max(initial=0.0)) / scale
                worst[name] = max(worst[name], error / tolerance)
    return worst


def _adam(be: Backend, g: Any, start: Any) -> Any:
    p, (m, v, scratch) = be.copy(start), [be.zeros(g.shape, g.dtype) for _ in range(3)]
    rates = be.asarray(np.array([0.01, 1e-8]), g.dtype)
    be.adam(p, g, m, v, rates, scratch, 0.9, 0.999)
    return p


def check_training(gpu: Backend, cpu: Backend) -> dict[str, float]:
    """The last loss of a short training on both backends; the two differ by rounding alone."""
    x = np.random.default_rng(0).random((1000, 64), np.float32)
    losses = {}
    for be in (gpu, cpu):
        losses[f"autoencoder_{be.name}"] = Autoencoder([32], 8, epochs=5, backend=be).fit(x).history_[-1]["loss"]
        losses[f"rbm_{be.name}"] = RBM(32, epochs=3, backend=be).fit(x).history_[-1]["loss"]
    return losses


def timings(be: Backend) -> dict[str, float]:
    """Milliseconds, medians of 20: kernels on a million float32, and an epoch of training."""
    a = be.asarray(np.random.default_rng(0).standard_normal((1000, 1000)), "float32")
    out = be.zeros(a.shape, "float32")
    jobs = {"sigmoid_1e6": lambda: be.sigmoid(a, out=out), "matmul_1000": lambda: be.matmul(a, a, out=out),
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
    parser = argparse.ArgumentParser(prog="python -m miniae.gpucheck", description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="gpucheck.json", metavar="FILE", help="default: gpucheck.json")
    args = parser.parse_args(arguments)
    try:
        gpu = get("cupy")
    except BackendUnavailable as why:
        print(f"miniae: {why}", file=sys.stderr)
        return 2
    cpu = get("numpy")
    kernels, losses = check_kernels(gpu, cpu), check_training(gpu, cpu)
    gradients = {row.name: max(row.gradient_error, row.jvp_error or 0.0) for row in check_all(gpu)}
    good = (max(kernels.values()) <= 1.0 and max(gradients.values()) <= 1e-6
            and all(np.isclose(losses[f"{m}_cupy"], losses[f"{m}_numpy"], rtol=1e-3) for m in ("autoencoder", "rbm")))
    write_json(args.out, {
        "command": "python -m miniae.gpucheck",
        "date": datetime.date.today().isoformat(),
        "machine": {**gpu.device_info(), "cupy": gpu.xp.__version__, "driver": gpu.xp.cuda.runtime.driverGetVersion()},
        "kernel_sha256": hashes(),
        "results": {"good": good, "kernels": kernels, "gradients": gradients, "losses": losses,
                    "milliseconds": timings(gpu)},
    })
    print(f"{'everything agrees' if good else 'SOMETHING DISAGREES'}; written to {args.out}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
