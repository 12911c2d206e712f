"""Entropy coding: integers as about as many bits as they have information, in integer arithmetic alone.

A range asymmetric numeral system (Duda, "Asymmetric numeral systems", 2013), interleaved (Giesen, "Interleaved entropy
coders", 2014): a lane is a number x of 32 bits, onto which symbols are stacked. A symbol s that comes f_s times in
2^14, c_s being the sum of the f before it, makes of x

    x' = floor(x / f_s) 2^14 + c_s + x mod f_s,     about x 2^14 / f_s: log2 x grows by its information

and 16 bits of x go to the stream first where x' would be too large. The last one stacked is the first to be read. The
symbols of a message are dealt out to several lanes, which NumPy works on at once.
"""

from __future__ import annotations

import numpy as np

from miniae.data.errors import StorageError

__all__ = ["PRECISION", "Decoder", "Encoder", "Tables", "whole_frequencies"]

PRECISION = 14
"""Frequencies add up to 2^PRECISION."""

# A lane costs two bytes, and a step takes as long for one lane as for some hundred.
_SYMBOLS_PER_LANE = 1 << 13
_LOW, _WORD, _SLOT = 1 << 16, 16, (1 << PRECISION) - 1


def whole_frequencies(counts: np.ndarray) -> np.ndarray:
    """Counts (T, S) of T kinds of symbols, any numbers of at least 0, as integers of at least 1 that add up to
    2^PRECISION for each kind: (T, S) int64."""
    counts = np.asarray(counts, np.float64)
    kinds, symbols = counts.shape
    if symbols > 1 << (PRECISION - 1):
        raise ValueError(f"{symbols} symbols are more than the {1 << (PRECISION - 1)} that can be told apart")
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1e-300)
    whole = 1 + np.floor(shares * ((1 << PRECISION) - symbols)).astype(np.int64)
    whole[np.arange(kinds), whole.argmax(1)] += (1 << PRECISION) - whole.sum(1)
    return whole


class Tables:
    """How often each of S symbols comes, for T kinds of places: what encoder and decoder must both have.

    `frequencies` are integers (T, S), none of them 0, that add up to 2^PRECISION in each row. Raises `ValueError` for
    others.
    """

    def __init__(self, frequencies: np.ndarray):
        f = np.asarray(frequencies)
        if f.ndim != 2 or f.dtype.kind not in "iu" or not f.size or f.min() < 1 or \
                (f.sum(1, dtype=np.int64) != 1 << PRECISION).any():
            raise ValueError(f"frequencies are positive integers whose rows add up to {1 << PRECISION}")
        self.frequencies = f.astype(np.uint64)
        self.starts = np.cumsum(self.frequencies, axis=1) - self.frequencies
        self._symbols: np.ndarray | None = None

    @property
    def symbols(self) -> np.ndarray:
        """Which symbol is at each of the 2^PRECISION places of a kind: (T, 2^PRECISION)."""
        if self._symbols is None:
            numbers = np.arange(self.frequencies.shape[1], dtype=np.uint16)
            self._symbols = np.stack([np.repeat(numbers, row.astype(np.int64)) for row in self.frequencies])
        return self._symbols


class Encoder:
    """Collects symbols, and makes bytes of them.

    >>> encoder = Encoder(Tables(whole_frequencies([[3, 1]])))
    >>> encoder.put([0, 0, 1, 0], [0, 0, 0, 0])
    >>> Decoder(encoder.finish(), encoder.tables, 4).get([0, 0, 0, 0]).tolist()
    [0, 0, 1, 0]
    """

    def __init__(self, tables: Tables):
        self.tables = tables
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []

    def put(self, symbols: np.ndarray, kinds: np.ndarray) -> None:
        """Add symbols (n,), each of a place of that kind (n,)."""
        self._parts.append((self.tables.frequencies[kinds, symbols], self.tables.starts[kinds, symbols]))

    def finish(self, size: int | None = None) -> bytes:
        """All that was added. `size` is how many symbols the decoder will be told there are; None for exactly these."""
        size = sum(len(f) for f, _ in self._parts) if size is None else size
        lanes = _lanes(size)
        x, words = np.full(lanes, _LOW, np.uint64), []
        for frequency, start in reversed(self._parts):
            for i in reversed(range(0, len(frequency), lanes)):
                f, c = frequency[i:i + lanes], start[i:i + lanes]
                busy = x[:len(f)]  # a view
                full = busy >= f << np.uint64(32 - PRECISION)
                words.append(busy[full].astype("<u2"))  # the low 16 bits
                busy[full] >>= np.uint64(_WORD)
                whole, rest = np.divmod(busy, f)
                busy[:] = (whole << np.uint64(PRECISION)) + rest + c
        return b"".join([x.astype("<u4").tobytes(), *(w.tobytes() for w in reversed(words))])


class Decoder:
    """Gives back, in their order, the symbols that an `Encoder` with the same tables made bytes of.

    `size` is what `Encoder.finish` was given, or the number of symbols. Raises `StorageError` for bytes that it can't
    have made.
    """

    def __init__(self, data: bytes, tables: Tables, size: int):
        self.tables, lanes = tables, _lanes(size)
        if len(data) < 4 * lanes or len(data) % 2:
            raise StorageError("the codes are cut short")
        self._x = np.frombuffer(data, "<u4", lanes).astype(np.uint64)
        self._words, self._at = np.frombuffer(data, "<u2", offset=4 * lanes).astype(np.uint64), 0
        if (self._x < _LOW).any():
            raise StorageError("the codes are damaged")

    def get(self, kinds: np.ndarray) -> np.ndarray:
        """The next symbols, of places of these kinds: (n,) to (n,) int64."""
        kinds, lanes = np.asarray(kinds, np.intp), len(self._x)
        symbols = np.empty(len(kinds), np.int64)
        lookup, frequencies, starts = self.tables.symbols, self.tables.frequencies, self.tables.starts
        for i in range(0, len(kinds), lanes):
            kind = kinds[i:i + lanes]
            x = self._x[:len(kind)]  # a view
            slot = x & np.uint64(_SLOT)
            symbol = lookup[kind, slot.astype(np.intp)]
            x[:] = frequencies[kind, symbol] * (x >> np.uint64(PRECISION)) + slot - starts[kind, symbol]
            low = np.flatnonzero(x < _LOW)
            words = self._words[self._at:self._at + len(low)]
            if len(words) < len(low):
                raise StorageError("the codes are cut short")
            x[low] = x[low] << np.uint64(_WORD) | words
            self._at += len(low)
            symbols[i:i + lanes] = symbol
        return symbols

    def finish(self) -> None:
        """Raises `StorageError` unless everything was read, and came out as it went in."""
        if self._at != len(self._words) or (self._x != _LOW).any():
            raise StorageError("the codes are damaged")


def _lanes(size: int) -> int:
    return max(size // _SYMBOLS_PER_LANE, 1)
