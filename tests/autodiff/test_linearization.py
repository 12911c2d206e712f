"""Products with a Jacobian from either side, any number of them at one evaluation."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from miniae import functions as F
from miniae import gradcheck, jvp, no_grad
from miniae.autodiff import Linearization, Tensor
from miniae.backend.philox import Generator

RNG = np.random.default_rng(0)


def network(x, w1, w2):
    """With two paths from x to the result, and a part of it that x does not reach."""
    h = F.tanh(F.matmul(x, w1))
    return F.matmul(h, w2) * F.sigmoid(F.matmul(x * 2.0, w1)).sum(1, True) + (w1 * w1).sum()


def operands():
    return (Tensor(RNG.standard_normal(shape), requires_grad=True) for shape in ((3, 4), (4, 5), (5, 2)))


def test_every_direction_is_as_by_jvp(backend):
    x, w1, w2 = operands()
    at = Linearization(lambda t: network(t, w1, w2), x)
    for _ in range(3):
        v = Tensor(RNG.standard_normal(x.shape))
        expected, along = jvp(lambda t: network(t, w1, w2), [x], [v])
        np.testing.assert_array_equal(at.y.numpy(), expected.numpy())
        np.testing.assert_array_equal(at.push(v).numpy(), along.numpy())


def test_it_can_be_differentiated(backend):
    x, w1, w2 = operands()
    v = Tensor(RNG.standard_normal(x.shape))

    def squared(x, w1, w2):
        at = Linearization(lambda t: network(t, w1, w2), x)
        return (at.push(v) * at.push(v) * at.y).sum()

    assert gradcheck(squared, [x, w1, w2]).error < 1e-8


def test_random_functions_are_evaluated_once(backend):
    """A dropout mask is that of f(x) in every product."""
    x, rng = Tensor(np.ones((4, 50))), Generator(3, "mask")
    at = Linearization(lambda t: F.dropout(t, 0.5, rng), x)
    assert rng.step == 1
    for _ in range(2):
        np.testing.assert_array_equal(at.push(x).numpy(), at.y.numpy())
        np.testing.assert_array_equal(at.pull(x).numpy(), at.y.numpy())


def test_one_within_another():
    x = Tensor([1.0, 2.0])
    at = Linearization(lambda t: Linearization(lambda s: s * s, t).y * 3.0, x)
    np.testing.assert_array_equal(at.push(Tensor([1.0, 1.0])).numpy(), [6.0, 12.0])


def test_what_does_not_depend_on_the_input():
    x, two = Tensor(np.ones((2, 3))), Tensor(np.ones(2))
    constant = Linearization(lambda t: two * 2.0, x)
    np.testing.assert_array_equal(constant.push(x).numpy(), [0, 0])
    np.testing.assert_array_equal(constant.pull(two).numpy(), np.zeros((2, 3)))
    same = Linearization(lambda t: t, x)
    np.testing.assert_array_equal(same.push(x).numpy(), x.numpy())
    np.testing.assert_array_equal(same.pull(x).numpy(), x.numpy())
    for product in (same.push, same.pull):
        with pytest.raises(ValueError, match="does not fit"):
            product(two)


@pytest.mark.parametrize("taped", [True, False])
def test_pulling_is_the_transpose_of_pushing(taped, backend):
    """u . (J v) = (u' J) . v, with a tape and without, of functions of x alone too."""
    x, w1, w2 = (t.detach() for t in operands())
    w1.requires_grad = taped
    with contextlib.nullcontext() if taped else no_grad():
        at = Linearization(lambda t: network(F.reshape(F.exp(t), (3, 4)), w1, w2), x)
        u, v = (Tensor(RNG.standard_normal(t.shape)) for t in (at.y, x))
        row = at.pull(u)
        assert row.shape == x.shape and not row.requires_grad
        assert (at.push(v) * u).sum().item() == pytest.approx((row * v).sum().item(), rel=1e-12)


def test_pulling_leaves_the_tape_and_the_gradients_alone(backend):
    x, w1, w2 = operands()
    at = Linearization(lambda t: network(t, w1, w2), x)
    for _ in range(2):
        at.pull(Tensor(np.ones(at.y.shape)))
    assert x.grad is None and w1.grad is None
    at.y.sum().backward()
    grads = [backend.to_host(t.grad) for t in (x, w1, w2)]
    for t in (x, w1, w2):
        t.zero_grad()
    network(x, w1, w2).sum().backward()
    for t, grad in zip((x, w1, w2), grads, strict=True):
        np.testing.assert_array_equal(backend.to_host(t.grad), grad)
