"""Compressed files and compressors that are not what they should be."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

NO_IMAGES = [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)]
"""Arrays that are no image: of other numbers than bytes, of four colours, without rows, of one axis."""


def resealed(data: bytes, at: int, value: bytes, length: int | None = None) -> bytes:
    """A compressed file with other bytes in place of so many, by default of as many, and the checksum that fits."""
    body = data[:at] + value + data[at + (len(value) if length is None else length):-4]
    return body + struct.pack("<I", zlib.crc32(body))


def flip_a_bit(path: Path) -> None:
    """One in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes(content)


@contextlib.contextmanager
def memory_below(most: float) -> Iterator[None]:
    """A block that may take so many bytes at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()
