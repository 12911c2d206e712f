"""The energy model against brute force over all states."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from miniae import Tensor, gradcheck
from miniae.nn import Build
from miniae.rbm import ContrastiveDivergence, Machine, get_units

VISIBLE, HIDDEN = 6, 4


def states(n: int) -> np.ndarray:
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


def machine(seed: int = 0, scale: float = 0.8, **settings) -> Machine:
    """A machine of random parameters, in float64."""
    rng = np.random.default_rng(seed)
    m = Machine(HIDDEN, **settings)
    m.build((VISIBLE,), Build("", seed, "float64"))
    m.weight.assign(rng.standard_normal((VISIBLE, HIDDEN)) * scale)
    m.visible_bias.assign(rng.standard_normal(VISIBLE) * scale)
    m.hidden_bias.assign(rng.standard_normal(HIDDEN) * scale)
    return m


def joint(w: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """p(v, h) over all states, from the definition of the energy alone: (2^visible, 2^hidden)."""
    v, h = states(VISIBLE), states(HIDDEN)
    energy = -(v @ a)[:, None] - (h @ b)[None, :] - v @ w @ h.T
    p = np.exp(-energy)
    return p / p.sum()


def parameters(m: Machine) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return m.weight.numpy(), m.visible_bias.numpy(), m.hidden_bias.numpy()


def on_device(m: Machine, array: np.ndarray):
    return m.be.asarray(array, m.place.dtype)


def log_likelihood(w: np.ndarray, a: np.ndarray, b: np.ndarray, data: np.ndarray) -> float:
    """The mean of log p(v), the hidden units and all visible states being summed out one by one."""
    p = joint(w, a, b).sum(axis=1)
    index = (data @ 2 ** np.arange(VISIBLE)[::-1]).astype(int)
    return float(np.log(p[index]).mean())


def exact_gradient(w, a, b, data):
    """<v h'>, <v>, <h> under the data minus the same under the model."""
    p = joint(w, a, b)
    v, h = states(VISIBLE), states(HIDDEN)
    mean_h = 1 / (1 + np.exp(-(data @ w + b)))
    model = (v.T @ p @ h, p.sum(1) @ v, p.sum(0) @ h)
    own = (data.T @ mean_h / len(data), data.mean(0), mean_h.mean(0))
    return [x - y for x, y in zip(own, model, strict=True)]


def test_free_energy_sums_the_hidden_units_out(backend):
    m = machine()
    p = joint(*parameters(m)).sum(axis=1)
    f = backend.to_host(m.free_energy(on_device(m, states(VISIBLE))))
    np.testing.assert_allclose(np.exp(-f) / np.exp(-f).sum(), p, rtol=1e-10)
    # and not only up to a constant: F(v) = -log sum_h exp(-E(v, h))
    w, a, b = parameters(m)
    v, h = states(VISIBLE), states(HIDDEN)
    total = np.log(np.exp((v @ a)[:, None] + (h @ b)[None] + v @ w @ h.T).sum(1))
    np.testing.assert_allclose(f, -total, rtol=1e-10)


def test_conditional_probabilities(backend):
    m = machine(1)
    p, v, h = joint(*parameters(m)), states(VISIBLE), states(HIDDEN)
    np.testing.assert_allclose(backend.to_host(m.hidden_mean(on_device(m, v))), p @ h / p.sum(1, keepdims=True),
                               rtol=1e-10)
    np.testing.assert_allclose(backend.to_host(m.visible_mean(on_device(m, h))), p.T @ v / p.T.sum(1, keepdims=True),
                               rtol=1e-10)


def test_the_exact_gradient_is_that_of_the_log_likelihood():
    m = machine(2)
    w, a, b = parameters(m)
    data = np.random.default_rng(0).integers(0, 2, (20, VISIBLE)).astype(float)
    gw, ga, gb = exact_gradient(w, a, b, data)
    for array, gradient in ((w, gw), (a, ga), (b, gb)):
        for index in np.ndindex(array.shape):
            before, values = array[index], []
            for step in (1e-6, -1e-6):
                array[index] = before + step
                values.append(log_likelihood(w, a, b, data))
            array[index] = before
            assert gradient[index] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-8)


