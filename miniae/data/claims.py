"""How much memory a file may ask for."""

from __future__ import annotations

from typing import Any

from miniae.data.errors import DataError

__all__ = ["FREE", "TIMES", "check_claim"]

FREE = 1 << 28
"""So many bytes any file may unpack to: 256 MB."""

TIMES = 250
"""And so many times its own size. Deflate reaches a thousand, of zeros; data that tell anything stay far below."""


def check_claim(path: Any, claimed: int, size: int) -> None:
    """Raise `DataError` for a file of `size` bytes that says it holds `claimed` bytes, where that is out of proportion:
    before any memory is taken for them."""
    if claimed > FREE + TIMES * size:
        raise DataError(f"{path} says it holds {claimed:,} bytes, in a file of {size:,}: more than {TIMES} times as "
                        "much is not unpacked. If that is right, save it unpacked, by numpy.save")
