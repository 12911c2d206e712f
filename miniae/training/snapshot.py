"""The state of a training run between two epochs, or between two batches."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.training.callbacks import Callback

if TYPE_CHECKING:
    from miniae.training.trainer import Trainer

__all__ = ["Snapshot"]


@dataclass(frozen=True)
class Snapshot:
    """Copies of all that a run needs to go on exactly: nothing that happens to the run later changes them.

    `position`, as JSON values, is where in the epoch the run stands, and what its losses add up to; between two epochs
    it is empty. `settings` are what the run was begun with (`identity.settings_of`), where that is known.
    """

    model: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    generators: dict[str, int]
    callbacks: dict[str, dict[str, np.ndarray]]
    epoch: int
    history: list[dict[str, float]]
    base_lr: float
    position: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] | None = None

    @classmethod
    def of(cls, trainer: Trainer) -> Snapshot:
        """The state as it stands."""
        return cls(
            trainer.model.state_dict(), trainer.optimizer.state_dict(),
            {name: g.step for name, g in _generators(trainer.model).items()},
            {name: callback.state_dict() for name, callback in _named(trainer.callbacks).items()},
            trainer.epoch, [dict(row) for row in trainer.history], trainer.base_lr, _position(trainer),
            trainer.settings,
        )

    @property
    def place(self) -> tuple[int, int]:
        """How many epochs are complete, and how many samples of the next one."""
        return self.epoch, self.position.get("done", 0)

    def put_back(self, trainer: Trainer) -> None:
        """Make it the state of this trainer. Raises `ValueError` when it is of another model or optimizer, or from the
        middle of an epoch of other batches."""
        _check_position(self.position, trainer)
        generators = _generators(trainer.model)
        if generators.keys() != self.generators.keys():
            raise ValueError(f"the state has random numbers for {', '.join(self.generators) or 'nothing'}, this model "
                             f"draws them for {', '.join(generators) or 'nothing'}: was it saved for another model?")
        for callback in trainer.callbacks:
            callback.before_restore(trainer, self.epoch)
        trainer.model.load_state_dict(self.model)
        trainer.optimizer.load_state_dict(self.optimizer)
        for name, generator in generators.items():
            generator.step = self.generators[name]
        trainer.epoch, trainer.base_lr = self.epoch, self.base_lr
        trainer.settings = self.settings or trainer.settings
        trainer.history[:] = [dict(row) for row in self.history]
        trainer.done = self.position.get("done", 0)
        if self.position:
            trainer.samples = self.position["samples"]
            trainer.began = time.perf_counter() - self.position["seconds"]
            trainer.totals.load_state_dict(self.position["totals"])
        for name, callback in _named(trainer.callbacks).items():
            if self.callbacks.get(name):
                callback.load_state_dict(self.callbacks[name])
                callback.on_restore(trainer)

    def is_finite(self) -> bool:
        """Whether every number in the model is."""
        losses = self.position["totals"]["sums"].values() if self.position else ()
        return all(np.isfinite(a).all() for a in (*self.model.values(), *losses))


def _position(trainer: Trainer) -> dict[str, Any]:
    if not trainer.done:
        return {}
    return {"done": trainer.done, "samples": trainer.samples, "batch_size": trainer.batch_size, "seed": trainer.seed,
            "seconds": time.perf_counter() - trainer.began, "totals": trainer.totals.state_dict()}


def _check_position(position: dict[str, Any], trainer: Trainer) -> None:
    """Raises `ValueError` where the batches of the rest of the epoch would be others."""
    now = {"batch_size": trainer.batch_size, "seed": trainer.seed}
    if trainer.samples:  # else fit has yet to be told of any
        now["samples"] = trainer.samples
    for name, value in now.items():
        if position and position[name] != value:
            raise ValueError(f"the state is from the middle of an epoch with {name} {position[name]}, got {value}: go "
                             "on with the same, or from a state between two epochs")


def _generators(model: Any) -> dict[str, Any]:
    return model.generators() if hasattr(model, "generators") else {}


def _named(callbacks: list[Callback]) -> dict[str, Callback]:
    """Callbacks by class and by number among those of the class, which a later program can find again."""
    seen: dict[str, int] = {}
    named = {}
    for callback in callbacks:
        kind = type(callback).__name__
        seen[kind] = seen.get(kind, 0) + 1
        named[f"{kind} {seen[kind]}"] = callback
    return named
