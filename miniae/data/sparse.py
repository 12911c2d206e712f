"""Matrices that are mostly empty: only what is there is kept, and rows are written out when a batch asks for them."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Sparse"]


class Sparse:
    """A matrix (rows, columns) in compressed rows: those of row r are columns[starts[r]:starts[r + 1]], and values.

    A slice of it is an array of whole rows, which hold `missing` (0, or NaN for what is not known) where there is no
    entry. So it can stand where samples do: `Trainer.fit` takes it, and makes rows whole batch by batch. Columns are in
    order within a row, and none comes twice.
    """

    def __init__(self, starts: np.ndarray, columns: np.ndarray, values: np.ndarray, width: int, missing: float = 0.0):
        self.starts, self.columns, self.values, self.missing = starts, columns, values, missing
        self.shape, self.dtype = (len(starts) - 1, int(width)), values.dtype

    @classmethod
    def of_entries(cls, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> Sparse:
        """The matrix with values[i] at rows[i], columns[i]; of entries for the same place the last one counts."""
        order = np.lexsort((columns, rows))  # which is stable
        rows, columns, values = rows[order], columns[order], values[order]
        last = np.ones(len(rows), bool)
        last[:-1] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
        counts = np.bincount(rows[last], minlength=shape[0])
        return cls(_ends(counts), columns[last].astype(_index_type(shape[1])), values[last], shape[1])

    def check(self, rows: int, name: str) -> Sparse:
        """This matrix. Raises `ValueError` unless it has so many rows, and its arrays fit each other."""
        starts, n = self.starts, len(self.values)
        plain = all(a.ndim == 1 for a in (starts, self.columns, self.values)) and \
            all(a.dtype.kind in "iu" for a in (starts, self.columns))
        if not plain or len(starts) != rows + 1 or starts[0] != 0 or starts[-1] != n or (np.diff(starts) < 0).any() \
                or len(self.columns) != n or (n and not 0 <= self.columns.min() <= self.columns.max() < self.shape[1]):
            raise ValueError(f"{name} is no sparse matrix of {rows} rows and {self.shape[1]} columns: its row starts, "
                             "columns and values do not fit each other")
        return self

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> np.ndarray:
        return self.rows(np.arange(*part.indices(len(self))))

    @property
    def counts(self) -> np.ndarray:
        """How many entries each row has."""
        return np.diff(self.starts)

    @property
    def row_numbers(self) -> np.ndarray:
        """The row of every entry, as `columns` has its column."""
        return np.repeat(np.arange(len(self), dtype=_index_type(len(self))), self.counts)

    def rows(self, index: np.ndarray) -> np.ndarray:
        """The rows of these numbers, whole: (n, columns)."""
        out = np.empty((len(index), self.shape[1]), self.dtype)
        self.write(index, out)
        return out

    def write(self, index: np.ndarray, out: np.ndarray) -> None:
        """Write the rows of these numbers, whole, into `out` (n, columns)."""
        row, entry = self.entries(index)
        out[...] = self.missing
        out[row, self.columns[entry]] = self.values[entry]

    def entries(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The entries of the rows of these numbers: for each its place among `index`, and its own number."""
        counts = self.starts[index + 1] - self.starts[index]
        row = np.repeat(np.arange(len(index)), counts)
        return row, np.arange(len(row)) + np.repeat(self.starts[index] - _ends(counts)[:-1], counts)

    def transposed(self) -> Sparse:
        """Columns as rows."""
        order = np.argsort(self.columns, kind="stable")
        counts = np.bincount(self.columns, minlength=self.shape[1])
        return Sparse(_ends(counts), self.row_numbers[order], self.values[order], len(self), self.missing)

    def with_values(self, values: Any, missing: float | None = None) -> Sparse:
        """Other values at the same places."""
        missing = self.missing if missing is None else missing
        return Sparse(self.starts, self.columns, np.asarray(values), self.shape[1], missing)


def _ends(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _index_type(size: int) -> type:
    return np.int32 if size < 2**31 else np.int64
