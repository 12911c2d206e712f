"""The folder of a run, from its first moment on: what another process needs to go on with it."""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from miniae import __version__
from miniae.backend.sharing import Ranks
from miniae.data import Dataset, StorageError, check_unused, write_json
from miniae.data.locking import Taken, alone
from miniae.data.pieces import pieces
from miniae.data.storage import crc_of
from miniae.data.whole_files import remove_leftovers_in
from miniae.tasks.config import RunConfig
from miniae.tasks.run import Run
from miniae.training import Callback, Checkpoint
from miniae.training.checkpoint import check_readable
from miniae.training.ranks import RanksDiffer

__all__ = ["RunFolder", "check_ranks", "new_folder"]

_FORMAT = 1
_SECONDS = 60  # of a minute


def new_folder(name: str, parent: str | os.PathLike[str] = "runs") -> Path:
    """Make `parent/name-1`, or with the next number that is free: an older run is never overwritten."""
    stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in Path(name).stem) or "run"
    number = 1
    while True:
        folder = Path(parent) / f"{stem}-{number}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            if not Path(parent).is_dir():
                raise StorageError(f"{parent} is not a folder: choose another place for the results") from None
            number += 1
        except OSError as why:
            raise StorageError(f"can't make the folder {folder}: {why.strerror}. Choose a writable one") from None


class RunFolder:
    """Where a run keeps what it takes to go on after its process has ended, at whatever moment that was.

        config.json                            the settings
        run.json                               what the data were, the backend, whether the run is finished
        checkpoints/STAGE.safetensors          how each stage stands: layer-1-of-3, ..., fine-tuning

    A stage that was finished is restored as it ended, the one that was at work goes on in the middle, and all others
    are to come: so a run goes on by doing all of it again.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self._config, self._state = self.path / "config.json", self.path / "run.json"
        self._lock = self.path / ".miniae-lock"

    @classmethod
    @contextlib.contextmanager
    def new(cls, path: str | os.PathLike[str] | None, data: str) -> Iterator[RunFolder]:
        """A block with an empty folder for a run of this process alone, made where there is none.

        None is a new one in runs, named after the data. What the block begins without a result is taken back at its
        end. Raises `StorageError` for a folder that something is in or where nothing can be written.
        """
        made = path is None or not Path(path).exists()
        kept = cls(new_folder(data) if path is None else path)
        if not made:
            with kept.alone():
                kept.remove_leftovers()
            check_unused(kept.path)
        try:
            kept._check_writable()
            with kept.alone():
                try:
                    yield kept
                finally:
                    kept.abandon()
        finally:
            if made and kept.path.is_dir() and not any(kept.path.iterdir()):
                kept.path.rmdir()

    def _check_writable(self) -> None:
        """Make the folder if need be. Raises `StorageError` if it can't be written into."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as why:
            raise StorageError(f"can't write into {self.path}: {why.strerror}. Choose a writable folder") from None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """A block in which no other process trains in this folder. Raises `StorageError` where one does."""
        with contextlib.ExitStack() as block:
            try:
                block.enter_context(alone(self._lock))
            except Taken:
                raise StorageError(f"another process is training in {self.path}: wait until it has ended, or choose "
                                   "another folder") from None
            yield

    def begin(self, run: Run) -> None:
        """Write down what the run is. The settings come first: they alone are a run that has done nothing yet."""
        self.remove_leftovers()
        for stage in {path.stem.removesuffix(".previous") for path in self._checkpoints()}:
            check_readable(self.checkpoints / f"{stage}.safetensors")  # before the run is noted as unfinished
        write_json(self._config, run.config.portable())
        self._note(run, finished=False)
        try:
            self.checkpoints.mkdir(exist_ok=True)
        except OSError as why:
            raise StorageError(f"can't make the folder {self.checkpoints}: {why.strerror or why}") from None

    def remove_leftovers(self) -> None:
        """Remove what a process that was killed while it wrote a file of the run has left."""
        for folder in (self.path, self.checkpoints):
            remove_leftovers_in(folder)

    def finish(self, run: Run) -> None:
        """The results are written; the last checkpoint of each stage stays, to train further from."""
        self._note(run, finished=True)
        for path in self.checkpoints.glob("*.previous.safetensors"):
            path.unlink()

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is something to go on from."""
        return any(self._checkpoints())

    def _checkpoints(self) -> Iterator[Path]:
        return self.checkpoints.glob("[!.]*.safetensors")  # the others are leftovers

    @property
    def is_unfinished(self) -> bool:
        """Whether the run that was begun here has not come to its end."""
        if self._state.exists():
            return not self._noted()["finished"]
        return not (self.path / "model.safetensors").exists()  # killed at once; else of a version that noted nothing

    def abandon(self) -> None:
        """Take back what `begin` wrote, if nothing has come of it."""
        written = {self._config, self._state, self.checkpoints, self._lock}
        if set(self.path.iterdir()) <= written and not any(self.checkpoints.glob("*")):
            self._state.unlink(missing_ok=True)
            self._config.unlink(missing_ok=True)
            if self.checkpoints.exists():
                self.checkpoints.rmdir()

    def keeping(self, progress: Callable[[str], Sequence[Callback]],
                minutes: float) -> Callable[[str], list[Callback]]:
        """A stage's callbacks by its title: those of `progress`, and one that writes its checkpoints and goes on from
        them."""
        def callbacks(title: str) -> list[Callback]:
            stage = title.partition(" (")[0].replace("/", " of ").replace(" ", "-")
            path = self.checkpoints / f"{stage}.safetensors"
            return [Checkpoint(path, every=None, resume=True, seconds=minutes * _SECONDS), *progress(title)]
        return callbacks

    def settings(self) -> tuple[dict[str, Any], bool]:
        """The settings of the run in this folder, for `RunConfig`, and whether it is finished.

        Raises `StorageError` when there is none, or none that can go on.
        """
        if not self._config.is_file():
            raise StorageError(f"{self.path} holds no run: expected a folder that miniae train has begun, with a "
                               "config.json in it")
        settings = RunConfig.read(self._config)
        try:
            RunConfig(**settings)
        except (TypeError, ValueError) as why:
            raise StorageError(f"{self._config} can't be used: {why}") from None
        if self._state.exists():
            state = self._noted()
            return {**settings, "backend": state["backend"]}, state["finished"]
        if (self.path / "model.safetensors").exists():
            raise StorageError(f"{self.path} was written by a version without checkpoints, there is nothing to go on "
                               f"from: train anew with --config {self._config}")
        return settings, False  # killed before it could write more

    def check(self, run: Run) -> None:
        """Raise `StorageError` unless the run's data are those that it began with; say what else is different."""
        if not self._state.exists():
            return
        state, now = self._noted(), fingerprint(run.data)
        if state["data"] != now:
            name = run.config.data
            raise StorageError(f"the data {name} are not those that the run in {self.path} began with: "
                               f"{_described(state['data'], now)}. Bring those back, or say by --data where "
                               "they are, or begin another run")
        if state["version"] != __version__:
            run.say(f"begun by miniae {state['version']}, this is {__version__}: results may differ")
        if state["device"] != run.backend.name:
            run.say(f"begun on {state['device']}, goes on on {run.backend.name}: results differ in the last digits")

    def _note(self, run: Run, finished: bool) -> None:
        write_json(self._state, {"format": _FORMAT, "version": __version__, "backend": run.config.backend,
                                 "device": run.backend.name, "data": fingerprint(run.data), "finished": finished})

    def _noted(self) -> dict[str, Any]:
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            if state["format"] > _FORMAT:
                raise StorageError(f"{self._state} has format {state['format']}, this version reads up to {_FORMAT}: "
                                   "install a newer miniae")
            size = state["data"]
            if not isinstance(size["crc32"], str) or not all(
                    isinstance(n, int) for part in ("train", "test") for n in size[part]):
                raise TypeError("its data have no sizes and no crc32")
            if not isinstance(state["finished"], bool) or not isinstance(state["backend"], str):
                raise TypeError("its backend is no name, or finished neither true nor false")
            return {name: state[name] for name in ("backend", "data", "device", "finished", "version")}
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as why:
            raise StorageError(f"{self._state} is damaged ({type(why).__name__}: {why}): train anew with --config "
                               f"{self._config}") from None


