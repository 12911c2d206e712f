"""The state of a training run between two epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.training.callbacks import Callback

if TYPE_CHECKING:
    from miniae.training.trainer import Trainer

__all__ = ["Snapshot"]


@dataclass(frozen=True)
class Snapshot:
    """Copies of all that a run needs to go on exactly: nothing that happens to the run later changes them."""

    model: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    generators: dict[str, int]
    callbacks: dict[str, dict[str, np.ndarray]]
    epoch: int
    history: list[dict[str, float]]
    base_lr: float

    @classmethod
    def of(cls, trainer: Trainer) -> Snapshot:
        """The state as it stands."""
        return cls(
            trainer.model.state_dict(), trainer.optimizer.state_dict(),
            {name: g.step for name, g in _generators(trainer.model).items()},
            {name: callback.state_dict() for name, callback in _named(trainer.callbacks).items()},
            trainer.epoch, [dict(row) for row in trainer.history], trainer.base_lr,
        )

    def put_back(self, trainer: Trainer) -> None:
        """Make it the state of this trainer. Raises `ValueError` when it is of another model or optimizer."""
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
        trainer.history[:] = [dict(row) for row in self.history]
        for name, callback in _named(trainer.callbacks).items():
            if self.callbacks.get(name):
                callback.load_state_dict(self.callbacks[name])
                callback.on_restore(trainer)

    def is_finite(self) -> bool:
        """Whether every number in the model is."""
        return all(np.isfinite(a).all() for a in self.model.values())


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
