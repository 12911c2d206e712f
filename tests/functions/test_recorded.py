"""Every function in a recorded step: it makes the same calls again, on the same arrays, and a graph can hold them."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.backend.arena import Arena
from miniae.backend.recording import Recording
from miniae.functions.catalogue import examples
from miniae.functions.loss import LOSSES
from miniae.nn.parameter import Parameter

# These examples make arrays of their own every time: generators, running means, targets, an index that is an array.
OF_THEIR_OWN = ["dropout", "batch_norm", "batch_norm: images", "batch_norm: inference", "getitem: repeated",
                *(e.name for e in examples() if e.name.endswith(("error", "huber", "entropy", "likelihood", "logits")))]
WHOLE = [e for e in examples() if e.name not in OF_THEIR_OWN]


def check(function, inputs):
    """A step with gradients is recorded, and its replay and its graph leave the same bits as the step."""
    be = inputs[0].backend
    parameters = [Parameter(t, f"p{i}", t.dtype, be) for i, t in enumerate(inputs)]

    def step():
        for p in parameters:
            p.zero_grad()
        y = function(*parameters)
        y = y[0] if isinstance(y, tuple) else y
        F.sum(y * y).backward()
        return {"y": y._data, **{p.name: p.grad for p in parameters if p.grad is not None}}

    with be.arena(Arena(be.allocate)), be.silent():
        step()
        recording = Recording(be, step)
        assert recording.stands_test(step), recording.trouble
        expected = {name: be.to_host(a) for name, a in recording.result.items()}
        graph = be.graph(recording.replay) or recording.replay
        for name, a in recording.result.items():
            if name != "y":  # which may be a view of an input
                be.fill(a, 7.0)
        graph()
        for name, a in recording.result.items():
            np.testing.assert_array_equal(be.to_host(a), expected[name])


@pytest.mark.parametrize("example", WHOLE, ids=lambda e: e.name)
def test_functions(example, backend):
    check(example.function, example.inputs("float32", backend))


@pytest.mark.parametrize("loss", LOSSES)
def test_losses(loss, backend):
    rng = np.random.default_rng(0)
    y, t = (Tensor(rng.uniform(0.1, 0.9, (3, 4)), dtype="float32", backend=backend) for _ in range(2))
    check(lambda y: LOSSES[loss](y, t), [y])
