"""Data that never fit into memory: batches, one after the other, from a source that can be gone through again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from miniae.data.arrays import as_array, feature_names, is_batches, place
from miniae.data.errors import a_kind
from miniae.data.sparse import Sparse

__all__ = ["Stream", "as_rows"]

_COMPARED = 16  # samples at the beginning of a pass, where all passes have to be in the same order


def as_rows(X: Any, name: str = "X") -> np.ndarray | Sparse | Stream:
    """X as `as_array` has it, and batches as a `Stream`."""
    if isinstance(X, Stream):
        return X
    return Stream(X) if is_batches(X) else as_array(X, name)


class Stream:
    """Samples (N, ...) that come in batches, of which few are in memory at any time.

    `batches` is an iterable of arrays (n, ...) that can be gone through again (a list, a data loader), or a function
    without arguments that returns a new iterator of them. One pass counts the samples and finds what a scaling needs of
    them: for every feature its `low`, `high`, `mean` and `deviation`, in float64, by merging the moments of batches

        mean = mean_a + (mean_b - mean_a) n_b / n        M2 = M2_a + M2_b + (mean_b - mean_a)^2 n_a n_b / n

    (Chan, Golub and LeVeque, 1983). It is an error when a later pass gives fewer samples, or of another type. Samples
    that a source shuffles anew for every pass do for training without labels; where there are labels, the order of each
    pass must be that of the first, and a pass that begins with other samples is refused. (Whoever sets codes beside
    labels has to see to that, too.) Nobody notices another order after these, nor that a training which goes on in the
    middle of an epoch (`training.Checkpoint`) finds other samples left than there were.

    A slice of it is an array. Slices are best asked for in order: reading goes on from where it is, and begins again
    for what lies before. In training samples come in their order, or with `shuffle` in random order within blocks of so
    many, one or two of which are in memory: where neighbours are alike, store them shuffled.

    >>> stream = Stream(lambda: (np.full((10, 3), i) for i in range(5)))
    >>> stream.shape, stream.mean.tolist(), stream[19:21].tolist()
    ((50, 3), [2.0, 2.0, 2.0], [[1, 1, 1], [2, 2, 2]])

    Raises `TypeError` for a generator, which can be gone through only once, and `ValueError` for batches that do not
    fit each other, in their shapes or in the names of their columns, or hold what is no finite number.
    """

    def __init__(self, batches: Iterable[Any] | Callable[[], Iterable[Any]], shuffle: int = 1):
        if isinstance(batches, Iterator):
            raise TypeError(f"{a_kind(batches)} gives its batches once, but they are gone through once to "
                            "count them and once for every epoch: give a function that returns a new one, or call "
                            "partial_fit on one batch after the other")
        if isinstance(shuffle, bool) or not isinstance(shuffle, (int, np.integer)) or shuffle < 1:
            raise ValueError(f"shuffle is the number of samples in a block, at least 1 (for none); got {shuffle!r}")
        self.source, self.shuffle = batches, int(shuffle)
        self.ordered = False  # whether each pass must begin as the first did
        self._describe()
        self._reader = Reader(self)

    def batches(self) -> Iterator[np.ndarray]:
        """The batches from the first one on. Raises `ValueError` for one that does not fit the others."""
        for i, batch in enumerate(self.source() if callable(self.source) else self.source):
            if isinstance(batch, (list, tuple)) and any(hasattr(part, "__array__") for part in batch):
                raise TypeError(f"batch {i} is {a_kind(batch)} of {len(batch)} arrays, expected an array "
                                "(n, ...): take the samples out of it, and give labels as y")
            names = feature_names(batch)
            if not hasattr(self, "names"):
                self.names = names
            elif _listed(names) != _listed(self.names):
                raise ValueError(f"batch {i} has the columns {_said(names)}, those before have {_said(self.names)}: "
                                 "give all batches the same columns in the same order")
            array = as_array(batch, f"batch {i}")
            array = array[:] if isinstance(array, Sparse) else array
            if array.ndim < 2 or array.dtype.kind not in "fiub":
                raise ValueError(f"batch {i} is of {array.dtype} and shape {array.shape}, expected numbers "
                                 "(n, features) or (n, ...)")
            shape = getattr(self, "shape", array.shape)
            if array.shape[1:] != shape[1:]:
                raise ValueError(f"batch {i} has samples of shape {array.shape[1:]}, those before have {shape[1:]}")
            if hasattr(self, "dtype") and not np.can_cast(array.dtype, self.dtype):
                raise ValueError(f"batch {i} is of {array.dtype}, in the first pass all were of {self.dtype}: they "
                                 "must be the same each time")
            yield array

    def keep_order(self) -> None:
        """From now on refuse a pass that begins with other samples than the first pass: there are labels."""
        self.ordered = True

    def _describe(self) -> None:
        """Go through all batches once."""
        n, dtypes = 0, set()
        for i, batch in enumerate(self.batches()):
            if not n:
                self.shape = batch.shape
            if not len(batch):
                continue
            if not n:
                self.beginning = batch[:_COMPARED].copy()
            if batch.dtype.kind == "f" and not np.isfinite(batch).all():
                where = tuple(int(at) for at in np.argwhere(~np.isfinite(batch))[0])
                raise ValueError(f"batch {i} holds {batch[where]} {place(where, _listed(self.names))}: fill in or drop "
                                 "missing and infinite values")
            m, x = len(batch), batch.astype(np.float64)
            low, high, mean = x.min(axis=0), x.max(axis=0), x.mean(axis=0)
            squares = np.square(x - mean).sum(axis=0)
            if not n:
                self.low, self.high, self.mean, total = low, high, mean, squares
            else:
                change = mean - self.mean
                total += squares + np.square(change) * (n * m / (n + m))
                self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)
                self.mean = self.mean + change * (m / (n + m))
            n += m
            dtypes.add(batch.dtype)
        if not n:
            raise ValueError("there are no samples in the batches: a function must return a new iterator each time")
        self.shape, self.dtype = (n, *self.shape[1:]), np.result_type(*dtypes).newbyteorder("=")
        self.deviation = np.sqrt(total / n)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> np.ndarray:
        numbers = range(*part.indices(len(self)))
        if not numbers:
            return np.empty((0, *self.shape[1:]), self.dtype)
        low, high = sorted((numbers[0], numbers[-1]))
        return self._reader.rows(low, high + 1)[::numbers.step]

    def order(self, generator: np.random.Generator) -> np.ndarray:
        """Numbers of all samples: in their order, or random within blocks of `shuffle`."""
        numbers = np.arange(len(self))
        return numbers if self.shuffle == 1 else np.lexsort((generator.random(len(self)), numbers // self.shuffle))


class Reader:
    """Goes through a stream, holding no more of it than lies between the first and the last sample asked for."""

    def __init__(self, stream: Stream):
        self.stream = stream
        self._begin()

    def _begin(self) -> None:
        self._batches: Iterator[np.ndarray] = iter(())
        self._held: list[tuple[int, np.ndarray]] = []  # first numbers, and arrays
        self._end = 0
        self._begun = False

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Samples from number `start` to before `stop`."""
        if not self._begun or start < (self._held[0][0] if self._held else self._end):
            self._begin()
            self._batches, self._begun = self.stream.batches(), True
        self._held = [(first, batch) for first, batch in self._held if first + len(batch) > start]
        while self._end < stop:
            batch = self._next()
            if self._end + len(batch) > start:
                self._held.append((self._end, batch))
            self._end += len(batch)
        out = np.empty((stop - start, *self.stream.shape[1:]), self.stream.dtype)
        for first, batch in self._held:
            low, high = max(start, first), min(stop, first + len(batch))
            if low < high:
                out[low - start:high - start] = batch[low - first:high - first]
        return out

    def _next(self) -> np.ndarray:
        """The next batch. After an error reading begins again."""
        stream = self.stream
        try:
            batch = next(self._batches, None)
            if batch is None:
                raise ValueError(f"the batches gave {len(stream)} samples at first, and now {self._end}: they must be "
                                 "the same each time")
            if stream.ordered and not self._end and not _agree(batch, stream.beginning):
                raise ValueError("the batches begin with other samples than in the first pass, so that labels would be "
                                 "those of others: give them in the same order each time (shuffle=False of a data "
                                 "loader), and shuffle by Stream(batches, shuffle=...)")
        except BaseException:
            self._begin()
            raise
        return batch

    def take(self, index: np.ndarray, out: np.ndarray) -> None:
        """Write the samples of these numbers, which lie in few neighbouring blocks, into `out`."""
        if not len(index):  # a rank's piece of a small batch
            return
        low = int(index.min()) // self.stream.shuffle * self.stream.shuffle
        np.take(self.rows(low, int(index.max()) + 1), index - low, axis=0, out=out)


def _agree(batch: np.ndarray, beginning: np.ndarray) -> bool:
    """Whether two passes begin alike, as far as the shorter of their first batches tells."""
    n = min(len(batch), len(beginning))
    return np.array_equal(batch[:n], beginning[:n])


def _listed(names: np.ndarray | None) -> list[str] | None:
    return None if names is None else names.tolist()


def _said(names: np.ndarray | None) -> str:
    return "without names" if names is None else ", ".join(map(str, names[:10])) + ", ..." * (len(names) > 10)
