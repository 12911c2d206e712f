"""The training loop: batches, loss, gradients, update; and everything around it left to callbacks."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from miniae.autodiff import Tensor, no_grad
from miniae.backend.arena import Arena
from miniae.backend.philox import host_generator
from miniae.backend.sharing import ALONE, current_ranks, sharing, use_ranks
from miniae.data.rows import Order, Rows, shuffled
from miniae.nn.parameter import Parameter
from miniae.optim import Optimizer
from miniae.training.batches import batches, rows_of
from miniae.training.callbacks import Callback, callback_list
from miniae.training.estimator import check_count
from miniae.training.identity import settings_of
from miniae.training.ranks import any_rank, check_alike, check_data
from miniae.training.replay import Replays
from miniae.training.snapshot import Snapshot
from miniae.training.step import after_replay, evaluation_step, training_step
from miniae.training.totals import Totals
from miniae.training.trouble import TrainingDiverged

# Ranks that train together ask one another whether to stop after every so many batches: a message that can wait.
_CHECKED = 8


def epochs_for(updates: int, samples: int, batch_size: int) -> int:
    """In how many epochs an optimizer makes at least so many updates: ceil(updates / ceil(samples / batch_size))."""
    return math.ceil(updates / math.ceil(samples / batch_size))


class Trainable(Protocol):
    """What the trainer needs of a model. With an attribute `repeatable` that is true, steps may be replayed."""

    @property
    def loss_terms(self) -> Callable[..., dict[str, Tensor]]:
        """The terms of the loss on one batch, by name. Training minimises their sum."""

    def parameters(self) -> list[Parameter]: ...

    def train(self, mode: bool = True) -> Any: ...

    def state_dict(self) -> dict[str, np.ndarray]: ...

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None: ...


class Trainer:
    """Minimises a model's loss, minibatch by minibatch.

    The optimizer's `minimize` evaluates the loss of a minibatch, once or, in a line search, more often; reports count
    every term's first value. `clip` is called with the optimizer between backward and the update, to bound the gradient
    (see `optim.clipping`). Batches are shuffled anew every epoch from `seed`, the last one may be smaller, and the loss
    of an epoch is the mean over its samples.

        trainer = Trainer(model, Adam(model.parameters(), lr=1e-3), callbacks=[ProgressBar()])
        history = trainer.fit(X, epochs=20, validation=X_val)

    `autodiff.observe` is told of the stages of a step: "optimizer", in it "loss and gradient", in that "data feeding".
    Data that come from the host are also fed before the step.

    `trainer.history` is a list of one dict an epoch: `epoch` (from 1), `loss`, every term by name, `val_loss` and its
    terms, `lr`, `seconds`, `samples_per_second`. Most steps are replayed from a recording, on a GPU as one graph,
    unless `trainer.replay` is set to False; `trainer.replays` says how many (see `Replays`). `trainer.base_lr` is the
    optimizer's learning rate before any schedule has changed it, `trainer.snapshot` the run's state after the last
    epoch. A run that was put into a state from the middle of an epoch (`restore`) goes on there, once it has told
    `on_epoch_begin` again. `trainer.guard`, if a callback sets one, is called with a loss right after backward, and may
    raise `Skip`; steps are not replayed then.

    Within `use_ranks(ranks)`, processes that each call `fit` with the same data train one model together, and have the
    same history and weights: see `training.ranks`.
    """

    def __init__(self, model: Trainable, optimizer: Optimizer, *, batch_size: int = 128, seed: int = 0,
                 clip: Callable[[Optimizer], None] | None = None, callbacks: Sequence[Callback] = ()):
        self.model: Any = model  # of which callbacks know more than a trainer
        self.optimizer, self.clip = optimizer, clip
        self.batch_size, self.seed = check_count("batch_size", batch_size), check_count("seed", seed, least=0)
        self.callbacks = callback_list(callbacks)
        self.backend = model.parameters()[0].backend
        self.dtype = model.parameters()[0].dtype
        self.base_lr = optimizer.lr
        self.history: list[dict[str, float]] = []
        self.epoch = 0  # how many epochs are complete
        self.epochs = 0  # how many there will be
        self.batches = 0  # how many batches an epoch has
        self.samples = 0  # how many samples an epoch has
        self.data: Any = None  # what training is to be on, in `on_train_begin`
        self.held_out: Any = None  # and what is held out
        self.settings: dict[str, Any] | None = None  # what it trains by, as `fit` found it at first (`settings_of`)
        self.done = 0  # how many samples of this epoch are done
        self.began = 0.0  # when this epoch did, by time.perf_counter()
        self.stop = False  # a callback sets this to end training after the epoch
        self.pausing = False  # a callback sets this in `on_batch_end` to have `on_pause` told
        self.guard: Callable[[Tensor], None] | None = None
        self.replay = True  # whether steps may be replayed
        self.ranks = ALONE  # those that train together, since `fit` began
        self._begin_replays()
        self.parameters = model.parameters()
        self._arenas: dict[tuple[int, bool], Arena] = {}
        self.totals = Totals(self.backend, self.dtype)
        self._held_out_totals = Totals(self.backend, self.dtype)
        self.snapshot = Snapshot.of(self)

    def _begin_replays(self) -> None:
        self.replays = Replays(self, after_replay)
        self._validations = Replays(self, lambda trainer: lambda: None)  # which write nothing

    def __getstate__(self) -> dict[str, Any]:
        """All but the replays and the ranks: a copy, or what is read from a pickle, begins its own."""
        return {name: value for name, value in vars(self).items() if name not in ("replays", "_validations", "ranks")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.ranks = ALONE
        self._begin_replays()

    def fit(self, data: Any, epochs: int, validation: Any = None) -> list[dict[str, float]]:
        """Train until `epochs` epochs are complete in all; return the history.

        `data` is an array (N, ...), or a tuple of arrays of the same N that `loss_terms` takes one batch of each of.
        Of floats in a mapped file, of what is `data.rows.Kept`, and of a `data.Stream`, one batch at a time is read and
        converted.
        `validation`, of the same form, is evaluated after every epoch. Raises `TrainingDiverged` when the loss or
        a weight stops being finite. After a `KeyboardInterrupt` the model is usable as it stood.
        """
        rows = rows_of(data, self.backend, self.dtype)
        held_out = None if validation is None else rows_of(validation, self.backend, self.dtype)
        self.ranks = current_ranks()
        self.epochs, self.stop = check_count("epochs", epochs, least=0), False
        if self.done and self.samples != len(rows[0]):
            raise ValueError(f"the run stands in the middle of an epoch of {self.samples} samples, got {len(rows[0])}: "
                             "go on with the same data")
        self.samples, self.batches = len(rows[0]), -(-len(rows[0]) // self.batch_size)
        self.data, self.held_out = data, validation
        if self.settings is None or not (self.epoch or self.done):  # later on, callbacks may have changed some
            self.settings = settings_of(self)
        try:
            self._tell("on_train_begin")
        finally:
            self.data = self.held_out = None
        self.keep()
        check_alike(self.ranks, "before training", self.snapshot, samples=len(rows[0]), batch_size=self.batch_size,
                    epochs=epochs, done=self.done, arrays=len(rows),
                    **{"held-out samples": len(held_out[0]) if held_out else 0})
        for some in (data,) if validation is None else (data, validation):
            check_data(self.ranks, some, self.backend)
        try:
            while self.epoch < self.epochs and not self.stop:
                try:
                    self._next_epoch(rows, held_out)
                except TrainingDiverged as why:
                    if self.ranks.size > 1 and not why.on_all_ranks:  # the others are still at it
                        raise
                    if not any([callback.on_diverged(self, why) for callback in self.callbacks]):
                        raise
        except TrainingDiverged:
            self.snapshot.put_back(self)
            raise
        except KeyboardInterrupt:
            if not Snapshot.of(self).is_finite():
                self.snapshot.put_back(self)
            raise
        finally:
            self.done = 0  # what was begun of an epoch is begun again, unless a state from its middle is put back
            self.model.train(False)
            self.replays.end_training()
            self._validations.end_training()
            self._arenas.clear()
            for r in (*rows, *(held_out or ())):
                r.close()
            with contextlib.ExitStack() as ends:  # every callback gets its turn, whatever happens in another's
                for callback in reversed(self.callbacks):
                    if self.ranks.rank == 0 or not callback.on_first_rank:
                        ends.callback(callback.on_train_end, self)
        return self.history

    def keep(self) -> None:
        """Make the run as it stands the one to go back to."""
        self.snapshot = Snapshot.of(self)

    def _next_epoch(self, rows: tuple[Rows, ...], held_out: tuple[Rows, ...] | None) -> None:
        self._tell("on_epoch_begin")
        self.history.append(self._run_epoch(rows, held_out))
        self.epoch, self.done = self.epoch + 1, 0
        self._tell("on_epoch_end", self.history[-1])
        self.history[-1].update((name, value.tolist()) for name, value in self.history[-1].items()
                                if isinstance(value, (np.generic, np.ndarray)))  # what files of JSON can hold
        self.snapshot = self._checked_snapshot()
        self.stop = any_rank(self.ranks, self.stop)
        self._tell("on_snapshot")

    def _checked_snapshot(self) -> Snapshot:
        """The run as it stands. Raises `TrainingDiverged` if the last update has spoiled the weights."""
        snapshot = Snapshot.of(self)
        if not snapshot.is_finite():
            raise TrainingDiverged(f"the weights are no longer finite after epoch {self.epoch}: {self._advice()}",
                                   on_all_ranks=True)
        check_alike(self.ranks, f"after epoch {self.epoch}", snapshot)
        return snapshot

    def evaluate(self, data: Any) -> dict[str, float]:
        """The loss and its terms on `data`, as means over samples, in the model's deterministic behaviour.

        In the middle of an epoch, from a callback, it leaves the epoch as it is.
        """
        training, rows = getattr(self.model, "training", False), rows_of(data, self.backend, self.dtype)
        totals = Totals(self.backend, self.dtype)
        try:
            self.model.train(False)
            with use_ranks(ALONE):  # not all ranks may have been asked
                return self._evaluated(rows, totals, functools.partial(evaluation_step, self, rows, totals))
        finally:
            self.model.train(training)

    def _validated(self, rows: tuple[Rows, ...]) -> dict[str, float]:
        """What `evaluate` gives; in most epochs by replays."""
        self.model.train(False)
        totals = self._held_out_totals
        totals.clear()
        self._validations.begin_epoch(functools.partial(evaluation_step, self, rows, totals), len(rows[0]))
        try:
            return self._evaluated(rows, totals, self._validations)
        finally:
            self._validations.end_epoch()

    def _evaluated(self, rows: tuple[Rows, ...], totals: Totals, step: Callable[[Order], Any]) -> dict[str, float]:
        """The means of the losses that `step` adds to the totals, batch by batch; the model does not learn."""
        order = Order.of(np.arange(len(rows[0])), self.backend)
        with no_grad():
            for part, share in batches(rows, order, self.batch_size):
                with self._arena(len(part), update=False), sharing(share):
                    step(part)
                totals.samples += share.total
        return self._losses(totals)

    def running_losses(self) -> dict[str, float]:
        """The means so far of this epoch's loss terms, and their sum as `loss`. Waits for the device.

        Raises `TrainingDiverged` when one is not finite; where ranks train together, when the epoch is over for all.
        """
        return self._losses(self.totals, within=True)

    def _losses(self, totals: Totals, within: bool = False) -> dict[str, float]:
        terms = totals.means()
        for name, value in terms.items():
            if not math.isfinite(value) and not (within and self.ranks.size > 1):
                raise TrainingDiverged(
                    f"the {name} loss became {value} in epoch {self.epoch + 1}: {self._advice()}",
                    on_all_ranks=current_ranks().size > 1)
        return {"loss": sum(terms.values()), **terms}

    def _advice(self) -> str:
        return (f"lower the learning rate (it is {self.optimizer.lr:g}), clip the gradient, or check the data for "
                "extreme values")

    def _run_epoch(self, rows: tuple[Rows, ...], held_out: tuple[Rows, ...] | None) -> dict[str, float]:
        n = len(rows[0])
        order = Order.of(shuffled(rows, host_generator(self.seed, "shuffle", self.epoch)), self.backend)
        self.model.train(True)
        if not self.done:
            self.began = time.perf_counter()
            self.totals.clear()
        self.replays.begin_epoch(functools.partial(training_step, self, rows), n)
        try:
            begun = self.done // self.batch_size
            for batch, (part, share) in enumerate(batches(rows, order[self.done:], self.batch_size), begun):
                with self._arena(len(part), update=True), sharing(share):
                    self.replays(part)
                self.totals.samples += share.total
                self.done += share.total
                self._tell("on_batch_end", batch)
                if self.pausing:
                    self.pausing = False
                    self._tell("on_pause")
                if batch % _CHECKED == 0:
                    self.ranks.check()
        finally:
            self.replays.end_epoch()
        if not self.totals.samples:
            raise TrainingDiverged(f"every batch of epoch {self.epoch + 1} was left out: {self._advice()}",
                                   on_all_ranks=True)
        logs = {"epoch": self.epoch + 1, **self._losses(self.totals)}
        seconds = time.perf_counter() - self.began
        if held_out is not None:
            logs |= {f"val_{name}": value for name, value in self._validated(held_out).items()}
        return logs | {"lr": self.optimizer.lr, "seconds": seconds, "samples_per_second": n / max(seconds, 1e-9)}

    @contextlib.contextmanager
    def _arena(self, n: int, update: bool) -> Iterator[None]:
        """A block for a step on n samples, whose buffers are those of the last such step."""
        arena = self._arenas.get((n, update))
        if arena is None:
            arena = self._arenas[n, update] = Arena(self.backend.allocate)
        with self.backend.arena(arena), self.backend.silent():  # running_losses looks for what is not finite
            yield

    def _tell(self, event: str, *args: Any) -> None:
        for callback in self.callbacks:
            if self.ranks.rank == 0 or not callback.on_first_rank:
                getattr(callback, event)(self, *args)
