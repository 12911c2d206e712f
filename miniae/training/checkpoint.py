"""Saving a training run, so that it can go on later as if it had never stopped."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.data.storage import StorageError, load_tensors, save_tensors
from miniae.training.callbacks import Callback
from miniae.training.snapshot import Snapshot

if TYPE_CHECKING:
    from miniae.training.trainer import Trainer

__all__ = ["Checkpoint", "restore"]

_FORMAT = 1
_HEADER: dict[str, Any] = {"epoch": int, "base_lr": (int, float), "history": list, "generators": dict,
                           "callbacks": list}


class Checkpoint(Callback):
    """Writes the whole state of the run to `path` after every `every` epochs, and at the end.

    The file holds the parameters, the optimizer's moments, the random streams' positions, the history and what the
    other callbacks remember: all that `restore` needs for a run that continues exactly. It is of an epoch that ended
    well, even where training was interrupted or diverged after it. It is written to a temporary name and renamed, so
    there is always a whole one.

    With `resume`, training goes on from the file where there is one, so that the same program run again finishes what
    it had begun, however it ended: `model.fit(X, callbacks=[Checkpoint(path, resume=True), ...])`. Name it before the
    callbacks that look at the epoch when training begins.
    """

    only_device = True

    def __init__(self, path: str | os.PathLike[str], every: int = 1, resume: bool = False):
        if every < 1:
            raise ValueError(f"a checkpoint is written every so many epochs, at least 1; got {every}")
        self.path, self.every, self.resume, self._saved_at = path, every, resume, -1

    def on_train_begin(self, trainer: Trainer) -> None:
        if self.resume and trainer.epoch == 0 and os.path.exists(self.path):
            restore(trainer, self.path)
        self._saved_at = -1

    def on_snapshot(self, trainer: Trainer) -> None:
        if trainer.epoch % self.every == 0:
            self._save(trainer.snapshot)

    def on_train_end(self, trainer: Trainer) -> None:
        if trainer.snapshot.epoch != self._saved_at:
            self._save(trainer.snapshot)

    def _save(self, snapshot: Snapshot) -> None:
        parts = {"model": snapshot.model, "optimizer": snapshot.optimizer,
                 **{f"callback {name}": state for name, state in snapshot.callbacks.items()}}
        tensors = {f"{part}.{name}": np.asarray(a) for part, state in parts.items() for name, a in state.items()}
        header = {
            "format": _FORMAT,
            "kind": "checkpoint",
            "epoch": snapshot.epoch,
            "base_lr": snapshot.base_lr,
            "history": snapshot.history,
            "generators": snapshot.generators,
            "callbacks": list(snapshot.callbacks),
        }
        save_tensors(self.path, tensors, header)
        self._saved_at = snapshot.epoch


def restore(trainer: Trainer, path: str | os.PathLike[str]) -> None:
    """Put a trainer, made like the one that was saved, into the saved state. `fit` then goes on from there.

    Raises `StorageError` when the file is not a checkpoint, `ValueError` when it does not fit the model or the
    optimizer, which then stay as they were.
    """
    tensors, header = load_tensors(path)
    if header.get("kind") != "checkpoint" or header.get("format") != _FORMAT:
        raise StorageError(f"{path} is not a checkpoint of format {_FORMAT}: name the file a Checkpoint callback wrote")
    for name, kind in _HEADER.items():
        if not isinstance(header.get(name), kind):
            raise StorageError(f"{path} is damaged: its {name} is {header.get(name)!r}")
    snapshot = Snapshot(
        _part("model.", tensors), _part("optimizer.", tensors), header["generators"],
        {name: _part(f"callback {name}.", tensors) for name in header["callbacks"]},
        header["epoch"], header["history"], float(header["base_lr"]),
    )
    before = Snapshot.of(trainer)
    try:
        snapshot.put_back(trainer)
    except KeyError as why:
        before.put_back(trainer)
        raise StorageError(f"{path} is damaged: it has no {why}") from None
    except BaseException:
        before.put_back(trainer)
        raise


def _part(prefix: str, tensors: dict[str, Any]) -> dict[str, Any]:
    return {name[len(prefix):]: a for name, a in tensors.items() if name.startswith(prefix)}
