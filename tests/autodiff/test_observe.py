"""Watching functions as they are computed."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import functions as F
from miniae.autodiff import Tensor, observe
from miniae.autodiff.mode import mode
from miniae.nn import Build, Dense
from miniae.optim import SGD
from miniae.training import Trainer


def test_every_function_forward_and_backward(backend):
    seen = []

    def observer(what, compute, *arguments):
        seen.append((what.name, compute.__name__, [a.shape for a in arguments]))
        return compute(*arguments)

    host = np.random.default_rng(0)
    x, w, b = (Tensor(host.standard_normal(s), requires_grad=True) for s in ((5, 3), (3, 2), (2,)))
    with observe(observer):
        loss = F.tanh(F.dense(x, w, b)).sum()
        loss.backward()
    assert [row[:2] for row in seen] == [("DenseFunction", "forward"), ("Tanh", "forward"), ("Sum", "forward"),
                                         ("Sum", "backward"), ("Tanh", "backward"), ("DenseFunction", "backward")]
    assert seen[0][2] == [(5, 3), (3, 2), (2,)] and seen[-1][2] == [(5, 2)]

    observed = backend.to_host(w.grad)
    w.zero_grad()
    F.tanh(F.dense(x, w, b)).sum().backward()
    np.testing.assert_array_equal(observed, backend.to_host(w.grad))
    assert len(seen) == 6


def test_the_observer_goes_when_the_block_is_left():
    with pytest.raises(ZeroDivisionError), observe(lambda what, compute, *arguments: compute(*arguments)):
        raise ZeroDivisionError
    assert mode.observer is None


class Model(Dense):
    def loss_terms(self, x):
        return {"size": (self(x) * self(x)).sum()}


def test_the_stages_of_a_training_step_lie_in_one_another(backend):
    """optimizer (loss and gradient (data feeding, functions)), the same weights as without an observer."""
    X, weights = np.random.default_rng(0).standard_normal((6, 3)), []
    open_stages, paths = [], []

    def observer(what, compute, *arguments):
        open_stages.append(what if isinstance(what, str) else what.name)
        paths.append("/".join(open_stages))
        result = compute(*arguments)
        open_stages.pop()
        return result

    for watch in (observer, None):
        model = Model(2)
        model.build((3,), Build("", 0, "float32", backend))
        with observe(watch):
            Trainer(model, SGD(model.parameters(), lr=0.01), batch_size=3).fit(X, 1)
        weights.append(model.weight.numpy())
    np.testing.assert_array_equal(*weights)
    assert paths[:3] == ["optimizer", "optimizer/loss and gradient", "optimizer/loss and gradient/data feeding"]
    assert paths[3] == "optimizer/loss and gradient/DenseFunction"
    assert paths.count("optimizer") == 2 and not open_stages
