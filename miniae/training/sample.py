"""A few numbers that tell the data of a run from others."""

from __future__ import annotations

from typing import Any

import numpy as np

from miniae.autodiff import Tensor
from miniae.backend import Backend
from miniae.data.rows import Kept
from miniae.data.stream import Stream

__all__ = ["differ", "sampled"]

_ROWS = 16
# By so much of a row's root mean square equal data may differ, where other processors have scaled or encoded them.
_ROUNDING = 1e-3


def sampled(data: Any, backend: Backend) -> np.ndarray:
    """Of every array (N, ...) of `data` what tells it from others: (arrays, 16, 2), float64.

    For 16 evenly spaced rows x, the first and the last among them, in double precision

        p = sum_k x_k cos(k) / sqrt(sum_k cos(k)^2),   k = 1, 2, ...,     and     r = sqrt(mean_k x_k^2),

    of which r is negative for integers. It is 0 for streams, of which single rows can't be asked for.
    """
    return np.stack([_of(a, backend) for a in (data if isinstance(data, tuple) else (data,))])


def differ(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two such samples are of different data, and not only rounded differently."""
    if a.shape != b.shape:
        return True
    tolerance = np.where(a[..., 1] < 0, 1e-9, _ROUNDING) * np.abs(a[..., 1]) + 1e-30
    return bool((np.abs(a - b) > tolerance[..., None]).any())


def _of(array: Any, backend: Backend) -> np.ndarray:
    result = np.zeros((_ROWS, 2))
    array = array._data if isinstance(array, Tensor) else array
    if isinstance(array.array if isinstance(array, Kept) else array, Stream):
        return result
    if not hasattr(array, "__getitem__") or not hasattr(array, "shape"):
        array = np.asarray(array)
    wave = None
    for n, i in enumerate(np.linspace(0, len(array) - 1, _ROWS).round().astype(int).tolist()):
        row = array[i:i + 1]
        host = np.asarray(backend.to_host(row) if backend.is_array(row) else row)
        x = host.reshape(-1).astype("float64")
        if wave is None:
            wave = np.cos(np.arange(1, len(x) + 1))
            wave /= np.linalg.norm(wave)
        size = float(np.sqrt(np.mean(x * x)))
        result[n] = wave @ x, -size if host.dtype.kind in "iub" else size
    return result