def divergence_gradient(m: Machine, data: np.ndarray) -> list[np.ndarray]:
    """Minus what contrastive divergence leaves as gradients: its estimate of the log-likelihood's gradient."""
    m.train()
    for p in m.parameters():
        p.zero_grad()
    v = Tensor(data, backend=m.be)
    ContrastiveDivergence(m)(v, m.weight, m.visible_bias, m.hidden_bias).backward()
    return [-m.be.to_host(p.grad) for p in (m.weight, m.visible_bias, m.hidden_bias)]


@pytest.mark.parametrize("persistent", [False, True])
def test_long_sampling_approaches_the_exact_gradient(persistent, backend):
    """The estimate from n independent chains has a standard error of at most 1/2 / sqrt(n) an element."""
    n = 4000
    m = machine(3, k=60, persistent=n if persistent else 0, sample_visible=True)
    rows = np.random.default_rng(1).integers(0, 2, (10, VISIBLE)).astype(float)
    data = np.repeat(rows, n // len(rows), axis=0)
    exact = exact_gradient(*parameters(m), data)
    for estimate, truth in zip(divergence_gradient(m, data), exact, strict=True):
        assert np.abs(estimate - truth).max() < 5 * 0.5 / np.sqrt(n)


def test_one_step_is_biased_where_sixty_are_not():
    """CD-1 from data far from the model's distribution misses the gradient by more than sampling noise does."""
    data = np.repeat([[1.0, 0, 1, 0, 1, 0]], 4000, axis=0)
    errors = []
    for k in (1, 60):
        m = machine(4, scale=1.5, k=k, sample_visible=True)
        exact = exact_gradient(*parameters(m), data)
        errors.append(max(np.abs(e - t).max() for e, t in zip(divergence_gradient(m, data), exact, strict=True)))
    assert errors[0] > 3 * errors[1]


def test_each_phase_is_averaged_over_its_own_states(backend):
    """A last batch smaller than the number of persistent chains does not tip the balance of the two phases."""
    chains = 500
    m = machine(5, k=40, persistent=chains)
    data = np.random.default_rng(2).integers(0, 2, (3, VISIBLE)).astype(float)
    exact = exact_gradient(*parameters(m), data)
    for estimate, truth in zip(divergence_gradient(m, data), exact, strict=True):
        assert np.abs(estimate - truth).max() < 5 * 0.5 / np.sqrt(chains)


def test_weight_cost_and_sparsity_enter_the_gradient(backend):
    data = np.random.default_rng(3).integers(0, 2, (50, VISIBLE)).astype(float)
    plain = divergence_gradient(machine(6), data)
    costly = machine(6, weight_cost=0.1, sparsity_target=0.2, sparsity_cost=0.5)
    gw, ga, gb = divergence_gradient(costly, data)
    w, _, b = parameters(costly)
    activity = (1 / (1 + np.exp(-(data @ w + b)))).mean(0)
    np.testing.assert_allclose(gw, plain[0] - 0.1 * w, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ga, plain[1], rtol=1e-12)
    np.testing.assert_allclose(gb, plain[2] - 0.5 * (activity - 0.2), rtol=1e-9, atol=1e-12)


def test_gibbs_sampling_reaches_the_exact_distribution(backend):
    m = machine(7, scale=0.5)
    n = 4000
    v = on_device(m, np.zeros((n, VISIBLE)))
    for _ in range(30):
        v = m.sample_visible(m.sample_hidden(v))
    index = (backend.to_host(v) @ 2 ** np.arange(VISIBLE)[::-1]).astype(int)
    frequency = np.bincount(index, minlength=2**VISIBLE) / n
    p = joint(*parameters(m)).sum(1)
    # Pearson's statistic of 63 degrees of freedom: mean 63, standard deviation 11.2
    assert (n * (frequency - p) ** 2 / p).sum() < 63 + 5 * 11.3


def test_gaussian_visible_free_energy_by_numerical_integration(backend):
    """p(v) from F against p(v) from the energy, the visible unit being integrated on a grid: one visible unit."""
    m = Machine(3, visible_units="gaussian")
    m.build((1,), Build("", 0, "float64"))
    rng = np.random.default_rng(0)
    w, a, b = rng.standard_normal((1, 3)), rng.standard_normal(1), rng.standard_normal(3)
    for p, value in ((m.weight, w), (m.visible_bias, a), (m.hidden_bias, b)):
        p.assign(value)
    grid = np.linspace(-15, 15, 6001)[:, None]
    f = backend.to_host(m.free_energy(on_device(m, grid)))
    h = np.array(list(itertools.product([0.0, 1.0], repeat=3)))
    unnormalised = np.exp(-((grid - a) ** 2).sum(1)[:, None] / 2 + (h @ b)[None] + grid @ w @ h.T).sum(1)
    np.testing.assert_allclose(np.exp(-f), unnormalised, rtol=1e-10)
    # E[v] of this density is that of the mixture over h of normals with mean a + w h
    weight = np.exp(h @ b + h @ (w.T @ a) + (h @ w.T)[:, 0] ** 2 / 2)
    mean = (weight * (a + h @ w.T)[:, 0]).sum() / weight.sum()
    assert (grid[:, 0] * unnormalised).sum() / unnormalised.sum() == pytest.approx(mean, rel=1e-8)


def test_gaussian_hidden_free_energy_by_numerical_integration(backend):
    """F(v) = -log of the integral of exp(-E) over a Gaussian hidden unit, over sqrt(2 pi)."""
    m = Machine(1, hidden_units="gaussian")
    m.build((4,), Build("", 0, "float64"))
    rng = np.random.default_rng(0)
    w, a, b = rng.standard_normal((4, 1)), rng.standard_normal(4), rng.standard_normal(1)
    for p, value in ((m.weight, w), (m.visible_bias, a), (m.hidden_bias, b)):
        p.assign(value)
    v = np.array(list(itertools.product([0.0, 1.0], repeat=4)))
    h = np.linspace(-25, 25, 20001)
    energy = -(v @ a)[:, None] + (h - b) ** 2 / 2 - (v @ w) * h
    integral = np.exp(-energy).sum(1) * (h[1] - h[0]) / np.sqrt(2 * np.pi)
    f = backend.to_host(m.free_energy(on_device(m, v)))
    np.testing.assert_allclose(f, -np.log(integral), rtol=1e-8, atol=1e-10)


def test_gaussian_units_are_drawn_with_variance_one(backend):
    m = machine(visible_units="gaussian")
    n = 20000
    h = np.tile(states(HIDDEN)[5], (n, 1))
    drawn = backend.to_host(m.sample_visible(on_device(m, h)))
    w, a, _ = parameters(m)
    assert np.abs(drawn.mean(0) - (a + h[0] @ w.T)).max() < 5 / np.sqrt(n)
    np.testing.assert_allclose(np.cov(drawn.T), np.eye(VISIBLE), atol=5 * np.sqrt(2 / n))


def test_unknown_units():
    with pytest.raises(ValueError, match="expected one of bernoulli, gaussian"):
        get_units("poisson")


@pytest.mark.parametrize("settings", [{}, {"hidden_units": "gaussian"}, {"hidden_units": "rectified"},
                                      {"visible_units": "gaussian_learned"}, {"hidden_units": "softmax:2"}])
def test_as_a_layer_it_is_differentiable(settings, backend):
    """Its output is the hidden mean, and gradients go through it and to its parameters."""
    m = machine(**settings)
    x = Tensor(np.random.default_rng(1).random((3, VISIBLE)), dtype="float64")
    np.testing.assert_allclose(m(x).numpy(), backend.to_host(m.hidden_mean(x.data)), rtol=1e-12)
    used = [m.weight, m.hidden_bias, *m.visible_units.parameters()]
    assert gradcheck(lambda x, *p: m(x), [x, *used]).error < 1e-7
