"""Forward mode: the directional derivative of a function, itself differentiable.

Each input tensor carries a *tangent*, the direction in which it moves, and every function turns its inputs' tangents
into its output's by its `jvp`. Since a `jvp` is written in differentiable functions, backward goes through the result:
that is how a penalty on a Jacobian is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from miniae.autodiff.mode import mode, no_tangents, note_applied
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
        _check_shape(v, x, "a tangent", "a primal")
    before = [x.tangent for x in xs]
    try:
        for x, v in zip(xs, vs, strict=True):
            x.tangent = v
        y = f(*xs)
        dy, y.tangent = y.tangent, None
    finally:
        for x, t in zip(xs, before, strict=True):
            x.tangent = t
    return y, _zeros(y) if dy is None else dy


class Linearization:
    """A function at a point, to first order: y = f(x), and the products of its Jacobian there from either side.

    `push(v)` is J v and `pull(u)` is u' J, for any number of directions at one evaluation of `f`: whatever was drawn at
    random in it, a dropout mask say, is the same for y and for every product. y and what is pushed are on the tape, and
    can be differentiated; what is pulled, by backward, is constant. x and all that `f` took must stay as they are, and
    backward through y must wait, until no more products are needed.

    >>> at = Linearization(lambda x: x * x, Tensor([3.0, 5.0]))
    >>> at.push(Tensor([1.0, 0.0])).numpy()
    array([6., 0.], dtype=float32)
    """

    def __init__(self, f: Callable[[Tensor], Tensor], x: Tensor):
        self.x = x
        with note_applied() as applied:
            self.y = f(x)
        if mode.applied is not None:  # this happens within the evaluation of another function, whose part it is
            mode.applied.extend(applied)
        reached = {id(x)}  # by x
        self._applied = []
        for function, output in applied:
            if any(id(t) in reached for t in function.inputs):
                reached.add(id(output))
                self._applied.append((function, output))
        self._reached = reached

    def push(self, v: Tensor) -> Tensor:
        """J v, of y's shape, for v of x's shape."""
        _check_shape(v, self.x, "a tangent", "a primal")
        tangents: dict[int, Tensor | None] = {id(self.x): v}
        with no_tangents():
            for function, output in self._applied:
                tangents[id(output)] = function.jvp(output, *[tangents.get(id(t)) for t in function.inputs])
        dy = tangents.get(id(self.y))
        return _zeros(self.y) if dy is None else dy

    def pull(self, u: Tensor) -> Tensor:
        """u' J, of x's shape, for u of y's shape: the gradient of y . u with respect to x, and to nothing else."""
        _check_shape(u, self.y, "a seed", "an output")
        gradients = {id(self.y): u._data}
        for function, output in reversed(self._applied):
            if id(output) not in gradients:
                continue
            gy, needs = gradients.pop(id(output)), function.needs
            function.needs = tuple(id(t) in self._reached for t in function.inputs)
            try:
                grads = function.backward(gy)
                wanted = function.needs
            finally:
                function.needs = needs
            grads = grads if isinstance(grads, tuple) else (grads,)
            for t, want, g in zip(function.inputs, wanted, grads, strict=True):
                if want and g is not None:
                    gradients[id(t)] = t.backend.add(gradients[id(t)], g) if id(t) in gradients else g
        return Tensor._wrap(gradients[id(self.x)], self.x.backend) if id(self.x) in gradients else _zeros(self.x)


def _check_shape(t: Tensor, fits: Tensor, what: str, of: str) -> None:
    if t.shape != fits.shape:
        raise ValueError(f"{what} of shape {t.shape} does not fit {of} of shape {fits.shape}")


def _zeros(like: Tensor) -> Tensor:
    return Tensor._wrap(like.backend.zeros(like.shape, like.dtype), like.backend)


def push_tangent(function: Any, y: Tensor) -> None:
    """Give the output of an applied function its tangent."""
    with no_tangents():
        tangents = [t.tangent if isinstance(t, Tensor) else None for t in function.inputs]
        y.tangent = function.jvp(y, *tangents)
