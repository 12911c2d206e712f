"""Training steps that repeat: worked out in Python at first, then replayed; on a device that has graphs, as one graph.

A `RepeatedStep` is the steps on batches of one size, `Replays` those of a whole training.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.autodiff.mode import mode
from miniae.backend import Backend, CaptureError
from miniae.backend.recording import Recording
from miniae.backend.repeats import may_repeat
from miniae.data.rows import Order
from miniae.training.notice import warn

if TYPE_CHECKING:
    from miniae.training.callbacks import Callback
    from miniae.training.trainer import Trainer

__all__ = ["GraphFallback", "RepeatedStep", "Replays", "WORTH_RECORDING"]

# Of so many whole batches until the end of training, and so many in an epoch, the few that a recording costs are made
# up for by the others.
WORTH_RECORDING = 16
_LEAST_BATCHES = 4

Compute = Callable[[Order], dict[str, Any]]  # makes a step with the rows of these numbers; returns arrays by name


class GraphFallback(UserWarning):
    """A training step could not be made one graph of the device: its kernels are launched one by one."""


class RepeatedStep:
    """The steps on batches of one size: the first is computed, so that everything is there that is made only once; the
    second is recorded; the third has to make the same calls; all others are replays. Unless a recording of steps in the
    same circumstances is `proven`, the third step is also made both ways, bit for bit.

    When an epoch begins, a step may be computed and compared with the recording once more, as Python may have changed
    something in the meantime; if it makes other calls, it counts as a first one.

    Steps run in an arena. Asked after a step that is recorded, `writing()` gives what is to be called after every
    replay of it. `trouble` says why steps are computed after all, or is empty; `failed` whether that is the recording's
    fault; `recordings` counts the recordings, `is_graph` says whether the last is a graph of the device.
    """

    def __init__(self, backend: Backend, size: int, compute: Compute, writing: Callable[[], Callable[[], None]],
                 proven: bool = False):
        self.backend, self._compute, self._writing = backend, compute, writing
        self.recordings, self.is_graph, self.trouble, self.failed, self.proven = 0, False, "", False, proven
        self._order = Order.of(np.zeros(size, "int64"), backend)  # what a recording refers to
        self._recording: Any = None  # a `Recording`, from the stage that makes it to `_forget`
        self._again: Any = None  # what replays it
        self._next: Callable[[RepeatedStep], Any] = RepeatedStep._first

    def __call__(self, order: Order) -> bool:
        """The next step, with the rows of these numbers; whether it is a replay."""
        self._order.become(order, self.backend)
        replay = self.replaying
        self._next(self)
        if self._recording and self._recording.trouble:
            self.trouble, self.failed = self._recording.trouble, True
            self._forget(RepeatedStep._once)
        return replay

    @property
    def replaying(self) -> bool:
        """Whether the next step is a replay."""
        return self._next is RepeatedStep._replay

    def begin_epoch(self, sure: bool) -> None:
        """Another epoch begins: compute the next step, if it would be a replay, and see whether the recording still
        holds. If that is `sure`, only from time to time."""
        if self.replaying:
            self._age += 1
            if not sure or self._age & (self._age - 1) == 0:
                self._next = RepeatedStep._compare

    def trust(self) -> None:
        """See to nothing in this epoch."""
        if self._next is RepeatedStep._compare:
            self._next = RepeatedStep._replay

    # ---------------------------------------------------------------- the stages

    def _once(self) -> dict[str, Any]:
        return self._compute(self._order)

    def _first(self) -> None:
        self._once()
        self._next = RepeatedStep._record

    def _record(self) -> None:
        self.recordings, self._age = self.recordings + 1, 0
        self._recording = Recording(self.backend, self._once)
        self._written, self._next = self._writing(), RepeatedStep._prove

    def _prove(self) -> None:
        if self.proven:
            self._recording.repeats(self._once)
        else:
            self.proven = self._recording.stands_test(self._once)
        if not self._recording.trouble:
            self._make_graph()
            self._next = RepeatedStep._replay

    def _make_graph(self) -> None:
        """What a replay does: launch a graph, if the device has such; else make the recording's calls."""
        graph = None
        try:
            graph = self.backend.graph(self._recording.replay)
        except CaptureError as why:
            warn(f"training goes on with single kernels instead of a graph: {why}", GraphFallback)
        self.is_graph, self._again = graph is not None, graph or self._recording.replay

    def _compare(self) -> None:
        if self._recording.repeats(self._once):
            self._next = RepeatedStep._replay
        else:
            self._forget(RepeatedStep._record)

    def _replay(self) -> None:
        try:
            self._again()
        finally:
            self._written()

    def _forget(self, go_on: Callable[[RepeatedStep], Any]) -> None:
        """Let go of the recording and its buffers."""
        self._recording, self._again, self._next = None, None, go_on


def _leaves_python_alone(callback: Callback) -> bool:
    """Whether a callback changes nothing of Python's that a step depends on."""
    return callback.only_device and type(callback).__module__.partition(".")[0] == __name__.partition(".")[0]


