"""Blocks that no two processes are in at once, by locks that end with the process that holds them."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["Taken", "alone"]

_TAKEN = (errno.EACCES, errno.EAGAIN)


class Taken(Exception):
    """Another process is in the block."""


@contextlib.contextmanager
def alone(path: str | os.PathLike[str]) -> Iterator[None]:
    """A block for one process at a time of those that name the same file `path`, which is there as long as it takes.

    The lock is the system's: it ends with the process, however that ends, and a file that a killed one has left holds
    nobody up. Where the file can't be made, or its file system knows no locks, the block is not guarded. Raises `Taken`
    when another process is in the block.
    """
    path = Path(path)
    handle = _locked(path)
    try:
        yield
    finally:
        if handle is not None:
            _release(handle, path)


def _locked(path: Path) -> int | None:
    """The file, open and locked; None where there can be no lock."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return None
        try:
            _lock(handle)
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        except FileNotFoundError:
            pass  # whoever had it before has just removed it: a lock on it would keep nobody out
        except OSError as why:
            os.close(handle)
            if why.errno in _TAKEN:
                raise Taken from None
            return None
        os.close(handle)


def _lock(handle: int) -> None:
    """Lock an open file, at once or with an error of `_TAKEN`."""
    if sys.platform == "win32":
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _release(handle: int, path: Path) -> None:
    """Remove the file while it is locked, so that it is not another's; Windows lets nobody remove one in use."""
    if sys.platform == "win32":
        os.close(handle)
    with contextlib.suppress(OSError):
        path.unlink()
    if sys.platform != "win32":
        os.close(handle)
