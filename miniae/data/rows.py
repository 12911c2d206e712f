"""Samples as training sees them: a source that batches are cut from, wherever the samples lie."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from miniae.autodiff.mode import observed
from miniae.backend import Backend
from miniae.backend.feeding import Feeder
from miniae.data.pieces import is_mapped, let_go, pieces
from miniae.data.scaling import Identity, Scaler, floating
from miniae.data.sparse import Sparse
from miniae.data.stream import Reader, Stream

__all__ = ["Kept", "Order", "Rows", "rows_on", "scaled", "shuffled"]


class Order:
    """Numbers of rows, on the host and on the device: each source of batches takes those that are where its rows are.

    A slice of it is an `Order`.
    """

    def __init__(self, host: np.ndarray, device: Any):
        self.host, self.device = host, device

    @classmethod
    def of(cls, numbers: np.ndarray, backend: Backend) -> Order:
        return cls(numbers, backend.asarray(numbers, "int64"))

    def __len__(self) -> int:
        return len(self.host)

    def __getitem__(self, part: slice) -> Order:
        return Order(self.host[part], self.device[part])

    def become(self, other: Order, backend: Backend) -> None:
        """Hold the numbers of another order of this very length, in the arrays that are there."""
        if len(other) != len(self):
            raise ValueError(f"an order of {len(self)} rows can't become one of {len(other)}")
        self.host[...] = other.host
        backend.copy(other.device, out=self.device)


class Rows(Protocol):
    """N samples that the trainer asks for batches.

    Before a batch is asked for, it is loaded: what must come from the host comes then, so that `batch` is a matter of
    the device alone, and a step that begins with it can be recorded.
    """

    def __len__(self) -> int: ...

    def load(self, order: Order, following: Order | None = None) -> None:
        """Have the rows of these numbers ready for `batch`. Those that are `following` may be fetched in advance."""

    def batch(self, order: Order) -> Any:
        """The rows of these numbers, (n, ...): an array of the backend, which the next `load` or step may write to.

        Rows that are loaded are those of the last `load` of as many, and lie in the same array each time.
        """

    def close(self) -> None:
        """Have nothing on its way: no more batches will be asked for."""


def shuffled(rows: tuple[Rows, ...], generator: np.random.Generator) -> np.ndarray:
    """The numbers of all rows in random order; in one that a stream can be read in, if there is one among them."""
    stream = next((s for r in rows if (s := getattr(r, "stream", None)) is not None), None)
    return generator.permutation(len(rows[0])) if stream is None else stream.order(generator)


def rows_on(backend: Backend, dtype: Any, data: Any) -> Rows:
    """`data` (N, ...) as rows for batches on this backend, in `dtype` unless they are integers (labels).

    What is `Kept`, `Sparse` or a `Stream`, floats of a mapped file, and what the device has no room for, are converted
    batch by batch; all else is moved to the device at once, if it is not there already.
    """
    if isinstance(data, Sparse):
        return SparseRows(data, backend, dtype)
    if isinstance(data, Stream):
        data = Kept(data, Identity())
    if isinstance(data, Kept):
        return ScaledRows(_raw_rows(data.array, backend), data, dtype)
    data = data if backend.is_array(data) else np.asarray(data)
    dtype = data.dtype if data.dtype.kind in "iu" else np.dtype(dtype)
    if isinstance(data, np.ndarray) and data.dtype.kind == "f":
        if is_mapped(data) or not backend.room_for(data.size * dtype.itemsize):
            kept = Kept(data, Identity())
            return ScaledRows(_raw_rows(data, backend), kept, dtype)
    elif not backend.is_array(data) and not backend.room_for(data.nbytes):
        return HostRows(data, backend)
    return DeviceRows(_moved(data, dtype, backend), backend)


def _raw_rows(array: np.ndarray | Sparse | Stream, backend: Backend) -> DeviceRows | HostRows:
    """Rows just as they are, on the device if there is room for them."""
    if isinstance(array, Sparse):
        return SparseRows(array, backend, array.dtype)
    if isinstance(array, Stream):
        return StreamRows(array, backend)
    if backend.room_for(array.nbytes, in_file=is_mapped(array)):
        return DeviceRows(_moved(array, array.dtype, backend), backend)
    return HostRows(array, backend)


def scaled(X: np.ndarray | Sparse | Stream, scaler: Scaler) -> np.ndarray | Kept:
    """X (N, ...) scaled: as an array, or `Kept` where that takes more memory than X does."""
    if isinstance(X, (Sparse, Stream)):
        return Kept(X, scaler)
    small = X.dtype.kind in "iub" and X.dtype.itemsize < 4
    return Kept(X, scaler) if small or is_mapped(X) else scaler.transform(X)


class Kept:
    """Samples (N, ...) that stay as they were given, and are scaled where a part of them is asked for.

    It is for samples that take more memory as floats than as they are: integers of one or two bytes, what lies in a
    mapped file, sparse matrices, and streams. A slice of it is an array of scaled samples, all of which `numpy.asarray`
    gives.
    """

    def __init__(self, array: np.ndarray | Sparse | Stream, scaler: Scaler):
        self.array, self.scaler = array if isinstance(array, (Sparse, Stream)) else np.asarray(array), scaler
        self.shape, self.dtype = array.shape, floating(array[:0]).dtype.newbyteorder("=")

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, part: slice) -> np.ndarray:
        let_go(self.array)
        return self.scaler.transform(self.array[part])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


class DeviceRows:
    """Rows of an array on the device that need nothing done to them."""

    def __init__(self, array: Any, backend: Backend):
        self.array, self.backend = array, backend

    def __len__(self) -> int:
        return len(self.array)

    def load(self, order: Order, following: Order | None = None) -> None:
        """They are there."""

    def close(self) -> None:
        """Nothing is on its way."""

    def batch(self, order: Order) -> Any:
        return self.backend.gather(self.array, order.device)


class HostRows:
    """Rows of an array on the host, in a mapped file say, from which the host gathers them in the order of the batch.

    (Reading them in the order of the file is no faster, neither from memory nor from a disk without moving parts.)
    Pages that were read stay mapped for the next epoch, as mapping them again takes longer than gathering the batch;
    the system takes them back where it needs the memory.
    """

    def __init__(self, array: np.ndarray | Sparse | Stream, backend: Backend):
        self.array: Any = array
        self.backend = backend
        self.dtype = array.dtype.newbyteorder("=")
        self._feeders: dict[int, Feeder] = {}  # for each size of a batch

    def __len__(self) -> int:
        return len(self.array)

    def load(self, order: Order, following: Order | None = None) -> None:
        observed("data feeding", self._load, order, following)

    def close(self) -> None:
        for feeder in self._feeders.values():
            feeder.close()

    def _load(self, order: Order, following: Order | None) -> None:
        self._feeder(len(order)).take(order.host)
        if following is not None:
            self._feeder(len(following)).fetch(following.host)

    def batch(self, order: Order) -> Any:
        return self._feeders[len(order)].array

    def _feeder(self, n: int) -> Feeder:
        if n not in self._feeders:
            self._feeders[n] = self.backend.feeder(self._gather, (n, *self.array.shape[1:]), self.dtype)
        return self._feeders[n]

    def _gather(self, index: np.ndarray, out: np.ndarray) -> None:
        array = self.array
        if _is_plain(array):
            np.take(array, index, axis=0, out=out, mode="wrap")  # the mode "raise" would gather into a buffer first
        else:
            out[...] = array[index]  # `take` would copy the whole array first


class SparseRows(HostRows):
    """Rows of a `Sparse` matrix, which the host makes whole batch by batch, in the dtype of the model."""

    def __init__(self, matrix: Sparse, backend: Backend, dtype: Any):
        super().__init__(matrix, backend)
        self.dtype = np.dtype(dtype)

    def _gather(self, index: np.ndarray, out: np.ndarray) -> None:
        self.array.write(index, out)


class StreamRows(HostRows):
    """Rows of a `Stream`, in an order that its `order` gives."""

    def __init__(self, stream: Stream, backend: Backend):
        super().__init__(stream, backend)
        self.stream, self._reader = stream, Reader(stream)

    def _gather(self, index: np.ndarray, out: np.ndarray) -> None:
        self._reader.take(index, out)


class ScaledRows:
    """What is `Kept`, scaled and converted on the device, batch by batch, to the same numbers as all at once."""

    def __init__(self, rows: DeviceRows | HostRows, kept: Kept, dtype: Any):
        self.rows, self.backend, self.stream = rows, rows.backend, getattr(rows, "stream", None)
        self.dtypes = kept.dtype, np.dtype(dtype)  # first that of scaled samples, then that of the model
        self.scaling = {name: self.backend.asarray(np.broadcast_to(a, kept.shape[1:]), "float64")
                        for name, a in kept.scaler.state().items()}

    def __len__(self) -> int:
        return len(self.rows)

    def load(self, order: Order, following: Order | None = None) -> None:
        self.rows.load(order, following)

    def close(self) -> None:
        self.rows.close()

    def batch(self, order: Order) -> Any:
        be = self.backend
        if self.scaling and isinstance(self.rows, DeviceRows) and len(set(self.dtypes)) == 1:
            out = be.empty((len(order), *self.rows.array.shape[1:]), self.dtypes[1])
            return be.gather_scaled(self.rows.array, order.device, self.scaling["offset"], self.scaling["scale"], out)
        x = raw = self.rows.batch(order)
        if self.scaling:
            x = self._as(raw, np.dtype("float64"))
            scaled = be.empty_like(raw) if x is raw else x  # what was loaded may be asked for again
            be.subtract(x, self.scaling["offset"], out=scaled)
            x = be.divide(scaled, self.scaling["scale"], out=scaled)
        for dtype in self.dtypes:
            x = self._as(x, dtype)
        return x

    def _as(self, x: Any, dtype: Any) -> Any:
        return x if x.dtype == dtype else self.backend.copy(x, out=self.backend.empty(x.shape, dtype))


def _moved(array: Any, dtype: Any, backend: Backend) -> Any:
    """`array` on the device, in C order and in native bytes; itself, where it is that."""
    dtype = np.dtype(dtype).newbyteorder("=")
    if not backend.is_array(array):  # in pieces: a device has to copy what it gets from the host once more
        moved = backend.allocate(array.shape, dtype)
        for part in pieces(array):
            backend.upload(np.asarray(array[part], dtype), moved[part])
        return moved
    if array.dtype == dtype and _is_plain(array):
        return array
    return backend.asarray(array if isinstance(array, np.ndarray) else backend.to_host(array), dtype)


def _is_plain(array: Any) -> bool:
    """Whether rows of the array can be gathered from where they lie."""
    return array.flags.c_contiguous and array.dtype.isnative and getattr(array.flags, "aligned", True)
