"""What all estimators share: parameters that are only stored, and checks at the door."""

from __future__ import annotations

import contextlib
import inspect
import math
import numbers
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from miniae.data.arrays import column_names, is_batches, place
from miniae.data.pieces import pieces
from miniae.data.sparse import Sparse
from miniae.data.stream import Stream, as_rows
from miniae.training.conventions import Conventions, NotFittedError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "Estimator", "NotFittedError", "check_count", "check_finite", "check_number", "check_rows", "check_samples",
    "check_unit_interval",
]


class Estimator(Conventions):
    """An object whose constructor only stores its arguments, as scikit-learn's do.

    Attributes that `fit` makes end in an underscore.
    """

    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _, *own = (p for p in inspect.signature(cls.__init__).parameters.values() if p.kind is not p.VAR_KEYWORD)
        passed_on = [p.replace(kind=p.KEYWORD_ONLY) for p in cls._signature().values()]
        names = {p.name for p in own}
        cls.__signature__ = inspect.Signature([*own, *(p for p in passed_on if p.name not in names)])

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
        """The constructor's arguments by name; with `deep`, those of an argument that is an estimator, as `model__lr`,
        too."""
        own = {name: getattr(self, name) for name in self._parameter_names()}
        for name, value in list(own.items()) if deep else ():
            if isinstance(value, Estimator):
                own |= {f"{name}__{inner}": v for inner, v in value.get_params().items()}
        return own

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments: first this estimator's own, then those of its parts, `model__lr` for instance.

        Raises `ValueError` for an unknown name.
        """
        for name, value in sorted(params.items(), key=lambda item: "__" in item[0]):
            name, dots, inner = name.partition("__")
            if inner and isinstance(getattr(self, name, None), Estimator):
                getattr(self, name).set_params(**{inner: value})
                continue
            if inner or name not in self._parameter_names():
                raise ValueError(f"{type(self).__name__} has no parameter {name + dots + inner!r}: expected one of "
                                 f"{', '.join(self._parameter_names())}")
            setattr(self, name, value)
        return self

    def _first_samples(self, X: Any) -> np.ndarray | Sparse | Stream:
        """`check_rows` of X, on which this estimator is trained from the start: its features' names are kept."""
        X = Stream(X) if is_batches(X) else X
        self._learn_names(X)
        return check_rows(X)

    def _samples(self, X: Any, shape: tuple[int, ...] | None = None, name: str = "X") -> np.ndarray | Sparse | Stream:
        """`check_rows` of X, which is data of the kind that was fitted: with its features' names, if they have any."""
        X = Stream(X) if is_batches(X) else X
        self._check_names(X)
        return check_rows(X, shape, name, type(self).__name__)

    @contextlib.contextmanager
    def _unless_refused(self) -> Iterator[None]:
        """A block that gives this estimator its attributes back, fitted or not, when what it is given is refused.

        That is a `ValueError` or `TypeError` before an epoch of a new network is complete. What the attributes refer to
        stays as it is then: an error in the middle of `partial_fit`, of data that fail on their way for instance,
        leaves the network with the steps that were made.
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
        own = self.get_params(deep=False)
        return {n: v for n, v in own.items() if repr(_plain(v)) != repr(_plain(signature[n].default))}

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


def check_samples(x: Any, shape: tuple[int, ...] | None = None, name: str = "X",
                  owner: str = "this model") -> np.ndarray:
    """`x` as a NumPy array (N, ...) of finite real numbers, N at least 1; integers stay integers.

    `x` is whatever `data.as_array` takes. `shape` is what one sample must look like, if that is known, and `owner` what
    expects it. Raises `ValueError` or `TypeError` with what was given and what was expected.
    """
    rows = check_rows(x, shape, name, owner)
    if isinstance(rows, Stream):
        raise TypeError(f"{name} comes in batches, which this takes one after the other only: give it an array")
    return rows[:] if isinstance(rows, Sparse) else rows


def check_rows(x: Any, shape: tuple[int, ...] | None = None, name: str = "X",
               owner: str = "this model") -> np.ndarray | Sparse | Stream:
    """What `check_samples` says, where samples need not be in memory: sparse ones stay sparse, batches a stream."""
    array = as_rows(x, name)
    kind, extent = array.dtype.kind, array.shape
    if kind == "c":
        raise ValueError(f"Complex data not supported: {name} holds values of type {array.dtype}, expected numbers: "
                        "take their real parts and imaginary parts as features")
    if kind not in "fiub":
        raise TypeError(f"{name} holds values of type {array.dtype}, expected numbers: convert or encode them first")
    if len(extent) < 2:
        raise ValueError(f"{name} has shape {extent}, expected (samples, features). Reshape your data: for a single "
                         "sample use x[None], for a single feature x[:, None]")
    if 0 in extent:
        what = "0 sample(s)" if extent[0] == 0 else "0 feature(s)"
        raise ValueError(f"{name} has {what} (shape={extent}) while a minimum of 1 is required: there is nothing in it")
    if shape is not None and extent[1:] != shape:
        raise ValueError(f"{name} has samples of shape {extent[1:]}, this model was made for {shape}: {name} has "
                         f"{_said(extent[1:])}, but {owner} is expecting {_said(shape)} as input")
    if not isinstance(array, Stream):  # whose samples it has checked
        check_finite(name, array, column_names(x))
    return array


def _said(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} features" if len(shape) == 1 else f"samples of shape {shape}"


def check_finite(name: str, x: Any, columns: Sequence[Any] | None = None) -> None:
    """Raise `ValueError` unless all values of x are finite: an array, or what gives arrays for slices of it. `columns`
    are the names of those of a frame."""
    for rows in pieces(x) if x.dtype.kind == "f" else ():
        finite = np.isfinite(x[rows])
        if not finite.all():
            first, *where = (int(i) for i in np.argwhere(~finite)[0])
            value = x[rows][(first, *where)]
            raise ValueError(f"{name} holds {value} {place((rows.start + first, *where), columns)}: fill in or drop "
                             "missing and infinite values")


def check_unit_interval(name: str, x: Any, why: str) -> None:
    """Raise `ValueError`, saying `why`, unless all values of x lie in [0, 1]: an array, or what gives them for slices.
    """
    lows, highs = zip(*((part.min(), part.max()) for part in (x[rows] for rows in pieces(x))), strict=True)
    low, high = min(lows), max(highs)
    if low < 0 or high > 1:
        raise ValueError(f"{name} ranges from {low:g} to {high:g}, but {why}")
