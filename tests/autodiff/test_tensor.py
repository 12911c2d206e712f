"""Tensors and their operators."""

from __future__ import annotations

import numpy as np
import pytest

import miniae
from miniae import Tensor
from miniae.autodiff import as_tensor
from miniae.backend import get
from miniae.backend.strict import StrictBackend

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("data, dtype", [
    ([1, 2], "float32"), (3, "float32"), (2.5, "float32"), ([[1.0]], "float32"), (np.zeros(2), "float64"),
    (np.zeros(2, "float32"), "float32"), (np.zeros(2, "float16"), "float16"), (np.zeros(2, "int64"), "float32"),
    (np.zeros(2, "uint8"), "float32"), (np.zeros(2, bool), "float32"), (np.float64(1), "float64"),
])
def test_dtypes(data, dtype, backend):
    t = Tensor(data)
    assert t.dtype == dtype and t.backend is backend
    np.testing.assert_array_equal(t.numpy(), data)
    assert Tensor(data, dtype="float64").dtype == "float64"


@pytest.mark.parametrize("data", [np.array([1j]), np.array(["a"])])
def test_other_data_are_refused(data):
    with pytest.raises(TypeError, match="real numbers"):
        Tensor(data)


def test_a_tensor_owns_its_array():
    a = np.zeros(3)
    t = Tensor(a)
    a[0] = 1
    assert t.numpy()[0] == 0


def test_what_it_is(backend):
    t = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    assert (t.shape, t.ndim, t.size, len(t)) == ((2, 3), 2, 6, 2)
    assert "requires_grad=True" in repr(t) and (backend.name == "numpy") == ("backend" not in repr(t))
    assert float(t.sum()) == 15.0 and t.sum().item() == 15.0
    with pytest.raises(ValueError, match="one element"):
        t.item()
    assert t.detach().requires_grad is False
    assert as_tensor(t) is t


def test_moving_between_backends():
    t = Tensor([1.0, 2.0])
    assert t.to("numpy") is t
    moved = t.to("strict")
    assert moved.backend.name == "strict"
    np.testing.assert_array_equal(moved.to("numpy").numpy(), t.numpy())
    assert Tensor(moved._data).backend.name == "strict"


OPERATORS = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("left, right", [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (2, 2)),
                                         ((0, 3), (3,)), ((1,), (1,)), ((2, 1, 3), (4, 1))])
def test_operators_broadcast_as_numpy_does(name, left, right, backend):
    a, b = RNG.uniform(1, 2, left), RNG.uniform(1, 2, right)
    op = OPERATORS[name]
    x, y = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
    z = op(x, y)
    np.testing.assert_allclose(z.numpy(), op(a, b), rtol=1e-12)
    z.backward(np.ones(z.shape))
    assert x.grad.shape == a.shape and y.grad.shape == b.shape
    np.testing.assert_allclose(op(x, b).numpy(), op(a, b), rtol=1e-12)
    np.testing.assert_allclose(op(a, y).numpy(), op(a, b), rtol=1e-12)  # numpy_array * tensor


def test_numbers_never_promote(backend):
    x = Tensor([1.0, 2.0], requires_grad=True)
    for y in (x + 1, 1.5 - x, x * 2, 3 / x, x**2, -x, abs(x), x / 7, np.ones(2) * x):
        assert y.dtype == np.float32
    (x * 2 + 1 - x / 4).sum().backward()
    np.testing.assert_allclose(backend.to_host(x.grad), 1.75)


def test_matrix_products_reshapes_and_indices(backend):
    a = RNG.standard_normal((3, 4))
    x = Tensor(a)
    np.testing.assert_allclose((x @ x.T).numpy(), a @ a.T)
    np.testing.assert_allclose((a.T @ x).numpy(), a.T @ a)
    np.testing.assert_array_equal(x.reshape(2, 6).numpy(), a.reshape(2, 6))
    np.testing.assert_array_equal(x.reshape((-1, 2)).numpy(), a.reshape(-1, 2))
    np.testing.assert_array_equal(x.transpose(1, 0).numpy(), a.T)
    np.testing.assert_array_equal(x[1:, ::2].numpy(), a[1:, ::2])
    np.testing.assert_array_equal(x[2, 3].numpy(), a[2, 3])
    np.testing.assert_array_equal(x[[0, 0, 2]].numpy(), a[[0, 0, 2]])
    for method in ("sum", "mean", "max", "min"):
        np.testing.assert_allclose(getattr(x, method)(0).numpy(), getattr(a, method)(0))
        np.testing.assert_allclose(getattr(x, method)((0, 1), True).numpy(), getattr(a, method)((0, 1), keepdims=True))
    with pytest.raises(ValueError, match=r"\(n, k\) and \(k, m\), got shapes \(3, 4\) and \(3, 4\)"):
        x @ x
    with pytest.raises(TypeError, match="exponent must be a number"):
        x**x


def test_dtypes_and_backends_do_not_mix():
    x = Tensor(np.zeros(2), dtype="float32")
    with pytest.raises(TypeError, match="Add got tensors of two dtypes, float32 and float64"):
        x + Tensor(np.zeros(2))
    with pytest.raises(TypeError, match="two backends, numpy and strict"):
        x + Tensor([1.0, 2.0], backend="strict")
    other = StrictBackend(1)
    with pytest.raises(TypeError, match="two backends"):
        Tensor([1.0], backend=other) + Tensor([1.0], backend=get("strict"))


def test_writing_in_place(backend):
    t = Tensor(np.zeros((2, 2)))
    t[0] = 5.0
    t.assign([[1.0, 2.0], [3.0, 4.0]])
    t.data = np.full((2, 2), 9.0)
    assert t.numpy().tolist() == [[9.0, 9.0], [9.0, 9.0]]
    with pytest.raises(ValueError, match=r"shape \(3,\) into a tensor of shape \(2, 2\)"):
        t.assign(np.zeros(3))
    with pytest.raises(RuntimeError, match="computed from others"):
        y = Tensor([1.0], requires_grad=True) * 2
        y[0] = 1


def test_the_package_exports_what_it_says():
    for name in miniae.__all__:
        assert getattr(miniae, name) is not None
    assert set(miniae.__all__) <= set(dir(miniae))
    with pytest.raises(AttributeError, match="no attribute 'Autoencodr'"):
        miniae.Autoencodr  # noqa: B018
