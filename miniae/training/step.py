"""One minibatch: its loss, and the update of the weights that lowers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from miniae.autodiff import Tensor
from miniae.autodiff.mode import observed
from miniae.backend.sharing import batch_rows
from miniae.data.rows import Order, Rows
from miniae.training.ranks import mean_of_all, seed_of, sum_gradient
from miniae.training.totals import Totals
from miniae.training.trouble import Skip

if TYPE_CHECKING:
    from miniae.training.trainer import Trainer

__all__ = ["after_replay", "evaluation_step", "training_step"]


def training_step(trainer: Trainer, rows: tuple[Rows, ...], order: Order) -> dict[str, Any]:
    """One minibatch for the optimizer to lower the loss of. Every term, as it was first evaluated, goes to the totals,
    and is returned."""
    backend, optimizer = trainer.backend, trainer.optimizer
    first: dict[str, Any] = {}

    def evaluate() -> Tensor:
        backend.rewind(optimizer.phase)
        optimizer.zero_grad()
        terms = _terms(trainer, rows, order)
        loss, *others = terms.values()
        for term in others:
            loss = loss + term
        loss.backward(seed_of(loss))
        sum_gradient(optimizer, [loss, *terms.values()])
        if trainer.guard is not None and not terms.keys() <= first.keys():  # later ones are trials of a line search
            trainer.guard(loss)
        if trainer.clip is not None:
            trainer.clip(optimizer)
        for name, array in _arrays(terms).items():
            first.setdefault(name, array)
        return loss

    try:
        observed("optimizer", optimizer.minimize, lambda: observed("loss and gradient", evaluate))
    except Skip:
        trainer.totals.samples -= batch_rows(len(order))
        return {}
    trainer.totals.add(first, batch_rows(len(order)))
    return first


def after_replay(trainer: Trainer) -> Callable[[], None]:
    """A function to call after a replay of the step that was just made: weights and gradients have been written."""
    optimizer, with_gradient = trainer.optimizer, [p for p in trainer.parameters if p.grad is not None]

    def written() -> None:
        optimizer.written()
        for p in with_gradient:
            p.hold_grad()

    return written


def evaluation_step(trainer: Trainer, rows: tuple[Rows, ...], totals: Totals, order: Order) -> dict[str, Any]:
    """The terms of one minibatch's loss, which are added to the totals."""
    terms = _terms(trainer, rows, order)
    mean_of_all(trainer.backend, terms.values())
    totals.add(_arrays(terms), batch_rows(len(order)))
    return _arrays(terms)


def _terms(trainer: Trainer, rows: tuple[Rows, ...], order: Order) -> dict[str, Tensor]:
    be = trainer.backend
    batch = [Tensor._wrap(observed("data feeding", be.as_kernel, r.batch, order), be) for r in rows]
    return trainer.model.loss_terms(*batch)


def _arrays(terms: dict[str, Tensor]) -> dict[str, Any]:
    return {name: term._data for name, term in terms.items()}
