"""Rectified units, softmax groups and learned variances against brute force; fast weights; bounded weights."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from miniae import RBM, Tensor
from miniae.backend import get
from miniae.backend.philox import Generator
from miniae.nn import Build
from miniae.optim import Momentum
from miniae.rbm import Machine, get_units
from miniae.rbm.max_norm import MaxNormMomentum

VISIBLE, HIDDEN = 6, 4


def states(kind: str, n: int) -> np.ndarray:
    """Every state of n units."""
    if kind == "bernoulli":
        return np.array(list(itertools.product([0.0, 1.0], repeat=n)))
    group = get_units(kind).group
    return np.array([np.concatenate(rows) for rows in itertools.product(np.eye(group), repeat=n // group)])


def machine(seed: int = 0, scale: float = 0.8, hidden: int = HIDDEN, **settings) -> Machine:
    """A machine of random parameters, in float64."""
    rng = np.random.default_rng(seed)
    m = Machine(hidden, **settings)
    m.build((VISIBLE,), Build("", seed, "float64"))
    for p in m.parameters():
        p.assign(rng.standard_normal(p.shape) * scale)
    return m


def on_device(m: Machine, array: np.ndarray):
    return m.be.asarray(array, m.place.dtype)


def divergence_gradient(m: Machine, data: np.ndarray) -> list[np.ndarray]:
    """The estimate of the log-likelihood's gradient: that of contrastive divergence with the sign changed."""
    m.train()
    for p in m.parameters():
        p.zero_grad()
    m.loss_terms(Tensor(data, dtype="float64", backend=m.be))["reconstruction"].backward()
    return [-m.be.to_host(p.grad) for p in m.parameters()]


def numerical_gradient(log_likelihood, arrays):
    """Central differences of a function of these arrays."""
    result = []
    for array in arrays:
        gradient = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            before, values = array[index], []
            for step in (1e-5, -1e-5):
                array[index] = before + step
                values.append(log_likelihood(*arrays))
            array[index] = before
            gradient[index] = (values[0] - values[1]) / 2e-5
        result.append(gradient)
    return result


# ---------------------------------------------------------------- softmax groups

SOFTMAX = [("softmax:3", "bernoulli"), ("bernoulli", "softmax:2"), ("softmax:2", "softmax:4")]


def energies(kinds: tuple[str, str], w, a, b) -> np.ndarray:
    """E(v, h) over all states of both sides."""
    v, h = states(kinds[0], VISIBLE), states(kinds[1], HIDDEN)
    return -(v @ a)[:, None] - (h @ b)[None] - v @ w @ h.T


@pytest.mark.parametrize("kinds", SOFTMAX)
def test_softmax_free_energy_and_conditionals_by_brute_force(kinds, backend):
    m = machine(visible_units=kinds[0], hidden_units=kinds[1])
    v, h = states(kinds[0], VISIBLE), states(kinds[1], HIDDEN)
    p = np.exp(-energies(kinds, *(q.numpy() for q in m.parameters())))
    np.testing.assert_allclose(backend.to_host(m.free_energy(on_device(m, v))), -np.log(p.sum(1)), rtol=1e-10)
    np.testing.assert_allclose(backend.to_host(m.hidden_mean(on_device(m, v))), p @ h / p.sum(1, keepdims=True),
                               rtol=1e-10)
    np.testing.assert_allclose(backend.to_host(m.visible_mean(on_device(m, h))), p.T @ v / p.T.sum(1, keepdims=True),
                               rtol=1e-10)


