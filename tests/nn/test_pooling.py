"""MaxPool2D, AvgPool2D and UpSample2D."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import Tensor, gradcheck
from miniae.nn import AvgPool2D, MaxPool2D, UpSample2D

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("layer", [MaxPool2D(), MaxPool2D(3, 2), AvgPool2D(), AvgPool2D((2, 3), (1, 2)), UpSample2D(),
                                   UpSample2D(3)], ids=repr)
def test_gradcheck_and_output_shape(layer, backend):
    layer.input_shape = None  # these objects serve several backends: build again
    x = Tensor(RNG.permutation(2 * 3 * 6 * 7).reshape(2, 3, 6, 7) / 10.0)  # no two alike: the maximum is smooth
    y = layer(x)
    assert y.shape[1:] == layer.output_shape((3, 6, 7))
    assert gradcheck(layer, [x])
    assert layer(np.zeros((0, 3, 6, 7))).shape == (0, *y.shape[1:])


def test_values(backend):
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    np.testing.assert_array_equal(MaxPool2D(2)(x).numpy()[0, 0], [[5, 7], [13, 15]])
    np.testing.assert_array_equal(AvgPool2D(2)(x).numpy()[0, 0], [[2.5, 4.5], [10.5, 12.5]])
    np.testing.assert_array_equal(UpSample2D(2)(x).numpy()[0, 0], np.kron(x[0, 0], np.ones((2, 2))))


def test_like_pytorch(backend):
    torch = pytest.importorskip("torch", reason="compares with torch.nn")
    x = RNG.standard_normal((2, 3, 7, 8))
    t = torch.tensor(x)
    for ours, theirs in ((MaxPool2D(3, 2), torch.nn.MaxPool2d(3, 2)), (AvgPool2D(3, 2), torch.nn.AvgPool2d(3, 2)),
                         (UpSample2D(2), torch.nn.Upsample(scale_factor=2))):
        np.testing.assert_allclose(ours(x).numpy(), theirs(t).numpy(), rtol=1e-12)


@pytest.mark.parametrize("kind", [MaxPool2D, AvgPool2D, UpSample2D])
def test_refuses_what_makes_no_sense(kind, backend):
    with pytest.raises(ValueError):
        kind(0).build((1, 8, 8))
    with pytest.raises(ValueError, match="takes images"):
        kind(2).build((784,))


@pytest.mark.parametrize("kind", [MaxPool2D, AvgPool2D, UpSample2D])
def test_windows_that_are_too_large(kind):
    kind((256, 256))
    with pytest.raises(ValueError, match="more than 65,536 elements"):
        kind((256, 257))
