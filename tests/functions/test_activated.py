"""Layers' functions with an activation of their own: the same numbers as the two one after the other, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import Tensor
from miniae import functions as F
from miniae.autodiff import jvp
from miniae.backend import get
from miniae.functions.activation import ACTIVATIONS, by_value

CALLS = {
    "dense": (F.dense, [(5, 4), (4, 3), (3,)]),
    "conv2d": (lambda *a, **k: F.conv2d(*a, padding="same", stride=2, **k), [(2, 3, 5, 4), (4, 3, 3, 3), (4,)]),
    "conv_transpose2d": (lambda *a, **k: F.conv_transpose2d(*a, stride=2, **k), [(2, 3, 5, 4), (3, 4, 3, 3), (4,)]),
}


def arrays(shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) for shape in shapes]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS)
@pytest.mark.parametrize("function, shapes", CALLS.values(), ids=CALLS)
def test_it_equals_the_activation_of_the_result(function, shapes, activation, dtype, backend):
    both = []
    for apart in (False, True):
        inputs = [Tensor(a, requires_grad=True, dtype=dtype, backend=backend) for a in arrays(shapes)]
        y = activation(function(*inputs)) if apart else function(*inputs, activation=activation)
        y.backward(np.cos(np.arange(y.size)).reshape(y.shape))
        both.append([y.numpy(), *(backend.to_host(t.grad) for t in inputs)])
    for mine, theirs in zip(*both, strict=True):
        assert mine.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("activation", [F.sigmoid, F.tanh, F.relu], ids=["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("function, shapes", CALLS.values(), ids=CALLS)
def test_its_tangent_equals_that_of_the_activation(function, shapes, activation, backend):
    inputs, tangents = arrays(shapes), [np.sin(a) for a in arrays(shapes)]
    one, two = (jvp(f, [Tensor(a, backend=backend) for a in inputs], [Tensor(t, backend=backend) for t in tangents])
                for f in (lambda *a: function(*a, activation=activation), lambda *a: activation(function(*a))))
    for mine, theirs in zip(one, two, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def test_which_activations_may_be_written_over_their_input():
    assert {name for name, f in ACTIVATIONS.items() if by_value(f)} == {"sigmoid", "tanh", "relu"}
    for f in (F.sigmoid, F.tanh, F.relu):
        x = np.linspace(-3, 3, 7)
        expected, y = f(Tensor(x)).numpy(), x.copy()
        assert get("numpy").activate(by_value(f).kernel, y, out=y) is y
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("n", [0, 1])
def test_no_samples_and_one(n, backend):
    y = F.dense(Tensor(np.zeros((n, 3)), backend=backend), np.ones((3, 2)), np.full(2, -1.0), F.relu)
    assert y.shape == (n, 2) and not y.numpy().any()
    y = F.conv2d(Tensor(np.zeros((n, 1, 3, 3)), backend=backend), np.ones((2, 1, 3, 3)), np.full(2, -1.0),
                 activation=F.relu)
    assert y.shape == (n, 2, 1, 1) and not y.numpy().any()


def test_activations_need_not_be_hashable():
    class Square:
        __hash__ = None

        def __call__(self, x):
            return x * x

    y = F.dense(Tensor([[1.0, 2.0]]), np.ones((2, 1)), np.zeros(1), Square())
    assert y.numpy().tolist() == [[9.0]]


def test_no_activation_is_none_or_linear():
    x, w, b = (Tensor(a) for a in arrays(CALLS["dense"][1]))
    for activation in (None, F.linear):
        np.testing.assert_array_equal(F.dense(x, w, b, activation).numpy(), F.dense(x, w, b).numpy())