def fingerprint(data: Dataset) -> dict[str, Any]:
    """What tells data from others: shapes, and the CRC-32 of all samples and labels."""
    total = 0
    for array in (data.train, data.test):
        for part in pieces(array):
            total = crc_of(array[part], total)
    for labels in (data.train_labels, data.test_labels):
        if labels is not None:
            total = zlib.crc32("\n".join(map(str, labels.tolist())).encode(), total)
    return {"train": list(data.train.shape), "test": list(data.test.shape), "crc32": f"{total:08x}"}


def check_ranks(ranks: Ranks, data: Dataset) -> None:
    """Raise `RanksDiffer`, on all ranks, unless every number and label of their data is the same."""
    if ranks.size == 1:
        return
    told = ranks.gather([int(fingerprint(data)["crc32"], 16)])[:, 0]
    if (told != told[0]).any():
        raise RanksDiffer(f"ranks 0 and {int((told != told[0]).argmax())} have read different data: start all ranks "
                          "with the same file")


def _described(before: dict[str, Any], now: dict[str, Any]) -> str:
    def size(data: dict[str, Any]) -> str:
        return " and ".join("x".join(map(str, data[part])) for part in ("train", "test"))

    if size(before) != size(now):
        return f"these were {size(before)} numbers, and now are {size(now)}"
    return "they are as many, but not the same numbers"
