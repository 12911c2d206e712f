"""The compressed file: a header of some 20 bytes, the codes, and a checksum of everything.

    magic      4 bytes, 89 4D 41 45
    version    1 byte, 1
    channels   1 byte, 1 for grey images and 3 for colour
    quality    1 byte, 1 to 100; 0 where the codes are a vector-quantised model's integers, which have none
    count, height, width    how many images of that size; 7 bits a byte, low ones first, the 8th set where more follow
    name       of the model: its length in a byte, and as many bytes of UTF-8
    model      the CRC-32 of the model, 4 bytes, low ones first
    codes      what `CodeModel.encode` or, of integers, `IndexCoder.pack` gives; of more than 2^20 pixels 01 after it,
               and zeros where that is less than a byte for every 256 pixels beyond these: so a small file asks for
               little memory, whatever it claims
    checksum   the CRC-32 of all that is before it, 4 bytes
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from miniae.data.errors import StorageError

__all__ = ["LARGEST_IMAGE", "Compressed", "pack", "unpack"]

LARGEST_IMAGE = 1 << 27
"""How many pixels a file may hold: what claims more is refused before any memory is taken for it."""

_MAGIC, _VERSION = b"\x89MAE", 1
_FREE, _PIXELS_PER_BYTE = 1 << 20, 256


class Compressed(NamedTuple):
    """What a file says: `count` images of channels, height and width; what quality and model they need; their codes."""

    count: int  # type: ignore[assignment]  # a tuple's method, which nobody calls here
    channels: int
    height: int
    width: int
    quality: int
    name: str
    model: int
    codes: bytes

    @property
    def needs(self) -> str:
        """What kind of model the file is to be read by."""
        return "model" if self.quality else "vector-quantised model"


def pack(content: Compressed) -> bytes:
    """The bytes of a file."""
    name = content.name.encode()[:255]
    head = [_MAGIC, bytes([_VERSION, content.channels, content.quality]),
            *(_number(n) for n in (content.count, content.height, content.width)), bytes([len(name)]), name,
            struct.pack("<I", content.model)]
    codes, least = content.codes, _least(content.count * content.height * content.width)
    if least:
        codes = (codes + b"\1").ljust(least, b"\0")
    data = b"".join([*head, codes])
    return data + struct.pack("<I", zlib.crc32(data))


def unpack(data: bytes, path: str = "this") -> Compressed:
    """What `pack` made bytes of. Raises `StorageError`, naming `path`, for anything else."""
    if data[:4] != _MAGIC:
        raise StorageError(f"{path} is not a file that miniae compress wrote: it begins otherwise")
    if len(data) > 4 and data[4] > _VERSION:
        raise StorageError(f"{path} has format {data[4]}, this version reads up to {_VERSION}: install a newer miniae")
    if len(data) < 20 or struct.unpack("<I", data[-4:])[0] != zlib.crc32(data[:-4]):
        raise StorageError(f"{path} is damaged or cut short: its checksum is not that of its contents. Compress the "
                           "image again, or use a copy")
    try:
        channels, quality, at = data[5], data[6], 7
        sizes = []
        for _ in range(3):
            n, at = _read_number(data, at)
            sizes.append(n)
        length = data[at]
        name, at = data[at + 1:at + 1 + length].decode(), at + 1 + length
        (model,) = struct.unpack_from("<I", data, at)
    except (IndexError, UnicodeDecodeError, struct.error):
        raise StorageError(f"{path} is damaged: its header is cut short") from None
    count, height, width = sizes
    if channels not in (1, 3) or not 0 <= quality <= 100 or not 1 <= count * height * width <= LARGEST_IMAGE:
        raise StorageError(f"{path} says it holds {count} images of {width}x{height} with {channels} channels at "
                           f"quality {quality}: expected 1 or 3 channels, quality 1 to 100, or 0 for integers, and no "
                           f"more than {LARGEST_IMAGE:,} pixels")
    codes, least = data[at + 4:-4], _least(count * height * width)
    if len(codes) < least:
        raise StorageError(f"{path} says it holds {count} images of {width}x{height}, in {len(data):,} bytes: expected "
                           f"at least {least:,}")
    if least:
        codes = codes.rstrip(b"\0")[:-1]
    return Compressed(count, channels, height, width, quality, name, model, codes)


def _least(pixels: int) -> int:
    """How many bytes the codes of so many pixels have at least."""
    return max(min(pixels, LARGEST_IMAGE) - _FREE, 0) // _PIXELS_PER_BYTE


def _number(n: int) -> bytes:
    parts = []
    while n > 127:
        parts.append(n & 127 | 128)
        n >>= 7
    return bytes([*parts, n])


def _read_number(data: bytes, at: int) -> tuple[int, int]:
    """A number of at most 35 bits, and where it ends."""
    n = 0
    for i in range(5):
        n |= (data[at + i] & 127) << 7 * i
        if data[at + i] < 128:
            return n, at + i + 1
    raise IndexError("a number without an end")
