"""How fast a backend is on this machine: its kernels, and whole training steps, beside what the machine can do."""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from miniae.backend import Backend
from miniae.backend.philox import host_generator
from miniae.models import Autoencoder, VariationalAutoencoder, compressor
from miniae.nn import Layer
from miniae.tasks.kernels import Sizes, kernels
from miniae.training import Callback, Trainer
from miniae.training.replay import WORTH_RECORDING

__all__ = ["HEADER", "Clock", "Roofline", "Timing", "bench"]

HEADER = f"{'':<28}{'shape':<32}{'ms':>9}{'GFLOP/s':>10}{'GB/s':>8}{'roofline':>10}"


@dataclass(frozen=True)
class Roofline:
    """What the machine can do at most: `flops` and `bytes` a second, of a matrix product and of a copy.

    No work of so many operations on so many bytes can take less than

        max(operations / flops, bytes / bytes a second),

    where these come from memory. Williams, Waterman and Patterson, "Roofline: an insightful visual performance model
    for multicore architectures", Communications of the ACM 52, 2009.
    """

    flops: float
    bytes: float

    def share(self, flops: float, bytes: float, seconds: float) -> float:
        """That least time over the measured one: 1 is perfect. It exceeds 1 where caches, not memory, hold the data."""
        return max(flops / self.flops, bytes / self.bytes) / seconds


@dataclass(frozen=True)
class Timing:
    """A measured kernel or training step, with the least work that it is (see `Kernel` and `least_step`)."""

    name: str
    shape: str
    milliseconds: float
    flops: float
    bytes: float
    share: float

    def __str__(self) -> str:
        rate = 1e-6 / self.milliseconds
        gflops = f"{self.flops * rate:.1f}" if self.flops else "-"
        return (f"{self.name:<28}{self.shape:<32}{self.milliseconds:>9.3f}{gflops:>10}{self.bytes * rate:>8.1f}"
                f"{100 * self.share:>8.0f} %")


