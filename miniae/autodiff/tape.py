"""Backward: from a loss to the gradients of everything it was computed from.

The tape is not stored anywhere: it is the chain of `creator`s and their `inputs`. Functions are numbered as they are
applied, so going through them by falling number is a reverse topological order.
"""

from __future__ import annotations

from typing import Any

from miniae.autodiff.mode import mode
from miniae.autodiff.tensor import Tensor


def backward(loss: Tensor, seed: Any = None, retain_tape: bool = False) -> None:
    """See `Tensor.backward`."""
    if not loss.requires_grad:
        raise RuntimeError(
            "nothing to go back through: this tensor was not computed from one with requires_grad=True "
            "(or it was computed under no_grad)"
        )
    gradients = {id(loss): _seed(loss, seed)}
    owned: set[int] = set()  # gradients that are sums made here, which may be added to in place
    if loss.creator is None:
        loss.accumulate_grad(gradients[id(loss)])
        return

    observer = mode.observer
    for function, output in _reverse_order(loss):
        gy = gradients.pop(output, None)
        if gy is None:
            continue  # every path back to this function was cut by a gradient of None
        function.saved  # noqa: B018  raises when an earlier backward has freed it
        function.check_unchanged()
        grads = function.backward(gy) if observer is None else observer(function, function.backward, gy)
        for t, needed, g in zip(function.inputs, function.needs, grads if isinstance(grads, tuple) else (grads,),
                                strict=True):
            if not needed or g is None:
                continue
            if g.shape != t.shape:
                raise RuntimeError(f"{function.name}.backward returned a gradient of shape {g.shape} "
                                   f"for an input of shape {t.shape}")
            if t.creator is None:
                t.accumulate_grad(g)
            elif id(t) not in gradients:
                gradients[id(t)] = g
            else:
                total = gradients[id(t)]
                gradients[id(t)] = t.backend.add(total, g, out=total if id(t) in owned else None)
                owned.add(id(t))
        if not retain_tape:
            function.free()


def _seed(loss: Tensor, seed: Any) -> Any:
    be = loss.backend
    if seed is None:
        if loss.size != 1:
            raise RuntimeError(f"backward from a tensor of shape {loss.shape} needs a seed: an array of that shape, "
                               "dL/d(this tensor). Without one, reduce to a single number first, with .sum() say")
        if loss.ndim == 0:
            return be.one(loss.dtype)
        ones = be.empty_like(loss._data)
        be.fill(ones, 1.0)
        return ones
    seed = seed._data if isinstance(seed, Tensor) else seed
    if not be.is_array(seed):
        seed = be.asarray(seed, loss.dtype)
    if seed.shape != loss.shape:
        raise ValueError(f"the seed has shape {seed.shape}, the tensor {loss.shape}: they must be the same")
    return seed if seed.dtype == loss.dtype else seed.astype(loss.dtype)


def _reverse_order(loss: Tensor) -> list[tuple[Any, int]]:
    """Every function on the tape with the id of its output, last applied first."""
    found: dict[Any, int] = {}
    stack = [loss]
    while stack:
        t = stack.pop()
        if t.creator is None or t.creator in found:
            continue
        found[t.creator] = id(t)
        stack.extend(i for i, needed in zip(t.creator.inputs, t.creator.needs, strict=True) if needed)
    return sorted(found.items(), key=lambda item: -item[0].order)
