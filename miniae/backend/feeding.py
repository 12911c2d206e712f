"""How rows that lie on the host come to the device: batch after batch into one array, which stays the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from miniae.backend.base import Array, Backend, Shape

__all__ = ["Feeder"]


class Feeder:
    """Brings batches of one shape to the device, each into `array`.

    `gather(index, out)` writes the rows of these numbers into an array of the host. Here that is `array` itself where
    the device is the host, and else a buffer that is then copied, at once.
    """

    def __init__(self, backend: Backend, gather: Callable[[np.ndarray, np.ndarray], None], shape: Shape, dtype: Any):
        self.backend, self.gather = backend, gather
        self.array: Array = backend.allocate(shape, dtype)
        self._host = self.array if type(self.array) is np.ndarray else np.empty(shape, dtype)

    def fetch(self, index: np.ndarray) -> None:
        """The rows that will be wanted next: a feeder may begin to bring them while the device computes."""

    def close(self) -> None:
        """Bring nothing more: what was begun is over when this returns."""

    def take(self, index: np.ndarray) -> None:
        """Make these rows what `array` holds, for all that the device is told to do from now on."""
        self.gather(index, self._host)
        if self._host is not self.array:
            self.backend.upload(self._host, self.array)
