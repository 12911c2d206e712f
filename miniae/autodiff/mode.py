"""Whether functions are recorded, per thread."""

from __future__ import annotations

import threading


class _Mode(threading.local):
    """`tape`: record functions for backward. `forward`: push tangents through functions (see forward.py)."""

    tape = True
    forward = True


mode = _Mode()


class _Off:
    """A `with` block in which one of the modes is off."""

    def __init__(self, name: str):
        self._name = name

    def __enter__(self) -> None:
        self._before = getattr(mode, self._name)
        setattr(mode, self._name, False)

    def __exit__(self, *exc: object) -> None:
        setattr(mode, self._name, self._before)


def no_grad() -> _Off:
    """Within this block nothing is recorded: results have no gradient, and intermediate arrays are freed at once."""
    return _Off("tape")


def no_tangents() -> _Off:
    """Within this block tangents are not pushed forward: what a `jvp` computes has none of its own."""
    return _Off("forward")
