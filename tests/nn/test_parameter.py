"""Parameters and the flat buffers they live in."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import Tensor
from miniae import functions as F
from miniae.nn.parameter import Parameter, ParameterPack


@pytest.fixture
def parameters(backend):
    rng = np.random.default_rng(0)
    return [Parameter(rng.standard_normal(shape), f"p{i}", "float64", backend)
            for i, shape in enumerate([(3, 4), (4,), (4, 2), ()])]


def test_packed_parameters_are_views_with_the_values_they_had(parameters, backend):
    before = [p.numpy() for p in parameters]
    parameters[1].grad = backend.asarray(np.arange(4.0), "float64")
    pack = ParameterPack(parameters)
    for p, value, s in zip(parameters, before, pack.slices, strict=True):
        np.testing.assert_array_equal(p.numpy(), value)
        assert s.start % 64 == 0
    np.testing.assert_array_equal(backend.to_host(parameters[1].grad), np.arange(4.0))
    backend.fill(pack.data, 7.0)
    backend.fill(pack.grad, 3.0)
    assert all((p.numpy() == 7.0).all() for p in parameters)
    np.testing.assert_array_equal(backend.to_host(parameters[1].grad), np.full(4, 3.0))
    assert pack.holds_all()


def test_writing_goes_to_the_pack(parameters, backend):
    pack = ParameterPack(parameters)
    parameters[0].assign(np.full((3, 4), 5.0))
    np.testing.assert_array_equal(backend.to_host(pack.data)[:12], np.full(12, 5.0))


def test_backward_writes_gradients_into_the_pack(parameters, backend):
    w, b, v, _ = parameters
    pack = ParameterPack(parameters)
    x = Tensor(np.random.default_rng(1).standard_normal((5, 3)), backend=backend)
    for _ in range(2):  # the second time over what the first has left
        pack_grad = pack.grad
        for p in parameters:
            p.zero_grad()
        F.matmul(F.dense(x, w, b), v).sum().backward()
        pack.clear_missing_grads()
        assert pack.grad is pack_grad
    host = backend.to_host(pack.grad)
    ones = np.ones((5, 2))
    for expected, s in zip([x.numpy().T @ ones @ v.numpy().T, (ones @ v.numpy().T).sum(0),
                            (x.numpy() @ w.numpy() + b.numpy()).T @ ones, np.zeros(())], pack.slices, strict=True):
        np.testing.assert_allclose(host[s], expected.reshape(-1), rtol=1e-12)


def test_gradient_buffer_is_lent_once(backend):
    p = Parameter(np.zeros((2, 2)), backend=backend)
    buffer = p.grad_buffer()
    assert buffer is not None
    assert p.grad_buffer() is None, "lent already"
    assert p.grad is None, "nothing has been accumulated"
    p.accumulate_grad(buffer)
    assert p.grad is buffer
    assert p.grad_buffer() is None, "something is in it"
    p.zero_grad()
    assert p.grad is None
    assert p.grad_buffer() is buffer


def test_a_parameter_used_twice_in_one_function(backend):
    """w @ w: d(sum)/dw = 1 w' + w' 1, though both gradients want the one buffer."""
    value = np.random.default_rng(0).standard_normal((3, 3))
    w = Parameter(value, backend=backend)
    for _ in range(2):
        w.zero_grad()
        (w @ w).sum().backward()
        ones = np.ones((3, 3))
        np.testing.assert_allclose(backend.to_host(w.grad), ones @ value.T + value.T @ ones, rtol=1e-12)


def test_gradients_add_up_until_forgotten(backend):
    w = Parameter(np.ones((2, 2)), backend=backend)
    for expected in (3.0, 6.0):
        (w * 3.0).sum().backward()
        np.testing.assert_array_equal(backend.to_host(w.grad), np.full((2, 2), expected))
    w.zero_grad()
    assert w.grad is None
    (w * 3.0).sum().backward()
    np.testing.assert_array_equal(backend.to_host(w.grad), np.full((2, 2), 3.0))


def test_gradient_can_be_set(backend):
    w = Parameter(np.ones(2), backend=backend)
    w.grad = backend.asarray([1.0, 2.0], "float64")
    w.grad = backend.asarray([5.0, 6.0], "float64")
    np.testing.assert_array_equal(backend.to_host(w.grad), [5.0, 6.0])
    w.grad = None
    assert w.grad is None


def test_a_pack_of_neighbours_stays_where_they_are(parameters, backend):
    whole = ParameterPack(parameters)
    part = ParameterPack(parameters[1:3])
    assert whole.holds_all() and part.holds_all()
    backend.fill(part.data, 9.0)
    np.testing.assert_array_equal(parameters[2].numpy(), np.full((4, 2), 9.0))
    assert not (parameters[0].numpy() == 9.0).any()
    assert not (parameters[3].numpy() == 9.0).any()
    again = ParameterPack(parameters)
    backend.fill(again.data, 1.0)
    np.testing.assert_array_equal(backend.to_host(whole.data), backend.to_host(again.data))


@pytest.mark.parametrize("order", [[1, 0], [0, 2], [3, 0, 1, 2]])
def test_another_order_takes_the_parameters_away(parameters, backend, order):
    whole = ParameterPack(parameters)
    before = [p.numpy() for p in parameters]
    other = ParameterPack([parameters[i] for i in order])
    assert other.holds_all() and not whole.holds_all()
    for p, value in zip(parameters, before, strict=True):
        np.testing.assert_array_equal(p.numpy(), value)
    back = ParameterPack(parameters)
    assert back.holds_all() and not other.holds_all() and not whole.holds_all()
    for p, value in zip(parameters, before, strict=True):
        np.testing.assert_array_equal(p.numpy(), value)


def test_missing_gradients_count_as_zero(parameters, backend):
    pack = ParameterPack(parameters)
    backend.fill(pack.grad, 4.0)
    parameters[0].grad = backend.asarray(np.ones((3, 4)), "float64")
    pack.clear_missing_grads()
    host = backend.to_host(pack.grad)
    np.testing.assert_array_equal(host[pack.slices[0]], np.ones(12))
    for s in pack.slices[1:]:
        np.testing.assert_array_equal(host[s], 0.0)


def test_refuses_what_cannot_be_packed(parameters, backend):
    with pytest.raises(ValueError, match="no parameters to pack"):
        ParameterPack([])
    with pytest.raises(ValueError, match="listed twice"):
        ParameterPack([parameters[0], parameters[0]])
    with pytest.raises(TypeError, match="odd is float32 on .*, the first is float64"):
        ParameterPack([parameters[0], Parameter(np.zeros(1), "odd", "float32", backend)])
