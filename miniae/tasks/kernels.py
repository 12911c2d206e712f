"""The backend's kernels on arrays as large as autoencoders have them, each with the least work that it can be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from miniae.backend import Backend
from miniae.backend.image import Windows, same_padding
from miniae.backend.philox import host_generator

__all__ = ["Kernel", "Sizes", "kernels"]


@dataclass(frozen=True)
class Sizes:
    """What is measured, and on how large arrays."""

    products: tuple[tuple[int, int, int], ...] = ((128, 784, 128), (128, 784, 1000), (1024, 784, 1000))
    """(n, k, m) of products of matrices (n, k) and (k, m): samples, inputs and outputs of a layer."""
    elements: tuple[tuple[int, int], ...] = ((128, 784), (4096, 1024))
    """Shapes of what goes element by element: of one that caches hold, and of one that they don't."""
    images: tuple[tuple[int, int, int], ...] = ((1, 16, 28), (16, 8, 14), (16, 1, 28))
    """(channels, filters, height) of convolutions 3x3 that keep the size; the last one's images are pooled, too."""
    parameters: tuple[int, ...] = (219_000, 2_837_000)
    """How many parameters Adam updates: those of the two dense models below."""
    batch: int = 128
    """Images at once."""
    squares: tuple[int, ...] = (512, 1024, 2048)
    """Sizes of square matrices: the fastest of their products is the most the machine computes."""
    copied: int = 2**28
    """Bytes of the array that is copied to measure how fast memory is: more than caches hold."""
    batches: tuple[int, ...] = (32, 128, 1024)
    """Samples in a training step."""
    seconds: float = 0.3
    """How long each kernel and each training is measured."""

    @classmethod
    def quick(cls) -> Sizes:
        """Enough for a look: a few seconds on any machine."""
        return cls(products=((128, 784, 1000),), elements=((128, 784),), images=((16, 8, 14),), parameters=(219_000,),
                   squares=(512, 1024), copied=2**26, batches=(128,), seconds=0.05)


@dataclass(frozen=True)
class Kernel:
    """A kernel with its operands: `run()` computes it and returns the arrays it has written.

    `read` are the arrays that it cannot do without reading, and `flops` the least number of operations on numbers with
    a point, an exponential or a root being one.
    """

    name: str
    shape: str
    run: Callable[[], Any]
    read: tuple[Any, ...]
    flops: float

    def least_bytes(self) -> int:
        """What it reads and what it writes, each once. Runs it."""
        written = self.run()
        return sum(a.nbytes for a in (*self.read, *(written if isinstance(written, tuple) else (written,))))


def kernels(be: Backend, sizes: Sizes) -> Iterator[Kernel]:
    """The kernels of dense and convolutional training, on float32 arrays of this backend."""
    for n, k, m in sizes.products:
        yield from _products(be, n, k, m)
    for shape in sizes.elements:
        yield from _elementwise(be, shape)
        yield from _random(be, shape)
    for parameters in sizes.parameters:
        yield _adam(be, parameters)
    for channels, filters, height in sizes.images:
        yield from _convolutions(be, sizes.batch, channels, filters, height)
    yield from _pooling(be, sizes.batch, channels, height)


def _normal(be: Backend, *shape: int) -> Any:
    return be.asarray(host_generator(0, "bench").standard_normal(shape, np.float32))


def _products(be: Backend, n: int, k: int, m: int) -> Iterator[Kernel]:
    x, w, b, gy = _normal(be, n, k), _normal(be, k, m), _normal(be, m), _normal(be, n, m)
    shape, flops = f"{n}x{k}, {k}x{m}", 2 * n * k * m
    yield Kernel("matmul", shape, lambda: be.matmul(x, w), (x, w), flops)
    yield Kernel("affine", shape, lambda: be.affine(x, w, b), (x, w, b), flops + n * m)
    yield Kernel("matmul, second transposed", f"{n}x{m}, {m}x{k}", lambda: be.matmul(gy, w.T), (gy, w), flops)
    yield Kernel("matmul, first transposed", f"{k}x{n}, {n}x{m}", lambda: be.matmul(x.T, gy), (x, gy), flops)


