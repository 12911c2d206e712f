"""Activation, Flatten and Reshape."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import Tensor, gradcheck
from miniae.nn import Activation, Flatten, Reshape

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("make, shape", [
    (lambda: Activation("tanh"), (3, 4)), (lambda: Activation("softplus"), (2, 3, 2, 2)),
    (Flatten, (2, 3, 2, 2)), (Flatten, (3, 4)), (lambda: Reshape((3, 2, 2)), (2, 12)),
    (lambda: Reshape([12]), (2, 3, 2, 2)),
])
def test_gradcheck_and_output_shape(make, shape, backend):
    layer = make()
    x = Tensor(RNG.standard_normal(shape))
    assert layer(x).shape[1:] == layer.output_shape(shape[1:])
    assert gradcheck(layer, [x])
    assert layer(np.zeros((0, *shape[1:]))).shape == (0, *layer.output_shape(shape[1:]))


def test_values(backend):
    x = RNG.standard_normal((2, 3, 4, 5))
    np.testing.assert_array_equal(Flatten()(x).numpy(), x.reshape(2, 60))
    np.testing.assert_array_equal(Reshape((5, 12))(x).numpy(), x.reshape(2, 5, 12))
    np.testing.assert_allclose(Activation(lambda t: t * 2.0)(x).numpy(), 2 * x)


def test_refuses_what_makes_no_sense(backend):
    with pytest.raises(ValueError, match=r"samples of shape \(784,\), 784 elements, into \(1, 28, 27\), 756 elements"):
        Reshape((1, 28, 27)).build((784,))
    with pytest.raises(ValueError, match="swoosh"):
        Activation("swoosh")
