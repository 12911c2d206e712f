"""Tables of numbers: .csv and .tsv files, with a header or without one."""

from __future__ import annotations

import csv
import itertools
import math
import shlex
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from miniae.data.errors import DataError

__all__ = ["LABELS", "Table", "is_number", "read_table"]

LABELS = "labels"
"""What a column may be for that `read_table` gives aside: one that is not needed when there is a model."""

_LISTED = 20  # names of columns in a message
_COUNTED = 3  # rows from which on 1, 2, 3, ... are no accident


@dataclass(frozen=True)
class Table:
    """The numbers X (N, features) of a table, and the features' names where it has a header.

    `aside` are the columns that are no features, as text, by what they were called for. `dropped` are the names of the
    labels' and of all that were left out, where they have any. `note` says in a line what its owner may not have meant,
    or is None.
    """

    X: np.ndarray
    names: list[str] | None
    aside: dict[str, np.ndarray]
    dropped: tuple[str, ...]
    note: str | None


def read_table(path: Path, aside: Mapping[str, str], drop: Sequence[str] = (),
               unneeded: Sequence[str] = ()) -> Table:
    """Read a table. `aside` are columns that are no features, and what they are for.

    Columns are called by their names, or by their numbers from 1. Those to `drop` must be there; `unneeded` ones, names
    that a `Table` had as `dropped`, are left out where they are there. Raises `DataError`, in one line, for a table
    that can't be used.
    """
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _read(csv.reader(file, delimiter=delimiter), path, aside, drop, unneeded)
    except (UnicodeDecodeError, csv.Error) as why:
        raise DataError(f"{path} is not a text table ({why}): save it as UTF-8 CSV") from None
    except OSError as why:
        raise DataError(f"{path} can't be read: {why.strerror}") from None


