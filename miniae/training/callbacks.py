"""What happens around training: progress, early stopping, schedules.

A callback is told of events, and may read the trainer, change its optimizer's learning rate or set `trainer.stop`.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.optim.max_norm import bound_norms
from miniae.optim.schedules import Plateau

if TYPE_CHECKING:
    from miniae.nn.parameter import Parameter
    from miniae.training.trainer import Trainer

__all__ = ["Callback", "EarlyStopping", "LearningRate", "MaxNorm", "ProgressBar", "ReduceOnPlateau"]


class Callback:
    """Does nothing; override what you need. `logs` is the epoch's row of the history, and may be added to.

    One that remembers things from epoch to epoch is a `Remembering`, so that a run that goes on later has them too.
    """

    only_device = False
    """Whether, of what steps depend on, it only changes what lives on the device: learning rates, weights."""

    whole_epochs = False
    """Whether a run with it can only go on from between two epochs, as what it needs in an epoch is not all saved."""

    on_first_rank = False
    """Whether, of ranks that train together (`training.ranks`), it is told of training on the first one only."""

    def on_train_begin(self, trainer: Trainer) -> None: ...

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """An epoch begins, or goes on after its middle was restored."""

    def on_batch_end(self, trainer: Trainer, batch: int) -> None: ...

    def on_pause(self, trainer: Trainer) -> None:
        """All callbacks have heard of a batch's end, in which one has set `trainer.pausing`: a run may be saved now."""

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, float]) -> None: ...

    def on_snapshot(self, trainer: Trainer) -> None:
        """`trainer.snapshot` holds the run as the epoch left it, after every callback's `on_epoch_end`."""

    def on_diverged(self, trainer: Trainer, why: ArithmeticError) -> bool:
        """A loss or a weight is not finite. Whether the run has been put into a state from which it can go on."""
        return False

    def on_train_end(self, trainer: Trainer) -> None: ...

    def before_restore(self, trainer: Trainer, epoch: int) -> None:
        """The trainer is about to be put into the state after `epoch` epochs: make its optimizer one that fits."""

    def on_restore(self, trainer: Trainer) -> None:
        """The trainer, and this callback by `load_state_dict`, were put into a saved state."""

    def state_dict(self) -> dict[str, np.ndarray]:
        """What it remembers, as arrays."""
        return {}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Remember what `state_dict` returned."""

    def fixed_settings(self) -> dict[str, Any]:
        """What of it decides the weights, by name: a run goes on from a `Checkpoint` only with the same.

        Nothing, unless a subclass says so: other callbacks may come, go and change when a run goes on.
        """
        return {}


def callback_list(callbacks: Sequence[Callback]) -> list[Callback]:
    """The callbacks as a list. Raises `TypeError` for what is none."""
    if isinstance(callbacks, Callback):
        raise TypeError(f"callbacks is one {type(callbacks).__name__}, expected a list of them: put it in brackets")
    try:
        listed = list(callbacks)
    except TypeError:
        raise TypeError(f"callbacks is {callbacks!r}, expected a list of callbacks") from None
    for one in listed:
        if isinstance(one, type):
            raise TypeError(f"callbacks holds the class {one.__name__}, expected an object: write {one.__name__}()")
        if not isinstance(one, Callback):
            raise TypeError(f"callbacks holds {one!r}, expected objects of subclasses of miniae.training.Callback")
    return listed


class ProgressBar(Callback):
    """A bar with the loss and the time left on a terminal, and a plain line an epoch elsewhere.

    The loss is read from the device a few times a second at most, never once a step.
    """

    only_device = on_first_rank = True

    def __init__(self, title: str = "training", file: Any = None, refresh: float = 0.2):
        self.title, self.file, self.refresh = title, file, refresh
        self._bar: Any = None

    def on_train_begin(self, trainer: Trainer) -> None:
        self._out = self.file or sys.stderr
        self._last = time.perf_counter()
        self._began_at = trainer.epoch
        if self._out.isatty():
            from tqdm import tqdm

            batches = (trainer.epochs - trainer.epoch) * trainer.batches - trainer.done // trainer.batch_size
            self._bar = tqdm(total=batches, desc=self.title, unit="batch", file=self._out, dynamic_ncols=True,
                             mininterval=self.refresh, leave=True)

    def on_batch_end(self, trainer: Trainer, batch: int) -> None:
        if self._bar is None:
            return
        now = time.perf_counter()
        if now - self._last > self.refresh:
            self._last = now
            self._bar.set_postfix_str(f"epoch {trainer.epoch + 1}/{trainer.epochs}, "
                                      f"loss {trainer.running_losses()['loss']:.4g}", refresh=False)
        self._bar.update()

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, float]) -> None:
        text = f"loss {logs['loss']:.4g}" + (f", val_loss {logs['val_loss']:.4g}" if "val_loss" in logs else "")
        if self._bar is not None:
            self._bar.set_postfix_str(f"epoch {trainer.epoch}/{trainer.epochs}, {text}")
            return
        print(f"{self.title}: epoch {trainer.epoch}/{trainer.epochs}, {text}, {logs['seconds']:.2f} s",
              file=self._out, flush=True)

    def on_train_end(self, trainer: Trainer) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Remembering(Callback):
    """A callback that remembers things from epoch to epoch, as long as the training is the same.

    A subclass sets its memory in `forget`, and names it in `state_dict` and `load_state_dict`.
    """

    _trainer: Trainer | None = None

    def forget(self) -> None:
        """Remember nothing, as when it was made."""
        raise NotImplementedError

    def on_train_begin(self, trainer: Trainer) -> None:
        if trainer is not self._trainer or trainer.epoch == 0:
            self.forget()
        self._trainer = trainer

    def on_restore(self, trainer: Trainer) -> None:
        self._trainer = trainer


class EarlyStopping(Remembering):
    """Stops when `monitor` has not fallen by `min_delta` for `patience` epochs; puts the best weights back.

    `monitor` is a name from the history: `val_loss`, or `loss` where there is no validation data. What ends in
    "accuracy" or "likelihood" is larger when it is better: it must rise, and `best` is minus the highest.
    """

    only_device = True

    def __init__(self, patience: int = 10, monitor: str = "val_loss", min_delta: float = 0.0,
                 restore_best: bool = True):
        if patience < 1:
            raise ValueError(f"patience must be at least 1 epoch, got {patience}")
        self.patience, self.monitor, self.min_delta, self.restore_best = patience, monitor, min_delta, restore_best

        self.forget()

    def forget(self) -> None:
        self.best, self.best_epoch = math.inf, 0
        self._best_state: dict[str, np.ndarray] = {}

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, float]) -> None:
        value = monitored(self.monitor, logs)
        if value < self.best - self.min_delta:
            self.best, self.best_epoch = value, trainer.epoch
            self._best_state = trainer.model.state_dict() if self.restore_best else {}
        elif trainer.epoch - self.best_epoch >= self.patience:
            trainer.stop = True

    def on_train_begin(self, trainer: Trainer) -> None:
        super().on_train_begin(trainer)
        self._stop_if_late(trainer)

    def on_restore(self, trainer: Trainer) -> None:
        super().on_restore(trainer)
        self._stop_if_late(trainer)

    def _stop_if_late(self, trainer: Trainer) -> None:
        """End a training that goes on after it had been stopped: not one that this callback is new to."""
        if self.best < math.inf and trainer.epoch - self.best_epoch >= self.patience:
            trainer.stop = True

    def on_train_end(self, trainer: Trainer) -> None:
        if self._best_state:
            trainer.model.load_state_dict(self._best_state)

    def state_dict(self) -> dict[str, np.ndarray]:
        weights = {f"weights.{name}": a for name, a in self._best_state.items()}
        return {"best": np.array(self.best), "best_epoch": np.array(self.best_epoch), **weights}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.best, self.best_epoch = float(state["best"]), int(state["best_epoch"])
        prefix = "weights."
        self._best_state = {name.removeprefix(prefix): a for name, a in state.items() if name.startswith(prefix)}


class LearningRate(Callback):
    """Makes the learning rate `trainer.base_lr` times `schedule(epoch)`, the epoch counted from 0 (optim.schedules)."""

    only_device = True

    def __init__(self, schedule: Callable[[int], float]):
        self.schedule = schedule

    def on_epoch_begin(self, trainer: Trainer) -> None:
        trainer.optimizer.lr = trainer.base_lr * self.schedule(trainer.epoch)


class MaxNorm(Callback):
    """After every update, scales the weights into each unit of a layer down to at most this length (`bound_norms`).

    Those layers count that have a `unit_axis`: dense and convolutional ones. `parameters` are those that it may change,
    all of them by default.
    """

    only_device = True

    def __init__(self, limit: float, parameters: Sequence[Parameter] | None = None):
        if not 0 < limit < math.inf:
            raise ValueError(f"max_norm must be a finite number above 0, got {limit!r}")
        self.limit, self.parameters = float(limit), parameters

    def on_train_begin(self, trainer: Trainer) -> None:
        bounded = {id(p) for p in (trainer.model.parameters() if self.parameters is None else self.parameters)}
        self._layers = [layer for _, layer in trainer.model.named_layers()
                        if layer.unit_axis is not None and id(layer.weight) in bounded]

    def on_batch_end(self, trainer: Trainer, batch: int) -> None:
        for layer in self._layers:
            bound_norms(trainer.backend, layer.weight._data, self.limit, layer.unit_axis)

    def fixed_settings(self) -> dict[str, Any]:
        return {"max_norm": self.limit}


class ReduceOnPlateau(Remembering):
    """Multiplies the learning rate by `factor` when `monitor` has not fallen for longer than `patience` epochs.

    The rules are those of `optim.schedules.Plateau`. It never goes below `min_lr`, unless a schedule multiplies it too.
    What is larger when it is better (see `EarlyStopping`) counts with its sign turned.
    """

    only_device = True

    def __init__(self, factor: float = 0.5, patience: int = 5, monitor: str = "val_loss", min_lr: float = 0.0):
        self.factor, self.patience, self.monitor, self.min_lr = factor, patience, monitor, min_lr
        self.forget()

    def forget(self) -> None:
        self._plateau = Plateau(self.factor, self.patience)

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, float]) -> None:
        before = self._plateau.value
        if self._plateau.observe(monitored(self.monitor, logs)) < before:
            rate = trainer.optimizer.lr
            trainer.optimizer.lr = max(rate * self.factor, min(self.min_lr, rate))
            trainer.base_lr = max(trainer.base_lr * self.factor, min(self.min_lr, trainer.base_lr))  # for schedules

    def state_dict(self) -> dict[str, np.ndarray]:
        plateau = self._plateau
        return {"best": np.array(plateau.best), "waited": np.array(plateau.waited), "value": np.array(plateau.value)}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self._plateau.best, self._plateau.value = float(state["best"]), float(state["value"])
        self._plateau.waited = int(state["waited"])


_LARGER_IS_BETTER = ("accuracy", "likelihood")


def monitored(name: str, logs: dict[str, float]) -> float:
    """The value of that name in an epoch's logs; minus it, where larger is better: accuracies, likelihoods.

    Raises `ValueError`, naming what there is, when it is missing.
    """
    if name not in logs:
        raise ValueError(f"nothing called {name!r} to watch: this training reports {', '.join(logs)}. "
                         "Give validation data, or choose one of these")
    return -logs[name] if name.endswith(_LARGER_IS_BETTER) else logs[name]
