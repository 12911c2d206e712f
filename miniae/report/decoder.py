"""A decoder written down so that a few lines of plain JavaScript can run it (`page/decoder.js`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from miniae.autodiff import Tensor, no_grad
from miniae.autodiff.mode import note_applied
from miniae.functions.activation import ByValue
from miniae.models import Autoencoder

__all__ = ["LARGEST", "DecoderSteps", "NotInPage", "decoder_steps"]

LARGEST = 4_000_000
"""Weights that a page may hold; at 4 bytes each, as text, these are 21 MB."""

_BY_NAME = {"Sigmoid": "sigmoid", "Tanh": "tanh", "ReLU": "relu", "Softplus": "softplus", "GELU": "gelu",
            "SiLU": "silu", "Exp": "exp", "Negative": "negative"}
_BINARY = {"Add": "add", "Subtract": "subtract", "Multiply": "multiply", "Divide": "divide"}
_MOVES = ("Reshape", "Transpose", "GetItem", "BroadcastTo", "Upsample2D")


class NotInPage(ValueError):
    """A decoder that the page can't run. `reason` is one of shape, function, size; `detail` says which."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"the page can't run this decoder ({reason}: {detail})")
        self.reason, self.detail = reason, detail


@dataclass
class DecoderSteps:
    """Functions of one sample, one after the other: step i makes value i + 1, value 0 is the code.

    Each is a dictionary: `op`, `x` the number of the value it takes, `size` of the one it makes, and what else the
    function needs; arrays are given as where they begin in `weights`, float32. `result` is the number of the value that
    is the sample, in the units of the data.
    """

    steps: list[dict[str, Any]] = field(default_factory=list)
    arrays: list[np.ndarray] = field(default_factory=list)
    result: int = 0
    _begins: dict[int, tuple[int, Any]] = field(default_factory=dict)
    _size: int = 0

    @property
    def weights(self) -> np.ndarray:
        """All arrays, one after the other."""
        return np.concatenate(self.arrays) if self.arrays else np.empty(0, np.float32)

    def add(self, op: str, x: int, size: int, **more: Any) -> int:
        """Note a step; return the number of its value."""
        self.steps.append({"op": op, "x": x, "size": int(size), **more})
        return len(self.steps)

    def keep(self, array: np.ndarray, owner: Any = None) -> int:
        """Note an array, once for each `owner`; return where it begins."""
        if owner is not None and id(owner) in self._begins:
            return self._begins[id(owner)][0]
        flat = np.ascontiguousarray(array, np.float32).reshape(-1)
        if self._size + flat.size > LARGEST:
            raise NotInPage("size", f"{LARGEST:,}")
        begin, self._size = self._size, self._size + flat.size
        self.arrays.append(flat)
        if owner is not None:
            self._begins[id(owner)] = begin, owner  # held, so that no other object gets its id
        return begin


def decoder_steps(model: Autoencoder) -> DecoderSteps:
    """The decoder of a trained model, from a code to a sample in the units of the data.

    The functions are those that the network applies to a code of zeros, as the tape notes them; what does not depend on
    the code is a constant. Raises `NotInPage` for codes that are not vectors or need labels, for functions that the
    page does not have, and for more than `LARGEST` weights.
    """
    network: Any = model.network_
    if model.needs_labels or len(network.code_shape) != 1:
        raise NotInPage("shape", "labels" if model.needs_labels else "x".join(map(str, network.code_shape)))
    if sum(p.size for p in network.decoder.parameters()) > LARGEST:
        raise NotInPage("size", f"{LARGEST:,}")
    code = Tensor(np.zeros((1, *network.code_shape)), dtype=network.place.dtype, backend=network.place.backend)
    network.eval()
    with no_grad(), note_applied() as applied:
        output = network.decode(code)
    page, numbers = DecoderSteps(), {id(code): 0}
    for function, y in applied:
        if any(id(t) in numbers for t in function.inputs):
            numbers[id(y)] = _step(page, function, y, numbers)
    if id(output) not in numbers:
        raise NotInPage("function", "none: the output does not depend on the code")
    page.result = numbers[id(output)]
    scaling = {name: np.broadcast_to(a, output.shape[1:]).reshape(-1).tolist()
               for name, a in model.scaler_.state().items()}
    if scaling:
        page.result = page.add("unscale", page.result, output.size, **scaling)
    return page


def _step(page: DecoderSteps, function: Any, y: Tensor, numbers: dict[int, int]) -> int:
    """Note a function that depends on the code; return the number of its value."""
    first, *others = function.inputs
    x, name = numbers.get(id(first), -1), function.name
    constant = not any(id(t) in numbers for t in others)
    if name in _BINARY:
        return _binary(page, _BINARY[name], function, y, numbers)
    if not constant or x < 0:
        raise NotInPage("function", name)
    if name in _BY_NAME:
        return page.add(_BY_NAME[name], x, y.size)
    if name in _MOVES:
        return _moved(page, function, first.shape, x)
    if name not in _STEPS:
        raise NotInPage("function", name)
    return _activated(page, _STEPS[name](page, function, x, y), y, getattr(function, "f", None))