@pytest.mark.parametrize("kinds", SOFTMAX)
@pytest.mark.parametrize("persistent", [False, True])
def test_softmax_long_sampling_approaches_the_exact_gradient(kinds, persistent, backend):
    """The estimate from n chains has a standard error of at most 1/2 / sqrt(n) an element."""
    n = 4000
    m = machine(1, k=40, visible_units=kinds[0], hidden_units=kinds[1], persistent=n if persistent else 0,
                sample_visible=True)
    every = states(kinds[0], VISIBLE)
    chosen = np.random.default_rng(1).integers(0, len(every), 10)

    def log_likelihood(w, a, b):
        p = np.exp(-energies(kinds, w, a, b))
        return np.log(p.sum(1)[chosen] / p.sum()).mean()

    exact = numerical_gradient(log_likelihood, [p.numpy() for p in m.parameters()])
    for estimate, truth in zip(divergence_gradient(m, np.repeat(every[chosen], n // 10, axis=0)), exact, strict=True):
        assert np.abs(estimate - truth).max() < 5 * 0.5 / np.sqrt(n)


def test_softmax_samples_are_one_hot_with_the_right_frequencies(backend):
    units, n = get_units("softmax:5"), 20000
    x = np.random.default_rng(0).standard_normal(10) * 2
    p = np.exp(x).reshape(2, 5)
    p /= p.sum(1, keepdims=True)
    mean, drawn = units.draw(backend, backend.asarray(np.tile(x, (n, 1))), Generator(0, "s", backend))
    np.testing.assert_allclose(backend.to_host(mean)[0].reshape(2, 5), p, rtol=1e-12)
    drawn = backend.to_host(drawn).reshape(n, 2, 5)
    assert set(np.unique(drawn)) == {0.0, 1.0} and (drawn.sum(2) == 1).all()
    assert (np.abs(drawn.mean(0) - p) < 5 * np.sqrt(p * (1 - p) / n) + 1e-12).all()
    both = np.einsum("nk,nl->kl", drawn[:, 0], drawn[:, 1]) / n  # the groups are independent
    assert np.abs(both - np.outer(*p)).max() < 5 * 0.5 / np.sqrt(n)


def test_softmax_is_stable_and_takes_no_rows(backend):
    units = get_units("softmax:2")
    x = np.array([[1e4, -1e4, -1e4, -1e4]], np.float32)
    mean, drawn = units.draw(backend, backend.asarray(x), Generator(0, "s", backend))
    np.testing.assert_array_equal(backend.to_host(mean), [[1, 0, 0.5, 0.5]])
    assert (backend.to_host(drawn)[:, :2] == [[1, 0]]).all()
    bias = backend.zeros((4,), "float32")
    np.testing.assert_allclose(backend.to_host(units.log_partition(backend, backend.asarray(x), bias)),
                               [1e4 - 1e4 + math.log(2)], atol=1e-3)
    none = backend.zeros((0, 4), "float32")
    assert units.draw(backend, none, Generator(0, "s", backend))[1].shape == (0, 4)
    assert units.log_partition(backend, none, bias).shape == (0,)


def test_ratings_are_predicted():
    """Two tastes, six films, three grades: half the films tell the others, of which a guess is right half the time."""
    rng = np.random.default_rng(0)
    taste = rng.integers(0, 2, 400)
    grade = np.where(taste[:, None] ^ (np.arange(6) % 2), 2, 0)
    grade = np.where(rng.random(grade.shape) < 0.1, 1, grade)
    X = np.eye(3, dtype=np.float32)[grade].reshape(400, 18)
    rbm = RBM(6, visible_units="softmax:3", epochs=40, batch_size=20, visible_bias="data").fit(X)
    half = X.copy()
    half[:, 9:] = 0  # not seen
    guess = rbm.reconstruct(half).reshape(400, 6, 3)[:, 3:]
    np.testing.assert_allclose(guess.sum(2), 1, atol=1e-5)
    assert (guess.argmax(2) == np.where(taste[:, None] ^ (np.arange(3, 6) % 2), 2, 0)).mean() > 0.93
    samples = rbm.sample(50, steps=20).reshape(50, 6, 3)
    assert (samples.sum(2) == 1).all() and set(np.unique(samples)) == {0.0, 1.0}
    assert (rbm.sample(20, steps=0).reshape(20, 6, 3).sum(2) == 1).all()


# ---------------------------------------------------------------- rectified units

def test_rectified_free_energy_is_that_of_many_copies(backend):
    """4 rectified hidden units against 4 x 60 Bernoulli ones with the same weights and shifted biases."""
    copies = 60
    m = machine(hidden_units="rectified", scale=2.0)
    many = machine(hidden=HIDDEN * copies)
    many.weight.assign(np.repeat(m.weight.numpy(), copies, axis=1))
    many.visible_bias.assign(m.visible_bias.numpy())
    many.hidden_bias.assign((m.hidden_bias.numpy()[:, None] - np.arange(copies) - 0.5).reshape(-1))
    v = states("bernoulli", VISIBLE)
    mine, theirs = (backend.to_host(x.free_energy(on_device(x, v))) for x in (m, many))
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=4 * 2e-8)
    assert np.ptp(mine) > 10


def test_rectified_partition_counts_the_copies_that_are_on(backend):
    """By dynamic programming over copies: sum_s exp(x s) e_s, e_s the sum over all choices of s copies."""
    weights = np.zeros(60)
    weights[0] = 1.0
    for i in range(1, 200):
        weights[1:] = weights[1:] + math.exp(0.5 - i) * weights[:-1]
    x = np.linspace(-12, 12, 49)
    expected = np.log(np.exp(np.outer(x, np.arange(60))) @ weights)
    units, bias = get_units("rectified"), backend.zeros((1,), "float64")
    found = backend.to_host(units.log_partition(backend, backend.asarray(x[:, None]), bias))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=2e-8)
    far = backend.asarray(np.array([[-1e3], [0.0], [1e3]], np.float32))
    found = backend.to_host(units.log_partition(backend, far, backend.zeros((1,), "float32")))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0.0, expected[24], 5e5 + 2 * expected[24]], rtol=1e-6)


