"""The kernels of a backend beside NumPy's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from miniae.backend import Backend
from miniae.backend.image import Windows, same_padding
from miniae.backend.philox import Generator, host_generator

__all__ = ["Case", "cases", "check_kernels", "error"]

_TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
_LENGTHS = (0, 1, 7, 1000, 100_000)
# (n, k, m) of products (n, k) (k, m): layers, what no tile divides, what is long and thin, and nothing.
_PRODUCTS = ((128, 784, 128), (100, 30, 784), (33, 65, 17), (1, 500, 1), (1, 1, 1), (5, 0, 3), (0, 4, 2))


@dataclass(frozen=True)
class Case:
    """A kernel with operands of one size: `run(backend, *arrays)` gives the array or arrays that it works out.

    Where `adds` is true they are sums of products of the operands, and rounding is relative to the same sums of
    absolute values; elsewhere it is relative to the largest result.
    """

    name: str
    shapes: tuple[tuple[int, ...], ...]
    run: Callable[..., Any]
    adds: bool = False

    def inputs(self, dtype: str) -> list[np.ndarray]:
        """Multiples of 1/8, so that some are equal, and some are 0."""
        rng = host_generator(0, f"{self.name} {self.shapes}")
        return [(np.round(8 * rng.standard_normal(shape)) / 8).astype(dtype) for shape in self.shapes]


def error(ours: Any, theirs: Any, scale: Any = None) -> float:
    """The largest difference of two arrays relative to the largest number of `scale` (by itself, of `theirs`).

    Infinite where only one of the two has numbers, or where they differ in shape.
    """
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape:
        return math.inf
    scale = max(float(np.abs(theirs if scale is None else scale).max(initial=0.0)), 1e-30)
    difference = float(np.abs(ours - theirs).max(initial=0.0)) / scale
    return difference if math.isfinite(difference) else math.inf


def check_kernels(gpu: Backend, cpu: Backend, largest: int = 1 << 62) -> dict[str, float]:
    """The worst error of each kernel against NumPy's, over both types and all sizes with at most `largest` elements.

    Errors are relative (see `Case`), in units of the tolerance (1e-5 in float32, 1e-12 in float64): at most 1 is good.
    """
    worst: dict[str, float] = {}
    for case in cases():
        if max(math.prod(shape) for shape in case.shapes) > largest:
            continue
        for dtype, tolerance in _TOLERANCE.items():
            inputs = case.inputs(dtype)
            ours, theirs = (_results(be, case, inputs) for be in (gpu, cpu))
            scales = _results(cpu, case, [np.abs(a) for a in inputs]) if case.adds else theirs
            errors = [error(*three) / tolerance for three in zip(ours, theirs, scales, strict=True)]
            worst[case.name] = max(worst.get(case.name, 0.0), *errors)
    return worst


def _results(be: Backend, case: Case, inputs: list[np.ndarray]) -> list[np.ndarray]:
    with be.silent():
        result = case.run(be, *(be.asarray(a) for a in inputs))
    return [be.to_host(a) for a in (result if isinstance(result, tuple) else (result,))]


def cases() -> Iterator[Case]:
    """Every kernel, in all sizes."""
    yield from _elementwise()
    yield from _products()
    yield from _sums()
    yield from _biases()
    for windows, n, channels, filters in _geometries():
        yield from _convolutions(windows, n, channels, filters)
    for windows, n, channels in _tiles():
        yield from _pooling(windows, n, channels)


def _elementwise() -> Iterator[Case]:
    kernels: dict[str, Callable[[Backend, Any, Any], Any]] = {
        "sigmoid": lambda be, a, b: be.sigmoid(a),
        "sigmoid_grad": lambda be, a, b: be.sigmoid_grad(a, b),
        "tanh": lambda be, a, b: be.tanh(a),
        "tanh_grad": lambda be, a, b: be.tanh_grad(a, b),
        "leaky_relu": lambda be, a, b: be.leaky_relu(a, 0.1),
        "leaky_relu_grad": lambda be, a, b: be.leaky_relu_grad(a, b, 0.1),
        "relu": lambda be, a, b: be.leaky_relu(a, 0.0),
        "relu_grad": lambda be, a, b: be.leaky_relu_grad(a, b, 0.0),
        "softplus": lambda be, a, b: be.softplus(a),
        "squared_error": lambda be, a, b: be.squared_error(a, b),
        "bce_logits": lambda be, a, b: be.bce_logits(a, b),
        "uniform": lambda be, a, b: Generator(3, "check", be).uniform(a.shape, a.dtype),
        "normal": lambda be, a, b: Generator(3, "check", be).normal(a.shape, a.dtype),
        "bernoulli": lambda be, a, b: Generator(3, "check", be).bernoulli(a),
        "mask": lambda be, a, b: Generator(3, "check", be).mask(a.shape, a.dtype, 0.3, 1.7),
        "adam rates": _adam_rates,
        "momentum": _momentum,
        "add_scaled": _add_scaled,
        "adam": _adam,
    }
    for n in _LENGTHS:
        for name, kernel in kernels.items():
            yield Case(name, ((n,), (n,)), kernel)


def _adam_rates(be: Backend, a: Any, b: Any) -> Any:
    betas, scratch, rates = np.array([0.9, 0.999]), be.zeros((2,), "float64"), be.zeros((2,), a.dtype)
    be.adam_rates(be.asarray(betas), be.asarray(1.0 - betas), be.asarray([3.0]), be.asarray([0.01], a.dtype), 1e-8,
                  scratch, rates)
    return rates


def _momentum(be: Backend, g: Any, start: Any) -> Any:
    p, (v, scratch) = be.copy(start), [be.zeros(g.shape, g.dtype) for _ in range(2)]
    for _ in range(2):
        be.momentum(p, g, v, be.asarray([0.01], g.dtype), scratch, 0.9)
    return p, v


def _add_scaled(be: Backend, a: Any, start: Any) -> Any:
    total = be.copy(start)
    be.add_scaled(total, a, 0.3)
    return total


def _adam(be: Backend, g: Any, start: Any) -> Any:
    p, (m, v, scratch) = be.copy(start), [be.zeros(g.shape, g.dtype) for _ in range(3)]
    rates = be.asarray(np.array([0.01, 1e-8]), g.dtype)
    for _ in range(2):
        be.adam(p, g, m, v, rates, scratch, 0.9, 0.999)
    return p, m, v


def _products() -> Iterator[Case]:
    for n, k, m in _PRODUCTS:
        yield Case("matmul", ((n, k), (k, m)), lambda be, a, b: be.matmul(a, b), adds=True)
        yield Case("matmul, first transposed", ((k, n), (k, m)), lambda be, a, b: be.matmul(a.T, b), adds=True)
        yield Case("matmul, second transposed", ((n, k), (m, k)), lambda be, a, b: be.matmul(a, b.T), adds=True)
        yield Case("own product", ((n, k), (k, m)), _own_product, adds=True)
        yield Case("own product", ((k, n), (m, k)), lambda be, a, b: _own_product(be, a.T, b.T), adds=True)
        for precision in ("float16", "bfloat16"):  # a device may round to tf32 in another way
            yield Case(f"matmul in {precision}", ((n, k), (k, m)),
                       lambda be, a, b, p=precision: _in_precision(p, be, a, b), adds=True)
        yield Case("affine", ((n, k), (k, m), (m,)), lambda be, x, w, b: be.affine(x, w, b), adds=True)
    yield Case("matmul", ((1, 100_000), (100_000, 1)), lambda be, a, b: be.matmul(a, b), adds=True)


def _in_precision(precision: str, be: Backend, a: Any, b: Any) -> Any:
    before, be.precision = be.precision, precision
    try:
        return be.matmul(a, b)
    finally:
        be.precision = before


def _own_product(be: Backend, a: Any, b: Any) -> Any:
    """a b by a backend's own kernel, `product`, where it has one beside `matmul`."""
    return getattr(be, "product", be.matmul)(a, b)


