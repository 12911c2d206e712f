"""Bringing features to a common scale, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["SCALINGS", "Identity", "MinMax", "Scaler", "Standard", "make_scaler", "scaler_from"]


class Scaler:
    """(x - offset) / scale, for each feature on its own; `fit` finds offset and scale over the first axis.

    Integers become float32; floats keep their dtype.
    """

    def __init__(self) -> None:
        self.offset: np.ndarray | None = None
        self.scale: np.ndarray | None = None

    def fit(self, X: np.ndarray) -> Scaler:
        """Find offset and scale. X: (N, ...), N at least 1."""
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Scale: (N, ...) to (N, ...)."""
        X = _floating(X)
        return X if self.offset is None else (X - self.offset.astype(X.dtype)) / self.scale.astype(X.dtype)

    def inverse_transform(self, X: np.ndarray) -> np.ndarray:
        """Undo the scaling: (N, ...) to (N, ...)."""
        X = _floating(X)
        return X if self.offset is None else X * self.scale.astype(X.dtype) + self.offset.astype(X.dtype)

    def state(self) -> dict[str, np.ndarray]:
        """What `scaler_from` needs to make this scaler again."""
        return {} if self.offset is None else {"offset": self.offset, "scale": self.scale}


class Identity(Scaler):
    """Leaves the features as they are."""


class MinMax(Scaler):
    """Each feature's smallest value becomes 0, its largest 1; a constant one becomes 0."""

    def fit(self, X: np.ndarray) -> MinMax:
        low, high = X.min(axis=0).astype(np.float64), X.max(axis=0).astype(np.float64)
        self.offset, self.scale = low, np.where(high > low, high - low, 1.0)
        return self


class Standard(Scaler):
    """Each feature gets mean 0 and variance 1; a constant one becomes 0."""

    def fit(self, X: np.ndarray) -> Standard:
        self.offset = X.mean(axis=0, dtype=np.float64)
        deviation = X.std(axis=0, dtype=np.float64)
        # The deviation of a constant feature may be rounding noise instead of 0.
        noise = 1e-10 * np.maximum(np.abs(self.offset), 1.0)
        self.scale = np.where(deviation > noise, deviation, 1.0)
        return self


SCALINGS: dict[str, type[Scaler]] = {"minmax": MinMax, "standard": Standard}
"""The scalings by name; `None` (or "none") leaves the data as they are."""


def make_scaler(name: str | None) -> Scaler:
    """A scaler of that name, to be fitted. Raises `ValueError` for an unknown name."""
    if name is None or name == "none":
        return Identity()
    if name not in SCALINGS:
        raise ValueError(f"unknown scaling {name!r}: expected one of none, {', '.join(SCALINGS)}")
    return SCALINGS[name]()


def scaler_from(name: str | None, state: dict[str, Any]) -> Scaler:
    """The fitted scaler whose `state` this is."""
    scaler = make_scaler(name)
    if state:
        scaler.offset, scaler.scale = np.asarray(state["offset"]), np.asarray(state["scale"])
    return scaler


def _floating(X: Any) -> np.ndarray:
    X = np.asarray(X)
    return X if X.dtype.kind == "f" else X.astype(np.float32)
