"""NumPy's files, .npy and .npz, whose arrays take no more memory than their bytes say."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from miniae.data.claims import check_claim
from miniae.data.errors import DataError, first_line

__all__ = ["load_numpy"]


def load_numpy(path: Path, choose: Callable[[list[str]], list[str]]) -> list[np.ndarray]:
    """The array of a .npy file, or those of an .npz file that `choose` picks of their names.

    Python objects are not loaded, as that could run code. What claims to be larger than it is, and what unpacks to far
    more than its size (see `check_claim`), is refused before any memory is taken. Raises `DataError`.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if file.read(2) == b"PK":
                return _unpacked(file, path, size, choose)
            file.seek(0)
            return [_array(file, size)]
    except (DataError, MemoryError):
        raise
    except Exception as why:  # NumPy, zipfile, zlib and Python's tokenizer each have their own for a damaged file
        reason = first_line(why)
        if "pickle" in reason:
            reason = "it holds Python objects, which are not loaded because that could run code"
        raise DataError(f"{path} can't be read ({reason}): save it again with numpy.save or numpy.savez") from None


def _unpacked(file: IO[bytes], path: Path, size: int, choose: Callable[[list[str]], list[str]]) -> list[np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        chosen = [members[name] for name in choose(list(members))]
        check_claim(path, sum(info.file_size for info in chosen), size)
        arrays = []
        for info in chosen:
            with archive.open(info) as member:
                arrays.append(_array(member, info.file_size))
        return arrays


def _array(file: IO[bytes], size: int) -> np.ndarray:
    """The array of so many bytes, its header among them."""
    start, version = file.tell(), np.lib.format.read_magic(file)
    length = int.from_bytes(file.read(2 if version == (1, 0) else 4), "little")
    if length > size:
        raise ValueError(f"it says its header has {length:,} bytes, there are {size:,}")
    file.seek(start + 8)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    claimed = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and claimed > size - (file.tell() - start):
        raise ValueError(f"its header says {claimed:,} bytes for shape {_some(shape)}, there are "
                         f"{size - (file.tell() - start):,}")
    file.seek(start)
    return np.lib.format.read_array(file, allow_pickle=False)


def _some(shape: Any) -> str:
    return str(tuple(shape[:8]))
