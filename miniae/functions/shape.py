"""Moving elements without changing them: the gradient moves back the same way."""

from __future__ import annotations

from typing import Any

from miniae.autodiff import Function, Tensor

__all__ = ["reshape", "transpose", "getitem"]


class Reshape(Function):
    """The same elements in another shape.   dL/dx is dL/dy in the old shape."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x):
        self.old_shape = x.shape
        return x.reshape(self.shape)

    def backward(self, gy):
        return gy.reshape(self.old_shape)

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
    """y = x[index].   dL/dx is dL/dy put back at the index, added up where it names an element twice."""

    def __init__(self, index: Any):
        self.index = index

    def forward(self, x):
        self.shape = x.shape
        return x[self.index]

    def backward(self, gy):
        gx = self.be.zeros(self.shape, gy.dtype)
        self.be.xp.add.at(gx, self.index, gy)
        return gx

    def jvp(self, y, tx):
        return getitem(tx, self.index)


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


Tensor.reshape = reshape
Tensor.transpose = transpose
Tensor.T = property(transpose)
Tensor.__getitem__ = getitem
