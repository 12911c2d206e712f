"""The table that `summary` prints."""

from __future__ import annotations

import pytest

from miniae.nn import BatchNorm, Dense, Sequential, TiedDense
from miniae.nn.summary import summary_table


def test_summary_of_an_autoencoder(backend, capsys):
    model = Sequential([Dense(128, "relu"), Dense(64, "relu"), Sequential([Dense(128, "relu"), Dense(784)])],
                       input_shape=(784,))
    model.summary()
    assert capsys.readouterr().out == """\
Layer       Output shape   Parameters
-------------------------------------
Input       (N, 784)                0
0 Dense     (N, 128)          100,480
1 Dense     (N, 64)             8,256
2.0 Dense   (N, 128)            8,320
2.1 Dense   (N, 784)          101,136
-------------------------------------
Parameters: 218,192 (852.3 KiB in float32)
Values for one sample: 1,104 (4.3 KiB)
"""


def test_shared_weights_count_once_and_buffers_apart(backend):
    first = Dense(4)
    model = Sequential([first, BatchNorm(), TiedDense(first)], input_shape=(10,), dtype="float64")
    table = summary_table(model)
    assert sum(p.size for p in model.parameters()) == 44 + 8 + 10
    assert f"Parameters: 62 ({62 * 8} B in float64)" in table
    assert "Buffers, not trained: 8" in table


def test_summary_of_what_has_no_shapes(backend):
    with pytest.raises(ValueError, match="give it an input_shape, or call it once"):
        Sequential([Dense(3)]).summary()
