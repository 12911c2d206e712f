"""Saving a training run, so that it can go on later as if it had never stopped."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.backend.sharing import current_ranks
from miniae.data.errors import StorageError
from miniae.data.storage import check_kind, described, load_header, load_tensors, save_tensors, under
from miniae.data.whole_files import remove_leftovers
from miniae.training.callbacks import Callback
from miniae.training.identity import OfAnother, check_data_of, check_settings_of, data_of
from miniae.training.notice import warn
from miniae.training.ranks import any_rank
from miniae.training.snapshot import Snapshot

if TYPE_CHECKING:
    from miniae.training.trainer import Trainer

__all__ = ["Checkpoint", "DamagedCheckpoint", "check_readable", "previous", "restore"]

_FORMAT = 2  # 1 had only states between two epochs, and no position
_HEADER: dict[str, Any] = {"epoch": int, "base_lr": (int, float), "history": list, "generators": dict,
                           "callbacks": list, "position": dict}


class DamagedCheckpoint(UserWarning):
    """A checkpoint can't be read, the one before it can."""


class Checkpoint(Callback):
    """Writes the whole state of the run to `path`: after every `every` epochs, after `seconds` seconds, at the end.

    The file holds the parameters, the optimizer's moments, the random streams' positions, the history, what the other
    callbacks remember and, where so many `seconds` had passed in the middle of an epoch, which batches are left of that
    and what the losses of the others add up to: all that `restore` needs for a run that continues exactly. It is of an
    epoch that ended well or, in its middle, of finite weights and losses, even where training was interrupted after it.
    A run that has diverged leaves the state after its last good epoch: what it saved later may have been spoiled
    already. `every` may be None, for `seconds` alone; a long epoch is saved in its middle, and then at its end, unless
    another callback needs `whole_epochs`.

    A file is written to a temporary name, brought to the disk and renamed; the last one of an epoch's end before it is
    kept where `previous(path)` says. So there is always a whole one, even after a power cut. Raises `StorageError` when
    the disk is full.

    With `resume`, training goes on from the file where there is one, so that the same program run again finishes what
    it had begun, however it ended: `model.fit(X, callbacks=[Checkpoint(path, resume=True), ...])`. Name it before the
    callbacks that look at the epoch when training begins. Of ranks that train together the first one writes, and all
    read. What decides the steps must be as it was: the data and those held out, by their number and a few rows; batch
    size and seed, dtype and precision, the network with its losses, penalties and corruption, the optimizer with its
    constants and the learning rate it began with, the bound on the gradient, and the `fixed_settings` of callbacks. A
    file of other ones raises `StorageError`, which names the first that differs. Nobody compares the weights that
    training begins with, nor in which order a `Stream` gives its samples, which must be the same for the same bits.

    All else may change: the number of epochs, other callbacks, whether data are held out, the number of ranks and the
    backend. For another learning rate in what is left of a run, add a `LearningRate` to the callbacks, or put a
    trainer into the state by `restore`, which compares nothing, and set `trainer.optimizer.lr`.
    """

    only_device = True

    def __init__(self, path: str | os.PathLike[str], every: int | None = 1, resume: bool = False,
                 seconds: float | None = None):
        if every is not None and every < 1:
            raise ValueError(f"a checkpoint is written every so many epochs, at least 1; got {every}")
        if seconds is not None and not seconds >= 0:
            raise ValueError(f"a checkpoint is written every so many seconds, at least 0; got {seconds}")
        self.path, self.every, self.resume, self.seconds = path, every, resume, seconds
        self.written, self.took = 0, 0.0  # how many, and in how many seconds

    def on_train_begin(self, trainer: Trainer) -> None:
        self._saved_at, self._last = (0, 0), time.perf_counter()
        self._whole_epochs = any(callback.whole_epochs for callback in trainer.callbacks)
        self._task = {**data_of(trainer), "settings": trainer.settings}
        if trainer.ranks.rank == 0:
            remove_leftovers(self.path)
        # Whether the file is of this run, whether of an epoch's middle, and whether the one before it is of an end.
        self._own = self._middle = self._keeps_end = self._diverged = False
        if self.resume and trainer.epoch == 0 and (os.path.exists(self.path) or previous(self.path).exists()):
            self._restore(trainer)

    def _restore(self, trainer: Trainer) -> None:
        """Go on from the file; where epochs have to be whole, from the last one's end that was saved before it."""
        before = Snapshot.of(trainer)
        found = restore(trainer, self.path, self._task)
        any_rank(trainer.ranks, False)  # all ranks have read it
        self._own, self._middle = True, bool(trainer.done)
        end = _end_before(Snapshot.of(trainer), self.path) if self._middle else None
        self._keeps_end = end is not None
        if self._middle and self._whole_epochs:
            if end is None and trainer.epoch:
                epoch = trainer.epoch + 1
                before.put_back(trainer)
                raise StorageError(f"{found} is of the middle of epoch {epoch}, and nothing is kept of its beginning, "
                                   "to which a run that rolls back may have to go: go on without rolling back until "
                                   "that epoch has ended, or delete it to begin anew")
            (end or before).put_back(trainer)
        elif found != Path(self.path) and trainer.ranks.rank == 0:
            _take_the_place(found, self.path)  # the next one is not to take a damaged one's place beside it
        self._saved_at = trainer.epoch, trainer.done

    def on_epoch_begin(self, trainer: Trainer) -> None:
        self._diverged = False  # or it was put back, and goes on

    def on_batch_end(self, trainer: Trainer, batch: int) -> None:
        if self.seconds is not None and not self._whole_epochs and time.perf_counter() - self._last >= self.seconds:
            trainer.pausing = trainer.done < trainer.samples  # else the epoch's end is near

    def on_pause(self, trainer: Trainer) -> None:
        snapshot = Snapshot.of(trainer)
        if snapshot.is_finite():
            if trainer.epoch and self._saved_at < (trainer.epoch, 0):
                self._save(trainer.snapshot)  # the epoch's beginning, to which a run may have to go back
            self._save(snapshot)

    def on_snapshot(self, trainer: Trainer) -> None:
        due = self.seconds is not None and (self._middle or time.perf_counter() - self._last >= self.seconds)
        if due or (self.every is not None and trainer.epoch % self.every == 0):
            self._save(trainer.snapshot)

    def on_diverged(self, trainer: Trainer, why: ArithmeticError) -> bool:
        self._diverged = True
        return False

    def on_train_end(self, trainer: Trainer) -> None:
        if self._diverged and self._middle:
            self._leave_the_middle(trainer)
        elif trainer.snapshot.place > self._saved_at:
            self._save(trainer.snapshot)

    def _leave_the_middle(self, trainer: Trainer) -> None:
        """Have the file hold an epoch's end instead of a state that the run has diverged from."""
        if not trainer.snapshot.position:
            self._save(trainer.snapshot)
        elif trainer.ranks.rank == 0 and self._keeps_end:  # it had gone on in the middle of this very epoch
            _take_the_place(previous(self.path), self.path)
        elif trainer.ranks.rank == 0 and trainer.epoch == 0:  # of the first one, which begins again
            for file in filter(_is_middle, (Path(self.path), previous(self.path))):
                file.unlink()

    def _save(self, snapshot: Snapshot) -> None:
        began = time.perf_counter()
        self._saved_at = snapshot.place
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
            "position": snapshot.position,
            "task": {**self._task, "settings": snapshot.settings},
        }
        # A state of an epoch's middle is not to push out that of its beginning, to which a run may have to go back.
        keeps = not self._middle or not (self._keeps_end or self._diverged or self._whole_epochs)
        if current_ranks().rank == 0:
            save_tensors(self.path, tensors, header, previous(self.path) if keeps else None)
        self._keeps_end = self._keeps_end or (self._own and not self._middle)
        self._own, self._middle = True, bool(snapshot.position)
        self._last = time.perf_counter()
        self.written, self.took = self.written + 1, self.took + self._last - began


