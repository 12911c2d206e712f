"""Every function, on every backend: gradients, tangents, dtypes, and the same numbers from an arena's buffers."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from miniae import functions as F
from miniae import gradcheck
from miniae.autodiff import Tensor, gradcheck_jvp
from miniae.backend import get
from miniae.functions.catalogue import check_all, examples

EXAMPLES = examples()
NOT_OF_TENSORS = {"activation", "get_activation", "get_loss"}  # make or find functions; `activation` has an example


@pytest.fixture(params=EXAMPLES, ids=lambda e: e.name)
def example(request):
    return request.param


def run(example, dtype):
    """The output, and the gradients from a seed of ones."""
    inputs = example.inputs(dtype)
    for t in inputs:
        t.requires_grad = True
    y = example.function(*inputs)
    y.backward(np.ones(y.shape))
    return y, [t.backend.to_host(t.grad) for t in inputs]


def test_gradients(example, backend):
    assert gradcheck(example.function, example.inputs())


def test_tangents_and_their_gradients(example, backend):
    assert gradcheck_jvp(example.function, example.inputs())


def test_float32_stays_float32(example, backend):
    y, gradients = run(example, "float32")
    assert y.dtype == np.float32
    assert all(g.dtype == np.float32 for g in gradients)
    if example.name == "dropout":
        return  # float64 numbers take more random bits each, so the mask is another
    exact, exact_gradients = run(example, "float64")
    for a, b in zip([y.numpy(), *gradients], [exact.numpy(), *exact_gradients], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_the_buffers_of_an_arena_change_nothing(example, backend):
    plain, plain_gradients = run(example, "float64")
    expected = [plain.numpy(), *plain_gradients]
    arena = None
    for _ in range(3):
        with backend.arena(arena) as arena:
            y, gradients = run(example, "float64")
            for a, b in zip([y.numpy(), *gradients], expected, strict=True):
                np.testing.assert_array_equal(a, b)


def test_every_function_is_in_the_catalogue():
    public = {name for name in F.__all__ if inspect.isfunction(getattr(F, name))} - NOT_OF_TENSORS
    assert public <= {e.name for e in EXAMPLES}


def test_the_table_of_errors():
    rows = check_all(get("numpy"))  # of the others, the tests above check each function
    assert [r.name for r in rows] == [e.name for e in EXAMPLES]
    assert max(r.gradient_error for r in rows) < 1e-6
    assert max(r.jvp_error for r in rows) < 1e-6


def test_a_wrong_formula_is_caught(monkeypatch):
    from miniae.functions.activation import Tanh

    monkeypatch.setattr(Tanh, "backward", lambda self, gy: gy * (1.0 - self.saved[0]))
    assert not gradcheck(F.tanh, [Tensor(np.linspace(-1.0, 1.0, 5))])
