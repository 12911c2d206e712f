"""How much memory a file may ask for."""

from __future__ import annotations

from typing import Any

from miniae.data.errors import DataError

__all__ = ["EACH", "FREE", "MANY", "PIXELS", "TIMES", "check_claim", "check_picture", "check_pictures"]

FREE = 1 << 28
"""So many bytes any file may unpack to: 256 MB."""

TIMES = 250
"""And so many times its own size. Deflate reaches a thousand, of zeros; data that tell anything stay far below."""

PIXELS = (1 << 30) // 12
"""So many pixels any picture may have, blank ones too: 1 GB of float32 in colour. There Pillow begins to warn."""

EACH, MANY = 1 << 23, 500
"""So many bytes more a folder may hold for each of its first 500 pictures, however well it is packed: 8 MB."""


def check_claim(path: Any, claimed: int, size: int) -> None:
    """Raise `DataError` for a file of `size` bytes that says it holds `claimed` bytes, where that is out of proportion:
    before any memory is taken for them."""
    if claimed > FREE + TIMES * size:
        raise DataError(f"{path} says it holds {claimed:,} bytes, in a file of {size:,}: more than {TIMES} times as "
                        "much is not unpacked. If that is right, save it unpacked, by numpy.save")


def check_picture(path: Any, width: int, height: int, size: int) -> None:
    """The same for one picture, in a file of `size` bytes."""
    if width * height > PIXELS + TIMES * size // 12:
        raise DataError(f"{path} says it is a picture of {width}x{height} pixels, in a file of {size:,} bytes: one so "
                        f"well packed is read up to {PIXELS:,} pixels. Make it smaller, or cut it into parts")


def check_pictures(folder: Any, count: int, claimed: int, size: int) -> None:
    """The same for a folder of so many pictures, in files of `size` bytes together."""
    if claimed > 12 * PIXELS + EACH * min(count, MANY) + TIMES * size:
        raise DataError(f"{folder} holds {count:,} pictures of {claimed:,} bytes together, in files of {size:,}: more "
                        f"than {TIMES} times as much is not unpacked. Make them smaller, or save them as one array, by "
                        "numpy.save")
