"""The IDX format that MNIST comes in.

Two zero bytes, a byte for the type, a byte for the number of axes, the axes' lengths as big-endian 32-bit integers,
then the elements row by row. http://yann.lecun.com/exdb/mnist/
"""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from miniae.data.claims import check_claim
from miniae.data.errors import DataError

__all__ = ["read_idx"]

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an IDX file, gzipped or not. Raises `DataError` when it is missing or damaged."""
    path = Path(path)
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = _unpacked(data, path)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: give the path of an IDX file") from None
    except (OSError, EOFError, zlib.error) as why:
        raise DataError(f"{path} can't be unpacked ({why}): it is truncated or damaged, get it again") from None
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES:
        raise DataError(f"{path} is not an IDX file: it starts with {data[:4].hex() or 'nothing'}, expected 0000, "
                        "a type and a number of axes")
    axes = data[3]
    start = 4 + 4 * axes
    if len(data) < start:
        raise DataError(f"{path} is truncated: it ends within its header")
    shape = struct.unpack(f">{axes}I", data[4:start])
    dtype = np.dtype(_TYPES[data[2]])
    expected = math.prod(shape) * dtype.itemsize
    if len(data) - start != expected:
        raise DataError(f"{path} has {len(data) - start} bytes of data, its header says {expected} for shape {shape}: "
                        "it is truncated or damaged, get it again")
    try:
        return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
    except ValueError as why:  # more axes than NumPy allows, or an empty array of impossible lengths
        raise DataError(f"{path} says that its shape is {shape[:8]}, which can't be ({why}): get it again") from None


def _unpacked(packed: bytes, path: Path) -> bytes:
    """What was gzipped, a piece at a time, so that there is never much more than may be."""
    parts, size = [], 0
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        while part := file.read(1 << 20):
            parts.append(part)
            size += len(part)
            check_claim(path, size, len(packed))
    return b"".join(parts)
