"""The data of a training, as rows on the model's backend, and in an order, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from miniae.autodiff import Tensor
from miniae.backend import Backend
from miniae.backend.sharing import Share, current_ranks
from miniae.data.rows import Order, Rows, rows_on

__all__ = ["batches", "rows_of"]


def rows_of(data: Any, backend: Backend, dtype: Any) -> tuple[Rows, ...]:
    """The arrays of `data`, an array (N, ...) or a tuple of such, as rows for batches on the backend.

    Raises `ValueError` for N = 0, and for arrays of different N.
    """
    arrays = data if isinstance(data, tuple) else (data,)
    rows = tuple(rows_on(backend, dtype, a._data if isinstance(a, Tensor) else a) for a in arrays)
    if len(rows[0]) == 0:
        raise ValueError("there are no samples to work on: the data has length 0")
    if len({len(r) for r in rows}) > 1:
        raise ValueError(f"the arrays have different numbers of samples: {[len(r) for r in rows]}")
    for stream in (getattr(r, "stream", None) for r in rows if len(rows) > 1):
        if stream is not None:
            stream.keep_order()
    return rows


def batches(rows: tuple[Rows, ...], order: Order, size: int) -> Iterator[tuple[Order, Share]]:
    """An order, `size` rows at a time, each batch as soon as it is loaded: what comes from the host precedes the step.

    Of a batch that ranks share it is the part of this one.
    """
    n, ranks = len(order), current_ranks()

    def here(start: int) -> tuple[Order | None, Share]:
        share = Share(ranks, max(min(size, n - start), 0))
        return (order[start:start + size][share.part] if share.total else None), share

    part, share = here(0)
    end = size
    while part is not None:
        following, next_share = here(end)
        for r in rows:
            r.load(part, following)
        yield part, share
        part, share, end = following, next_share, end + size
