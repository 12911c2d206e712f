"""Kernels and the maximum mean discrepancy, against sums over all pairs and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import functions as F
from miniae.autodiff import Tensor, gradcheck, gradcheck_jvp
from miniae.backend import get

SCALES = (0.3, 1.0, 4.0)
RNG = np.random.default_rng(0)


def by_pairs(x, y, scales):
    """One pair at a time."""
    def k(a, b):
        return sum(c / (c + np.square(a - b).sum()) for c in scales)

    def within(a):
        pairs = [k(a[i], a[j]) for i in range(len(a)) for j in range(len(a)) if i != j]
        return sum(pairs) / max(len(pairs), 1)

    between = [k(a, b) for a in x for b in y]
    return within(x) + within(y) - 2 * sum(between) / max(len(between), 1)


@pytest.mark.parametrize("n, m", [(6, 5), (2, 4), (4, 2), (2, 2)])
def test_it_is_the_mean_over_pairs(n, m, backend):
    x, y = RNG.standard_normal((n, 3)), RNG.standard_normal((m, 3)) + 1
    assert F.mmd(x, y, SCALES).item() == pytest.approx(by_pairs(x, y, SCALES), rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("n, m", [(1, 4), (4, 1), (1, 1), (0, 3), (3, 0), (0, 0)])
def test_too_few_samples_for_an_estimate_have_none(n, m, backend):
    """What is left of the formula without pairs is above 0 for one distribution, and would push or pull."""
    x, y = (Tensor(RNG.standard_normal((k, 3)), requires_grad=True) for k in (n, m))
    value = F.mmd(x, y, SCALES)
    assert value.item() == 0 and not value.requires_grad


def test_distances(backend):
    x, y = RNG.standard_normal((4, 3)), RNG.standard_normal((5, 3))
    expected = np.square(x[:, None] - y).sum(2)
    np.testing.assert_allclose(F.squared_distances(x, y).numpy(), expected, rtol=1e-12)


def test_values_and_gradients_of_pytorch(backend):
    torch = pytest.importorskip("torch", reason="compared with PyTorch")
    x, y = (torch.tensor(RNG.standard_normal((n, 3)), requires_grad=True) for n in (7, 5))

    def kernel(a, b):
        return sum(c / (c + (a[:, None] - b).square().sum(2)) for c in SCALES)

    def within(a):
        return kernel(a, a)[~torch.eye(len(a), dtype=bool)].mean()

    expected = within(x) + within(y) - 2 * kernel(x, y).mean()
    expected.backward()
    mine = [Tensor(t.detach().numpy(), requires_grad=True) for t in (x, y)]
    value = F.mmd(*mine, SCALES)
    value.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-12)
    for ours, theirs in zip(mine, (x, y), strict=True):
        np.testing.assert_allclose(get().to_host(ours.grad), theirs.grad.numpy(), rtol=1e-9, atol=1e-13)


def test_derivatives(backend):
    inputs = [Tensor(RNG.standard_normal((n, 2))) for n in (4, 3)]
    assert gradcheck(lambda x, y: F.mmd(x, y, SCALES), inputs).error < 1e-8
    assert gradcheck_jvp(lambda x, y: F.mmd(x, y, SCALES), inputs).error < 1e-7


def test_it_is_zero_on_average_for_one_distribution_and_not_for_two():
    same = [F.mmd(*RNG.standard_normal((2, 20, 3)), SCALES).item() for _ in range(300)]
    assert abs(np.mean(same)) < 4 * np.std(same) / np.sqrt(300) and min(same) < 0
    moved = [F.mmd(RNG.standard_normal((20, 3)), RNG.standard_normal((20, 3)) + 1, SCALES).item() for _ in range(50)]
    assert np.mean(moved) > 10 * np.std(moved) / np.sqrt(50)


def test_float32_keeps_its_accuracy():
    x, y = (RNG.standard_normal((200, 8)).astype(np.float32) for _ in range(2))
    exact = F.mmd(x.astype(np.float64), y.astype(np.float64), SCALES).item()
    assert F.mmd(x, y, SCALES).item() == pytest.approx(exact, abs=2e-6)


def test_far_from_zero_it_is_as_accurate_in_float32(backend):
    x, y = (RNG.standard_normal((64, 2)) for _ in range(2))
    for dx, dy in ((3000, 3000), (3000, 0), (0, 3000)):
        near, far = (x + dx).astype(np.float32), (y + dy).astype(np.float32)
        exact = [Tensor(a.astype(np.float64), requires_grad=True) for a in (near, far)]
        mine = [Tensor(a, requires_grad=True) for a in (near, far)]
        values = [F.mmd(*inputs, SCALES) for inputs in (exact, mine)]
        assert values[1].item() == pytest.approx(values[0].item(), abs=1e-5)
        for value in values:
            value.backward()
        for a, b in zip(mine, exact, strict=True):
            np.testing.assert_allclose(backend.to_host(a.grad), backend.to_host(b.grad), atol=1e-6)


def test_distances_are_never_below_zero(backend):
    x = RNG.standard_normal((64, 8)).astype(np.float32) * np.float32(1e4)
    assert F.squared_distances(x, x).numpy().min() >= 0


def test_bad_input():
    with pytest.raises(ValueError, match=r"shapes \(3, 2\) and \(3, 4\), expected \(N, D\) and \(M, D\)"):
        F.mmd(np.zeros((3, 2)), np.zeros((3, 4)), SCALES)
    for scales in ((), (1.0, 0.0)):
        with pytest.raises(ValueError, match="numbers above 0, at least one"):
            F.mmd(np.zeros((3, 2)), np.zeros((3, 2)), scales)
