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
from miniae.autodiff.mode import mode, observed
from miniae.backend.arena import Arena
from miniae.backend.philox import host_generator
from miniae.backend.repeats import may_repeat
from miniae.data.rows import Order, Rows, rows_on
from miniae.nn.parameter import Parameter
from miniae.optim import Optimizer
from miniae.training.callbacks import Callback
from miniae.training.estimator import check_count
from miniae.training.replay import RepeatedStep
from miniae.training.snapshot import Snapshot

# Of so many whole batches in an epoch, the few that a recording costs are made up for by the others.
WORTH_RECORDING = 16


class TrainingDiverged(ArithmeticError):
    """The loss or a weight is no longer a finite number. The run is put back to the last epoch that ended well."""


class Trainable(Protocol):
    """What the trainer needs of a model. With an attribute `repeatable` that is true, steps may be replayed."""

    def loss_terms(self, *batch: Tensor) -> dict[str, Tensor]:
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
    terms, `lr`, `seconds`, `samples_per_second`. Most steps are replayed from a recording (see `RepeatedStep`), unless
    `trainer.replay` is set to False; `trainer.replayed` counts them, over all epochs, and `trainer.not_replayed` says
    why those of the last epoch were computed, or is empty. `trainer.base_lr` is the optimizer's learning rate before
    any schedule has changed it, `trainer.snapshot` the run's state after the last epoch.
    """

    def __init__(self, model: Trainable, optimizer: Optimizer, *, batch_size: int = 128, seed: int = 0,
                 clip: Callable[[Optimizer], None] | None = None, callbacks: Sequence[Callback] = ()):
        self.model, self.optimizer, self.clip = model, optimizer, clip
        self.batch_size, self.seed = check_count("batch_size", batch_size), check_count("seed", seed, least=0)
        self.callbacks = list(callbacks)
        self.backend = model.parameters()[0].backend
        self.dtype = model.parameters()[0].dtype
        self.base_lr = optimizer.lr
        self.history: list[dict[str, float]] = []
        self.epoch = 0  # how many epochs are complete
        self.epochs = 0  # how many there will be
        self.batches = 0  # how many batches an epoch has
        self.stop = False  # a callback sets this to end training after the epoch
        self.replay = True  # whether steps may be replayed: see RepeatedStep
        self.replayed, self.not_replayed = 0, ""  # how many steps were; why those of the last epoch were not
        self._wait = self._next_try = 0  # epochs
        self._proven: list[Any] | None = None  # the circumstances in which a recording has stood its test
        self._parameters = model.parameters()
        self._arenas: dict[tuple[int, bool], Arena] = {}
        self._totals: dict[str, Any] = {}
        self._seen = 0
        self.snapshot = Snapshot.of(self)

    def fit(self, data: Any, epochs: int, validation: Any = None) -> list[dict[str, float]]:
        """Train until `epochs` epochs are complete in all; return the history.

        `data` is an array (N, ...), or a tuple of arrays of the same N that `loss_terms` takes one batch of each of.
        Of floats in a mapped file, and of what is `data.rows.Kept`, one batch at a time is read and converted.
        `validation`, of the same form, is evaluated after every epoch. Raises `TrainingDiverged` when the loss or
        a weight stops being finite. After a `KeyboardInterrupt` the model is usable as it stood.
        """
        rows = self._rows(data)
        held_out = None if validation is None else self._rows(validation)
        self.epochs, self.stop = check_count("epochs", epochs, least=0), False
        self.batches = -(-len(rows[0]) // self.batch_size)
        self._tell("on_train_begin")
        self.snapshot = Snapshot.of(self)
        try:
            while self.epoch < self.epochs and not self.stop:
                self._tell("on_epoch_begin")
                self.history.append(self._run_epoch(rows, held_out))
                self.epoch += 1
                self._tell("on_epoch_end", self.history[-1])
                self.snapshot = self._checked_snapshot()
                self._tell("on_snapshot")
        except TrainingDiverged:
            self.snapshot.put_back(self)
            raise
        except KeyboardInterrupt:
            if not Snapshot.of(self).is_finite():
                self.snapshot.put_back(self)
            raise
        finally:
            self.model.train(False)
            self._arenas.clear()
            del rows, held_out
            self.backend.release()
            with contextlib.ExitStack() as ends:  # every callback gets its turn, whatever happens in another's
                for callback in reversed(self.callbacks):
                    ends.callback(callback.on_train_end, self)
        return self.history

    def _checked_snapshot(self) -> Snapshot:
        """The run as it stands. Raises `TrainingDiverged` if the last update has spoiled the weights."""
        snapshot = Snapshot.of(self)
        if not snapshot.is_finite():
            raise TrainingDiverged(f"the weights are no longer finite after epoch {self.epoch}: {self._advice()}")
        return snapshot

    def evaluate(self, data: Any) -> dict[str, float]:
        """The loss and its terms on `data`, as means over samples, in the model's deterministic behaviour.

        In the middle of an epoch, from a callback, it leaves the epoch as it is.
        """
        training, totals, seen = getattr(self.model, "training", False), self._totals, self._seen
        try:
            return self._evaluated(self._rows(data))
        finally:
            self.model.train(training)
            self._totals, self._seen = totals, seen

    def _evaluated(self, rows: tuple[Rows, ...]) -> dict[str, float]:
        self.model.train(False)
        self._forget_totals()
        order, compute = Order.of(np.arange(len(rows[0])), self.backend), functools.partial(self._loss, rows)
        with no_grad():
            for part in self._loaded(rows, order):
                self._add_up(compute, part, update=False)
        return self.running_losses()

    def running_losses(self) -> dict[str, float]:
        """The means so far of this epoch's loss terms, and their sum as `loss`. Waits for the device.

        Raises `TrainingDiverged` when one is not finite.
        """
        terms = {name: float(self.backend.to_host(total)) / max(self._seen, 1) for name, total in self._totals.items()}
        for name, value in terms.items():
            if not math.isfinite(value):
                raise TrainingDiverged(
                    f"the {name} loss became {value} in epoch {self.epoch + 1}: {self._advice()}")
        return {"loss": sum(terms.values()), **terms}

    def _advice(self) -> str:
        return (f"lower the learning rate (it is {self.optimizer.lr:g}), clip the gradient, or check the data for "
                "extreme values")

    # ---------------------------------------------------------------- one epoch, one step

    def _run_epoch(self, rows: tuple[Rows, ...], held_out: tuple[Rows, ...] | None) -> dict[str, float]:
        began = time.perf_counter()
        n, size = len(rows[0]), self.batch_size
        order = Order.of(host_generator(self.seed, "shuffle", self.epoch).permutation(n), self.backend)
        self.model.train(True)
        self._forget_totals()
        compute = functools.partial(self._step, rows)
        circumstances = self._circumstances()
        repeated = self._repeated(compute, n, circumstances == self._proven)
        try:
            for batch, part in enumerate(self._loaded(rows, order)):
                if repeated and not repeated.trouble and self._circumstances() != circumstances:
                    repeated.stop("a callback has changed something in the middle of an epoch")
                whole = repeated and len(part) == size
                self._add_up(repeated if whole else compute, part, update=True)
                self._tell("on_batch_end", batch)
        finally:
            if repeated:
                self._take_account(repeated)
                self._proven = circumstances if repeated.proven else None
        logs = {"epoch": self.epoch + 1, **self.running_losses()}
        seconds = time.perf_counter() - began
        if held_out is not None:
            logs |= {f"val_{name}": value for name, value in self._evaluated(held_out).items()}
        return logs | {"lr": self.optimizer.lr, "seconds": seconds, "samples_per_second": n / max(seconds, 1e-9)}

    def _repeated(self, compute: Callable[[Order], dict[str, Any]], n: int, proven: bool) -> RepeatedStep | None:
        """The steps of an epoch over n samples as such that may be replayed, if that is allowed and worth it."""
        if not self.replay or mode.observer is not None:
            self.not_replayed = "it is switched off" if not self.replay else "the steps are observed"
        elif not getattr(self.model, "repeatable", False):
            self.not_replayed = "a layer or an activation of the model does not say `repeats = True`"
        elif not self.optimizer.repeatable:
            self.not_replayed = f"{type(self.optimizer).__name__} does not repeat itself, or does not say so"
        elif not may_repeat(self.clip):
            self.not_replayed = "the clip does not say `repeats = True`"
        elif n // self.batch_size < WORTH_RECORDING:
            self.not_replayed = f"an epoch has fewer than {WORTH_RECORDING} whole batches"
        elif self.epoch >= self._next_try:
            return RepeatedStep(self.backend, self.batch_size, compute, self._writing, proven)
        return None

    def _circumstances(self) -> list[Any]:
        """What a step depends on and Python holds: while it is the same, a recording is good."""
        packs = self.optimizer.packs
        return [self.replay and mode.observer is None, getattr(self.model, "training", None),
                self.optimizer, self.clip, *packs, *[pack.holds_all() for pack in packs],
                *[p.requires_grad for p in self._parameters]]

    def _writing(self) -> Callable[[], None]:
        """A function to call after a replay of the step that was just made: weights and gradients have been written."""
        with_gradient = [p for p in self._parameters if p.grad is not None]

        def written() -> None:
            self.optimizer.written()
            for p in with_gradient:
                p.hold_grad()

        return written

    def _take_account(self, repeated: RepeatedStep) -> None:
        """Count the replays of an epoch; after a recording that was of no use, wait twice as long before the next."""
        self.replayed, self.not_replayed = self.replayed + repeated.replays, repeated.trouble
        self._wait = 2 * self._wait + 1 if repeated.failed else 0
        self._next_try = self.epoch + 1 + self._wait
        repeated.stop(repeated.trouble)  # its buffers are not wanted any more

    def _add_up(self, compute: Callable[[Order], dict[str, Any]], order: Order, update: bool) -> None:
        """One batch: its loss terms, as `compute` finds them, added to the totals."""
        n = len(order)
        arena = self._arenas.setdefault((n, update), Arena(self.backend.allocate))
        with self.backend.arena(arena), self.backend.silent():  # running_losses looks for what is not finite
            for name, term in compute(order).items():
                if name not in self._totals:
                    self._totals[name] = self.backend.zeros((), self.dtype)
                weighted = self.backend.multiply(term, float(n))
                self.backend.add(self._totals[name], weighted, out=self._totals[name])
        self._seen += n

    def _step(self, rows: tuple[Rows, ...], order: Order) -> dict[str, Any]:
        """One minibatch for the optimizer to lower the loss of; return every term as it was first evaluated."""
        first: dict[str, Any] = {}

        def evaluate() -> Tensor:
            self.backend.rewind(self.optimizer.phase)
            self.optimizer.zero_grad()
            terms = self._terms(rows, order)
            loss, *others = terms.values()
            for term in others:
                loss = loss + term
            loss.backward()
            if self.clip is not None:
                self.clip(self.optimizer)
            for name, term in terms.items():
                first.setdefault(name, term._data)
            return loss

        observed("optimizer", self.optimizer.minimize, lambda: observed("loss and gradient", evaluate))
        return first

    def _loss(self, rows: tuple[Rows, ...], order: Order) -> dict[str, Any]:
        return {name: term._data for name, term in self._terms(rows, order).items()}

    def _terms(self, rows: tuple[Rows, ...], order: Order) -> dict[str, Tensor]:
        be = self.backend
        batch = [Tensor._wrap(observed("data feeding", be.as_kernel, r.batch, order), be) for r in rows]
        return self.model.loss_terms(*batch)

    # ---------------------------------------------------------------- the rest

    def _loaded(self, rows: tuple[Rows, ...], order: Order) -> Iterator[Order]:
        """An order batch by batch, each as soon as its rows are loaded: what comes from the host comes before the step.

        Another `batch_size` that is set in the meantime is for the next epoch.
        """
        size = self.batch_size
        part: Order | None = order[:size]
        for end in range(size, len(order) + size, size):
            following = order[end:end + size] if end < len(order) else None
            for r in rows:
                r.load(part, following)
            yield part
            part = following

    def _forget_totals(self) -> None:
        self._totals, self._seen = {}, 0

    def _tell(self, event: str, *args: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self, *args)

    def _rows(self, data: Any) -> tuple[Rows, ...]:
        """The arrays of `data` as rows for batches on the model's backend."""
        arrays = data if isinstance(data, tuple) else (data,)
        rows = tuple(rows_on(self.backend, self.dtype, a._data if isinstance(a, Tensor) else a) for a in arrays)
        if len(rows[0]) == 0:
            raise ValueError("there are no samples to work on: the data has length 0")
        if len({len(r) for r in rows}) > 1:
            raise ValueError(f"the arrays have different numbers of samples: {[len(r) for r in rows]}")
        return rows
