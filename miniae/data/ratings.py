"""Who rated what, and how: ratings by users of items, of which each user knows few."""

from __future__ import annotations

import csv
import os
from array import array
from pathlib import Path
from typing import Any

import numpy as np

from miniae.data.errors import DataError, a_kind
from miniae.data.sparse import Sparse

__all__ = ["Ratings", "read_ratings"]


class Ratings:
    """A sparse matrix of ratings, users x items, and what the users and items are called.

    `users` and `items` are their ids, sorted; `matrix` has a row for each user and a column for each item.
    """

    def __init__(self, users: np.ndarray, items: np.ndarray, matrix: Sparse):
        self.users, self.items, self.matrix = users, items, matrix

    @classmethod
    def of(cls, data: Any, users: np.ndarray | None = None, items: np.ndarray | None = None,
           name: str = "ratings") -> Ratings:
        """Ratings from what there is: a triple (users, items, ratings) of arrays of one length, whose ids are integers
        or strings, or a sparse matrix users x items (what has `tocsr()`, or `indptr`, `indices` and `data`), whose ids
        are the numbers of its rows and columns. Where a user has rated an item twice, the last rating counts.

        `users` and `items`, where given, are the ids there may be. Raises `ValueError` or `TypeError` for data that
        can't be used.
        """
        if isinstance(data, Ratings):
            if users is None and items is None:
                return data
            data = data.triples()
        matrix = data.tocsr() if hasattr(data, "tocsr") else data
        if all(hasattr(matrix, part) for part in ("indptr", "indices", "data")):
            data = _entries(matrix, name)
            if users is None:
                users = np.arange(matrix.shape[0] if hasattr(matrix, "shape") else len(matrix.indptr) - 1)
            if items is None:
                items = np.arange(matrix.shape[1] if hasattr(matrix, "shape") else int(data[1].max(initial=-1)) + 1)
        if not isinstance(data, (tuple, list)) or len(data) != 3:
            raise TypeError(f"{name} is {a_kind(data)}, expected a triple (users, items, ratings) of arrays, "
                            "or a sparse matrix with tocsr()")
        ids = [_ids(data[0], f"the users of {name}"), _ids(data[1], f"the items of {name}")]
        values = _values(data[2], name)
        if not len(ids[0]) == len(ids[1]) == len(values):
            raise ValueError(f"{name} has {len(ids[0])} users, {len(ids[1])} items and {len(values)} ratings: expected "
                             "as many of each, one entry a rating")
        if not len(values):
            raise ValueError(f"{name} has no ratings in it: there is nothing to learn from")
        (users, rows), (items, columns) = (
            _numbered(given, known, f"the {what} of {name}")
            for given, known, what in ((ids[0], users, "users"), (ids[1], items, "items")))
        return cls(users, items, Sparse.of_entries(rows, columns, values, (len(users), len(items))))

    def triples(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(users, items, ratings), an entry for each rating, by user and then by item."""
        return self.users[self.matrix.row_numbers], self.items[self.matrix.columns], self.matrix.values

    def __len__(self) -> int:
        """How many ratings there are."""
        return len(self.matrix.values)

    def __repr__(self) -> str:
        return f"<{len(self):,} ratings of {len(self.items):,} items by {len(self.users):,} users>"


def numbers_of(ids: Any, known: np.ndarray, name: str) -> np.ndarray:
    """The place of each id among the known ones, sorted; -1 where it isn't among them."""
    ids = _ids(ids, name)
    if (ids.dtype.kind == "U") != (known.dtype.kind == "U"):
        kinds = {True: "strings", False: "integers"}
        raise TypeError(f"{name} are {kinds[ids.dtype.kind == 'U']} like {ids[:1].tolist()}, expected "
                        f"{kinds[known.dtype.kind == 'U']} like {known[:1].tolist()}: give ids of the same type")
    places = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.where(known[places] == ids, places, -1)


def read_ratings(path: str | os.PathLike[str]) -> Ratings:
    """Read a text table of user, item, rating (and columns after these, which are left out), a rating a line.

    Cells are separated by tabs, `::`, commas or semicolons, whichever the first line has. The first line may be a
    header. Ids are strings, just as they are in the file. Raises `DataError` for what can't be used.
    """
    path = Path(path)
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    rows, columns, values = array("q"), array("q"), array("f")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            separator = next((s for s in ("\t", "::", ",", ";") if s in first), ",")
            lines = (line.replace("::", "\t") for line in file) if separator == "::" else file
            reader = csv.reader(lines, delimiter="\t" if separator == "::" else separator)
            begun = False
            for cells in filter(None, reader):
                begun, header = True, not begun and len(cells) >= 3 and _number(cells[2]) is None
                if not header:
                    user, item, value = _rating(cells, f"{path} line {reader.line_num}")
                    rows.append(users.setdefault(user, len(users)))
                    columns.append(items.setdefault(item, len(items)))
                    values.append(value)
    except (UnicodeDecodeError, csv.Error) as why:
        raise DataError(f"{path} is not a text table ({why}): save it as UTF-8 text of user, item, rating") from None
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: name a table of user, item, rating") from None
    except OSError as why:
        raise DataError(f"{path} can't be read: {why.strerror}") from None
    if not values:
        raise DataError(f"{path} has no ratings in it: expected lines of user, item, rating")
    (user_ids, row), (item_ids, column) = (
        _sorted(list(ids), np.array(numbers)) for ids, numbers in ((users, rows), (items, columns)))
    shape = len(user_ids), len(item_ids)
    return Ratings(user_ids, item_ids, Sparse.of_entries(row, column, np.array(values), shape))


def _rating(cells: list[str], where: str) -> tuple[str, str, float]:
    """A user, an item and the rating."""
    if len(cells) < 3:
        raise DataError(f"{where} has {len(cells)} cell{'s' * (len(cells) != 1)}, expected user, item, rating, "
                        "separated by commas or tabs")
    user, item, value = cells[0].strip(), cells[1].strip(), _number(cells[2])
    if value is None or not abs(value) < 3e38:  # of float32; NaN is no less than that, either
        raise DataError(f"{where} has the rating {cells[2][:80]!r}, expected a number")
    if not user or not item:
        raise DataError(f"{where} has no {'item' if user else 'user'}: fill it in, or drop the line")
    return user, item, value


def _sorted(ids: list[str], numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ids in order, and the numbers that they then have in place of these."""
    in_order, places = np.unique(ids, return_inverse=True)
    return in_order, places[numbers]


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _entries(matrix: Any, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    starts, columns, values = (np.asarray(getattr(matrix, part)) for part in ("indptr", "indices", "data"))
    if len(columns) != len(values) or starts[0] != 0 or starts[-1] != len(values) or (np.diff(starts) < 0).any():
        raise ValueError(f"{name} is no sparse matrix in compressed rows: its indptr does not fit its indices and data")
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts)), columns, values


def _ids(ids: Any, name: str) -> np.ndarray:
    ids = np.asarray(ids)
    if ids.dtype.kind == "O" and all(isinstance(i, str) for i in ids.ravel()):
        ids = ids.astype(str)
    if ids.dtype.kind not in "iuU" or ids.ndim != 1:
        raise TypeError(f"{name} are of type {ids.dtype} and shape {ids.shape}, expected integers or strings, (n,)")
    return ids


def _values(values: Any, name: str) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype.kind not in "fiub" or values.ndim != 1:
        raise TypeError(f"{name} holds ratings of type {values.dtype} and shape {values.shape}, expected numbers, (n,)")
    if not np.isfinite(values).all():
        where = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"{name} holds {values[where]} at index {where}: leave out what is not rated")
    return values.astype(values.dtype if values.dtype == np.float64 else np.float32)


def _numbered(ids: np.ndarray, known: np.ndarray | None, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The ids there are, sorted, and for each of `ids` its place among them."""
    if known is None:
        return np.unique(ids, return_inverse=True)
    places = numbers_of(ids, known, name)
    if (places < 0).any():
        raise ValueError(f"{name} hold {ids[places < 0][0].item()!r}, which the model does not know: leave it out, or "
                         "fit with it")
    return known, places