def _sums() -> Iterator[Case]:
    for shape in ((128, 784), (1, 1), (1000, 3), (3, 1000), (0, 4), (2, 3, 5, 7)):
        yield Case("sum", (shape,), lambda be, a: be.sum(a), adds=True)
        yield Case("sum over rows", (shape,), lambda be, a: be.sum(a, axis=0), adds=True)
        yield Case("sum over columns", (shape,), lambda be, a: be.sum(a, axis=-1, keepdims=True), adds=True)
    yield Case("sum over samples and positions", ((5, 3, 14, 13),), lambda be, a: be.sum(a, axis=(0, 2, 3)), adds=True)
    for n, features in ((1000, 784), (7, 1), (1, 33)):
        yield Case("gather", ((n, features),), _gathered)
        yield Case("gather of bytes, scaled", ((n, features),), _gathered_bytes)


def _gathered_bytes(be: Backend, rows: Any) -> Any:
    order = host_generator(0, "gather").integers(0, len(rows), 2 * len(rows) + 1)
    pixels = be.asarray(host_generator(0, "pixels").integers(0, 256, rows.shape), "uint8")
    offset, scale = (be.asarray(host_generator(0, name).uniform(1, 9, rows.shape[1:])) for name in ("offset", "scale"))
    return be.gather_scaled(pixels, be.asarray(order, "int64"), offset, scale,
                            be.empty((len(order), *rows.shape[1:]), rows.dtype))


