"""Bringing features to a common scale, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from miniae.data.errors import a_kind
from miniae.data.pieces import pieces
from miniae.data.sparse import Sparse
from miniae.data.stream import Stream

__all__ = ["SCALINGS", "Identity", "MinMax", "Scaler", "Standard", "floating", "make_scaler", "row_sum",
           "scaler_from", "scaling_name"]


class Scaler:
    """(x - offset) / scale, for each feature on its own; `fit` finds offset and scale over the first axis.

    Integers become float32; floats keep their dtype. The arithmetic is in float64, as offset and scale are, so that
    features far from 0 (times in seconds since 1970, say) keep their digits.
    """

    def __init__(self) -> None:
        self.offset: np.ndarray | None = None
        self.scale: np.ndarray | None = None

    def fit(self, X: np.ndarray | Sparse | Stream) -> Scaler:
        """Find offset and scale. X: (N, ...), N at least 1."""
        X = X if isinstance(X, (Sparse, Stream)) else np.asarray(X)
        if len(X.shape) == 0 or len(X) == 0:
            raise ValueError(f"a scaling needs at least one sample, got data of shape {X.shape}")
        self.offset, self.scale = self._offset_and_scale(X)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Scale: (N, ...) to (N, ...)."""
        X, offset, scale = self._fitted(X)
        scaled = np.empty(X.shape, floating(X[:0]).dtype)
        for rows in pieces(X):
            scaled[rows] = (X[rows] - offset) / scale
        return scaled

    def inverse_transform(self, X: np.ndarray) -> np.ndarray:
        """Undo the scaling: (N, ...) to (N, ...), in float64."""
        X, offset, scale = self._fitted(X)
        return X * scale + offset

    def state(self) -> dict[str, Any]:
        """What `scaler_from` needs to make this scaler again."""
        return {} if self.offset is None else {"offset": self.offset, "scale": self.scale}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.offset is None else f'fitted to {self.offset.shape}'})"

    def _offset_and_scale(self, X: np.ndarray | Sparse | Stream) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    def _fitted(self, X: np.ndarray) -> tuple[np.ndarray, Any, Any]:
        if self.offset is None:
            raise ValueError("this scaling is not fitted yet: call fit(X) first")
        X = np.asarray(X)
        if X.shape[1:] != self.offset.shape:
            raise ValueError(f"the samples have shape {X.shape[1:]}, the scaling was fitted to {self.offset.shape}: "
                             "give data of the same kind")
        return X, self.offset, self.scale


class Identity(Scaler):
    """Leaves the features as they are."""

    def fit(self, X: np.ndarray | Sparse | Stream) -> Identity:
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        return floating(X)

    def inverse_transform(self, X: np.ndarray) -> np.ndarray:
        return floating(X)


class MinMax(Scaler):
    """Each feature's smallest value becomes 0, its largest 1; a constant one becomes 0."""

    def _offset_and_scale(self, X: np.ndarray | Sparse | Stream) -> tuple[np.ndarray, np.ndarray]:
        low, high = _bounds(X)
        return low, np.where(high > low, high - low, 1.0)


class Standard(Scaler):
    """Each feature gets mean 0 and variance 1; a constant one becomes 0."""

    def _offset_and_scale(self, X: np.ndarray | Sparse | Stream) -> tuple[np.ndarray, np.ndarray]:
        low, high = _bounds(X)
        # Values that differ by rounding only are constant: scaling must not blow that up, nor let it stand.
        rounding = 4 * np.finfo(X.dtype).eps if X.dtype.kind == "f" else 0.0
        constant = high - low <= rounding * np.maximum(np.abs(low), np.abs(high))
        mean, deviation = _mean_and_deviation(X)
        scale = np.where(constant, np.maximum(np.abs(low), np.abs(high)), deviation)
        return np.where(constant, low, mean), np.where((high == low) | (scale == 0), 1.0, scale)


def _bounds(X: np.ndarray | Sparse | Stream) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest value of each feature, in float64."""
    if isinstance(X, Stream):
        return X.low, X.high
    low, high = zip(*((X[rows].min(axis=0), X[rows].max(axis=0)) for rows in pieces(X)), strict=True)
    return np.min(low, axis=0).astype(np.float64), np.max(high, axis=0).astype(np.float64)


def _mean_and_deviation(X: np.ndarray | Sparse | Stream) -> tuple[np.ndarray, np.ndarray]:
    """Of each feature, in float64."""
    if isinstance(X, Stream):
        return X.mean, X.deviation
    mean = row_sum(X[rows] for rows in pieces(X)) / len(X)
    return mean, np.sqrt(row_sum(np.square(X[rows] - mean) for rows in pieces(X)) / len(X))


def row_sum(parts: Iterable[np.ndarray]) -> np.ndarray:
    """The sum of the rows of all parts, in float64: the same number whatever the parts, as rows are added in turn."""
    parts = iter(parts)
    total = next(parts).sum(axis=0, dtype=np.float64)
    for part in parts:
        total = np.concatenate([total[None], part], dtype=np.float64).sum(axis=0)
    return total


SCALINGS: dict[str, type[Scaler]] = {"minmax": MinMax, "standard": Standard}
"""The scalings by name; `None` (or "none") leaves the data as they are."""


def make_scaler(name: str | None) -> Scaler:
    """A scaler of that name, to be fitted. Raises `ValueError` for an unknown name."""
    if name is None or name == "none":
        return Identity()
    if name not in SCALINGS:
        raise ValueError(f"unknown scaling {name!r}: expected one of none, {', '.join(SCALINGS)}")
    return SCALINGS[name]()


def scaling_name(scaling: str | Scaler | None) -> str | None:
    """The name of a scaling, which may be given as a scaler. Raises `ValueError` for a scaler without a name."""
    if not isinstance(scaling, Scaler):
        return scaling
    names: dict[type[Scaler], str | None] = {Identity: None, **{kind: name for name, kind in SCALINGS.items()}}
    if type(scaling) not in names:
        raise ValueError(f"{a_kind(scaling)} has no name for a file to mention: expected one of "
                         f"{', '.join(SCALINGS)}")
    return names[type(scaling)]


def scaler_from(name: str | None, state: dict[str, Any]) -> Scaler:
    """The fitted scaler whose `state` this is."""
    scaler = make_scaler(name)
    if not isinstance(scaler, Identity):
        if not {"offset", "scale"} <= state.keys():
            raise ValueError(f"the state of the scaling {name!r} has {sorted(state)}, expected offset and scale")
        scaler.offset, scaler.scale = np.asarray(state["offset"]), np.asarray(state["scale"])
    return scaler


def floating(X: Any) -> np.ndarray:
    """X as an array of floats: float32 for integers, else of its own dtype."""
    X = np.asarray(X)
    return X if X.dtype.kind == "f" else X.astype(np.float32)
