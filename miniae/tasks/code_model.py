"""What is known of a whole number in an image's code before it is read: how large it and its neighbours tend to be.

A code (channels, h, w) is read channel by channel, those with large numbers first, and in a channel in three passes:
positions of even row and even column, of odd row and odd column, and the others. So at each number other channels at
the place and around it are known, and from the second pass on four neighbours in the channel itself. A linear forecast
of the number's size from theirs decides how often each number is expected there; with neighbours, a share of their mean
is taken off the number first.

Whatever encoder and decoder must agree on is computed in integers, or in float64 of integers below 2^53, which is
exact, so that files are read alike on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from miniae.backend.philox import host_generator
from miniae.data.errors import StorageError
from miniae.tasks.entropy import Decoder, Encoder, Tables, whole_frequencies

__all__ = ["LARGEST", "CodeModel"]

LARGEST = 8191
"""Codes are whole numbers from -LARGEST to LARGEST."""

# Numbers up to 7 in size have symbols of their own; of larger ones the symbol says the two leading bits and how many
# follow, which come as further symbols of up to 4 bits, all alike often.
_EXACT, _SYMBOLS, _RAW_BITS = 16, 38, 4
_UNIT = 1024  # forecasts and shares are counted in these parts of one
_BOUNDS = np.rint(_UNIT * 0.01 * 1.5 ** np.arange(24)).astype(np.int64)  # between the levels of forecasts
_LEVELS = len(_BOUNDS) + 1
_KINDS = 96  # different tables of frequencies
_CAP = 4095  # what larger sizes count as, for forecasts
_POSITIONS = 1 << 16  # at once: of larger codes some rows at a time
_ROWS = 6000  # for the regressions

_PASSES = (((0, 0),), ((1, 1),), ((0, 1), (1, 0)))
_AROUND: tuple[Any, ...] = (None, ((-1, -1), (-1, 1), (1, -1), (1, 1)), ((-1, 0), (1, 0), (0, -1), (0, 1)))


class CodeModel:
    """How likely each number of a code is, given those before it; see the module.

    Its arrays are all integers: `order` (C,) the channels as they are read; `weights` (C, 2, 2 C + 1), of the sizes of
    the channels before at the place, of their sums over the 8 places around, and of the 4 neighbours' mean, for passes
    without and with neighbours; `shares` (C,) of the neighbours' mean; `tables` (C, 2, levels) which of the
    `frequencies` (kinds, symbols) hold.
    """

    def __init__(self, order: np.ndarray, weights: np.ndarray, shares: np.ndarray, tables: np.ndarray,
                 frequencies: np.ndarray):
        channels = len(order)
        self.order, self.shares = order.astype(np.int64), shares.astype(np.int64)
        self.weights = weights.astype(np.float64)
        self.tables, self.frequencies = tables.astype(np.int64), frequencies.astype(np.int64)
        if sorted(self.order) != list(range(channels)) or self.shares.shape != (channels,) or \
                self.weights.shape != (channels, 2, 2 * channels + 1) or \
                self.tables.shape != (channels, 2, _LEVELS) or self.frequencies.shape[1:] != (_SYMBOLS,) or \
                not 0 <= self.tables.min() <= self.tables.max() < len(self.frequencies):
            raise ValueError("the arrays of a code's model don't belong together")
        raw = [(1 << 14 >> bits) * (np.arange(_SYMBOLS) < 1 << bits) for bits in range(_RAW_BITS + 1)]
        # Every symbol has a frequency in every table, as the coder wants; what raw bits can't be is given one of 2^14.
        self._raw = len(self.frequencies)
        self._coder = Tables(np.concatenate([self.frequencies, whole_frequencies(np.stack(raw))]))

    def arrays(self) -> dict[str, np.ndarray]:
        """What makes the model again: as keyword arguments of the constructor, in as few bytes as it takes."""
        return {"order": self.order.astype(np.uint16), "weights": self.weights.astype(np.int16),
                "shares": self.shares.astype(np.int16), "tables": self.tables.astype(np.uint8),
                "frequencies": self.frequencies.astype(np.uint16)}

    # ---------------------------------------------------------------- use

    def encode(self, codes: np.ndarray) -> bytes:
        """Integers (N, C, h, w) as bytes."""
        if codes.size and np.abs(codes).max() > LARGEST:
            raise ValueError(f"codes go up to {np.abs(codes).max()}, expected at most {LARGEST} in size")
        with_numbers = np.flatnonzero(codes[:, self.order].any((0, 2, 3)))
        used = int(with_numbers[-1]) + 1 if len(with_numbers) else 0
        encoder = Encoder(self._coder)

        def put(kinds: np.ndarray, values: np.ndarray) -> np.ndarray:
            _put(encoder, self._raw, kinds, values)
            return values

        for rows in _stripes(codes.shape):
            self._go(codes[:, :, rows], used, put)
        return used.to_bytes(2, "little") + encoder.finish(used * codes[:, 0].size)

    def decode(self, data: bytes, shape: tuple[int, ...]) -> np.ndarray:
        """What `encode` made bytes of: (N, C, h, w) int64. Raises `StorageError` for bytes that are not of this."""
        used = int.from_bytes(data[:2], "little")
        if len(data) < 2 or used > len(self.order):
            raise StorageError("the codes are damaged")
        codes = np.zeros(shape, np.int64)
        decoder = Decoder(data[2:], self._coder, used * codes[:, 0].size)
        for rows in _stripes(shape):
            self._go(codes[:, :, rows], used, lambda kinds, _: _get(decoder, self._raw, kinds))
        decoder.finish()
        return codes

    def _go(self, codes: np.ndarray, used: int, exchange: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        """Go through the codes as they are read. `exchange` is given the tables and what the codes say is there, less
        its forecast, and returns what is, which is put into the codes."""
        n, channels, h, w = codes.shape
        sizes = np.zeros((2, used, n, h, w))  # of the channels so far: there, and around
        for i, c in enumerate(self.order[:used]):
            known = np.concatenate(sizes[:, :i]).reshape(2 * i, n * h * w)
            plane = np.zeros((n, h, w), np.int64)
            weights = self.weights[i]
            for number, places in enumerate(_PASSES):
                later = int(number > 0)
                before = np.concatenate([weights[later, :i], weights[later, channels:channels + i]])
                forecasts = (before @ known).reshape(n, h, w)
                around = _around(plane, number) if later else np.zeros((2, n, h, w))
                for y, x in places:
                    where = (slice(None), slice(y, None, 2), slice(x, None, 2))
                    total, size = around[(slice(None), *where)]
                    forecast = forecasts[where] + weights[later, -1] * np.floor(size / 4)
                    level = np.searchsorted(_BOUNDS, forecast.ravel(), side="right")
                    taken = np.floor((self.shares[i] * total / 4 + _UNIT / 2) / _UNIT).astype(np.int64)
                    value = exchange(self.tables[i, later][level], (codes[:, c][where] - taken).ravel())
                    plane[where] = value.reshape(taken.shape) + taken
            codes[:, c] = plane
            sizes[0, i] = np.minimum(np.abs(plane), _CAP)
            sizes[1, i] = _ring(sizes[0, i])

    # ---------------------------------------------------------------- learning

    @classmethod
    def fit(cls, examples: list[np.ndarray], seed: int = 0) -> CodeModel:
        """The model of codes like these integers (N, C, h, w), which may be of different sizes."""
        channels = examples[0].shape[1]
        mean_size = sum(np.abs(q).sum((0, 2, 3), dtype=np.float64) for q in examples)
        order = np.argsort(-mean_size, kind="stable")
        weights, shares = _regressions([q[:, order] for q in examples], host_generator(seed, "codes"))
        blank = cls(order, weights, shares, np.zeros((channels, 2, _LEVELS)), whole_frequencies(np.ones((1, _SYMBOLS))))
        blank.tables = np.arange(channels * 2 * _LEVELS).reshape(channels, 2, _LEVELS)
        counts = np.zeros((channels * 2 * _LEVELS, _SYMBOLS))

        def count(kinds: np.ndarray, values: np.ndarray) -> np.ndarray:
            np.add.at(counts, (kinds, _split(values)[0]), 1.0)
            return values

        for q in examples:
            for rows in _stripes(q.shape):
                blank._go(q[:, :, rows].astype(np.int64), channels, count)
        likely = counts.reshape(channels * 2, _LEVELS, _SYMBOLS).sum(0)
        likely = likely + likely.sum(0) / max(likely.sum(), 1.0) + 1e-3
        likely /= likely.sum(1, keepdims=True)
        # A place that was seen rarely is taken to be like others of its level.
        smooth = counts + 20.0 * np.tile(likely, (channels * 2, 1))
        kinds, means = _grouped(smooth)
        return cls(order, weights, shares, kinds.reshape(channels, 2, _LEVELS), whole_frequencies(means))


def _stripes(shape: tuple[int, ...]) -> list[slice]:
    """Some rows of codes (N, C, h, w) at a time, an even number."""
    rows = max(_POSITIONS // max(shape[0] * shape[3], 1) // 2 * 2, 2)
    return [slice(i, i + rows) for i in range(0, shape[2], rows)]


def _ring(a: np.ndarray) -> np.ndarray:
    """Sums over the 8 places around each of the last two axes, 0 beyond the edges."""
    p = np.pad(a, [(0, 0)] * (a.ndim - 2) + [(1, 1), (1, 1)])
    h, w = a.shape[-2:]
    rows = p[..., :h, :] + p[..., 1:h + 1, :] + p[..., 2:, :]
    return rows[..., :w] + rows[..., 1:w + 1] + rows[..., 2:] - a


def _around(plane: np.ndarray, number: int) -> np.ndarray:
    """The sum of the four neighbours that a pass knows, and that of their sizes: (2, N, h, w)."""
    p = np.pad(plane, [(0, 0), (1, 1), (1, 1)], mode="reflect" if min(plane.shape[1:]) > 1 else "edge")
    h, w = plane.shape[1:]
    near = [p[:, 1 + y:1 + y + h, 1 + x:1 + x + w] for y, x in _AROUND[number]]
    return np.stack([sum(near), np.minimum(sum(map(np.abs, near)), 4 * _CAP)]).astype(np.float64)


def _split(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers as symbols, how many bits follow each, and those bits."""
    u = np.where(values >= 0, 2 * values, -2 * values - 1)
    exponent = np.frexp(np.maximum(u, 1).astype(np.float64))[1] - 1  # floor(log2 u), exactly
    bits = np.where(u < _EXACT, 0, exponent - 1)
    symbol = np.where(u < _EXACT, u, _EXACT + 2 * (exponent - 4) + (u >> bits) - 2)
    return symbol, bits, u & (1 << bits) - 1


