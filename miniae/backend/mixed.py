"""What the parts of a `Backend` that have a module of their own use of the whole."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

__all__ = ["Mixed"]

Array = Any


class Mixed:
    """To be mixed into `Backend`, which has these: see there."""

    xp: Any
    precision: Any

    if TYPE_CHECKING:
        def empty(self, shape: tuple[int, ...], dtype: Any) -> Array: ...
        def empty_like(self, a: Array, shape: tuple[int, ...] | None = None, dtype: Any = None) -> Array: ...
        def contiguous(self, a: Array) -> Array: ...
        def copy(self, a: Array, out: Array | None = None) -> Array: ...
        def fill(self, a: Array, value: float) -> None: ...
        def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array: ...
        def silent(self) -> contextlib.AbstractContextManager[Any]: ...
