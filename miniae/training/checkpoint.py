"""Saving a training run, so that it can go on later as if it had never stopped."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from miniae.data.storage import StorageError, load_tensors, save_tensors
from miniae.training.callbacks import Callback

if TYPE_CHECKING:
    from miniae.training.trainer import Trainer

__all__ = ["Checkpoint", "restore"]

_FORMAT = 1


class Checkpoint(Callback):
    """Writes the whole state of the run to `path` after every `every` epochs, and at the end.

    The file holds the parameters, the optimizer's moments, the random streams' positions and the history: all that
    `restore` needs for a run that continues exactly. It is written to a temporary name and renamed, so there is always
    a whole one.
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 1):
        if every < 1:
            raise ValueError(f"a checkpoint is written every so many epochs, at least 1; got {every}")
        self.path, self.every, self._saved_at = path, every, -1

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, float]) -> None:
        if trainer.epoch % self.every == 0:
            self._save(trainer)

    def on_train_end(self, trainer: Trainer) -> None:
        if trainer.epoch != self._saved_at and trainer.epoch > 0:
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        tensors = {f"model.{name}": a for name, a in trainer.model.state_dict().items()}
        tensors |= {f"optimizer.{name}": a for name, a in trainer.optimizer.state_dict().items()}
        header = {
            "format": _FORMAT,
            "kind": "checkpoint",
            "epoch": trainer.epoch,
            "history": trainer.history,
            "generators": {name: g.step for name, g in _generators(trainer).items()},
        }
        save_tensors(self.path, tensors, header)
        self._saved_at = trainer.epoch


def restore(trainer: Trainer, path: str | os.PathLike[str]) -> None:
    """Put a trainer, made like the one that was saved, into the saved state. `fit` then goes on from there.

    Raises `StorageError` when the file is not a checkpoint, `ValueError` when it does not fit the model.
    """
    tensors, header = load_tensors(path)
    if header.get("kind") != "checkpoint" or header.get("format") != _FORMAT:
        raise StorageError(f"{path} is not a checkpoint of format {_FORMAT}: name the file a Checkpoint callback wrote")
    trainer.model.load_state_dict(_part("model.", tensors))
    trainer.optimizer.load_state_dict(_part("optimizer.", tensors))
    for name, generator in _generators(trainer).items():
        generator.step = header["generators"][name]
    trainer.epoch, trainer.history = header["epoch"], header["history"]


def _part(prefix: str, tensors: dict[str, Any]) -> dict[str, Any]:
    return {name[len(prefix):]: a for name, a in tensors.items() if name.startswith(prefix)}


def _generators(trainer: Trainer) -> dict[str, Any]:
    return trainer.model.generators() if hasattr(trainer.model, "generators") else {}
