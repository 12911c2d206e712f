"""The integers of vector-quantised autoencoders as bytes."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from miniae.data import load
from miniae.data.errors import StorageError
from miniae.models import VectorQuantisedAutoencoder
from miniae.tasks import IndexCoder


@pytest.fixture(scope="module")
def model():
    model = VectorQuantisedAutoencoder((8, 8), image_shape=(28, 28), codebook=32, dim=4, epochs=2, backend="numpy")
    return model.fit(load("digits").train[:500])


def test_indices_come_back_in_fewer_bits_than_their_entropy_over_all_positions(model):
    digits = load("digits")
    coder = IndexCoder(32).fit(model.encode_indices(digits.train[:3000]))
    indices = model.encode_indices(digits.test[:300])
    data = coder.encode(indices)
    np.testing.assert_array_equal(coder.decode(data), indices)
    np.testing.assert_array_equal(model.decode_indices(coder.decode(data)), model.decode_indices(indices))
    assert 8 * len(data) / (300 * 784) < model.usage(digits.test[:300])["entropy_bits_per_pixel"]


def test_other_bytes_are_refused(model):
    indices = model.encode_indices(load("digits").test[:20])
    coder = IndexCoder(32).fit(indices)
    data = coder.encode(indices)
    other = IndexCoder(32).fit(indices[:10])
    for reader, bad in ((coder, data[:-1]), (coder, b""), (coder, b"\1" + data[1:]), (other, data)):
        with pytest.raises(StorageError, match="damaged, cut short or of another model"):
            reader.decode(bad)


def test_a_claim_of_more_samples_than_bytes_can_hold_is_refused_before_memory_is_taken(model):
    coder = IndexCoder(32).fit(model.encode_indices(load("digits").test[:20]))
    data = struct.pack("<I", 2**32 - 1) + bytes(100)
    with pytest.raises(StorageError, match="100 bytes can't hold the 4,294,967,295 samples"):
        coder.decode(data + struct.pack("<I", coder._checksum(data)))


@pytest.mark.parametrize("indices", [[[0.5]], [[32]], [[-1]], [3], np.zeros((0, 2), int)])
def test_what_are_no_indices(indices):
    with pytest.raises(ValueError, match="expected integers"):
        IndexCoder(32).fit(indices)
    with pytest.raises(ValueError, match="expected \\(N, 2\\)"):
        IndexCoder(32).fit([[1, 2]]).encode([[1, 2, 3]])
