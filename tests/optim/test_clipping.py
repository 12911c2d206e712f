"""Gradient clipping, against its formula and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.nn.parameter import Parameter
from miniae.optim import SGD, ClipByNorm, ClipByValue


def gradient_of(optimizer, parameters):
    return np.concatenate([optimizer.backend.to_host(p.grad).reshape(-1) for p in parameters])


@pytest.mark.parametrize("limit", [0.3, 2.0, 1e6])
def test_by_norm_bounds_the_norm_and_keeps_the_direction(limit, backend, problem):
    optimizer = SGD(problem.parameters(backend))
    problem.put_gradients(optimizer.parameters)
    before = gradient_of(optimizer, optimizer.parameters)
    ClipByNorm(limit)(optimizer)
    after = gradient_of(optimizer, optimizer.parameters)
    norm = np.linalg.norm(before)
    np.testing.assert_allclose(after, before * min(1.0, limit / norm), rtol=1e-5)
    assert np.linalg.norm(after) <= limit


@pytest.mark.parametrize("limit", [0.3, 2.0, 1e6])
def test_like_pytorch(limit, backend, problem):
    torch = pytest.importorskip("torch", reason="compares with torch.nn.utils")
    for clip, peer in ((ClipByNorm(limit), torch.nn.utils.clip_grad_norm_),
                       (ClipByValue(limit), torch.nn.utils.clip_grad_value_)):
        optimizer = SGD(problem.parameters(backend))
        problem.put_gradients(optimizer.parameters)
        tensors = [torch.tensor(v, requires_grad=True) for v in problem.start]
        for t, g in zip(tensors, problem.gradients(problem.start), strict=True):
            t.grad = torch.tensor(g)
        clip(optimizer)
        peer(tensors, limit)
        expected = np.concatenate([t.grad.numpy().reshape(-1) for t in tensors])
        np.testing.assert_allclose(gradient_of(optimizer, optimizer.parameters), expected, rtol=1e-12)


def test_by_value_bounds_each_element(backend):
    p = Parameter(np.zeros(4), dtype="float32", backend=backend)
    optimizer = SGD([p], lr=1.0)
    p.grad = backend.asarray([-5.0, -0.1, 0.1, 5.0], "float32")
    ClipByValue(0.5)(optimizer)
    optimizer.step()
    np.testing.assert_allclose(p.numpy(), [0.5, 0.1, -0.1, -0.5])
    assert p.dtype == np.float32


def test_a_zero_gradient_and_a_missing_one(backend):
    """A stale gradient must not count in the norm, and a norm of zero must not divide."""
    p, q = (Parameter(np.zeros(3), backend=backend) for _ in range(2))
    optimizer = SGD([p, q])
    q.grad = backend.asarray(np.full(3, 100.0), "float64")
    optimizer.zero_grad()
    p.grad = backend.asarray([0.6, 0.0, 0.8], "float64")
    ClipByNorm(2.0)(optimizer)
    np.testing.assert_allclose(backend.to_host(p.grad), [0.6, 0.0, 0.8])
    p.grad = backend.asarray(np.zeros(3), "float64")
    ClipByNorm(2.0)(optimizer)
    np.testing.assert_array_equal(backend.to_host(p.grad), np.zeros(3))


def test_recorded_clipping_replays(backend):
    p = Parameter(np.zeros(2), dtype="float32", backend=backend)
    optimizer = SGD([p], lr=1.0)
    p.grad = backend.asarray([3.0, 4.0], "float32")
    clip = ClipByNorm(1.0)
    with backend.arena():
        replay = backend.capture(lambda: clip(optimizer))
        optimizer.zero_grad()
        p.grad = backend.asarray([-30.0, 40.0], "float32")
        replay()
    np.testing.assert_allclose(backend.to_host(p.grad), [-0.6, 0.8], rtol=1e-5)


@pytest.mark.parametrize("clip", [ClipByNorm, ClipByValue])
@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_refuses_a_limit_that_is_not_above_zero(clip, limit):
    with pytest.raises(ValueError, match="must be above 0"):
        clip(limit)
