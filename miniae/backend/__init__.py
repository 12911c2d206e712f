"""What an array is: one object per kind of device.

`get(name)` returns a backend, `use_backend(name)` changes the one that new tensors are made on:

>>> import miniae
>>> miniae.use_backend("numpy").name
'numpy'

Names: `numpy` (the CPU), `cupy` (an NVIDIA GPU), `auto` (CuPy when a usable device answers, else NumPy) and
`strict` (for tests: a pretend device that refuses whatever would break on a GPU).

`cupy:1` is the second GPU of a machine, `cupy` the one that is in use or else the first. A process computes on one of
them: to use several, start one process for each.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from miniae.backend.base import Backend, BackendUnavailable, CaptureError

__all__ = ["Backend", "BackendUnavailable", "CaptureError", "get", "use_backend", "names", "of", "kind_and_number"]

_MODULES = {"numpy": "miniae.backend.numpy", "cupy": "miniae.backend.cupy", "strict": "miniae.backend.strict"}
_NUMBERED = ("cupy",)
_instances: dict[str, Backend] = {}
_default: list[Backend] = []


def names() -> tuple[str, ...]:
    """The names `get` understands, `auto` aside."""
    return tuple(_MODULES)


def get(backend: str | Backend | None = None) -> Backend:
    """The backend of that name; a backend is returned as it is, and `None` means the current default.

    Raises `ValueError` for a name nobody knows and `BackendUnavailable` (a `RuntimeError`) when the device or the
    package behind the name is missing, or another device is in use; the message says which.
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
    name, number = kind_and_number(backend)
    if name not in _instances:
        make: Callable[..., Backend] = importlib.import_module(_MODULES[name]).make
        _instances[name] = make() if number is None else make(number)
    instance = _instances[name]
    if number is not None and instance.number != number:
        raise BackendUnavailable(f"backend {backend}: this process computes on {name}:{instance.number} already, and "
                                 "takes one device only; start another process for it, with "
                                 f"CUDA_VISIBLE_DEVICES={number} in its environment say")
    return instance


def kind_and_number(backend: str) -> tuple[str, int | None]:
    """The kind of device and its number, of a name like `cupy:1`; None is no number. `auto` is a name as well.

    Raises `ValueError` for a name that no machine has.
    """
    name, colon, number = backend.partition(":") if isinstance(backend, str) else (backend, "", "")
    if name not in ("auto", *_MODULES):
        raise ValueError(f"unknown backend {backend!r}: expected one of auto, {', '.join(_MODULES)}")
    if colon and name not in _NUMBERED:
        raise ValueError(f"backend {backend!r}: the devices of {name} have no numbers, only those of "
                         f"{', '.join(_NUMBERED)} have")
    if colon and not (number.isascii() and number.isdigit()):
        raise ValueError(f"backend {backend!r}: expected the number of a device after the colon, {name}:0 say")
    return name, int(number) if colon else None


class use_backend:
    """Make new tensors and models on this backend from now on, or within a `with` block.

    `precision` is what the operands of matrix products are rounded to on it: float32 (as it is at first), tf32, float16
    or bfloat16 (see `miniae.backend.precision`). Without one the backend keeps its own.

    >>> with use_backend("numpy") as be:
    ...     be.name
    'numpy'
    """

    __slots__ = ("_before", "_precision_before", "backend", "name")  # a misspelt attribute is an error

    def __init__(self, backend: str | Backend, precision: str | None = None):
        self._before = list(_default)
        self.backend = get(backend)
        self._precision_before = self.backend.precision
        if precision is not None:
            self.backend.precision = precision
        self.name = self.backend.name
        _default[:] = [self.backend]

    @property
    def precision(self) -> str:
        """That of the backend."""
        return self.backend.precision

    @precision.setter
    def precision(self, value: str) -> None:
        self.backend.precision = value

    def __enter__(self) -> Backend:
        return self.backend

    def __exit__(self, *exc: object) -> None:
        _default[:] = self._before
        self.backend.precision = self._precision_before

    def __repr__(self) -> str:
        return f"use_backend({self.name!r})"


def of(array: object) -> Backend:
    """The backend that a raw array belongs to. Raises `TypeError` for anything else."""
    for backend in (get("numpy"), *_instances.values()):
        if backend.is_array(array):
            return backend
    raise TypeError(f"expected an array of a loaded backend ({', '.join(_instances)}), got {type(array).__name__}")
