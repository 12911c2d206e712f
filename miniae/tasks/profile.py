"""Where the time of a training step goes: function by function, forward and backward, and what is around them."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from miniae.autodiff import Tensor, observe
from miniae.tasks.config import RunConfig
from miniae.tasks.run import Run
from miniae.training import Callback, Trainer, check_count

__all__ = ["Part", "Profile", "Profiler", "profile"]

_REST = ("the rest", (), "")  # the tape itself, sums of gradients, clipping, totals of the loss


@dataclass(frozen=True)
class Part:
    """A function with inputs of these shapes, or a stage of training, which has none.

    `milliseconds` a step by direction: "forward" and "backward" of functions, "" of stages. `calls` is how often a step
    applies the function.
    """

    name: str
    shapes: tuple[tuple[int, ...], ...]
    calls: float
    milliseconds: dict[str, float]

    @property
    def total(self) -> float:
        """Milliseconds a step."""
        return sum(self.milliseconds.values())

    @property
    def inputs(self) -> str:
        """The shapes of the inputs, as text: 128x784, 784x32, 32."""
        return ", ".join("x".join(map(str, shape)) or "1" for shape in self.shapes)


@dataclass(frozen=True)
class Profile:
    """The parts of a step, longest first; they add up to `milliseconds`. `title` says what was trained on what.

    `backend` is the name of the one that was waited for after every part. `replayed` is how many milliseconds a step
    takes when it is replayed from a recording, as most are in training; None if these steps can't be.
    """

    title: str
    backend: str
    parts: list[Part]
    replayed: float | None = None

    @property
    def milliseconds(self) -> float:
        """A whole step's."""
        return sum(part.total for part in self.parts)

    def table(self) -> str:
        """A row for every part: its inputs, calls, milliseconds a step, and share of the step."""
        rows: list[tuple[str, ...]] = [("", "inputs", "calls", "forward", "backward", "ms a step", "share")]
        for part in self.parts:
            directions = [f"{part.milliseconds[d]:.3f}" if d in part.milliseconds else ""
                          for d in ("forward", "backward")]
            rows.append((part.name, part.inputs, f"{part.calls:g}" if part.shapes else "", *directions,
                         f"{part.total:.3f}", f"{100 * part.total / self.milliseconds:.1f} %"))
        rows.append(("a step", "", "", "", "", f"{self.milliseconds:.3f}", "100.0 %"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(f"{cell:{'<' if i < 2 else '>'}{width}}" for i, (cell, width) in
                                   enumerate(zip(row, widths, strict=True))).rstrip() for row in rows)


class Profiler(Callback):
    """Takes the time of every part of the training steps after the first `warmup` ones of an epoch, to its last.

    It waits for the device before each look at the clock. What it costs itself is in no part. The steps of a second
    epoch are not taken apart.
    """

    only_device = True
    _spent: Any  # in this step, as in `steps`
    _inside: float  # the time of the parts in the one that is at work
    _began: float

    def __init__(self, warmup: int = 5):
        self.warmup = check_count("warmup", warmup)
        self.steps: list[Counter[tuple[Any, ...]]] = []  # for each the seconds of (name, shapes, direction)
        self.whole: list[float] = []  # the seconds of each step of the second epoch
        self._calls: Counter[tuple[Any, ...]] = Counter()
        self._observing = contextlib.ExitStack()

    def parts(self) -> list[Part]:
        """Means over the middle half of the steps, in the order of how long they took: others were disturbed."""
        steps = sorted(self.steps, key=Counter.total)
        steps = steps[len(steps) // 4:len(steps) - len(steps) // 4]
        found: dict[tuple[Any, ...], dict[str, float]] = {}
        for name, shapes, direction in {key: None for step in steps for key in step}:
            seconds = sum(step[name, shapes, direction] for step in steps) / len(steps)
            found.setdefault((name, shapes), {})[direction] = 1e3 * seconds
        parts = [Part(name, shapes, self._calls[name, shapes, "forward"] / len(self.steps), milliseconds)
                 for (name, shapes), milliseconds in found.items()]
        return sorted(parts, key=lambda part: -part.total)

    def on_train_begin(self, trainer: Trainer) -> None:
        self._synchronize = trainer.backend.synchronize

    def on_batch_end(self, trainer: Trainer, batch: int) -> None:
        now = self._now()
        if trainer.epoch > 0:
            self.whole.append(now - self._began)
        elif batch >= self.warmup:
            self._spent[_REST] += now - self._began - self._inside
            self.steps.append(self._spent)
        if trainer.epoch == 0 and batch == self.warmup - 1:
            self._observing.enter_context(observe(self._timed))
        if batch == trainer.batches - 1:
            self._observing.close()
        self._spent, self._inside, self._began = Counter(), 0.0, self._now()

    def on_train_end(self, trainer: Trainer) -> None:
        self._observing.close()
        self.replayed = trainer.replays.replayed

    def milliseconds_replayed(self) -> float | None:
        """Of a step, the median over those of the second epoch; None if they were computed."""
        return 1e3 * statistics.median(self.whole) if self.replayed > len(self.whole) / 2 else None

    def _timed(self, what: Any, compute: Callable[..., Any], *arguments: Any) -> Any:
        """compute(*arguments); its time, without that of the parts in it, is added to its own."""
        entered = time.perf_counter()
        outer, self._inside = self._inside, 0.0
        began = self._now()
        result = compute(*arguments)
        took = self._now() - began - self._inside
        key = _key(what, compute)
        self._spent[key] += took
        self._calls[key] += 1
        self._inside = outer + time.perf_counter() - entered
        return result

    def _now(self) -> float:
        self._synchronize()
        return time.perf_counter()


def _key(what: Any, compute: Callable[..., Any]) -> tuple[Any, ...]:
    """The (name, shapes, direction) of what is observed."""
    if isinstance(what, str):
        return _REST if what == "loss and gradient" else (what, (), "")
    return what.name, tuple(t.shape for t in what.inputs if isinstance(t, Tensor)), compute.__name__


def profile(config: RunConfig, steps: int = 40, warmup: int = 5) -> Profile:
    """Train the model of a run for so many steps, on its data and from random weights, and take their times apart.

    There is no pretraining: fine-tuning takes the same steps from other weights. Steps that are taken apart are
    computed, function by function; afterwards as many are replayed from a recording, as in training.
    """
    profiler = Profiler(warmup)
    run = Run(config, progress=lambda title: [profiler])
    run.config = config = dataclasses.replace(run.config, pretrain="none", epochs=2)
    rows = np.arange((check_count("steps", steps) + warmup) * (run.config.batch_size or 1)) % len(run.train)
    run.train = run.train[rows]
    run.labels = None if run.labels is None else run.labels[rows]
    run.execute()
    title = (f"{config.model} {run.architecture()}, {config.optimizer}, batch {config.batch_size}, "
             f"{config.dtype}, {run.backend.name}, {run.backend.device_info()['device']}")
    return Profile(title, run.backend.name, profiler.parts(), profiler.milliseconds_replayed())
