"""Whether functions are recorded and observed, per thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class _Mode(threading.local):
    """`tape`: record functions for backward. `forward`: push tangents through functions (see forward.py).

    `applied`: a list that every function is noted in with its output, or None. `observer`: see `observe`, or None.
    """

    tape = True
    forward = True
    applied: list[tuple[Any, Any]] | None = None
    observer: Callable[..., Any] | None = None


mode = _Mode()


class _Set:
    """A `with` block in which one of the modes has another value."""

    def __init__(self, name: str, value: Any):
        self._name, self._value = name, value

    def __enter__(self) -> Any:
        self._before = getattr(mode, self._name)
        setattr(mode, self._name, self._value)
        return self._value

    def __exit__(self, *exc: object) -> None:
        setattr(mode, self._name, self._before)


def no_grad() -> _Set:
    """Within this block nothing is recorded: results have no gradient, and intermediate arrays are freed at once."""
    return _Set("tape", False)


def no_tangents() -> _Set:
    """Within this block tangents are not pushed forward: what a `jvp` computes has none of its own."""
    return _Set("forward", False)


def note_applied() -> _Set:
    """Within this block every function is noted, with its output, in the list that the block begins with."""
    return _Set("applied", [])


def observe(observer: Callable[..., Any]) -> _Set:
    """Within this block `observer(what, compute, *arguments)` stands in the place of `compute(*arguments)`.

    It has to return what that returns, and may look at the clock before and after. `what` is a `Function`, of which
    `compute` is the `forward` or the `backward`, or the name of a stage of training (see `Trainer`). Stages hold other
    stages and functions. A step that is observed has to be computed, not replayed from a recording.
    """
    return _Set("observer", observer)


def observed(what: Any, compute: Callable[..., Any], *arguments: Any) -> Any:
    """compute(*arguments), by way of the observer where there is one."""
    return compute(*arguments) if mode.observer is None else mode.observer(what, compute, *arguments)
