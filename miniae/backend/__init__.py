"""What an array is: one object per kind of device.

`get(name)` returns a backend, `use_backend(name)` changes the one that new tensors are made on:

>>> import miniae
>>> miniae.use_backend("numpy").name
'numpy'

Names: `numpy` (the CPU), `cupy` (an NVIDIA GPU), `auto` (CuPy when a usable device answers, else NumPy) and
`strict` (for tests: a pretend device that refuses whatever would break on a GPU).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from miniae.backend.base import Backend, BackendUnavailable, CaptureError

__all__ = ["Backend", "BackendUnavailable", "CaptureError", "get", "use_backend", "names", "of"]

_MODULES = {"numpy": "miniae.backend.numpy", "cupy": "miniae.backend.cupy", "strict": "miniae.backend.strict"}
_instances: dict[str, Backend] = {}
_default: list[Backend] = []


def names() -> tuple[str, ...]:
    """The names `get` understands, `auto` aside."""
    return tuple(_MODULES)


def get(backend: str | Backend | None = None) -> Backend:
    """The backend of that name; a backend is returned as it is, and `None` means the current default.

    Raises `ValueError` for a name nobody knows and `BackendUnavailable` (a `RuntimeError`) when the device or the
    package behind the name is missing; the message says which.
    """
    if isinstance(backend, Backend):
        return backend
    if backend is None:
        return _default[-1] if _default else get("numpy")
    if backend == "auto":
        try:
            return get("cupy")
        except BackendUnavailable:
            return get("numpy")
    if backend not in _MODULES:
        raise ValueError(f"unknown backend {backend!r}: expected one of auto, {', '.join(_MODULES)}")
    if backend not in _instances:
        make: Callable[[], Backend] = importlib.import_module(_MODULES[backend]).make
        _instances[backend] = make()
    return _instances[backend]


class use_backend:
    """Make new tensors and models on this backend from now on, or within a `with` block.

    >>> with use_backend("numpy") as be:
    ...     be.name
    'numpy'
    """

    def __init__(self, backend: str | Backend):
        self._before = list(_default)
        self.backend = get(backend)
        self.name = self.backend.name
        _default[:] = [self.backend]

    def __enter__(self) -> Backend:
        return self.backend

    def __exit__(self, *exc: object) -> None:
        _default[:] = self._before

    def __repr__(self) -> str:
        return f"use_backend({self.name!r})"


def of(array: object) -> Backend:
    """The backend that a raw array belongs to. Raises `TypeError` for anything else."""
    for backend in (get("numpy"), *_instances.values()):
        if backend.is_array(array):
            return backend
    raise TypeError(f"expected an array of a loaded backend ({', '.join(_instances)}), got {type(array).__name__}")
