"""Forward mode: the directional derivative of a function, itself differentiable.

Each input tensor carries a *tangent*, the direction in which it moves, and every function turns its inputs' tangents
into its output's by its `jvp`. Since a `jvp` is written in differentiable functions, backward goes through the result:
that is how a penalty on a Jacobian is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from miniae.autodiff.mode import no_tangents
from miniae.autodiff.tensor import Tensor, as_tensor


def jvp(f: Callable[..., Tensor], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """f(x) and J v: the value of `f` at the primals, and its derivative along the tangents, both on the tape.

    `primals` and `tangents` are sequences of the same length; each tangent has the shape of its primal.

    >>> y, dy = jvp(lambda x: x * x, [Tensor([3.0])], [Tensor([1.0])])
    >>> float(dy.numpy()[0])
    6.0
    """
    if len(primals) != len(tangents):
        raise ValueError(f"jvp got {len(primals)} primals and {len(tangents)} tangents: one tangent for each")
    xs = [as_tensor(x) for x in primals]
    vs = [as_tensor(v, dtype=x.dtype, backend=x.backend) for x, v in zip(xs, tangents, strict=True)]
    for x, v in zip(xs, vs, strict=True):
        if x.shape != v.shape:
            raise ValueError(f"a tangent of shape {v.shape} does not fit a primal of shape {x.shape}")
    before = [x.tangent for x in xs]
    try:
        for x, v in zip(xs, vs, strict=True):
            x.tangent = v
        y = f(*xs)
        dy, y.tangent = y.tangent, None
    finally:
        for x, t in zip(xs, before, strict=True):
            x.tangent = t
    if dy is None:
        dy = Tensor._wrap(y.backend.zeros(y.shape, y.dtype), y.backend)
    return y, dy


def push_tangent(function: Any, y: Tensor) -> None:
    """Give the output of an applied function its tangent."""
    with no_tangents():
        tangents = [t.tangent if isinstance(t, Tensor) else None for t in function.inputs]
        y.tangent = function.jvp(y, *tangents)
