"""Whatever holds numbers, as an array: frames, sparse matrices, other libraries' arrays."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from miniae.backend import BackendUnavailable, get
from miniae.data.errors import a_kind, first_line
from miniae.data.sparse import Sparse

__all__ = ["as_array", "column_names", "feature_names", "is_batches", "place"]

# Devices of DLPack whose memory the host reads: the CPU, and pinned memory of CUDA and of ROCm.
_ON_HOST = (1, 3, 11)


def as_array(X: Any, name: str = "X") -> np.ndarray | Sparse:
    """X as an array of NumPy, in the memory it has where that is possible; a sparse matrix as `Sparse`.

    X is a list, anything with `__array__`, `__array_interface__` or `__dlpack__` (a tensor of PyTorch or JAX on the
    host), a pandas or polars frame, a matrix of SciPy. What lies on an NVIDIA GPU (`__cuda_array_interface__`, or by
    DLPack) is copied to the host by CuPy, as that is where estimators check and scale; `Trainer.fit` takes arrays of
    CuPy as they are. Raises `TypeError` for what is on a device that can't be read, and for what is none of these,
    naming the column of a frame that does not hold numbers.
    """
    if isinstance(X, Sparse):
        return X
    if hasattr(X, "tocsr"):
        return _of_csr(X.tocsr(), name)
    if _is_frame(X):
        return _of_frame(X, name)
    if hasattr(X, "collect_schema"):
        raise TypeError(f"{name} is {a_kind(X)}, which has no rows yet: call its collect()")
    only_dlpack = hasattr(X, "__dlpack__") and not hasattr(X, "__array__") and not hasattr(X, "__array_interface__")
    try:
        on_host = not hasattr(X, "__cuda_array_interface__") and _device(X) in _ON_HOST
        values = (np.from_dlpack(X) if only_dlpack else np.asarray(X)) if on_host else None
    except (RuntimeError, BufferError, TypeError) as why:  # a tensor that gradients are wanted of, sparse, of bfloat16
        raise TypeError(f"{name} is {a_kind(X)} that can't be read as an array: {first_line(why)}") from None
    return _from_device(X, name) if values is None else _numbers(values, name)


def _from_device(X: Any, name: str) -> np.ndarray:
    """A copy on the host of what lies on a GPU."""
    try:
        be = get("cupy")
        there = be.xp.asarray(X) if hasattr(X, "__cuda_array_interface__") else be.xp.from_dlpack(X)
        return be.to_host(there)
    except (BackendUnavailable, RuntimeError, BufferError, ValueError) as why:
        raise TypeError(f"{name} lies on a device ({type(X).__module__}.{type(X).__name__}), where CuPy can't read it "
                        f"({first_line(why)}): copy it to the host first") from None


def is_batches(X: Any) -> bool:
    """Whether X is no array, but gives arrays: an iterable of batches, or a function that returns an iterator."""
    arrays = ("__array__", "__array_interface__", "__cuda_array_interface__", "__dlpack__", "tocsr", "__buffer__")
    if isinstance(X, (str, bytes, bytearray, memoryview, array, list, tuple, range, Mapping, Sparse)):
        return False
    return (callable(X) or hasattr(X, "__iter__")) and not any(hasattr(X, protocol) for protocol in arrays)


def feature_names(X: Any) -> np.ndarray | None:
    """The names of the columns of a frame, or of a stream of frames, where they are strings. Raises `TypeError` where
    only some of them are."""
    if not _is_frame(X):
        return getattr(X, "names", None) if hasattr(X, "batches") else None
    strings = {isinstance(column, str) for column in X.columns}
    if len(strings) > 1:
        kinds = sorted({type(column).__name__ for column in X.columns})
        raise TypeError("Feature names are only supported if all input features have string names, but your input has "
                        f"{kinds} as feature name / column name types: make them all strings, or give an array")
    return np.array(list(X.columns), dtype=object) if strings == {True} else None


def column_names(X: Any) -> list[Any] | None:
    """What a frame calls its columns, by strings or not; None for what is no frame."""
    return list(X.columns) if _is_frame(X) else None


def place(index: tuple[int, ...], columns: Sequence[Any] | None) -> str:
    """Where a value is, for messages: of a frame with these columns by their names."""
    if columns is None or len(index) != 2:
        return f"at index {index}"
    return f"in its column {columns[index[1]]!r}, row {index[0]} (counted from 0)"


def _is_frame(X: Any) -> bool:
    return hasattr(X, "__array__") and hasattr(X, "columns") and hasattr(X, "dtypes")


def _of_frame(frame: Any, name: str) -> np.ndarray:
    """A frame's columns side by side, in the type that has room for all of them."""
    columns = []
    for title, column in _columns(frame):
        values = np.asarray(column)
        try:
            if values.dtype.kind == "O" and any(isinstance(value, str) for value in values):  # digits, too
                raise TypeError
            if values.dtype.kind == "O":  # whole numbers beside missing ones, say, which become NaN
                values = column.to_numpy(dtype=np.float64, na_value=np.nan)
            if values.dtype.kind not in "fiub":
                raise TypeError
        except (TypeError, ValueError, AttributeError):
            raise TypeError(f"{name} holds values of type {column.dtype} in its column {title!r}, expected numbers: "
                            "convert or encode them first, or leave the column out") from None
        columns.append(values)
    if not columns or not len(columns[0]):
        return np.empty(frame.shape, np.float64)
    out = np.empty(frame.shape, np.result_type(*columns))
    for i, values in enumerate(columns):
        out[:, i] = values
    return out


def _columns(frame: Any) -> Iterator[tuple[Any, Any]]:
    """The columns with their names: of pandas, or of polars."""
    return frame.items() if hasattr(frame, "items") else ((c.name, c) for c in frame.iter_columns())


def _of_csr(matrix: Any, name: str) -> Sparse:
    """A matrix of SciPy in compressed rows."""
    values = _numbers(np.asarray(matrix.data), name)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
        values = matrix.data
    return Sparse(np.asarray(matrix.indptr, np.int64), matrix.indices, values, matrix.shape[1])


def _numbers(values: np.ndarray, name: str) -> np.ndarray:
    """Objects as the numbers that they are. Raises `TypeError` for what is none."""
    if values.dtype.kind != "O":
        return values
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError) as why:
        raise TypeError(f"{name} holds values of type object, expected numbers ({why}): convert or encode them first. "
                        "An argument must be a string or a number") from None


def _device(X: Any) -> int:
    """The kind of device X is on, as DLPack numbers them."""
    return int(X.__dlpack_device__()[0]) if hasattr(X, "__dlpack_device__") else 1