@pytest.mark.parametrize("x", [-3.0, -0.5, 0.0, 0.7, 4.0])
def test_rectified_states_have_the_moments_of_a_rectified_normal(x, backend):
    units, n = get_units("rectified"), 40000
    mean, drawn = units.draw(backend, backend.asarray(np.full((n, 1), x)), Generator(0, "r", backend))
    assert (backend.to_host(mean) == max(0.0, x)).all()
    drawn = backend.to_host(drawn)[:, 0]
    variance = 1 / (1 + math.exp(-x))
    grid = np.linspace(-12, 12, 200001)
    density = np.exp(-((grid - x) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance) * (grid[1] - grid[0])
    first, second, fourth = (density @ np.maximum(grid, 0) ** power for power in (1, 2, 4))
    assert drawn.min() >= 0
    assert abs(drawn.mean() - first) < 5 * math.sqrt((second - first**2) / n)
    assert abs((drawn**2).mean() - second) < 5 * math.sqrt((fourth - second**2) / n)


def test_rectified_units_learn_intensities(backend):
    """A pattern that is more or less bright: states of 0 and 1 could not say how bright."""
    rng = np.random.default_rng(0)
    data = rng.random((300, 1)) * 3 * np.array([[1.0, -1, 0.5, 0, 1, -0.5]])
    rbm = RBM(4, visible_units="gaussian", hidden_units="rectified", epochs=20, lr=0.03, batch_size=30, init_std=0.01)
    rbm.fit(data)
    assert np.square(rbm.reconstruct(data) - data).mean() < 0.1 * np.square(data).mean()
    assert rbm.history_[-1]["loss"] < 0.3 * rbm.history_[0]["loss"]
    assert np.isfinite(rbm.free_energy(data)).all() and rbm.transform(data).min() >= 0


def test_rectified_visible_units_have_no_free_energy(backend):
    data = np.random.default_rng(0).random((20, 5)) * 3
    rbm = RBM(3, visible_units="rectified", epochs=1).fit(data)
    assert rbm.reconstruct(data).min() >= 0 and rbm.sample(4, steps=3).min() >= 0
    with pytest.raises(ValueError, match="rectified visible units have no energy of their own"):
        rbm.free_energy(data)


# ---------------------------------------------------------------- learned variances

def learned(seed: int = 0, **settings) -> Machine:
    return machine(seed, 0.5, visible_units="gaussian_learned", sample_visible=True, **settings)


def values(m: Machine) -> list[np.ndarray]:
    return [p.numpy() for p in (m.weight, m.visible_bias, m.hidden_bias, m.log_variance)]


def learned_energy(v, h, w, a, b, z):
    """E(v, h) for every pair of rows, as in the paper."""
    return (((v - a) ** 2 / (2 * np.exp(z))).sum(1)[:, None] - (h @ b)[None] - (v / np.exp(z)) @ w @ h.T)


def mixture(w, a, b, z):
    """The model as a mixture of normals, one for each h: log of its unnormalised weights, and means."""
    h, s2 = states("bernoulli", HIDDEN), np.exp(z)
    mean = a + h @ w.T
    return h @ b + ((mean**2 - a**2) / (2 * s2)).sum(1) + 0.5 * np.log(2 * np.pi * s2).sum(), mean


def learned_log_likelihood(data):
    def function(w, a, b, z):
        log_weights, _ = mixture(w, a, b, z)
        joint = -learned_energy(data, states("bernoulli", HIDDEN), w, a, b, z)
        return (np.logaddexp.reduce(joint, axis=1) - np.logaddexp.reduce(log_weights)).mean()

    return function


def test_learned_variance_free_energy_and_conditionals(backend):
    m = learned()
    w, a, b, z = values(m)
    rng = np.random.default_rng(1)
    v, h = rng.standard_normal((30, VISIBLE)) * 2, states("bernoulli", HIDDEN)
    p = np.exp(-learned_energy(v, h, w, a, b, z))
    np.testing.assert_allclose(backend.to_host(m.free_energy(on_device(m, v))), -np.log(p.sum(1)), rtol=1e-10)
    np.testing.assert_allclose(backend.to_host(m.hidden_mean(on_device(m, v))), p @ h / p.sum(1, keepdims=True),
                               rtol=1e-10)
    # p(v_i | h) is proportional to exp(-E) along v_i: its mean and variance by integration on a grid
    grid = np.linspace(-15, 15, 3001)
    mean, n = backend.to_host(m.visible_mean(on_device(m, h[5:6])))[0], 20000
    drawn = backend.to_host(m.sample_visible(on_device(m, np.tile(h[5], (n, 1)))))
    for i in range(VISIBLE):
        line = np.tile(a, (len(grid), 1))
        line[:, i] = grid
        density = np.exp(-learned_energy(line, h[5:6], w, a, b, z)[:, 0])
        density /= density.sum()
        centre = density @ grid
        variance = density @ (grid - centre) ** 2
        assert mean[i] == pytest.approx(centre, rel=1e-9)
        assert variance == pytest.approx(np.exp(z[i]), rel=1e-9)
        assert abs(drawn[:, i].mean() - centre) < 5 * math.sqrt(variance / n)
        assert abs(drawn[:, i].var() / variance - 1) < 5 * math.sqrt(2 / n)


def test_learned_variance_partition_by_numerical_integration(backend):
    """log_partition of a visible unit, plus log sqrt(2 pi s^2), is the log-integral over v given the input x."""
    m = learned(2)
    _, a, _, z = values(m)
    x = np.random.default_rng(0).standard_normal((3, VISIBLE))
    grid = np.linspace(-25, 25, 5001)
    expected = np.zeros(3)
    for i in range(VISIBLE):
        exponent = (-((grid - a[i]) ** 2) / 2 + (x[:, i:i + 1] - a[i]) * grid) / np.exp(z[i])
        expected += np.log(np.exp(exponent).sum(1) * (grid[1] - grid[0])) - 0.5 * np.log(2 * np.pi * np.exp(z[i]))
    found = m.visible_units.log_partition(m.be, on_device(m, x), m.visible_bias._data)
    np.testing.assert_allclose(backend.to_host(found), expected, rtol=1e-8)


@pytest.mark.parametrize("persistent", [False, True])
def test_learned_variance_long_sampling_approaches_the_exact_gradient(persistent, backend):
    """Within five standard errors, from the spread of the statistics in exact samples of the model."""
    n = 4000
    m = learned(3, k=40, persistent=n if persistent else 0)
    w, a, b, z = values(m)
    rows = np.random.default_rng(0).standard_normal((10, VISIBLE))
    exact = numerical_gradient(learned_log_likelihood(rows), values(m))
    log_weights, means = mixture(w, a, b, z)
    p = np.exp(log_weights - np.logaddexp.reduce(log_weights))
    chosen = np.random.default_rng(1).choice(len(p), 20000, p=p)
    v = means[chosen] + np.exp(z / 2) * np.random.default_rng(2).standard_normal((20000, VISIBLE))
    scaled, h = v / np.exp(z), 1 / (1 + np.exp(-(v / np.exp(z) @ w + b)))
    slope = ((v - a) ** 2 / 2 - v * (h @ w.T)) / np.exp(z)
    spreads = [np.einsum("ni,nj->nij", scaled, h).std(0), scaled.std(0), h.std(0), slope.std(0)]
    found = divergence_gradient(m, np.repeat(rows, n // 10, axis=0))
    for estimate, truth, spread in zip(found, exact, spreads, strict=True):
        assert (np.abs(estimate - truth) < 5 * spread / np.sqrt(n)).all()
        assert np.abs(truth).max() > 10 * spread.max() / np.sqrt(n)  # a gradient of nothing would not pass


def test_variances_of_the_data_are_learned():
    """Independent normals of different widths: the weights have nothing to say, the variances are the data's."""
    rng, width = np.random.default_rng(0), np.array([0.5, 1.0, 2.0])
    X = rng.standard_normal((2000, 3)) * width + [1, 0, -1]
    rbm = RBM(2, visible_units="gaussian_learned", epochs=60, lr=0.02, momentum=(0.5, 0.5), init_std=0.001,
              weight_cost=0.1, visible_bias="data").fit(X)
    assert set(rbm.machine_.state_dict()) == {"weight", "visible_bias", "hidden_bias", "log_variance"}
    np.testing.assert_allclose(np.exp(rbm.machine_.log_variance.numpy()), width**2, rtol=0.2)


# ---------------------------------------------------------------- fast weights

def test_fast_weights_follow_their_recurrence_and_draw_the_chains(backend):
    """Every update: fast = 19/20 fast + fast_lr g; the chains are those of a plain machine with W + fast."""
    data = np.random.default_rng(0).integers(0, 2, (30, VISIBLE)).astype(float)
    m = machine(4, persistent=20, k=2, fast_lr=0.3, weight_cost=0.1, sparsity_cost=0.2, sparsity_target=0.1)
    plain = machine(4, persistent=20, k=2)
    names = ["weight", "visible_bias", "hidden_bias"]
    for _ in range(3):
        before = m.state_dict()
        plain.load_state_dict({"chains": before["chains"],
                               **{name: before[name] + before[f"fast_{name}"] for name in names}})
        plain.rng.step, drawn = m.rng.step, plain.chains._data
        for _ in range(2):
            v = plain.sample_visible(drawn)
            drawn = plain.sample_hidden(v)
        divergence_gradient(m, data)
        after = m.state_dict()
        np.testing.assert_array_equal(after["chains"], backend.to_host(drawn))
        w, _, b = (before[name] for name in names)
        v, h = backend.to_host(v), 1 / (1 + np.exp(-(data @ w + b)))
        h_model = 1 / (1 + np.exp(-(v @ (w + before["fast_weight"]) + b + before["fast_hidden_bias"])))
        g = [data.T @ h / 30 - v.T @ h_model / 20, data.mean(0) - v.mean(0), h.mean(0) - h_model.mean(0)]
        for name, difference in zip(names, g, strict=True):
            expected = 0.95 * before[f"fast_{name}"] + 0.3 * difference
            np.testing.assert_allclose(after[f"fast_{name}"], expected, rtol=1e-9, atol=1e-12)
    assert np.abs(after["fast_weight"]).max() > 0.01


def test_a_fast_rate_of_0_is_plain_persistence(backend):
    data = np.random.default_rng(0).integers(0, 2, (60, 9))
    plain, still, fast = (RBM(5, epochs=3, batch_size=25, persistent=True, fast_lr=rate).fit(data).machine_
                          for rate in (None, 0.0, 0.1))
    np.testing.assert_array_equal(plain.weight.numpy(), still.weight.numpy())
    assert (plain.weight.numpy() != fast.weight.numpy()).any()
    assert set(fast.state_dict()) - set(plain.state_dict()) == {"fast_weight", "fast_visible_bias", "fast_hidden_bias"}


def test_a_machine_put_back_goes_on_exactly():
    data = np.random.default_rng(0).integers(0, 2, (30, VISIBLE)).astype(float)
    m = machine(5, persistent=10, fast_lr=0.3)
    divergence_gradient(m, data)
    state, step = m.state_dict(), m.rng.step
    expected = divergence_gradient(m, data)
    other = machine(6, persistent=10, fast_lr=0.3)
    other.build((VISIBLE,), Build("", 5, "float64"))
    other.load_state_dict(state)
    other.rng.step = step
    for mine, theirs in zip(divergence_gradient(other, data), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_fast_weights_make_chains_leave_their_mode():
    """Data in two modes far apart, all chains in one, weights held fixed: only fast weights fetch half of them over."""
    data = np.repeat([[0.0] * 6, [1.0] * 6], 50, axis=0)

    def share(fast_lr: float | None) -> float:
        m = machine(7, persistent=100, fast_lr=fast_lr)
        m.weight.assign(np.full((VISIBLE, HIDDEN), 4.0))
        m.visible_bias.assign(np.full(VISIBLE, -8.0))
        m.hidden_bias.assign(np.full(HIDDEN, -12.0))
        m.chains.assign(np.zeros((100, HIDDEN)))
        for _ in range(100):
            divergence_gradient(m, data)
        return (m.chains.numpy().mean(1) > 0.5).mean()

    assert share(None) == 0
    assert 0.4 < share(1.0) < 0.6


# ---------------------------------------------------------------- bounded weights

def test_max_norm_scales_long_columns_down(backend):
    m = machine(8)
    optimizer = MaxNormMomentum(m.parameters(), m.weight, max_norm=1.5, lr=0.0)
    before = m.weight.numpy()
    norms = np.linalg.norm(before, axis=0)
    assert norms.min() < 1.5 < norms.max()
    a, b = m.visible_bias.numpy(), m.hidden_bias.numpy()
    m.weight.accumulate_grad(m.be.zeros(m.weight.shape, "float64"))
    optimizer.step()
    np.testing.assert_allclose(m.weight.numpy(), before * np.minimum(1, 1.5 / norms), rtol=1e-12)
    np.testing.assert_array_equal(m.weight.numpy()[:, norms <= 1.5], before[:, norms <= 1.5])
    np.testing.assert_array_equal(m.visible_bias.numpy(), a)
    np.testing.assert_array_equal(m.hidden_bias.numpy(), b)


def test_max_norm_in_training(backend):
    data = np.random.default_rng(0).integers(0, 2, (60, 9)).repeat(2, axis=1)
    settings = {"hidden": 5, "epochs": 5, "batch_size": 20, "lr": 0.5}
    free = RBM(**settings).fit(data).machine_.weight.numpy()
    norms = np.linalg.norm(free, axis=0)
    bounded = RBM(**settings, max_norm=0.7).fit(data).machine_.weight.numpy()
    assert norms.max() > 0.8 and np.linalg.norm(bounded, axis=0).max() < 0.7 * (1 + 1e-6)
    np.testing.assert_array_equal(RBM(**settings, max_norm=1e3).fit(data).machine_.weight.numpy(), free)


# ---------------------------------------------------------------- all of them

KINDS = [
    {"visible_units": "softmax:3"}, {"hidden_units": "softmax:2", "k": 2, "sample_visible": True},
    {"visible_units": "softmax:2", "persistent": True}, {"hidden_units": "rectified"},
    {"visible_units": "gaussian", "hidden_units": "rectified"}, {"visible_units": "gaussian_learned"},
    {"visible_units": "gaussian_learned", "persistent": True, "fast_lr": 0.1}, {"visible_units": "rectified"},
    {"persistent": True, "fast_lr": 0.1, "weight_cost": 0.1, "sparsity_cost": 0.1}, {"max_norm": 0.2},
]


def binary(n: int) -> np.ndarray:
    """States that every kind takes."""
    return np.random.default_rng(4).integers(0, 2, (n, VISIBLE)).astype(float)


@pytest.mark.parametrize("settings", [
    {}, {"k": 3, "sample_visible": True}, {"persistent": True}, {"sparsity_cost": 0.1}, {"weight_cost": 0.1},
    {"visible_units": "gaussian"}, {"hidden_units": "gaussian"}, *KINDS,
])
def test_an_update_can_be_recorded(settings):
    """It allocates nothing and reads nothing back, and its chains and random numbers go on from replay to replay."""
    settings = {**settings, "persistent": 5 if settings.get("persistent") else 0}
    max_norm = settings.pop("max_norm", None)

    def update(be):
        m = Machine(HIDDEN, **settings).train()
        m.build((VISIBLE,), Build("", 0, "float64", be))
        optimizer = (Momentum(m.parameters(), lr=0.1) if max_norm is None else
                     MaxNormMomentum(m.parameters(), m.weight, max_norm, lr=0.1))
        v = Tensor(binary(7), backend=be)

        def step():
            optimizer.zero_grad()
            m.loss_terms(v)["reconstruction"].backward()
            optimizer.step()

        return m, step

    strict = get("strict")
    eager, step = update(get("numpy"))
    recorded, recorded_step = update(strict)
    for _ in range(6):
        step()
    replay = strict.capture(recorded_step, warmup=2)
    waits = strict.waits
    for _ in range(4):
        replay()
    assert strict.waits == waits
    mine, theirs = recorded.state_dict(), eager.state_dict()
    assert mine.keys() == theirs.keys()
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name])


@pytest.mark.parametrize("settings", KINDS)
def test_the_same_seed_gives_the_same_weights_on_every_backend(settings, backend):
    data = binary(60)
    fitted = [RBM(4, epochs=2, batch_size=25, seed=3, backend=be, **settings).fit(data, validation=data)
              for be in (backend, "numpy")]
    for mine, theirs in zip(*(rbm.machine_.parameters() for rbm in fitted), strict=True):
        assert mine.dtype == np.float32
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-6)
    assert fitted[0].history_[-1]["val_loss"] == pytest.approx(fitted[1].history_[-1]["val_loss"], rel=1e-5)


def test_default_rates_and_data_biases():
    assert RBM(visible_units="softmax:3").learning_rate() == 0.1
    assert RBM(hidden_units="rectified").learning_rate() == 0.001
    assert RBM(visible_units="gaussian_learned").learning_rate() == 0.001
    X = np.eye(3)[np.random.default_rng(0).choice(3, (100, 2), p=[0.5, 0.3, 0.2])].reshape(100, 6)
    for kind in ("softmax:3", "rectified", "gaussian_learned"):
        rbm = RBM(2, visible_units=kind, epochs=0, init_std=0.0, visible_bias="data").fit(X)
        np.testing.assert_allclose(rbm.reconstruct(X), np.broadcast_to(X.mean(0), X.shape), atol=1e-6)


@pytest.mark.parametrize("settings, message", [
    ({"visible_units": "softmax"}, "softmax:K \\(K units a group, as in softmax:5\\)"),
    ({"visible_units": "softmax:x"}, "unknown kind of units 'softmax:x'"),
    ({"visible_units": "softmax:1"}, "at least 2 units, got 1"), ({"visible_units": "gaussian:2"}, "unknown kind"),
    ({"visible_units": "softmax:4"}, "6 visible units can't be divided"),
    ({"hidden_units": "softmax:3"}, "4 hidden units can't be divided"),
    ({"hidden_units": "gaussian_learned"}, "for the visible side"), ({"hidden_units": 3}, "unknown kind of units 3"),
    ({"visible_units": "gaussian_learned", "hidden_units": "gaussian"}, "both sides"),
    ({"fast_lr": 0.1}, "set persistent=True"), ({"fast_lr": -1, "persistent": True}, "fast_lr must be a finite"),
    ({"max_norm": 0}, "max_norm must be a finite number above 0"), ({"max_norm": "x"}, "max_norm must be"),
])
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        RBM(4, **settings).fit(binary(10))


def test_bad_data_and_uses():
    with pytest.raises(ValueError, match="softmax:3 visible units need values in \\[0, 1\\]"):
        RBM(4, visible_units="softmax:3").fit(binary(10) * 2)
    with pytest.raises(ValueError, match="not for softmax:3"):
        RBM(4, visible_units="softmax:3", epochs=1).fit(binary(10)).pseudo_likelihood(binary(10))
    with pytest.raises(ValueError, match="ask for persistent chains too"):
        Machine(4, fast_lr=0.1)
