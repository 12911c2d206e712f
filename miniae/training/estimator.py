"""What all estimators share: parameters that are only stored, and checks at the door."""

from __future__ import annotations

import contextlib
import inspect
import math
import numbers
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.data.pieces import pieces

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "Estimator", "NotFittedError", "check_count", "check_finite", "check_number", "check_samples",
    "check_unit_interval",
]


class NotFittedError(ValueError, AttributeError):
    """The model has no weights yet: call `fit` first."""


class Estimator:
    """An object whose constructor only stores its arguments, as scikit-learn's do.

    Attributes that `fit` makes end in an underscore.
    """

    @classmethod
    def _signature(cls) -> dict[str, inspect.Parameter]:
        """The constructor's arguments: where it passes `**settings` on, also those of the class it is based on."""
        arguments: dict[str, inspect.Parameter] = {}
        for kind in cls.__mro__:
            if "__init__" not in vars(kind):
                continue
            _, *own = inspect.signature(vars(kind)["__init__"]).parameters.values()
            passed_on = any(p.kind is p.VAR_KEYWORD for p in own)
            arguments = {**{p.name: p for p in own if p.kind is not p.VAR_KEYWORD}, **arguments}
            if not passed_on:
                break
        return arguments

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return list(cls._signature())

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments. Raises `ValueError` for an unknown name."""
        for name, value in params.items():
            if name not in self._parameter_names():
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}: expected one of "
                                 f"{', '.join(self._parameter_names())}")
            setattr(self, name, value)
        return self

    @contextlib.contextmanager
    def _unless_refused(self) -> Iterator[None]:
        """A block that leaves this estimator as it was, fitted or not, when what it is given is refused.

        That is a `ValueError` or `TypeError` before an epoch is complete.
        """
        before = dict(vars(self))
        try:
            yield
        except (ValueError, TypeError):
            trained = vars(self).get("history_")
            if not trained or trained is before.get("history_"):
                vars(self).clear()
                vars(self).update(before)
            raise

    def changed_params(self) -> dict[str, Any]:
        """Those of the constructor's arguments that are not the defaults, by name."""
        signature = self._signature()
        return {n: v for n, v in self.get_params().items() if repr(_plain(v)) != repr(_plain(signature[n].default))}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in self.changed_params().items())})"


def _plain(value: Any) -> Any:
    """Tuples as lists, which is what they come back from a file as."""
    return list(value) if isinstance(value, tuple) else value


def check_count(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int. Raises `ValueError` unless it is an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    return int(value)


def check_number(name: str, value: Any, least: float = 0.0) -> float:
    """`value` as a float. Raises `ValueError` unless it is a finite number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not least <= float(value) < math.inf:
        raise ValueError(f"{name} must be a finite number of at least {least:g}, got {value!r}")
    return float(value)


def check_samples(x: Any, shape: tuple[int, ...] | None = None, name: str = "X") -> np.ndarray:
    """`x` as a NumPy array (N, ...) of finite real numbers, N at least 1; integers stay integers.

    `shape` is what one sample must look like, if that is known. Raises `ValueError` or `TypeError` with what was given
    and what was expected.
    """
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} holds values of type {array.dtype}, expected numbers: convert or encode them first")
    if array.ndim < 2:
        raise ValueError(f"{name} has shape {array.shape}, expected (samples, features): for a single sample use "
                         "x[None], for a single feature x[:, None]")
    if len(array) == 0 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}: there is nothing in it")
    if shape is not None and array.shape[1:] != shape:
        raise ValueError(f"{name} has samples of shape {array.shape[1:]}, this model was made for {shape}")
    check_finite(name, array)
    return array


def check_finite(name: str, x: Any) -> None:
    """Raise `ValueError` unless all values of x are finite: an array, or what gives arrays for slices of it."""
    for rows in pieces(x) if x.dtype.kind == "f" else ():
        finite = np.isfinite(x[rows])
        if not finite.all():
            first, *where = (int(i) for i in np.argwhere(~finite)[0])
            value = x[rows][(first, *where)]
            raise ValueError(f"{name} holds {value} at index {(rows.start + first, *where)}: fill in or drop missing "
                             "and infinite values")


def check_unit_interval(name: str, x: Any, why: str) -> None:
    """Raise `ValueError`, saying `why`, unless all values of x lie in [0, 1]: an array, or what gives them for slices.
    """
    lows, highs = zip(*((part.min(), part.max()) for part in (x[rows] for rows in pieces(x))), strict=True)
    low, high = min(lows), max(highs)
    if low < 0 or high > 1:
        raise ValueError(f"{name} ranges from {low:g} to {high:g}, but {why}")
