"""Columns that a loss does not see alike: what a model without a scaling warns of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from miniae.data.sparse import Sparse
from miniae.data.stream import Stream

__all__ = ["MixedScales", "unlike_scales"]

_LOOKED_AT, _LEAST = 256, 10  # samples
_BLOCK = 512  # columns, that little memory may do
_APART = 30.0  # times another column's spread: of the squared error the smaller then has a thousandth
_TENTH = 10
_FEW = 0.01  # of the values, and beyond a bound
_SPARSE = 0.5  # of the values, that are zeros
_ROUNDING = 1e-12

# What an output is bounded by, below and above; the others are not.
_REACH = {"tanh": (-1.0, 1.0), "relu": (0.0, math.inf), "softplus": (0.0, math.inf), "elu": (-1.0, math.inf),
          "selu": (-1.76, math.inf), "gelu": (-0.17, math.inf), "silu": (-0.28, math.inf)}


class MixedScales(UserWarning):
    """Data were given without a scaling, and in their own units a model can hardly learn all of them."""


@np.errstate(over="ignore", invalid="ignore")  # of numbers whose squares are none
def unlike_scales(X: np.ndarray | Sparse | Stream, activation: Any = None,
                  names: Sequence[Any] | None = None) -> str | None:
    """In words, why samples X (N, features) should be scaled before a network of this output activation learns them;
    None where there is no reason. `names` are those of the columns.

    A loss sums over columns, in which the deviations of some may be nothing beside those of others. Deviations alone
    do not tell: pixels at the border of an image hardly vary, rare words are counted in few documents, and a column
    that is scaled may have a huge value all the same. So columns are taken to differ where all of these do, by 30 times
    between the largest and the tenth smallest of a hundred: deviations, ranges, and distances between quartiles.
    Samples in [-1, 1], and such as are mostly zeros, have one scale. Some of the samples are looked at, and none of a
    sparse matrix or a stream.
    """
    if isinstance(X, (Sparse, Stream)) or X.ndim != 2:
        return None
    some = X[::max(len(X) // _LOOKED_AT, 1)]
    if len(some) < _LEAST:
        return None

    def each(of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """`of` all columns, some at a time."""
        return np.concatenate([of(np.asarray(some[:, start:start + _BLOCK], np.float64))
                               for start in range(0, X.shape[1], _BLOCK)])

    lows, highs = each(lambda x: x.min(axis=0)), each(lambda x: x.max(axis=0))
    if isinstance(activation, str) and activation in _REACH:
        least, most = _REACH[activation]
        outside = each(lambda x: ((x < least - _FEW) | (x > most + _FEW)).mean(axis=0)).mean()
        if outside > _FEW:
            return (f"X ranges from {lows.min():.3g} to {highs.max():.3g}, and {100 * outside:.0f} % of it is out of "
                    f"reach of a {activation} output: give scaling='minmax', or leave output_activation out")
    columns = np.flatnonzero(highs - lows > _ROUNDING * np.maximum(-lows, highs))  # the others are constant
    if len(columns) < 2 or not _differ((highs - lows)[columns]):
        return None
    deviations = each(lambda x: x.std(axis=0))[columns]
    if not _differ(deviations):
        return None
    if lows.min() >= -1 and highs.max() <= 1:
        return None
    if lows.min() >= 0 and each(lambda x: (x == 0).mean(axis=0)).mean() > _SPARSE:
        return None
    quarters = each(lambda x: np.subtract(*np.quantile(x, (0.75, 0.25), axis=0)))
    if (quarters > 0).sum() > 1 and not _differ(quarters[quarters > 0]):
        return None
    order = np.argsort(deviations, kind="stable")
    large, small = ((names[columns[i]] if names is not None else int(columns[i]), deviations[i])
                    for i in (order[-1], order[len(order) // _TENTH]))
    return (f"the columns of X differ in scale, {large[0]!r} with a deviation of {large[1]:.3g} and {small[0]!r} with "
            f"one of {small[1]:.3g}, which a loss hardly sees beside it: give scaling='standard', or scale them first")


def _differ(spreads: np.ndarray) -> bool:
    """Whether the largest is 30 times the tenth smallest of a hundred."""
    spreads = np.sort(spreads)
    return bool(spreads[-1] > _APART * spreads[len(spreads) // _TENTH])
