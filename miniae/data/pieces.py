"""Going through data of any size in pieces, so that what is made of it on the way stays small."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["is_mapped", "let_go", "pieces"]

# Elements of a piece: 8 MB in float64.
_PIECE = 1 << 20


def pieces(X: Any) -> Iterator[slice]:
    """The rows of X (N, ...), some at a time: X is an array, or anything that gives arrays for slices of it.

    The pages of a memory map that a piece was read from are let go after it.
    """
    rows = max(_PIECE // max(math.prod(X.shape[1:]), 1), 1)
    for start in range(0, len(X), rows):
        yield slice(start, min(start + rows, len(X)))
        let_go(X)


def is_mapped(array: Any) -> bool:
    """Whether this array, or what it is a view of, lies in a file that is mapped to memory."""
    return any(isinstance(a, mmap.mmap) for a in _owners(array))


def let_go(array: Any) -> None:
    """Take a mapped file's pages out of this process's memory; they come back, unchanged, where they are read again.

    Without it all that was ever read of the file counts as memory of the process. Nothing is done for other arrays, and
    for maps of mode "c", whose changes are in no file.
    """
    owners = list(_owners(array))
    shared = any(isinstance(a, np.memmap) and a.mode in ("r", "r+", "w+") for a in owners)
    if shared and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        owners[-1].madvise(mmap.MADV_DONTNEED)


def _owners(array: Any) -> Iterator[Any]:
    """An array, what it is a view of, and so on; last what owns the memory."""
    while array is not None:
        yield array
        array = getattr(array, "base", None)