def _biases() -> Iterator[Case]:
    """Bias and activation together, and their adjoint: of layers and images, small ones and such as are sliced."""
    for f in (None, "sigmoid", "tanh", "relu"):
        for shape in ((128, 784), (1, 1), (1500, 5), (3, 4, 5, 6), (40, 3, 14, 13)):
            yield Case("bias and activation", (shape, (shape[1],)),
                       lambda be, z, b, f=f: be.add_bias(be.copy(z), b, f))
            yield Case("bias and activation, gradients", (shape, shape),
                       lambda be, gy, y, f=f: be.add_bias_grad(gy, y, f), adds=True)


def _gathered(be: Backend, rows: Any) -> Any:
    order = host_generator(0, "gather").integers(0, len(rows), 2 * len(rows) + 1)
    return be.gather(rows, be.asarray(order, "int64"))


def _geometries() -> Iterator[tuple[Windows, int, int, int]]:
    """Windows, batch, channels and filters of convolutions."""
    for image, kernel, stride, dilation, n, channels, filters in (
            ((28, 28), (3, 3), (1, 1), (1, 1), 3, 1, 16), ((14, 14), (3, 3), (1, 1), (1, 1), 3, 16, 8),
            ((28, 28), (3, 3), (2, 2), (1, 1), 2, 1, 8), ((13, 9), (3, 3), (2, 2), (1, 1), 2, 8, 16),
            ((11, 7), (2, 5), (1, 3), (1, 1), 2, 3, 5), ((12, 12), (3, 3), (1, 1), (2, 2), 2, 4, 33),
            ((1, 1), (3, 3), (1, 1), (1, 1), 1, 1, 1)):
        yield Windows(image, kernel, stride, same_padding(image, kernel, stride, dilation), dilation), n, channels, \
            filters
    yield Windows((10, 9), (3, 2)), 4, 2, 3
    yield Windows((5, 5), (5, 5)), 2, 3, 4
    yield Windows((6, 6), (1, 1)), 2, 32, 64


def _convolutions(windows: Windows, n: int, channels: int, filters: int) -> Iterator[Case]:
    image, weight, output = (n, channels, *windows.image), (filters, channels, *windows.kernel), \
        (n, filters, *windows.output)
    for name, shapes in (("conv", (image, weight)), ("conv_input_grad", (output, weight)),
                         ("conv_weight_grad", (image, output))):
        yield Case(name, shapes, lambda be, a, b, name=name: getattr(be, name)(a, b, windows), adds=True)
    columns = (channels, *windows.kernel, n, *windows.output)
    yield Case("im2col", (image,), lambda be, x: be.im2col(x, windows))
    yield Case("col2im", (columns,), lambda be, c: be.col2im(c, windows), adds=True)


def _tiles() -> Iterator[tuple[Windows, int, int]]:
    """Windows, batch and channels of pooling."""
    for windows in (Windows((14, 14), (2, 2), (2, 2)), Windows((7, 5), (2, 2), (2, 2)),
                    Windows((9, 8), (3, 3), (2, 2)), Windows((4, 6), (4, 3), (4, 3)), Windows((5, 5), (2, 3), (1, 1))):
        for n, channels in ((3, 8), (2, 1), (1, 33)):
            yield windows, n, channels


def _pooling(windows: Windows, n: int, channels: int) -> Iterator[Case]:
    image, output = (n, channels, *windows.image), (n, channels, *windows.output)

    def gradient(be: Backend, x: Any, gy: Any) -> Any:
        return be.max_pool_grad(gy, be.max_pool(x, windows)[1], windows)

    def select(be: Backend, x: Any, t: Any) -> Any:
        return be.max_pool_select(t, be.max_pool(x, windows)[1], windows)

    yield Case("max_pool", (image,), lambda be, x: be.max_pool(x, windows))
    yield Case("max_pool_grad", (image, output), gradient)
    yield Case("max_pool_select", (image, image), select)
    yield Case("sum_windows", (image,), lambda be, x: be.sum_windows(x, windows), adds=True)
    yield Case("spread_windows", (output,), lambda be, y: be.spread_windows(y, windows), adds=True)
