"""Files written whole or not at all, whatever happens in between."""

from __future__ import annotations

import contextlib
import csv
import errno
import glob
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from miniae.data.errors import StorageError

__all__ = ["check_unused", "remove_leftovers", "remove_leftovers_in", "write_json", "write_table", "write_text",
           "writing", "writing_folder"]

_BEGAN = time.time()  # this process

_TEMPORARY = re.compile(r"\.(.+(\.[^.]+))\.[a-z0-9_]{8}\2")


@contextlib.contextmanager
def writing(path: str | os.PathLike[str], previous: Path | None = None) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it does not.

    So `path` holds either what it held before or all of the new contents, whatever happens in between: also when the
    power fails, as the contents are on the disk before the name is. What it held before is kept as `previous`, if that
    is given; a process that ends between the two renamings leaves `path` missing and that whole. Raises `StorageError`
    when the folder is missing or can't be written, or the disk is full.
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as why:
        raise StorageError(f"can't write {path}: {why.strerror or why}. Choose a folder that exists, is writable and "
                           "has space left") from None
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes private files; these are ordinary ones
        _to_disk(temporary)
        if previous is not None and path.exists():
            os.replace(path, previous)
        os.replace(temporary, path)
        _to_disk(path.parent)
    except OSError as why:
        raise StorageError(f"can't write {path}: {why.strerror or why}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk and not only in memory."""
    if path.is_dir() and os.name != "posix":  # only there a folder can be opened
        return
    folder = path.is_dir()
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as why:
        if not folder or why.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems can't do it for folders
            raise
    finally:
        os.close(handle)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove what processes that were killed while `writing(path)` have left beside it.

    What is younger than this process stays: another one may be writing it just now. (A process that begins when another
    has written its file, and waits for the disk, takes that for a leftover: one path is for one process at a time.)
    """
    path = Path(path)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.????????{glob.escape(path.suffix)}"):
        with contextlib.suppress(FileNotFoundError):
            if leftover.stat().st_mtime < _BEGAN:
                leftover.unlink()


def remove_leftovers_in(folder: str | os.PathLike[str]) -> None:
    """The same beside all files in a folder whose names have an ending."""
    found = [_TEMPORARY.fullmatch(path.name) for path in Path(folder).glob(".*")]
    for name in {match[1] for match in found if match}:
        remove_leftovers(Path(folder) / name)


@contextlib.contextmanager
def writing_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary folder beside `folder`, renamed to it when the block ends well and removed when it does not.

    Raises `StorageError` for a folder that something is in, and where nothing can be written.
    """
    folder = Path(folder)
    check_unused(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as why:
        raise StorageError(f"can't write to {folder}: {why.strerror or why}. Choose a writable place with enough "
                           "room") from None


def _umask() -> int:
    mode = os.umask(0)
    os.umask(mode)
    return mode


def check_unused(folder: Path) -> None:
    """Raise `StorageError` for a folder that something is in, or a file in its place."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} exists already and is not an empty folder: choose a new one, so that nothing "
                           "is overwritten")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file, whole or not at all."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a JSON file with sorted keys, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_table(path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table with a header, whole or not at all: cells parted by tabs where the path ends in .tsv, else by
    commas."""
    with writing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter="\t" if temporary.suffix.lower() == ".tsv" else ",", lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)
