"""Comparing gradients with central differences of fourth order.

    f'(x) = (8 (f(x + h) - f(x - h)) - (f(x + 2h) - f(x - 2h))) / 12 h + O(h^4)

With h = 1e-4 the truncation is near the rounding of float64, and rounding is divided by a step large enough that small
gradients are told from noise.

Analytic and numerical gradients are compared by the relative error |a - n| / (|a| + |n|), with Euclidean norms over
all elements of an input: about 1e-7 or less for a smooth function in float64, about 1 for a wrong gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from miniae.autodiff.forward import jvp
from miniae.autodiff.mode import no_grad
from miniae.autodiff.tensor import Tensor
from miniae.backend.philox import host_generator


@dataclass(frozen=True)
class GradcheckResult:
    """`errors[i]` is the relative error of the i-th gradient; `error` the worst of them."""

    errors: tuple[float, ...]
    tolerance: float

    @property
    def error(self) -> float:
        return max(self.errors, default=0.0)

    def __bool__(self) -> bool:
        return bool(self.error <= self.tolerance)  # false for NaN too


def gradcheck(f: Callable[..., Tensor], inputs: Sequence[Tensor], parameters: Sequence[Tensor] = (), *,
              step: float = 1e-4, tolerance: float = 1e-6, entries: int = 200, seed: int = 0) -> GradcheckResult:
    """Compare backward through `f(*inputs)` with central differences, for every input and parameter.

    All tensors must be float64. The output is reduced to one number by a random projection, so every output element
    counts. Of a tensor with more than `entries` elements, that many are checked, chosen at random. `f` must be
    deterministic (seed its dropout) and smooth near the inputs. A true result means every error is within `tolerance`.
    """
    tensors = [*inputs, *parameters]
    for t in tensors:
        if t.dtype != np.float64:
            raise TypeError(f"gradcheck needs float64 tensors, got {t.dtype}: differences in float32 are too coarse")
    rng = host_generator(seed, "gradcheck")
    requires = [t.requires_grad for t in tensors]
    try:
        for t in tensors:
            t.requires_grad = True
            t.zero_grad()
        y = f(*inputs)
        projection = rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1.0, 1.0], y.shape)
        if y.requires_grad:  # else the output does not depend on the tensors: all gradients are zero
            y.backward(projection)

        def project() -> float:
            with no_grad():
                return float(np.sum(f(*inputs).numpy() * projection))

        errors = tuple(_compare(t, project, step, entries, rng) for t in tensors)
    finally:
        for t, r in zip(tensors, requires, strict=True):
            t.requires_grad = r
            t.zero_grad()
    return GradcheckResult(errors, tolerance)


def gradcheck_jvp(f: Callable[..., Tensor], inputs: Sequence[Tensor], *, step: float = 1e-4, tolerance: float = 1e-6,
                  seed: int = 0) -> GradcheckResult:
    """Compare forward mode with a central difference along a random direction, and check the gradient *of* it too.

    The errors are: of the directional derivative, then of its gradient with respect to each input.
    """
    rng = host_generator(seed, "gradcheck_jvp")
    vs = [Tensor(rng.standard_normal(t.shape), backend=t.backend) for t in inputs]
    _, tangent = jvp(f, inputs, vs)
    with no_grad():
        numeric = _difference(lambda h: f(*[_moved(t, v, h) for t, v in zip(inputs, vs, strict=True)]).numpy(), step)
    first = relative_error(tangent.numpy(), numeric)
    second = gradcheck(lambda *xs: jvp(f, xs, vs)[1], inputs, step=step, tolerance=tolerance, seed=seed)
    return GradcheckResult((first, *second.errors), tolerance)


def relative_error(a: Any, b: Any) -> float:
    """|a - b| / (|a| + |b|) in Euclidean norm, or |a - b| itself where both are rounding noise around zero."""
    size = float(np.linalg.norm(a) + np.linalg.norm(b))
    difference = float(np.linalg.norm(np.asarray(a) - b))
    return difference if size < 1e-7 else difference / size


def _difference(f: Callable[[float], Any], h: float) -> Any:
    """The derivative of f at 0."""
    return (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)


def _moved(t: Tensor, v: Tensor, step: float) -> Tensor:
    return Tensor(t.numpy() + step * v.numpy(), backend=t.backend)


def _compare(t: Tensor, project: Callable[[], float], step: float, entries: int, rng: np.random.Generator) -> float:
    """The relative error of `t.grad` over some or all entries; `t` is put back as it was."""
    original = t.numpy()
    analytic = np.zeros(t.shape) if t.grad is None else t.backend.to_host(t.grad)
    chosen = np.arange(t.size) if t.size <= entries else rng.choice(t.size, entries, replace=False)
    numeric = np.empty(len(chosen))
    try:
        for k, i in enumerate(chosen):
            moved = original.copy().reshape(-1)

            def at(h: float, i: int = i, moved: np.ndarray = moved) -> float:
                moved[i] = original.reshape(-1)[i] + h
                t.assign(moved.reshape(t.shape))
                return project()

            numeric[k] = _difference(at, step)
    finally:
        t.assign(original)
    return relative_error(analytic.reshape(-1)[chosen], numeric)
