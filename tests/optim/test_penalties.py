"""Weight penalties: their value, and their gradient."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import Tensor, gradcheck
from miniae.autodiff import gradcheck_jvp
from miniae.nn.parameter import Parameter
from miniae.optim import L1, L2
from miniae.optim.penalties import SumOfMagnitudes, SumOfSquares


@pytest.fixture
def parameters(backend):
    rng = np.random.default_rng(0)
    return [Parameter(rng.standard_normal(shape), backend=backend) for shape in ((3, 4), (4,), (2, 3, 2, 2))]


def test_value_and_gradient_by_formula(parameters, backend):
    w, b, k = (p.numpy() for p in parameters)
    for penalty, value, slope in ((L2(0.3), (w**2).sum() + (k**2).sum(), lambda x: 2 * x),
                                  (L1(0.3), abs(w).sum() + abs(k).sum(), np.sign)):
        for p in parameters:
            p.zero_grad()
        loss = penalty(parameters)
        assert loss.shape == ()
        assert loss.item() == pytest.approx(0.3 * value)
        loss.backward()
        np.testing.assert_allclose(backend.to_host(parameters[0].grad), 0.3 * slope(w), rtol=1e-12)
        np.testing.assert_allclose(backend.to_host(parameters[2].grad), 0.3 * slope(k), rtol=1e-12)
        assert parameters[1].grad is None, "biases are not penalised"


@pytest.mark.parametrize("penalty", [L1(0.7), L2(0.7)], ids=repr)
def test_gradcheck(penalty, parameters):
    assert gradcheck(lambda: penalty(parameters), [], [parameters[0], parameters[2]])


@pytest.mark.parametrize("function", [SumOfSquares, SumOfMagnitudes])
@pytest.mark.parametrize("shape", [(3, 2), (1, 1), (0, 2)])
def test_functions(function, shape, backend):
    x = Tensor(np.random.default_rng(1).standard_normal(shape), backend=backend)
    assert gradcheck(lambda t: function()(t), [x])
    assert gradcheck_jvp(lambda t: function()(t), [x])


def test_float32_stays(backend):
    w = Parameter(np.ones((2, 2)), dtype="float32", backend=backend)
    loss = L2(0.1)([w]) + L1(0.1)([w])
    loss.backward()
    assert loss.dtype == w.grad.dtype == np.float32


def test_refuses(parameters):
    with pytest.raises(ValueError, match="no weights"):
        L2(0.1)([parameters[1]])
    with pytest.raises(ValueError, match="at least 0"):
        L1(-1.0)
