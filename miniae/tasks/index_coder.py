"""The integers of a vector-quantised autoencoder, in as many bits as they have information."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from miniae.data.errors import StorageError
from miniae.tasks.entropy import PRECISION, Decoder, Encoder, Tables, whole_frequencies

__all__ = ["IndexCoder"]

# How many samples' worth the frequencies over all positions count beside those at a position.
_PRIOR = 50.0


class IndexCoder:
    """Codes integers (N, ...) from 0 to `size` - 1 by how often each comes at its position.

        indices = model.encode_indices(X)                     # of a VectorQuantisedAutoencoder
        coder = IndexCoder(model.codebook).fit(indices)
        images = model.decode_indices(coder.decode(coder.encode(indices)))

    The bytes begin with the number of samples and end with a CRC-32 of all before and of the frequencies, so that those
    of another coder are refused.

    Attributes
    ----------
    frequencies_ : of each position and integer, in 2^14: (positions, size) int64.
    """

    def __init__(self, size: int):
        self.size = size

    @classmethod
    def of(cls, frequencies: np.ndarray, shape: Sequence[int]) -> IndexCoder:
        """The coder with these `frequencies_`, of integers (N, *shape). Raises `ValueError` for what are none."""
        tables, shape = Tables(frequencies), tuple(shape)
        if len(tables.frequencies) != math.prod(shape):
            raise ValueError(f"there are frequencies of {len(tables.frequencies)} positions, expected those of {shape}")
        coder = cls(tables.frequencies.shape[1])
        coder._tables, coder.frequencies_, coder.shape_ = tables, tables.frequencies.astype(np.int64), shape
        return coder

    def fit(self, indices: Any) -> IndexCoder:
        """Count the integers (N, ...) of training data."""
        rows = self._rows(indices)
        counts = np.stack([np.bincount(column, minlength=self.size) for column in rows.T]).astype(np.float64)
        overall = (counts.sum(0) + 1) / (counts.sum() + self.size)
        self.frequencies_ = whole_frequencies(counts + _PRIOR * overall)
        self.shape_, self._tables = np.shape(indices)[1:], Tables(self.frequencies_)
        return self

    def encode(self, indices: Any) -> bytes:
        """Integers (N, ...), of the shape they were fitted with, as bytes."""
        codes = self.pack(indices)
        data = struct.pack("<I", len(indices)) + codes
        return data + struct.pack("<I", self._checksum(data))

    def decode(self, data: bytes) -> np.ndarray:
        """What `encode` made bytes of: (N, ...) int64. Raises `StorageError` for other bytes."""
        if len(data) < 8 or struct.unpack("<I", data[-4:])[0] != self._checksum(data[:-4]):
            raise StorageError("the indices are damaged, cut short or of another model")
        return self.unpack(data[4:-4], struct.unpack("<I", data[:4])[0])

    def pack(self, indices: Any) -> bytes:
        """What `encode` gives without the number of samples and the checksum: for files that have both."""
        rows = self._rows(indices)
        if np.shape(indices)[1:] != self.shape_:
            expected = ", ".join(map(str, self.shape_))
            raise ValueError(f"indices have shape {np.shape(indices)}, expected (N, {expected})")
        encoder = Encoder(self._tables)
        encoder.put(rows.ravel(), np.tile(np.arange(rows.shape[1]), len(rows)))
        return encoder.finish()

    def unpack(self, data: bytes, n: int) -> np.ndarray:
        """The n samples' integers that `pack` made bytes of: (n, ...) int64. Raises `StorageError` for other bytes."""
        if n * self._least_bits() > 8 * len(data) + 64:  # before memory is taken for them
            raise StorageError(f"{len(data)} bytes can't hold the {n:,} samples that they claim to be of")
        positions = math.prod(self.shape_)
        decoder = Decoder(data, self._tables, n * positions)
        rows = decoder.get(np.tile(np.arange(positions), n))
        decoder.finish()
        return rows.reshape(n, *self.shape_)

    def _least_bits(self) -> float:
        """Of a sample all of whose integers are the likeliest ones."""
        return float(-np.log2(self.frequencies_.max(axis=1) / (1 << PRECISION)).sum())

    def _checksum(self, data: bytes) -> int:
        return zlib.crc32(data, zlib.crc32(self.frequencies_.astype("<i8").tobytes()))

    def _rows(self, indices: Any) -> np.ndarray:
        indices = np.asarray(indices)
        if indices.dtype.kind not in "iu" or indices.ndim < 2 or not indices.size or \
                not 0 <= indices.min() <= indices.max() < self.size:
            raise ValueError(f"expected integers (N, ...) from 0 to {self.size - 1}, got {indices.dtype} of shape "
                             f"{indices.shape}")
        return indices.reshape(len(indices), -1).astype(np.int64)
