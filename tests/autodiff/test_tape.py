"""Backward: what it computes, what it frees, what it refuses."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from miniae import Function, Tensor, gradcheck, no_grad
from miniae import functions as F
from miniae.autodiff import gradcheck_jvp, jvp


def leaf(*values):
    return Tensor(np.array(values), requires_grad=True)


def test_paths_that_meet_add_up(backend):
    x = leaf(2.0, 3.0)
    a = x * x
    (a * x + a + x * 5.0).sum().backward()  # x^3 + x^2 + 5 x
    np.testing.assert_allclose(backend.to_host(x.grad), [3 * 4 + 4 + 5, 3 * 9 + 6 + 5])


def test_a_tensor_met_many_times(backend):
    x = leaf(1.5)
    y = x
    for _ in range(10):
        y = y + x * y  # y_k = x (1 + x)^k
    y.backward()
    assert backend.to_host(x.grad)[0] == pytest.approx(2.5**10 + 1.5 * 10 * 2.5**9)


def test_gradients_accumulate_until_forgotten(backend):
    x = leaf(1.0, 2.0)
    for expected in (2.0, 4.0):
        (x * 2.0).sum().backward()
        assert backend.to_host(x.grad)[0] == expected
    x.zero_grad()
    assert x.grad is None
    x.sum().backward()
    assert backend.to_host(x.grad).tolist() == [1.0, 1.0]


def test_shared_gradients_are_not_overwritten(backend):
    """Add hands the same array to both inputs; adding to one must not change the other."""
    a, b = leaf(1.0), leaf(1.0)
    c = a + b
    (c + c + a).sum().backward()
    assert backend.to_host(a.grad)[0] == 3.0 and backend.to_host(b.grad)[0] == 2.0


def test_a_deep_tape_needs_no_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(5000):
        y = y + 1.0
    y.backward()
    assert x.grad[0] == 1.0


def test_no_gradient_where_none_is_wanted(backend):
    x, c = leaf(1.0), Tensor(np.array([2.0]))
    (x * c).backward()
    assert c.grad is None
    with no_grad():
        y = x * 3.0
    assert not y.requires_grad and y.creator is None
    with pytest.raises(RuntimeError, match="nothing to go back through"):
        y.backward()


def test_a_second_backward_is_refused_unless_asked_for(backend):
    x = leaf(3.0)
    y = (x * x).sum()
    y.backward(retain_tape=True)
    y.backward()
    assert backend.to_host(x.grad)[0] == 12.0
    with pytest.raises(RuntimeError, match="a second time: its saved arrays were freed"):
        y.backward()


def test_a_tape_shared_by_two_losses_is_refused_the_second_time():
    x = leaf(1.0)
    shared = F.exp(x)
    (shared * 2.0).sum().backward()
    with pytest.raises(RuntimeError, match="Exp a second time"):
        (shared * 3.0).sum().backward()


def test_backward_frees_what_was_saved():
    class Watched(np.ndarray):
        pass

    saved = []

    class Keep(Function):
        def forward(self, x):
            self.kept = x.copy().view(Watched)
            self.save(self.kept)
            saved.append(weakref.ref(self.kept))
            del self.kept
            return x * 1.0

        def backward(self, gy):
            return gy

    x = leaf(1.0)
    y = Keep()(x).sum()
    gc.collect()
    assert saved[0]() is not None
    y.backward()
    assert saved[0]() is None


def test_without_gradients_nothing_is_kept():
    refs = []

    class Keep(Function):
        def forward(self, x):
            a = x.copy().view(type("A", (np.ndarray,), {}))
            self.save(a)
            refs.append(weakref.ref(a))
            return x * 1.0

    Keep()(Tensor([1.0]))
    assert refs[0]() is None


@pytest.mark.parametrize("change", [
    lambda x: x.assign(np.array([9.0])), lambda x: x.__setitem__(0, 9.0), lambda x: x.data.__setitem__(0, 9.0),
    lambda x: x.data.fill(9.0),
], ids=["assign", "setitem", "data[0]", "data.fill"])
def test_changing_a_saved_array_is_refused(change, backend):
    x = leaf(2.0)
    y = (x * x).sum()
    change(x)
    with pytest.raises(RuntimeError, match="saved for backward .* was changed in place"):
        y.backward()


def test_changing_it_through_an_array_taken_before_is_refused(backend):
    x = leaf(2.0)
    raw = x.data
    y = (x * x).sum()
    raw[0] = 3.0
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_changing_an_output_that_was_saved_is_refused(backend):
    y = F.sigmoid(leaf(2.0))
    y.data[0] = 0.0
    with pytest.raises(RuntimeError, match="Sigmoid saved"):
        y.sum().backward()


def test_changes_that_do_no_harm_are_fine(backend):
    x = leaf(2.0)
    y = (x * 3.0).sum()  # saves x only if it needs it for another input's gradient
    z = (x + 1.0).sum()
    x.data[0] = 5.0
    z.backward()
    assert backend.to_host(x.grad)[0] == 1.0
    x.numpy()[0] = 7.0  # a copy
    del y


def test_seeds(backend):
    x = leaf(1.0, 2.0)
    y = x * x
    with pytest.raises(RuntimeError, match=r"shape \(2,\) needs a seed"):
        y.backward()
    with pytest.raises(ValueError, match=r"seed has shape \(3,\), the tensor \(2,\)"):
        y.backward(np.ones(3))
    y.backward(np.array([1.0, 10.0]))
    assert backend.to_host(x.grad).tolist() == [2.0, 40.0]


def test_a_function_is_applied_once_and_says_what_is_missing():
    f = F.activation(lambda xp, x: x, lambda xp, x: x * 0 + 1)
    assert f(leaf(1.0)).shape == (1,)

    class Half(Function):
        def forward(self, x):
            return x / 2

    half = Half()
    y = half(leaf(1.0))
    with pytest.raises(RuntimeError, match="has been applied already"):
        half(leaf(1.0))
    with pytest.raises(NotImplementedError, match="Half has no backward"):
        y.backward()
    with pytest.raises(NotImplementedError, match="Half has no jvp"):
        jvp(lambda x: Half()(x), [leaf(1.0)], [leaf(1.0)])
    with pytest.raises(TypeError, match="at least one tensor"):
        Half()(1.0)


def test_a_gradient_of_the_wrong_shape_is_named():
    class Wrong(Function):
        def forward(self, x):
            return x * 2.0

        def backward(self, gy):
            return gy[:1]

    with pytest.raises(RuntimeError, match=r"Wrong.backward returned a gradient of shape \(1,\) for an input of shape"):
        Wrong()(leaf(1.0, 2.0)).sum().backward()


def test_the_second_derivative_of_ones_own_activation_is_asked_for():
    f = F.activation(lambda xp, x: xp.sin(x), lambda xp, x: xp.cos(x))
    assert gradcheck(f, [leaf(0.3, 0.7)])
    y, dy = jvp(f, [leaf(0.3)], [leaf(1.0)])
    assert dy.numpy()[0] == pytest.approx(np.cos(0.3))
    with pytest.raises(ValueError, match="give activation\\(\\) the second one too"):
        dy.sum().backward()


def test_jvp(backend):
    x, v = leaf(1.0, 2.0), Tensor(np.array([1.0, -1.0]))
    y, dy = jvp(lambda x: F.exp(x) * x, [x], [v])
    np.testing.assert_allclose(dy.numpy(), np.exp([1, 2]) * np.array([2, 3]) * [1, -1])
    assert x.tangent is None and y.tangent is None
    (dy * dy).sum().backward()  # through the derivative: 2 dy * (x + 2) e^x v
    np.testing.assert_allclose(backend.to_host(x.grad), 2 * dy.numpy() * np.exp([1, 2]) * np.array([3, 4]) * [1, -1])
    y, dy = jvp(lambda x: Tensor(np.array([1.0])), [x], [v])
    assert dy.numpy().tolist() == [0.0]
    with pytest.raises(ValueError, match="1 primals and 0 tangents"):
        jvp(F.exp, [x], [])
    with pytest.raises(ValueError, match="does not fit"):
        jvp(F.exp, [x], [np.ones(3)])


def test_gradcheck_finds_what_is_wrong(backend):
    class OffBy(Function):
        """y = x^2 with a gradient that is wrong by a factor."""

        def __init__(self, factor):
            self.factor = factor

        def forward(self, x):
            self.save(x)
            return x * x

        def backward(self, gy):
            return self.saved[0] * gy * (2.0 * self.factor)

        def jvp(self, y, tx):
            return tx * self.inputs[0] * (2.0 * self.factor)

    x = leaf(0.5, -1.5)
    assert gradcheck(lambda x: OffBy(1.0)(x), [x])
    for factor in (-1.0, 0.0, 0.5, 1.001, 1.00001):
        assert not gradcheck(lambda x, f=factor: OffBy(f)(x), [x])
        assert not gradcheck_jvp(lambda x, f=factor: OffBy(f)(x), [x])
    assert x.grad is None and x.numpy().tolist() == [0.5, -1.5]
    with pytest.raises(TypeError, match="float64"):
        gradcheck(F.exp, [Tensor([1.0])])


def test_gradcheck_of_part_of_a_large_tensor():
    x = Tensor(np.random.default_rng(0).standard_normal((60, 60)))
    result = gradcheck(F.tanh, [x], entries=20)
    assert result and len(result.errors) == 1 and result.error == result.errors[0]


@pytest.mark.parametrize("name", ["numpy", "strict"])
def test_a_function_that_writes_into_the_gradient_it_is_given(name):
    """What every backward begins with is one and the same array, which can't be spoilt."""
    class Spoils(Function):
        def forward(self, x):
            return self.be.multiply(x, 1.0)

        def backward(self, gy):
            gy *= 2.0
            return gy

    x = Tensor(np.array(3.0), requires_grad=True, backend=name)
    with pytest.raises(ValueError, match="read-only"):
        Spoils()(x).backward()
    (x * 1.0).backward()
    assert x.backend.to_host(x.grad) == 1.0