def _put(encoder: Encoder, raw: int, kinds: np.ndarray, values: np.ndarray) -> None:
    symbols, bits, rest = _split(values)
    encoder.put(symbols, kinds)
    while bits.any():
        rest, bits = rest[bits > 0], bits[bits > 0]
        now = np.minimum(bits, _RAW_BITS)
        encoder.put(rest & (1 << now) - 1, raw + now)
        rest, bits = rest >> now, bits - now


def _get(decoder: Decoder, raw: int, kinds: np.ndarray) -> np.ndarray:
    symbols = decoder.get(kinds)
    large = np.flatnonzero(symbols >= _EXACT)
    if len(large):
        exponent, second = np.divmod(symbols[large] - _EXACT, 2)
        total = exponent + 3
        u, at = (second + 2) << total, np.zeros_like(total)
        left = np.arange(len(large))
        while len(left):
            now = np.minimum(total[left] - at[left], _RAW_BITS)
            u[left] += decoder.get(raw + now) << at[left]
            at[left] += now
            left = left[at[left] < total[left]]
        symbols[large] = u
    return np.where(symbols % 2 == 0, symbols // 2, -(symbols + 1) // 2)


def _regressions(examples: list[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`weights` and `shares` by least squares; the examples' channels are in their order."""
    channels = examples[0].shape[1]
    share = min(1.0, _ROWS / max(sum(q[:, 0].size for q in examples) / 2, 1))
    features: list[list[np.ndarray]] = [[], []]
    values: list[list[np.ndarray]] = [[], []]
    for q in examples:
        size = np.minimum(np.abs(q), _CAP).astype(np.float64)
        both = np.concatenate([size, _ring(size)], axis=1)
        for number in (0, 1, 2):
            planes = q.reshape(-1, *q.shape[2:])
            around = _around(planes, number) if number else np.zeros((2, *planes.shape))
            around = around.reshape(2, *q.shape)
            for y, x in _PASSES[number]:
                where = (slice(None), slice(None), slice(y, None, 2), slice(x, None, 2))
                kept = rng.random(q[where][:, 0].shape) < share
                later = int(number > 0)
                features[later].append(np.moveaxis(both[where], 1, -1)[kept])
                near = [np.moveaxis(a[where], 1, -1)[kept] / 4 for a in around]
                values[later].append(np.stack([np.moveaxis(q[where], 1, -1)[kept], *near], axis=1))
    weights, shares = np.zeros((channels, 2, 2 * channels + 1)), np.zeros(channels)
    for later in (0, 1):
        F, V = np.concatenate(features[later]), np.concatenate(values[later])
        for c in range(channels if len(F) else 0):
            value, mean, size = V[:, :, c].T
            if later:
                shares[c] = np.rint(_UNIT * np.clip(value @ mean / max(mean @ mean, 1e-9), 0, 1))
            target = np.abs(value - np.rint(shares[c] / _UNIT * mean)) if later else np.abs(value)
            chosen = np.r_[0:c, channels:channels + c]
            X = np.column_stack([F[:, chosen], size])
            weight = np.ones(len(X))
            for _ in range(2):
                A = (X * weight[:, None]).T @ X
                A[np.diag_indices_from(A)] += 1e-3 * np.trace(A) / len(A) + 1e-6
                solution = np.linalg.solve(A, X.T @ (weight * target))
                weight = 1 / (np.maximum(X @ solution, 0) + 0.05)  # sizes vary as they are large
            weights[c, later, [*chosen, 2 * channels]] = solution
    return np.clip(np.rint(weights * _UNIT), -32767, 32767), shares


def _grouped(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put rows of counts (R, S) into at most _KINDS groups, so that a table for each group codes them in few bits:
    the group of each row, and the groups' counts."""
    total = counts.sum(1, keepdims=True)
    own = counts / total
    entropy = -(own * np.log(own)).sum(1)
    rank = np.empty(len(counts), np.int64)
    rank[np.argsort(entropy, kind="stable")] = np.arange(len(counts))
    group = rank * min(_KINDS, len(counts)) // len(counts)
    for _ in range(20):
        sums = np.zeros((group.max() + 1, counts.shape[1]))
        np.add.at(sums, group, counts)
        sums = sums[sums.sum(1) > 0]
        group = np.argmax(counts @ np.log(sums / sums.sum(1, keepdims=True)).T, axis=1)
    sums = np.zeros((len(sums), counts.shape[1]))
    np.add.at(sums, group, counts)
    return group, np.maximum(sums, 1e-9)
