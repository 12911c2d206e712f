"""A few numbers that tell the data of a run from others."""

from __future__ import annotations

from typing import Any

import numpy as np

from miniae.autodiff import Tensor
from miniae.backend import Backend
from miniae.data.rows import Kept
from miniae.data.stream import Stream

__all__ = ["blocks_of", "differ", "number_of", "of_streams", "sampled"]

_ROWS = 16
# By so much of a row's root mean square equal data may differ, where other processors have scaled or encoded them.
_ROUNDING = 1e-4


def sampled(data: Any, backend: Backend) -> np.ndarray:
    """Of every array (N, ...) of `data` what tells it from others: (arrays, 16, 2), float64.

    For 16 evenly spaced rows x, the first and the last among them, in double precision and with large numbers made
    smaller, that they do not hide others, y = sign(x) ln(1 + |x|),

        p = sum_k y_k cos(k) / sqrt(sum_k cos(k)^2),   k = 1, 2, ...,     and     r = sqrt(mean_k y_k^2),

    of which r is negative for integers. It is 0 for streams, of which single rows can't be asked for.
    """
    return np.stack([_of(a, backend) for a in _arrays(data)])


def of_streams(data: Any) -> np.ndarray:
    """The same numbers p and r of three rows that tell a stream from others: (arrays, 3, 2), 0 for other arrays.

    They are what the first pass has found of each feature, whatever the order: the least and the largest value, scaled,
    and the root mean square.
    """
    result = np.zeros((len(_arrays(data)), 3, 2))
    for n, array in enumerate(_arrays(data)):
        stream = _stream(array)
        if stream is not None:
            ends = np.stack([stream.low, stream.high])
            ends = array.scaler.transform(ends) if isinstance(array, Kept) else ends
            rows = np.concatenate([ends, np.hypot(stream.mean, stream.deviation)[None]]).reshape(3, -1)
            result[n] = [_two_numbers(row, _wave(row.size)) for row in rows.astype("float64")]
    return result


def number_of(data: Any) -> int:
    """How many samples there are."""
    return len(_arrays(data)[0])


def blocks_of(data: Any) -> list[int]:
    """Of every stream of `data`, in blocks of how many samples it is shuffled."""
    return [stream.shuffle for stream in map(_stream, _arrays(data)) if stream is not None]


def differ(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two such samples are of different data, and not only rounded differently."""
    if a.shape != b.shape:
        return True
    tolerance = np.where(a[..., 1] < 0, 1e-9, _ROUNDING) * np.abs(a[..., 1]) + 1e-30
    return not bool((np.abs(a - b) <= tolerance[..., None]).all())


def _of(array: Any, backend: Backend) -> np.ndarray:
    result = np.zeros((_ROWS, 2))
    array = array._data if isinstance(array, Tensor) else array
    if _stream(array) is not None:
        return result
    if not hasattr(array, "__getitem__") or not hasattr(array, "shape"):
        array = np.asarray(array)
    wave = None
    for n, i in enumerate(np.linspace(0, len(array) - 1, _ROWS).round().astype(int).tolist()):
        row = array[i:i + 1]
        host = np.asarray(backend.to_host(row) if backend.is_array(row) else row)
        x = np.nan_to_num(host.reshape(-1).astype("float64"))  # missing ratings, say
        wave = _wave(len(x)) if wave is None else wave
        p, size = _two_numbers(x, wave)
        result[n] = p, -size if host.dtype.kind in "iub" else size
    return result


def _arrays(data: Any) -> tuple[Any, ...]:
    return data if isinstance(data, tuple) else (data,)


def _stream(array: Any) -> Stream | None:
    inner = array.array if isinstance(array, Kept) else array
    return inner if isinstance(inner, Stream) else None


def _wave(n: int) -> np.ndarray:
    wave = np.cos(np.arange(1, n + 1))
    return wave / np.linalg.norm(wave)


def _two_numbers(x: np.ndarray, wave: np.ndarray) -> tuple[float, float]:
    y = np.sign(x) * np.log1p(np.abs(x))
    return float(wave @ y), float(np.sqrt(np.mean(y * y)))
