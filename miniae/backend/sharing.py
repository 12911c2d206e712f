"""Minibatches that several processes share: which rows are whose, and what must be known of all of them.

The processes, *ranks*, make the same steps on the same weights. Each computes with its own rows of every minibatch and
tells the others what these contribute: sums over rows, and a mean as the average of the ranks' means, each weighted by
its share of the rows. Functions, layers and random numbers that depend on more than single rows ask here; on a single
rank, and outside of a shared minibatch, what they ask for is what they have.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

if TYPE_CHECKING:
    from miniae.backend.base import Array, Backend

__all__ = ["ALONE", "Interrupted", "Ranks", "Share", "all_rows", "batch_mean", "batch_rows", "batch_sum",
           "current_ranks", "current_share", "sharing", "unshared", "use_ranks"]


class Interrupted(KeyboardInterrupt):
    """One of several ranks has been interrupted, and all have stopped at the same place."""

    on_all_ranks = True
    """Exceptions that say so are raised on all ranks alike, so that none waits for another."""


class Ranks:
    """`size` processes of the numbers `rank` 0 to size - 1. This class is the single process, which has nobody to tell.

    Every rank has to call the same methods in the same order: each waits for all others.
    """

    rank: int = 0
    size: int = 1
    library: str = "nothing"
    """What brings the messages, in words."""

    def sum(self, be: Backend, a: Array) -> None:
        """Write the sum of all ranks' arrays into each, in place: the same bits everywhere."""
        if self.size > 1:
            host = np.ascontiguousarray(be.to_host(a))
            self.sum_on_host(host)
            be.copy(be.asarray(host), out=a)

    def sum_on_host(self, a: np.ndarray) -> None:
        """The same for a NumPy array in C order."""

    def gather(self, values: Sequence[float]) -> np.ndarray:
        """All ranks' numbers: (ranks, values), float64."""
        table = np.zeros((self.size, len(values)))
        table[self.rank] = values
        self.sum_on_host(table)
        return table

    def check(self) -> None:
        """Raise `Interrupted` on all ranks if one of them has been interrupted."""

    def device(self, backend: str) -> str:
        """The name of a backend with the number of this rank's own GPU, where it is to be a GPU and any would do."""
        return backend

    def abort(self, code: int) -> NoReturn:
        """End all ranks, wherever they are, with this exit code."""
        raise SystemExit(code)

    def listening(self) -> AbstractContextManager[None]:
        """A block in which Ctrl-C is left to `check`, where there are others to tell."""
        return nullcontext()

    def __enter__(self) -> Ranks:
        return self

    def __exit__(self, kind: type | None, why: BaseException | None, trace: Any) -> None:
        """Leave the others: what only this rank has run into ends them all."""


ALONE = Ranks()


@dataclass(frozen=True)
class Share:
    """A rank's part of a minibatch of `total` rows: those from `begin` on, `rows` of them, which may be none."""

    ranks: Ranks
    total: int

    @property
    def begin(self) -> int:
        return self.total * self.ranks.rank // self.ranks.size

    @property
    def rows(self) -> int:
        return self.total * (self.ranks.rank + 1) // self.ranks.size - self.begin

    @property
    def part(self) -> slice:
        """The rows as a slice of the minibatch's."""
        return slice(self.begin, self.begin + self.rows)

    @property
    def weight(self) -> float:
        """The share of the rows, from 0 to 1."""
        return self.rows / self.total

    def place(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Where an array of this shape, a row for each of these, begins in one of all rows, and how large that is.

        Raises `ValueError` for an array that has not a row for each.
        """
        if not shape or shape[0] != self.rows:
            raise ValueError(f"random numbers of shape {shape} were drawn for a minibatch that {self.ranks.size} ranks "
                             f"share, expected one row for each of the {self.rows} samples here: draw what belongs to "
                             "no sample within backend.sharing.unshared()")
        return self.begin * math.prod(shape[1:]), self.total * math.prod(shape[1:])


class _Here(threading.local):
    """`ranks` at work on this thread, and the share of a minibatch that it is at; None where there is no other."""

    ranks: Ranks = ALONE
    share: Share | None = None


_here = _Here()


def current_ranks() -> Ranks:
    """The ranks that train together here."""
    return _here.ranks


@contextmanager
def use_ranks(ranks: Ranks) -> Iterator[Ranks]:
    """A block in which training is shared by these ranks."""
    before, _here.ranks = _here.ranks, ranks
    try:
        yield ranks
    finally:
        _here.ranks = before


@contextmanager
def sharing(share: Share | None) -> Iterator[None]:
    """A block in which a step is made on this share of a minibatch."""
    before, _here.share = _here.share, share if share is not None and share.ranks.size > 1 else None
    try:
        yield
    finally:
        _here.share = before


def unshared() -> Any:
    """A block in which every rank computes the same, by itself: with the same random numbers, too."""
    return sharing(None)


def current_share() -> Share | None:
    """The share of a minibatch that is at work here, or None."""
    return _here.share


def batch_rows(n: int) -> int:
    """How many rows the minibatch has of which n are here."""
    return n if _here.share is None else _here.share.total


def batch_sum(be: Backend, a: Array) -> Array:
    """A sum over the rows here as that over all rows, in place."""
    if _here.share is not None:
        _here.share.ranks.sum(be, a)
    return a


def batch_mean(be: Backend, a: Array) -> Array:
    """A mean over the rows here (whatever it is of none, if finite) as that over all rows, in place."""
    if _here.share is not None:
        be.multiply(a, _here.share.weight, out=a)
        _here.share.ranks.sum(be, a)
    return a


def all_rows(be: Backend, a: Array, each: int = 1) -> Array:
    """Rows (n each, ...), so many for each row of the minibatch that is here, among those of all ranks."""
    share = _here.share
    if share is None:
        return a
    whole = be.empty((each * share.total, *a.shape[1:]), a.dtype)
    be.fill(whole, 0.0)
    be.copy(a, out=whole[each * share.begin:each * (share.begin + share.rows)])
    share.ranks.sum(be, whole)
    return whole
