"""Counter-based random numbers: the same on every backend, with no hidden state.

A draw is a pure function of four numbers. The *seed* is the key; *stream* (who draws: a dropout layer, the shuffle, an
RBM's hidden units), *step* (how many draws that stream has made) and *position* (which element) are the counter. So a
run repeats exactly, a resumed run continues exactly, and a GPU kernel computes each element on its own.

The generator is Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) with NumPy's
conventions: `numpy.random.Philox(key=[seed, 0], counter=[position, step, stream, 0])`. Floats take the top 24 (float32)
or 53 (float64) bits, so a uniform number is in [0, 1).
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.backend.sharing import current_share

if TYPE_CHECKING:
    from miniae.backend.base import Backend

__all__ = ["Generator", "host_generator", "philox_generator", "stream_number"]


def stream_number(name: str | int) -> int:
    """The number of a named stream (a checksum of the name: stable across runs and machines)."""
    return name if isinstance(name, int) else zlib.crc32(name.encode())


def host_generator(seed: int, stream: str | int, step: int = 0) -> np.random.Generator:
    """A NumPy generator for work on the host: initial weights, shuffles, splits."""
    return np.random.Generator(np.random.Philox(key=[seed, 0], counter=[0, step, stream_number(stream), 0]))


def philox_generator(dtype: Any, seed: int, stream: int, step: int, first: int = 0) -> np.random.Generator:
    """A NumPy generator whose next number of that dtype is the one at position `first` of the draw."""
    each = 8 if np.dtype(dtype).itemsize == 4 else 4  # numbers in a block of the counter
    bits = np.random.Philox(key=[seed, 0], counter=[first // each, step, stream, 0])
    generator = np.random.Generator(bits)
    if first % each:
        generator.random(first % each, dtype)
    return generator


class Generator:
    """Random arrays on a backend, keyed by (seed, stream) and counted by the number of draws made so far.

    The count lives on the device, because a recorded step must advance it when it is replayed. In a minibatch that
    ranks share (see `sharing`), an array has a row for each sample here, and holds what all rows' array has there.

    >>> rng = Generator(seed=0, stream="noise")
    >>> rng.uniform((2, 3), "float32").shape
    (2, 3)
    """

    def __init__(self, seed: int = 0, stream: str | int = "default", backend: Backend | str | None = None):
        from miniae.backend import get

        if not 0 <= seed < 2**63:
            raise ValueError(f"seed must be an integer from 0 to 2**63 - 1, got {seed}")
        self.seed, self.stream, self.backend = int(seed), stream_number(stream), get(backend)
        self._step = self.backend.zeros((1,), "int64")

    @property
    def step(self) -> int:
        """How many draws have been made; set it to repeat or to resume."""
        return int(self.backend.to_host(self._step)[0])

    @step.setter
    def step(self, value: int) -> None:
        self.backend.fill(self._step, value)

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers uniform in [0, 1)."""
        return self._draw(self.backend.philox_uniform, shape, dtype)

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Standard normal numbers: Box-Muller on two uniform halves."""
        return self._draw(self.backend.philox_normal, shape, dtype, of_total=True)

    def bernoulli(self, probability: Any) -> Any:
        """Zeros and ones of the dtype and shape of `probability`: one where a uniform draw is below it."""
        return self._draw(self.backend.philox_bernoulli, probability.shape, probability.dtype, probability)

    def mask(self, shape: tuple[int, ...], dtype: Any, rate: float, kept: float = 1.0) -> Any:
        """Zeros, each with probability `rate`, and else the number `kept`."""
        return self._draw(self.backend.philox_mask, shape, dtype, rate, kept)

    def _draw(self, kernel: Any, shape: tuple[int, ...], dtype: Any, *args: Any, of_total: bool = False) -> Any:
        out = self.backend.empty(tuple(shape), np.dtype(dtype))
        share = current_share()
        place = () if share is None else share.place(tuple(shape))[:2 if of_total else 1]
        kernel(out, *args, self.seed, self.stream, self._step, *place)
        self.backend.increment(self._step)
        return out
