"""Training by several processes at once: what they tell each other in a step, and what they must have in common.

Of a minibatch of N samples rank r of n takes the rows from r N / n to (r + 1) N / n, in the order that one process
would have them in: every rank can read all data (a mapped file, where they are large), and reads its own rows only. It
computes the gradient of its part of the loss,

    L = sum_r L_r,   L_r = N_r / N mean of the losses of r's samples,     dL/dw = sum_r dL_r/dw,

and after the sum all ranks make the same update of the same weights. Random numbers are those of a sample's place in
the minibatch, and what a layer or a loss asks of the whole minibatch is summed over ranks as well (`backend.sharing`).
So the losses are those of one process with the same batch size, up to the rounding of sums.

    from miniae.backend.mpi import ranks_here
    from miniae.backend.sharing import use_ranks

    with ranks_here() as ranks, use_ranks(ranks):       # in each of the processes that mpiexec has started
        model.fit(X)                                    # with the same X and settings

Goyal et al., "Accurate, large minibatch SGD", 2017, section 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from miniae.autodiff import Tensor
from miniae.backend import Backend
from miniae.backend.sharing import Ranks, batch_mean, batch_sum, current_share
from miniae.data.storage import checksum
from miniae.optim import Optimizer
from miniae.training.sample import differ, of_streams, sampled
from miniae.training.snapshot import Snapshot

__all__ = ["RanksDiffer", "any_rank", "check_alike", "check_data", "mean_of_all", "seed_of", "sum_gradient"]


class RanksDiffer(ValueError):
    """Ranks that train together have different data or weights."""

    on_all_ranks = True


def seed_of(loss: Tensor) -> Any:
    """What backward begins with: this rank's share of the minibatch, or None for 1, where it has the whole."""
    share = current_share()
    if share is None:
        return None
    seed = loss.backend.empty((), loss.dtype)
    loss.backend.fill(seed, share.weight)
    return seed


def sum_gradient(optimizer: Optimizer, losses: Iterable[Tensor]) -> None:
    """Make the gradient that backward has left that of the whole minibatch, and so these losses."""
    if current_share() is not None:
        batch_sum(optimizer.backend, optimizer.gradient())
        mean_of_all(optimizer.backend, losses)


def mean_of_all(be: Backend, losses: Iterable[Tensor]) -> None:
    """Make losses, means over the samples here, means over the whole minibatch: in place, by one message for all."""
    arrays = [loss._data for loss in losses]
    if current_share() is None or not arrays:
        return
    together = be.empty((len(arrays),), arrays[0].dtype)
    for i, a in enumerate(arrays):
        be.copy(a, out=together[i:i + 1].reshape(()))
    batch_mean(be, together)
    for i, a in enumerate(arrays):
        be.copy(together[i:i + 1].reshape(()), out=a)


def check_alike(ranks: Ranks, when: str, snapshot: Snapshot, **facts: float) -> None:
    """Raise `RanksDiffer`, on all ranks, unless they are at the same epoch with the same weights and these facts."""
    if ranks.size == 1:
        return
    facts = {**facts, "epoch": snapshot.epoch, "weights": checksum(snapshot.model)}
    told = ranks.gather(list(facts.values()))
    for name, values in zip(facts, told.T, strict=True):
        other = next((r for r, value in enumerate(values) if value != values[0]), None)
        if other is not None:
            raise RanksDiffer(f"ranks 0 and {other} differ in {name} {when} ({values[0]:.0f} and {values[other]:.0f}): "
                              "start all ranks with the same data, settings and versions, on processors of one kind")


def check_data(ranks: Ranks, data: Any, backend: Backend) -> None:
    """Raise `RanksDiffer`, on all ranks, unless they have the same data, by a few rows of each array, and by what the
    first pass has found of each stream."""
    if ranks.size == 1:
        return
    for own in (sampled(data, backend), of_streams(data)):
        told = ranks.gather(own.reshape(-1).tolist()).reshape(ranks.size, *own.shape)
        other = next((r for r in range(ranks.size) if differ(told[0], told[r])), None)
        if other is not None:
            raise RanksDiffer(f"ranks 0 and {other} have different data, of the same size: start all ranks with the "
                              "same data, in the same order")


def any_rank(ranks: Ranks, wish: bool) -> bool:
    """Whether one of the ranks, at least, wishes so."""
    return wish if ranks.size == 1 else bool(ranks.gather([wish]).any())