def _binary(page: DecoderSteps, op: str, function: Any, y: Tensor, numbers: dict[int, int]) -> int:
    """The four operations: of two values, or of a value and a constant."""
    sides: dict[str, int] = {}
    for name, t in zip(("x", "other"), function.inputs, strict=True):
        if id(t) not in numbers:
            array = t.numpy() if isinstance(t, Tensor) else np.asarray(t)
            sides[f"{name}_at"] = page.keep(np.broadcast_to(array, y.shape))
        else:
            sides[name] = numbers[id(t)] if t.shape == y.shape else _gathered(
                page, np.broadcast_to(_places(t.shape), y.shape), numbers[id(t)])
    return page.add(op, sides.pop("x", 0), y.size, **sides)


def _moved(page: DecoderSteps, function: Any, shape: tuple[int, ...], x: int) -> int:
    """Elements put elsewhere: which goes where is found by moving their numbers."""
    places = _places(shape)
    if function.name == "Upsample2D":
        down, across = function.windows.kernel
        return _gathered(page, places.repeat(down, axis=2).repeat(across, axis=3), x)
    moves: dict[str, Callable[[], np.ndarray]] = {
        "Reshape": lambda: places, "Transpose": lambda: places.transpose(function.axes),
        "GetItem": lambda: places[function.index], "BroadcastTo": lambda: np.broadcast_to(places, function.shape)}
    moved = moves[function.name]()
    return x if moved.size == places.size and (moved.reshape(-1) == places.reshape(-1)).all() else \
        _gathered(page, moved, x)


def _places(shape: tuple[int, ...]) -> np.ndarray:
    """The elements of an array of that shape, numbered."""
    return np.arange(int(np.prod(shape))).reshape(shape)


def _gathered(page: DecoderSteps, places: np.ndarray, x: int) -> int:
    return page.add("gather", x, places.size, places=places.reshape(-1).tolist())


def _activated(page: DecoderSteps, x: int, y: Tensor, f: ByValue | None) -> int:
    """The activation that a dense or convolutional function ends in."""
    return x if f is None else page.add(f.kernel, x, y.size)


def _dense(page: DecoderSteps, function: Any, x: int, y: Tensor) -> int:
    weight = function.inputs[1]
    bias = function.inputs[2] if len(function.inputs) > 2 else None
    return page.add("dense", x, y.size, weight=page.keep(weight.numpy(), weight),
                    bias=-1 if bias is None else page.keep(bias.numpy(), bias))


def _convolution(page: DecoderSteps, function: Any, x: int, y: Tensor) -> int:
    image, weight, *bias = function.inputs
    windows = function.windows
    return page.add("conv" if function.name == "Conv2D" else "conv_transpose", x, y.size, weight=page.keep(
        weight.numpy(), weight), bias=page.keep(bias[0].numpy(), bias[0]) if bias else -1, from_=list(image.shape[1:]),
        to=list(y.shape[1:]), kernel=windows.kernel, stride=windows.stride, dilation=windows.dilation,
        padding=[before for before, _ in windows.padding])


def _pooled(page: DecoderSteps, function: Any, x: int, y: Tensor) -> int:
    windows = function.windows
    return page.add("avg_pool" if function.name == "AvgPool2D" else "max_pool", x, y.size,
                    from_=list(function.inputs[0].shape[1:]), to=list(y.shape[1:]), kernel=windows.kernel,
                    stride=windows.stride, dilation=windows.dilation, padding=[p for p, _ in windows.padding])


def _normalised(page: DecoderSteps, function: Any, x: int, y: Tensor) -> int:
    if list(function.axes) != list(range(y.ndim - len(function.axes), y.ndim)):
        raise NotInPage("function", "Normalize over other axes than the last")
    group = int(np.prod([y.shape[axis] for axis in function.axes]))
    return page.add("normalize", x, y.size, group=group, epsilon=function.epsilon)


def _softmax(page: DecoderSteps, function: Any, x: int, y: Tensor) -> int:
    if function.axis not in (-1, y.ndim - 1):
        raise NotInPage("function", "Softmax along another axis than the last")
    return page.add("softmax", x, y.size, group=y.shape[-1])


_STEPS: dict[str, Callable[[DecoderSteps, Any, int, Tensor], int]] = {
    "DenseFunction": _dense, "MatMul": _dense, "Conv2D": _convolution, "ConvTranspose2D": _convolution,
    "AvgPool2D": _pooled, "MaxPool2D": _pooled, "Normalize": _normalised, "Softmax": _softmax,
    "UnitNorm": lambda page, function, x, y: page.add("unit_norm", x, y.size, group=y.shape[-1]),
    "LeakyReLU": lambda page, function, x, y: page.add("leaky_relu", x, y.size, slope=function.slope),
    "ELU": lambda page, function, x, y: page.add("elu", x, y.size, alpha=function.alpha, scale=function.scale),
}