def bench(be: Backend, sizes: Sizes, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Measure a backend: its roofline, kernels, and training steps, as values that JSON can hold.

    Times are medians. `say` is given the table, line by line.
    """
    device = be.device_info()["device"]
    roofline = measure_roofline(be, sizes)
    say(f"{be.name}, {device}: at most {roofline.flops / 1e9:.1f} GFLOP/s in matrix products, "
        f"{roofline.bytes / 1e9:.1f} GB/s in copies")
    say(HEADER)
    result: dict[str, Any] = {"device": device, "roofline": dataclasses.asdict(roofline), "kernels": [], "steps": []}

    def add(kind: str, name: str, shape: str, seconds: float, flops: float, least_bytes: float) -> None:
        timing = Timing(name, shape, 1e3 * seconds, flops, least_bytes, roofline.share(flops, least_bytes, seconds))
        say(str(timing))
        result[kind].append(dataclasses.asdict(timing))

    for kernel in kernels(be, sizes):
        seconds = statistics.median(durations(be, kernel.run, sizes.seconds))
        add("kernels", kernel.name, kernel.shape, seconds, kernel.flops, kernel.least_bytes())
    for name, make in MODELS.items():
        for batch in sizes.batches:
            model = make(batch_size=batch, backend=be, loss="bce")
            seconds = step_seconds(model, sizes.seconds)
            add("steps", f"step of {name}", f"batch {batch}", seconds, *least_step(model.network_, batch))
    return result


# -------------------------------------------------------------------- kernels

def measure_roofline(be: Backend, sizes: Sizes) -> Roofline:
    """The fastest product of square matrices, and the fastest copy of a large array: read once and written once."""
    flops = []
    for n in sizes.squares:
        a = be.asarray(host_generator(0, "bench").standard_normal((n, n), np.float32))
        out = be.zeros((n, n), "float32")
        flops.append(2 * n**3 / min(durations(be, functools.partial(be.matmul, a, a, out=out), sizes.seconds)))
    source, out = (be.zeros((sizes.copied // 4,), "float32") for _ in range(2))
    be.fill(source, 1.0)  # memory that was never written need not be there
    return Roofline(max(flops), 2 * source.nbytes / min(durations(be, lambda: be.copy(source, out=out), sizes.seconds)))


def durations(be: Backend, run: Callable[[], Any], seconds: float, least: int = 5) -> list[float]:
    """Seconds that a call takes, on buffers of an arena, again and again for so long and at least so often.

    Each is of as many calls as fill a millisecond, after which the device is waited for.
    """
    with be.arena() as arena, be.silent():
        def measured(calls: int) -> float:
            be.synchronize()
            began = time.perf_counter()
            for _ in range(calls):
                arena.rewind()
                run()
            be.synchronize()
            return (time.perf_counter() - began) / calls

        measured(2)  # the second finds the buffers of the first
        calls = math.ceil(1e-3 / max(measured(1), 1e-6))
        end = time.perf_counter() + seconds
        times: list[float] = []
        while len(times) < least or time.perf_counter() < end:
            times.append(measured(calls))
    return times


# -------------------------------------------------------------------- training steps

MODELS: dict[str, Callable[..., Autoencoder]] = {
    "784-128-64-32": lambda **settings: Autoencoder([128, 64], 32, **settings),
    "784-1000-500-250-30": lambda **settings: Autoencoder([1000, 500, 250], 30, **settings),
    "VAE 784-400-20": lambda **settings: VariationalAutoencoder([400], 20, **settings),
    "image compressor": lambda **settings: _compressor(**settings),
}
"""Autoencoders of 784 pixels, all trained by Adam: dense ones, a variational one, and convolutions 3x3."""


def _compressor(**settings: Any) -> Autoencoder:
    encoder, decoder = compressor(sample_shape=(784,))
    return Autoencoder(encoder=encoder, decoder=decoder, **settings)


class Clock(Callback):
    """Notes how long a training step takes, on average over those of an epoch after the first `warmup`."""

    only_device = True

    def __init__(self, warmup: int):
        self.warmup = warmup
        self.seconds: list[float] = []

    def on_batch_end(self, trainer: Trainer, batch: int) -> None:
        if batch == self.warmup - 1:
            trainer.backend.synchronize()
            self._began = time.perf_counter()
        elif batch == trainer.batches - 1:
            trainer.backend.synchronize()
            self.seconds.append((time.perf_counter() - self._began) / (trainer.batches - self.warmup))


def step_seconds(model: Autoencoder, seconds: float, steps: int = WORTH_RECORDING - 4, warmup: int = 4,
                 least: int = 3) -> float:
    """The median time of a training step, of epochs that are repeated for so long and at least so often.

    By itself it takes enough steps for most to be replayed, as in training.
    """
    X = host_generator(0, "bench").random(((warmup + steps) * model.batch_size, 784), np.float32)
    clock = Clock(warmup)
    end = time.perf_counter() + seconds
    while len(clock.seconds) < least or time.perf_counter() < end:
        model.partial_fit(X, callbacks=[clock])
    return statistics.median(clock.seconds)


def least_step(network: Layer, batch: int) -> tuple[float, float]:
    """The least work of a training step of a network like those above, of dense layers and convolutions: (operations,
    bytes). Tied weights and transposed convolutions are not counted for what they are.

    Operations are those of the products: every weight once at each of its positions, going forward, for its own
    gradient and for that of its layer's input, which the first layer has no use for. Bytes are the batch, and
    parameters and Adam's two sums, read and written.
    """
    layers: list[Any] = [layer for _, layer in network.named_layers() if layer.unit_axis is not None]
    products = [layer.weight.size * math.prod(layer.output_shape(layer.input_shape)[1:]) for layer in layers]
    parameters = sum(p.size for p in network.parameters())
    return (2 * batch * (3 * sum(products) - products[0]),
            4 * (batch * math.prod(network.input_shape) + 3 * 2 * parameters))
