"""What to do when numbers are no longer finite."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.training.callbacks import Callback, Remembering
from miniae.training.notice import warn

if TYPE_CHECKING:
    from miniae.autodiff import Tensor
    from miniae.training.trainer import Trainer

__all__ = ["ON_NAN", "NumericalTrouble", "RollBack", "Skip", "SkipBatches", "TrainingDiverged", "on_nan"]


class TrainingDiverged(ArithmeticError):
    """The loss or a weight is no longer a finite number. The run is put back to the last epoch that ended well."""

    def __init__(self, *args: object, on_all_ranks: bool = False):
        super().__init__(*args)
        self.on_all_ranks = on_all_ranks  # which train together: each has come to it in the same step


class Skip(ArithmeticError):
    """Raised by a trainer's `guard`: this batch counts for nothing."""


class NumericalTrouble(UserWarning):
    """A batch was left out, or a run rolled back, because of numbers that are not finite."""


class SkipBatches(Remembering):
    """Leaves out batches whose loss or gradient is not finite: nothing is updated, and the epoch's losses are means
    over the others.

    The epoch's row of the history has their number as `skipped`. After `limit` of them in a row training stops with
    `TrainingDiverged`: then it is hardly the batches' fault. It looks at every loss and gradient, so that training
    waits for the device at each step, and steps are not replayed. Of an optimizer with several phases, those before the
    one in trouble have made their update. Optimizers that search along a line leave the weights as they are anyway.
    """

    def __init__(self, limit: int = 20):
        if limit < 1:
            raise ValueError(f"training stops after so many skipped batches in a row, at least 1; got {limit}")
        self.limit = limit
        self.forget()

    def forget(self) -> None:
        self.in_a_row = self.skipped = 0

    def on_train_begin(self, trainer: Trainer) -> None:
        super().on_train_begin(trainer)
        trainer.guard = functools.partial(self._look, trainer)
        model = trainer.model
        self._buffers = [(t, trainer.backend.empty_like(t._data)) for _, t in getattr(model, "named_buffers", list)()]
        self._good = True

    def on_train_end(self, trainer: Trainer) -> None:
        trainer.guard = None

    def on_epoch_begin(self, trainer: Trainer) -> None:
        self.skipped = 0 if not trainer.done else self.skipped
        self._keep(trainer)

    def on_batch_end(self, trainer: Trainer, batch: int) -> None:
        if self._good:
            self.in_a_row = 0
            self._keep(trainer)
            return
        self._good = True
        for t, kept in self._buffers:  # running means, which forward has spoiled
            trainer.backend.copy(kept, out=t._data)
        self.in_a_row, self.skipped = self.in_a_row + 1, self.skipped + 1
        if self.in_a_row >= self.limit:
            raise TrainingDiverged(f"{self.in_a_row} batches in a row were left out, the last in epoch "
                                   f"{trainer.epoch + 1}, as their loss or gradient was not finite: lower the learning "
                                   f"rate (it is {trainer.optimizer.lr:g}), or check the data for extreme values",
                                   on_all_ranks=True)

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, float]) -> None:
        logs["skipped"] = self.skipped
        if self.skipped:
            warn(f"epoch {trainer.epoch}: {self.skipped} of {trainer.batches} batches were left out, as their loss or "
                 "gradient was not finite", NumericalTrouble)

    def _keep(self, trainer: Trainer) -> None:
        for t, kept in self._buffers:
            trainer.backend.copy(t._data, out=kept)

    def _look(self, trainer: Trainer, loss: Tensor) -> None:
        """Raise `Skip` unless the loss and the gradient are finite: zero times them is zero."""
        be, optimizer = trainer.backend, trainer.optimizer
        g = optimizer.gradient()
        zeros = be.sum(be.multiply(g, 0.0, out=optimizer.scratch))
        self._good = all(np.isfinite(be.to_host(a)).all() for a in (loss._data, zeros))
        if not self._good:
            raise Skip

    def state_dict(self) -> dict[str, np.ndarray]:
        return {"in_a_row": np.array(self.in_a_row), "skipped": np.array(self.skipped)}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.in_a_row, self.skipped = int(state["in_a_row"]), int(state["skipped"])


class RollBack(Remembering):
    """Puts a run that has diverged back to the last epoch that ended well, with `factor` times the learning rate.

    The epoch is then tried again, with the same batches and the same noise, and every epoch's row of the history has
    the number of such attempts so far as `rollbacks`. After `limit` of them the run stops with `TrainingDiverged`, as
    one without this callback does at once. A schedule (`LearningRate`) goes on with the lower rate as its base.
    """

    only_device = whole_epochs = True  # the state it puts back is that of an epoch's end

    def __init__(self, factor: float = 0.5, limit: int = 8):
        if not 0 < factor < 1:
            raise ValueError(f"factor is what the learning rate is multiplied by, between 0 and 1; got {factor}")
        if limit < 1:
            raise ValueError(f"limit is how often a run is rolled back, at least once; got {limit}")
        self.factor, self.limit = factor, limit
        self.forget()

    def forget(self) -> None:
        self.rollbacks = 0

    def on_diverged(self, trainer: Trainer, why: ArithmeticError) -> bool:
        if self.rollbacks >= self.limit:
            return False
        rollbacks = self.rollbacks + 1
        trainer.snapshot.put_back(trainer)
        self.rollbacks = rollbacks
        trainer.optimizer.lr *= self.factor
        trainer.base_lr *= self.factor
        trainer.keep()
        warn(f"{why.args[0].partition(':')[0]}: back to epoch {trainer.epoch}, with the learning rate "
             f"{trainer.optimizer.lr:g}", NumericalTrouble)
        return True

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, float]) -> None:
        logs["rollbacks"] = self.rollbacks

    def state_dict(self) -> dict[str, np.ndarray]:
        return {"rollbacks": np.array(self.rollbacks)}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.rollbacks = int(state["rollbacks"])


_CALLBACKS: dict[str, Any] = {"stop": lambda: [], "skip": lambda: [SkipBatches()], "rollback": lambda: [RollBack()]}
ON_NAN = tuple(_CALLBACKS)
"""What a run may do about numbers that are not finite."""


def on_nan(how: str) -> list[Callback]:
    """The callbacks for a way of `ON_NAN`: "stop" with `TrainingDiverged`, "skip" the batch, or "rollback"."""
    return _CALLBACKS[how]()