def _elementwise(be: Backend, shape: tuple[int, int]) -> Iterator[Kernel]:
    x, gy = _normal(be, *shape), _normal(be, *shape)
    t = be.sigmoid(gy)
    index = be.asarray(host_generator(0, "bench").permutation(shape[0]), "int64")
    for name, flops, run, *read in (
            ("sigmoid", 3, lambda: be.sigmoid(x), x),
            ("sigmoid_grad", 3, lambda: be.sigmoid_grad(gy, t), gy, t),
            ("tanh", 1, lambda: be.tanh(x), x),
            ("tanh_grad", 3, lambda: be.tanh_grad(gy, t), gy, t),
            ("relu", 1, lambda: be.leaky_relu(x, 0.0), x),
            ("relu_grad", 1, lambda: be.leaky_relu_grad(gy, x, 0.0), gy, x),
            ("squared_error and gradient", 4, lambda: be.squared_error(x, t), x, t),
            ("bce_logits and gradient", 9, lambda: be.bce_logits(x, t), x, t),
            ("gather", 0, lambda: be.gather(x, index), x, index)):
        yield Kernel(name, f"{shape[0]}x{shape[1]}", run, tuple(read), flops * x.size)


def _random(be: Backend, shape: tuple[int, int]) -> Iterator[Kernel]:
    out, step = be.zeros(shape, "float32"), be.zeros((1,), "int64")

    def drawn(draw: Callable[..., None]) -> Callable[[], Any]:
        def run() -> Any:
            draw(out, 0, 0, step)
            return out
        return run

    yield Kernel("philox_uniform", f"{shape[0]}x{shape[1]}", drawn(be.philox_uniform), (), 0)
    yield Kernel("philox_normal", f"{shape[0]}x{shape[1]}", drawn(be.philox_normal), (), 6 * out.size)


def _adam(be: Backend, parameters: int) -> Kernel:
    p, g, m, scratch = (_normal(be, parameters) for _ in range(4))
    v, rates = be.multiply(m, m), be.asarray([1e-3, 1e-8], "float32")

    def run() -> Any:
        be.adam(p, g, m, v, rates, scratch, 0.9, 0.999)
        return p, m, v

    return Kernel("adam", f"{parameters}", run, (p, g, m, v), 10 * parameters)


def _image(be: Backend, n: int, channels: int, height: int) -> Any:
    """(n, channels, height, height), with its axes ordered in memory as the backend's convolutions leave them."""
    return be.conv(_normal(be, n, 1, height, height), _normal(be, channels, 1, 1, 1), Windows((height, height), (1, 1)))


def _convolutions(be: Backend, n: int, channels: int, filters: int, height: int) -> Iterator[Kernel]:
    image = height, height
    windows = Windows(image, (3, 3), padding=same_padding(image, (3, 3), (1, 1)))
    x, gy, w = _image(be, n, channels, height), _image(be, n, filters, height), _normal(be, filters, channels, 3, 3)
    met = sum(math.prod(axis.stop - axis.start for axis in element.positions[1:]) for element in windows.elements())
    shape, flops = f"{n}x{channels}x{height}x{height}, {filters}x{channels}x3x3", 2 * n * channels * filters * met
    yield Kernel("conv", shape, lambda: be.conv(x, w, windows), (x, w), flops)
    yield Kernel("conv_input_grad", shape, lambda: be.conv_input_grad(gy, w, windows), (gy, w), flops)
    yield Kernel("conv_weight_grad", shape, lambda: be.conv_weight_grad(x, gy, windows), (x, gy), flops)


def _pooling(be: Backend, n: int, channels: int, height: int) -> Iterator[Kernel]:
    half = height // 2
    windows = Windows((2 * half, 2 * half), (2, 2), (2, 2))
    x, small = _image(be, n, channels, 2 * half), _image(be, n, channels, half)
    yield Kernel("max_pool", f"{n}x{channels}x{2 * half}x{2 * half}", lambda: be.max_pool(x, windows), (x,),
                 3 * small.size)
    yield Kernel("spread_windows (upsampling)", f"{n}x{channels}x{half}x{half}",
                 lambda: be.spread_windows(small, windows), (small,), 0)