def previous(path: str | os.PathLike[str]) -> Path:
    """Where a checkpoint is kept when the next is written: run.previous.safetensors for run.safetensors."""
    path = Path(path)
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def _take_the_place(found: Path, path: str | os.PathLike[str]) -> None:
    """Rename `found` to `path`. Raises `StorageError` where that can't be."""
    try:
        os.replace(found, path)
    except OSError as why:
        raise StorageError(f"can't write {path}: {why.strerror or why}") from None


def _is_middle(path: Path) -> bool:
    """Whether a file is a checkpoint of an epoch's middle."""
    try:
        return bool(load_header(path).get("position"))
    except StorageError:
        return False


def _end_before(middle: Snapshot, path: str | os.PathLike[str]) -> Snapshot | None:
    """The state in `previous(path)`, if it is of an epoch's end of the run that came to this one's middle."""
    try:
        end = _read(previous(path))
    except StorageError:
        return None
    return end if not end.position and end.history == middle.history[:end.epoch] else None


def restore(trainer: Trainer, path: str | os.PathLike[str], task: dict[str, Any] | None = None) -> Path:
    """Put a trainer, made like the one that was saved, into the saved state. `fit` then goes on from there.

    Where `path` is damaged or missing, it is the state in `previous(path)`, if that can be read, and of damage a
    `DamagedCheckpoint` warns. `task`, if given, is what a `Checkpoint` says of the data and the network: a state of
    another is refused. Returns where the state was. Raises `StorageError` when neither is a checkpoint,
    `ValueError` when it does not fit the model or the optimizer, which then stay as they were.
    """
    found = Path(path)
    try:
        snapshot = _read(found, task)
    except StorageError as why:
        if isinstance(why, OfAnother):
            raise
        found = previous(path)
        try:
            snapshot = _read(found, task)
        except OfAnother:
            raise
        except StorageError as before_it:
            raise _without_both(path, why, before_it) from None
        if os.path.exists(path):  # else a process ended just between two renamings
            warn(f"{why}. Training goes on from {found.name}, the one before it", DamagedCheckpoint)
    before = Snapshot.of(trainer)
    try:
        snapshot.put_back(trainer)
    except KeyError as why:
        before.put_back(trainer)
        raise StorageError(f"{found} is damaged: it has no {why}") from None
    except (TypeError, AttributeError, IndexError, ArithmeticError) as why:
        before.put_back(trainer)
        raise StorageError(f"{found} is damaged: {str(why)[:200]}") from None
    except BaseException:
        before.put_back(trainer)
        raise
    return found