def is_number(cell: str) -> bool:
    """Whether a cell's text is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read(reader: Any, path: Path, aside: Mapping[str, str], drop: Sequence[str],
          unneeded: Sequence[str]) -> Table:
    """`read_table` of the rows of cells that `reader` gives, each of which is turned into numbers as it comes."""
    rows = (row for row in reader if row)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{path} is empty: expected rows of numbers")
    if len(first) == 1 and ";" in first[0]:
        raise DataError(f"{path} seems to separate its cells by semicolons, expected commas (or tabs, in .tsv), and "
                        "decimal points: save it so")
    columns = _Columns(path, first)
    where = {name: columns.find(name, what) for name, what in aside.items()}
    out = list(dict.fromkeys(columns.find(name, "--drop") for name in drop))
    for name, at in where.items():
        if at in out:
            raise DataError(f"the column {name!r} of {path} is named for {aside[name]} and to be dropped: leave out "
                            "one of the two")
    out += [at for name in unneeded for at in columns.known(name) if at not in (*out, *where.values())]
    kept = [i for i in range(columns.count) if i not in out and i not in where.values()]
    if not kept:
        named = ", ".join(map(repr, [*aside, *(columns.call(i) for i in out)]))
        raise DataError(f"{path} has no column beside {named}: expected features too")
    beside: dict[str, list[str]] = {name: [] for name in aside}
    cells = array("d")
    for row in rows if columns.header else itertools.chain([first], rows):
        if len(row) != columns.count:
            raise DataError(f"{path} row {reader.line_num} has {len(row)} cells, expected {columns.count} as in the "
                            "first: every row needs the same number")
        try:
            numbers = [float(row[i]) for i in kept]
        except ValueError:
            raise columns.no_number(row, kept, reader.line_num) from None
        if not math.isfinite(sum(numbers)):  # which finite numbers may overflow
            columns.check_finite(numbers, kept, reader.line_num)
        cells.extend(numbers)
        for name, at in where.items():
            beside[name].append(row[at].strip())
    if not cells:
        raise DataError(f"{path} has a header and no rows: expected rows of numbers below it")
    X = np.frombuffer(cells, np.float64).reshape(-1, len(kept))
    names = [columns.names[i] for i in kept] if columns.header else None
    note = columns.note(X[:, 0]) if kept[0] == 0 and len(kept) > 1 else None
    return Table(X, names, {name: np.array(texts) for name, texts in beside.items()},
                 columns.named([*out, *(at for name, at in where.items() if aside[name] == LABELS)]), note)


class _Columns:
    """The columns of a table, from its first row: what they are called."""

    def __init__(self, path: Path, first: list[str]):
        self.path, self.count = path, len(first)
        self.header = _is_header(first)
        self.names = [cell.strip() for cell in first] if self.header else [str(i + 1) for i in range(len(first))]

    def find(self, name: str, what: str) -> int:
        """Which column that is: the one of this name, or else of this number, from 1."""
        if self.names.count(name) == 1:
            return self.names.index(name)
        if name not in self.names and name.isdecimal() and 1 <= int(name[:9]) <= self.count:
            return int(name) - 1
        several = self.names.count(name)
        raise DataError(f"{self.path} has {several or 'no'} column{'s' * (several > 0)} {name!r} for {what}: expected "
                        f"one of {', '.join(map(repr, self.names[:_LISTED]))}{', ...' * (self.count > _LISTED)}, or a "
                        f"number from 1 to {self.count}")

    def known(self, name: str) -> list[int]:
        """The column of this name, in a table like that in which `named` gave it; nothing where there is none."""
        return [i for i, own in enumerate(self.names) if own == name] if self.header else []

    def named(self, at: Sequence[int]) -> tuple[str, ...]:
        """The names that these columns are remembered by. One without a name of its own is not: its number would be
        another column's in a table that lacks some."""
        return tuple(self.names[i] for i in at if self.header and self.names.count(self.names[i]) == 1)

    def call(self, at: int) -> str:
        """What `find` takes for that column, a name where there is one."""
        if self.header and self.names[at] and self.names.count(self.names[at]) == 1:
            return self.names[at]
        return str(at + 1) if not self.header or str(at + 1) not in self.names else self.names[at]

    def _drop(self, at: int) -> str:
        """The option that drops a column."""
        name = self.call(at)[:80]
        return f"--drop{'=' if name.startswith('-') else ' '}{shlex.quote(name)}"

    def no_number(self, row: list[str], kept: Sequence[int], line: int) -> DataError:
        """What to say of a row with a cell that is no number."""
        bad = next(i for i in kept if not is_number(row[i]))
        drop = self._drop(bad)
        if not row[bad].strip():
            return DataError(f"{self._cell(line, bad)} is empty: fill in missing numbers, or drop the row, or the "
                             f"column ({drop})")
        return DataError(f"{self._cell(line, bad)} holds {row[bad][:80]!r}, expected a number: drop the column "
                         f"({drop}), encode it, or name it as the label or, of a series, the time")

    def check_finite(self, numbers: Sequence[float], kept: Sequence[int], line: int) -> None:
        """Raise `DataError` for a number that is not finite."""
        bad = next((i for i, number in enumerate(numbers) if not math.isfinite(number)), None)
        if bad is not None:
            raise DataError(f"{self._cell(line, kept[bad])} holds {numbers[bad]}: fill in or drop missing and infinite "
                            "values")

    def note(self, first: np.ndarray) -> str | None:
        """What to say of the first column where it seems to be the rows' numbers."""
        name = self.names[0] if self.header else None
        counts = len(first) >= _COUNTED and first[0] in (0, 1) and (first == first[0] + np.arange(len(first))).all()
        if not counts and (name is None or (name and not name.startswith("Unnamed: "))):
            return None
        called = f", {name!r}," if name else ", which has no name," if name == "" else ""
        why = f"counts the rows from {first[0]:g}" if counts else "seems to be an index that pandas wrote"
        return (f"column 1 of {self.path.name}{called} {why}, and is taken for a feature: "
                f"{self._drop(0)} leaves it out")

    def _cell(self, line: int, at: int) -> str:
        return f"{self.path} row {line}, column {self.names[at][:80] or at + 1!r}"


def _is_header(first: list[str]) -> bool:
    """Whether the first row holds names: not where all its cells are numbers, or empty, as a missing number is.

    Names that are numbers are those of a frame without any, written by pandas with its index: an empty cell, 0, 1, ...
    """
    if not all(is_number(cell) or not cell.strip() for cell in first):
        return True
    return len(first) > 1 and not first[0].strip() and first[1:] == [str(i) for i in range(len(first) - 1)]
