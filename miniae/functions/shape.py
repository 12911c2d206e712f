"""Moving elements without changing them: the gradient moves back the same way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from miniae.autodiff import Function, Tensor, as_tensor
from miniae.autodiff.tensor import give_tensors
from miniae.backend.image import Pair, as_pair

__all__ = ["broadcast_to", "concatenate", "flatten", "getitem", "pad", "reshape", "transpose"]


class Reshape(Function):
    """The same elements in another shape.   dL/dx is dL/dy in the old shape."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x):
        self.old_shape = x.shape
        return self.be.reshape(x, self.shape)

    def backward(self, gy):
        return self.be.reshape(gy, self.old_shape)

    def jvp(self, y, tx):
        return reshape(tx, y.shape)


class Transpose(Function):
    """y = x with its axes permuted.   dL/dx is dL/dy permuted back."""

    def __init__(self, axes: tuple[int, ...] | None):
        self.axes = axes

    def forward(self, x):
        return x.transpose(self.axes)

    def backward(self, gy):
        return gy.transpose(None if self.axes is None else sorted(range(len(self.axes)), key=self.axes.__getitem__))

    def jvp(self, y, tx):
        return transpose(tx, self.axes)


class GetItem(Function):
    """y = x[index].   dL/dx is dL/dy put back at the index, added up where it names an element twice.

    (For an index that is an array a GPU adds these up in no fixed order: the last bits may differ from run to run.)
    """

    def __init__(self, index: Any):
        self.index = index

    def forward(self, x):
        self.shape = x.shape
        return x[self.index]

    def backward(self, gy):
        gx = self.be.empty_like(gy, self.shape) if gy.ndim == len(self.shape) else self.be.empty(self.shape, gy.dtype)
        self.be.fill(gx, 0.0)
        if _names_once(self.index):
            self.be.copy(gy, out=gx[_as_view(self.index)])
        else:
            self.be.xp.add.at(gx, self.index, gy)
        return gx

    def jvp(self, y, tx):
        return getitem(tx, self.index)


class BroadcastTo(Function):
    """y = x repeated to another shape.   dL/dx = dL/dy summed over what was repeated."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x):
        self.old_shape = x.shape
        y = self.be.empty(self.shape, x.dtype)
        self.be.xp.copyto(y, x)
        return y

    def backward(self, gy):
        return self.be.sum_to(gy, self.old_shape)

    def jvp(self, y, tx):
        return broadcast_to(tx, self.shape)


class Concatenate(Function):
    """y = the inputs one after the other along an axis.   dL/dx_i is its part of dL/dy."""

    def __init__(self, axis: int):
        self.axis = axis

    def forward(self, *xs):
        self.lengths = [x.shape[self.axis] for x in xs]
        shape = list(xs[0].shape)
        shape[self.axis] = sum(self.lengths)
        return self.be.xp.concatenate(xs, axis=self.axis, out=self.be.empty(tuple(shape), xs[0].dtype))

    def backward(self, gy):
        parts, start = [], 0
        for length in self.lengths:
            index = [slice(None)] * gy.ndim
            index[self.axis] = slice(start, start + length)
            parts.append(gy[tuple(index)])
            start += length
        return tuple(parts)

    def jvp(self, y, *tangents):
        zeros = [Tensor._wrap(self.be.xp.zeros_like(x._data), self.be) for x in self.inputs]
        return concatenate([z if t is None else t for t, z in zip(tangents, zeros, strict=True)], self.axis)


class Pad(Function):
    """y = x with a constant put around it.   dL/dx is the inner part of dL/dy."""

    def __init__(self, widths: tuple[Pair, ...], value: float):
        self.widths, self.value = widths, value

    def forward(self, x):
        y = self.be.empty_like(x, tuple(n + a + b for n, (a, b) in zip(x.shape, self.widths, strict=True)))
        self.be.fill(y, self.value)
        self.inner = tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, self.widths, strict=True))
        self.be.copy(x, out=y[_as_view(self.inner)])
        return y

    def backward(self, gy):
        return gy[self.inner]

    def jvp(self, y, tx):
        return Pad(self.widths, 0.0)(tx)


def reshape(x: Tensor, *shape: Any) -> Tensor:
    """`x` in another shape with the same number of elements; one length may be -1."""
    return Reshape(tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape)(x)


def transpose(x: Tensor, *axes: Any) -> Tensor:
    """`x` with its axes in the order given; reversed when no order is given."""
    if len(axes) == 1 and not isinstance(axes[0], int):
        axes = axes[0]
    return Transpose(tuple(axes) if axes else None)(x)


def getitem(x: Tensor, index: Any) -> Tensor:
    """`x[index]`, with slices, integers, boolean masks or arrays of integers."""
    return GetItem(index)(x)


def flatten(x: Tensor) -> Tensor:
    """(N, ...) to (N, features)."""
    return reshape(x, (x.shape[0], math.prod(x.shape[1:])))


def broadcast_to(x: Any, shape: tuple[int, ...]) -> Tensor:
    """`x` repeated along new axes and axes of length 1 until it has this shape."""
    return BroadcastTo(tuple(shape))(x)


def pad(x: Any, widths: Sequence[tuple[int, ...]], value: float = 0.0) -> Tensor:
    """`x` with `value` put around it: `widths` gives (before, after) for each axis. Raises `ValueError` otherwise."""
    x = as_tensor(x)
    if not isinstance(widths, (tuple, list)) or len(widths) != x.ndim:
        raise ValueError(f"pad needs (before, after) for each of the {x.ndim} axes, got {widths!r}")
    return Pad(tuple(as_pair(f"widths[{axis}]", w, least=0) for axis, w in enumerate(widths)), float(value))(x)


def concatenate(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """The tensors one after the other along `axis`; their other axes agree."""
    if len(tensors) == 0:
        raise ValueError("concatenate needs at least one tensor, got none")
    return Concatenate(axis)(*tensors)


def _names_once(index: Any) -> bool:
    """Whether an index names no element twice: anything but arrays of integers."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is Ellipsis or isinstance(part, (int, slice)) for part in parts)


def _as_view(index: Any) -> tuple[Any, ...]:
    """An index of integers and slices such that NumPy gives a view for it, and no number."""
    parts = index if isinstance(index, tuple) else (index,)
    return parts if any(part is Ellipsis for part in parts) else (*parts, Ellipsis)


give_tensors(reshape=reshape, transpose=transpose, T=property(transpose), __getitem__=getitem)