def check_readable(path: str | os.PathLike[str]) -> None:
    """Raise `StorageError` unless there is a checkpoint, here or in `previous(path)`, that can be read."""
    try:
        _read(path)
    except StorageError as why:
        try:
            _read(previous(path))
        except StorageError as before_it:
            raise _without_both(path, why, before_it) from None


def _without_both(path: str | os.PathLike[str], why: StorageError, before_it: StorageError) -> StorageError:
    """What is wrong with a checkpoint, or with the one before it where that alone is there."""
    there = [p.name for p in (Path(path), previous(path)) if p.exists()]
    if not there:
        return why
    return StorageError(f"{why if Path(path).exists() else before_it}. Or delete {' and '.join(there)}, to begin this "
                        "stage again")


def _read(path: str | os.PathLike[str], task: dict[str, Any] | None = None) -> Snapshot:
    """The state in a file. Raises `StorageError` for one that is not there, damaged, of another task, or something
    else."""
    tensors, header = load_tensors(path)
    if header.get("kind") != "checkpoint":
        raise StorageError(f"{path} is not a checkpoint: name the file a Checkpoint callback wrote")
    check_kind(path, header, "checkpoint", _FORMAT, "a checkpoint")
    header.setdefault("position", {})
    for name, kind in _HEADER.items():
        if not isinstance(header.get(name), kind):
            raise StorageError(f"{path} is damaged: its {name} is {repr(header.get(name))[:80]}")
    if header["epoch"] < 0 or not all(isinstance(row, dict) for row in header["history"]) or \
            not all(type(step) is int for step in header["generators"].values()):
        raise StorageError(f"{path} is damaged: its epoch, history or generators can't be")
    with described(path):
        found = header.get("task")
        if task is not None and isinstance(found, dict):  # older versions wrote none
            check_data_of(Path(path), found, task)
            check_settings_of(Path(path), found.get("settings", {}), task["settings"])
        return Snapshot(
            under("model.", tensors), under("optimizer.", tensors), header["generators"],
            {name: under(f"callback {name}.", tensors) for name in header["callbacks"]},
            header["epoch"], header["history"], float(header["base_lr"]), header["position"],
            found.get("settings") if isinstance(found, dict) else None,
        )