class Replays:
    """The steps of a trainer: recorded and replayed where that is allowed and worth it, else computed.

    Recordings last until the end of training. Python may have changed something between two epochs: then the first step
    on a whole batch is computed and compared. If it still is the same, so is that on the last batch of the epoch, which
    may be smaller and has a recording of its own. Where all callbacks are the library's and `only_device`, that is done
    in the first epoch after the recording, the second, the fourth, the eighth, ..., and else in every one. Asked after
    a step that is recorded, `writing(trainer)` gives what is to be called after every replay of it. `replayed` counts
    the replays, `graphed` those made by a graph of the device; `not_replayed` says why steps of the last epoch were
    computed, or is empty.
    """

    def __init__(self, trainer: Trainer, writing: Callable[[Trainer], Callable[[], None]]):
        self._trainer = weakref.proxy(trainer)
        self._writing = functools.partial(writing, self._trainer)
        self.replayed, self.graphed, self.not_replayed = 0, 0, ""
        self._compute: Any = None  # a `Compute`, while there is training
        self._steps: dict[int, RepeatedStep] = {}
        self._size = 0  # of whole batches
        self._circumstances: list[Any] = []
        self._proven: list[Any] | None = None  # the circumstances in which a recording has stood its test
        self._wait = self._next_try = 0  # epochs

    def begin_epoch(self, compute: Compute, n: int) -> None:
        """Steps of an epoch over n samples follow, which `compute` makes."""
        self._compute, size_before, self._size = compute, self._size, self._trainer.batch_size
        circumstances_before, self._circumstances = self._circumstances, self._now()
        if (size_before, circumstances_before) != (self._size, self._circumstances):
            self._steps.clear()
        self.not_replayed = self._obstacle(n)
        if self.not_replayed:
            self._steps.clear()
        for step in self._steps.values():
            step.begin_epoch(sure=all(map(_leaves_python_alone, self._trainer.callbacks)))
        self._recordings = self._steps[self._size].recordings if self._size in self._steps else -1

    def __call__(self, order: Order) -> None:
        """The next step."""
        if not self.not_replayed and self._now() != self._circumstances:
            self.not_replayed = "a callback has changed something in the middle of an epoch"
            self._steps.clear()
        if self.not_replayed:
            self._compute(order)
            return
        step = self._step(len(order))
        replay = step(order)
        self.replayed += replay
        self.graphed += replay and step.is_graph

    def end_epoch(self) -> None:
        """Take account; after a recording that was of no use, wait twice as long before the next."""
        whole = self._steps.get(self._size)
        if whole is not None:
            self.not_replayed = whole.trouble
            self._proven = self._circumstances if whole.proven else None
            self._wait = 2 * self._wait + 1 if whole.failed else 0
            self._next_try = self._trainer.epoch + 1 + self._wait

    def end_training(self) -> None:
        """Let go of all recordings and their buffers."""
        self._steps.clear()
        self._compute = None

    def _step(self, size: int) -> RepeatedStep:
        step = self._steps.get(size)
        if step is None:
            step = self._steps[size] = RepeatedStep(self._trainer.backend, size, self._compute, self._writing,
                                                    self._circumstances == self._proven)
        whole = self._steps.get(self._size)
        if whole is not step and whole and whole.replaying and whole.recordings == self._recordings:
            step.trust()
        return step

    def _obstacle(self, n: int) -> str:
        """Why the steps of an epoch over n samples are to be computed, or nothing."""
        trainer, batches = self._trainer, n // self._size
        if not trainer.replay or mode.observer is not None:
            return "it is switched off" if not trainer.replay else "the steps are observed"
        if trainer.guard is not None:
            return "a guard looks at every step"
        if trainer.ranks.size > 1:
            return "ranks share the steps, and have to meet in each"
        if not getattr(trainer.model, "repeatable", False):
            layer = getattr(trainer.model, "unrepeatable", "") or "the model"
            return f"{layer}, or an activation that it holds, does not say `repeats = True`"
        if not trainer.optimizer.repeatable:
            return f"{type(trainer.optimizer).__name__} does not repeat itself, or does not say so"
        if not may_repeat(trainer.clip):
            return "the clip does not say `repeats = True`"
        if trainer.epoch < self._next_try:
            return self.not_replayed
        if batches < _LEAST_BATCHES:
            return f"an epoch has fewer than {_LEAST_BATCHES} whole batches"
        if not self._steps and batches * (trainer.epochs - trainer.epoch) < WORTH_RECORDING:
            return f"training has fewer than {WORTH_RECORDING} whole batches"
        return ""

    def _now(self) -> list[Any]:
        """What a step depends on and Python holds: while it is the same, a recording is good."""
        trainer = self._trainer
        packs = trainer.optimizer.packs
        return [trainer.replay and mode.observer is None, getattr(trainer.model, "training", None), trainer.optimizer,
                trainer.clip, *packs, *[pack.holds_all() for pack in packs],
                *[p.requires_grad for p in trainer.parameters]]
