"""The RBM estimator."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from miniae import RBM
from miniae.rbm import get_units
from miniae.training import NotFittedError


def bars(n: int, seed: int = 0) -> np.ndarray:
    """Bars and stripes on 3 x 3 pixels: every row, or every column, is on or off."""
    rng = np.random.default_rng(seed)
    lines = rng.integers(0, 2, (n, 3, 1)).repeat(3, axis=2)
    across = rng.random(n) < 0.5
    lines[across] = lines[across].transpose(0, 2, 1)
    return lines.reshape(n, 9).astype(np.float32)


def exact_log_likelihood(rbm: RBM, data: np.ndarray) -> float:
    """log p(v) by summing exp(-F) over all visible states."""
    every = np.array(list(itertools.product([0.0, 1.0], repeat=data.shape[1])), np.float32)
    log_z = np.logaddexp.reduce(-rbm.free_energy(every).astype(np.float64))
    return float(np.mean(rbm.score_samples(data)) - log_z)


def test_training_learns_the_distribution():
    """Bars and stripes have 14 patterns: the best log-likelihood is about -2.5, that of a coin for each pixel -6.2."""
    data = bars(500)

    def after(epochs: int, **settings) -> float:
        rbm = RBM(20, epochs=epochs, batch_size=50, weight_cost=0, **settings).fit(data)
        return exact_log_likelihood(rbm, data)

    assert after(1, lr=1e-9) < -6
    assert after(150) > -4  # CD-1 by means
    assert after(150, k=5, sample_visible=True) > -3
    assert after(300, k=5, persistent=True, momentum=(0, 0)) > -3.5


def test_reconstruction_error_falls_and_shapes_fit(backend):
    data = bars(130)  # the last batch has 30
    rbm = RBM(8, epochs=6, batch_size=50).fit(data, validation=data)
    losses = [row["loss"] for row in rbm.history_]
    assert losses[-1] < losses[0]
    assert "val_loss" in rbm.history_[0]
    h = rbm.transform(data)
    assert h.shape == (130, 8) and h.dtype == np.float32
    assert rbm.inverse_transform(h).shape == rbm.reconstruct(data).shape == (130, 9)
    np.testing.assert_allclose(rbm.inverse_transform(h), rbm.reconstruct(data), rtol=1e-6)
    assert rbm.free_energy(data).shape == rbm.score_samples(data).shape == (130,)


@pytest.mark.parametrize("settings", [{}, {"persistent": True}, {"k": 3}, {"hidden_units": "gaussian"},
                                      {"visible_units": "gaussian"}])
def test_the_same_seed_gives_the_same_weights_on_every_backend(settings, backend):
    data = bars(60)
    on_this = RBM(5, epochs=2, batch_size=25, seed=3, backend=backend, **settings).fit(data)
    on_numpy = RBM(5, epochs=2, batch_size=25, seed=3, backend="numpy", **settings).fit(data)
    np.testing.assert_allclose(on_this.machine_.weight.numpy(), on_numpy.machine_.weight.numpy(), atol=1e-6)
    other = RBM(5, epochs=2, batch_size=25, seed=4, backend=backend, **settings).fit(data)
    assert np.abs(other.machine_.weight.numpy() - on_this.machine_.weight.numpy()).max() > 1e-3
    if backend.name == "numpy":
        again = RBM(5, epochs=2, batch_size=25, seed=3, **settings).fit(data)
        np.testing.assert_array_equal(again.machine_.weight.numpy(), on_this.machine_.weight.numpy())


def test_one_update_by_hand():
    """One batch, CD-1 with means for everything but the drawn hidden states: the published update."""
    data = bars(40)
    rbm = RBM(4, epochs=1, batch_size=40, lr=0.1, weight_cost=0.0002, dtype="float64", momentum=(0.5, 0.9))
    start = RBM(4, epochs=1, batch_size=40, lr=0, dtype="float64").fit(data).machine_.weight.numpy()
    after = rbm.fit(data).machine_

    from miniae.backend.philox import Generator, host_generator

    order = host_generator(0, "shuffle", 0).permutation(40)
    v0 = data[order].astype(np.float64)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    h0 = sigmoid(v0 @ start)
    drawn = Generator(0, "gibbs").uniform((40, 4), "float64") < h0
    v1 = sigmoid(drawn @ start.T)
    h1 = sigmoid(v1 @ start)
    np.testing.assert_allclose(after.weight.numpy(),
                               start + 0.1 * ((v0.T @ h0 - v1.T @ h1) / 40 - 0.0002 * start), rtol=1e-10)
    np.testing.assert_allclose(after.visible_bias.numpy(), 0.1 * (v0 - v1).mean(0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(after.hidden_bias.numpy(), 0.1 * (h0 - h1).mean(0), rtol=1e-9, atol=1e-12)


def test_momentum_switches():
    rbm = RBM(3, epochs=4, momentum=(0.5, 0.9), momentum_switch=2)
    seen = []

    from miniae.training import Callback

    class Watch(Callback):
        def on_epoch_end(self, trainer, logs):
            seen.append(trainer.optimizer.momentum)

    rbm.fit(bars(20), callbacks=[Watch()])
    assert seen == [0.5, 0.5, 0.9, 0.9]


def small(seed: int = 0, **settings) -> RBM:
    """An RBM of 6 visible and 4 hidden units with random parameters, in float64."""
    rng = np.random.default_rng(seed)
    rbm = RBM(4, epochs=0, dtype="float64", **settings).fit(np.zeros((1, 6)))
    for p in rbm.machine_.parameters():
        p.assign(rng.standard_normal(p.shape))
    return rbm


def test_sampling_reaches_the_distribution_and_takes_its_steps(backend):
    """Pearson's statistic over 64 states: mean 63 and standard deviation 11.2 for samples of p, more for others."""
    rbm, n = small(), 4000
    p = np.exp(rbm.score_samples(list(itertools.product([0.0, 1.0], repeat=6))))
    p /= p.sum()

    def statistic(steps: int) -> float:
        index = (rbm.sample(n, steps=steps) @ 2 ** np.arange(6)[::-1]).astype(int)
        return float((n * (np.bincount(index, minlength=64) / n - p) ** 2 / p).sum())

    assert statistic(60) < 63 + 5 * 11.3
    assert statistic(0) > statistic(1) > 63 + 10 * 11.3


def test_pseudo_likelihood_against_every_conditional(backend):
    """log p(v_i | others) from p(v) and p(v with v_i flipped): each estimate is 6 of these, their mean is the sum."""
    rbm = small(1)
    every = np.array(list(itertools.product([0.0, 1.0], repeat=6)))
    log_p = dict(zip(map(tuple, every), rbm.score_samples(every), strict=True))
    v = every[37]
    flips = [np.where(np.arange(6) == i, 1 - v, v) for i in range(6)]
    terms = np.array([log_p[tuple(v)] - np.logaddexp(log_p[tuple(v)], log_p[tuple(f)]) for f in flips])
    n = 6000
    estimates = rbm.pseudo_likelihood(np.tile(v, (n, 1)))
    assert estimates.shape == (n,)
    assert np.abs(estimates[:, None] - 6 * terms).min(axis=1).max() < 1e-9
    assert abs(estimates.mean() - terms.sum()) < 5 * estimates.std() / np.sqrt(n)
    np.testing.assert_array_equal(rbm.pseudo_likelihood(every, seed=2), rbm.pseudo_likelihood(every, seed=2))
    assert (rbm.pseudo_likelihood(every, seed=2) != rbm.pseudo_likelihood(every, seed=3)).any()


def test_pseudo_likelihood_rises_and_wants_states():
    data = bars(300)
    before, after = (RBM(20, epochs=e, batch_size=50).fit(data).pseudo_likelihood(data) for e in (0, 60))
    assert before.dtype == np.float32 and after.mean() > before.mean() + 2
    with pytest.raises(ValueError, match="X > 0.5"):
        RBM(3, epochs=1).fit(data).pseudo_likelihood(data * 0.4)
    with pytest.raises(ValueError, match="not for gaussian"):
        RBM(3, epochs=1, visible_units="gaussian").fit(data).pseudo_likelihood(data)


def test_samples_are_states_and_repeat_by_seed():
    rbm = RBM(8, epochs=20).fit(bars(200))
    first = rbm.sample(5, steps=10, seed=1)
    assert first.shape == (5, 9)
    assert set(np.unique(first)) <= {0.0, 1.0}
    np.testing.assert_array_equal(first, rbm.sample(5, steps=10, seed=1))
    assert (first != rbm.sample(5, steps=10, seed=2)).any()
    assert rbm.sample(steps=3, start=bars(4)).shape == (4, 9)
    assert rbm.sample(0, steps=2).shape == (0, 9)
    for wrong in ({"n": -1}, {"n": 2.5}, {"steps": -1}):
        with pytest.raises(ValueError, match="must be an integer of at least 0"):
            rbm.sample(**wrong)


@pytest.mark.parametrize("dtype", ["bool", "int64", "uint8", "float16", "float64"])
def test_data_of_any_kind_of_number(dtype, backend):
    """States are as good as integers or truth values, in training, validation and use."""
    data = bars(60)
    expected = RBM(5, epochs=2, batch_size=25, visible_bias="data").fit(data, validation=data)
    rbm = RBM(5, epochs=2, batch_size=25, visible_bias="data").fit(data.astype(dtype), validation=data.astype(dtype))
    np.testing.assert_array_equal(rbm.machine_.weight.numpy(), expected.machine_.weight.numpy())
    assert rbm.history_[-1]["val_loss"] == expected.history_[-1]["val_loss"]
    np.testing.assert_array_equal(rbm.transform(data.astype(dtype)), expected.transform(data))
    assert rbm.transform(data.astype(dtype)).dtype == np.float32


def test_defaults_of_the_published_recipe():
    assert RBM().learning_rate() == 0.1
    assert RBM(hidden_units="gaussian").learning_rate() == RBM(visible_units="gaussian").learning_rate() == 0.001
    assert RBM(lr=0.05, hidden_units="gaussian").learning_rate() == 0.05
    machine = RBM(200, epochs=0).fit(np.zeros((1, 300))).machine_
    assert machine.weight.numpy().std() == pytest.approx(0.1, rel=5 / np.sqrt(2 * 200 * 300))
    assert not machine.visible_bias.numpy().any() and not machine.hidden_bias.numpy().any()


def test_sparsity_target_lowers_the_activity():
    data = bars(300)
    free = RBM(10, epochs=30).fit(data).transform(data).mean()
    sparse = RBM(10, epochs=30, sparsity_target=0.05, sparsity_cost=1.0).fit(data).transform(data).mean()
    assert sparse < 0.15 < free


def test_gaussian_visible_units_reconstruct_real_data():
    rng = np.random.default_rng(0)
    data = (rng.integers(0, 2, (400, 1)) * 2.0 - 1) * np.ones((1, 6)) + 0.1 * rng.standard_normal((400, 6))
    rbm = RBM(4, visible_units="gaussian", epochs=60, lr=0.01).fit(data)
    assert np.square(rbm.reconstruct(data) - data).mean() < 0.2 * data.var()


def test_data_bias_gives_the_means():
    data = bars(200)
    bias = get_units("bernoulli").data_bias(data)
    np.testing.assert_allclose(1 / (1 + np.exp(-bias)), data.mean(0), atol=1e-6)
    assert np.isfinite(get_units("bernoulli").data_bias(np.zeros((10, 3)))).all()
    np.testing.assert_allclose(get_units("gaussian").data_bias(data), data.mean(0), rtol=1e-6)
    rbm = RBM(3, epochs=1, lr=1e-12, init_std=0.0, visible_bias="data").fit(data)
    np.testing.assert_allclose(rbm.reconstruct(data), np.broadcast_to(data.mean(0), data.shape), atol=1e-4)


@pytest.mark.parametrize("data, message", [
    (np.array([[0.0, np.nan]]), "nan at index"),
    (np.array([[0.0, 2.0]]), "values in \\[0, 1\\]: scale the data, or choose visible_units='gaussian'"),
    (np.zeros((0, 3)), "nothing in it"),
    (np.zeros(3), "expected \\(samples, features\\)"),
    (np.zeros((2, 3, 3)), "vectors"),
    (np.array([["a", "b"]]), "expected numbers"),
])
def test_bad_data(data, message):
    with pytest.raises((ValueError, TypeError), match=message):
        RBM(3).fit(data)


@pytest.mark.parametrize("validation, message", [
    (np.full((2, 9), np.nan), "validation holds nan"), (np.full((2, 9), 7.0), "validation ranges from 7 to 7"),
    (np.zeros((2, 4)), "validation has samples of shape"),
])
def test_bad_validation_data(validation, message):
    with pytest.raises(ValueError, match=message):
        RBM(3, epochs=1).fit(bars(10), validation=validation)


@pytest.mark.parametrize("settings, message", [
    ({"hidden": 0}, "hidden must be an integer of at least 1"), ({"k": 0}, "k must be"),
    ({"hidden": "3"}, "hidden must be"), ({"momentum": (0.5, 1.5)}, "pair of numbers"), ({"epochs": 1.5}, "epochs"),
    ({"visible_bias": "mean"}, "zero or data"),
    ({"visible_units": "gaussian", "hidden_units": "gaussian"}, "both sides"), ({"visible_units": "x"}, "bernoulli"),
    ({"batch_size": 0}, "batch_size"), ({"momentum": 0.9}, "pair of numbers"), ({"momentum": "ab"}, "pair of numbers"),
    ({"weight_cost": float("nan")}, "weight_cost must be a finite number"), ({"weight_cost": "x"}, "weight_cost must"),
    ({"sparsity_cost": -1}, "sparsity_cost must"), ({"sparsity_target": float("inf")}, "sparsity_target must"),
    ({"init_std": -0.1}, "init_std must"), ({"lr": "fast"}, "lr must"), ({"lr": -1}, "lr must"),
    ({"momentum_switch": -1}, "momentum_switch must"),
])
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        RBM(**settings).fit(bars(10))


def test_not_fitted_and_wrong_width():
    with pytest.raises(NotFittedError, match="fit"):
        RBM().transform(bars(2))
    with pytest.raises(ValueError, match="made for \\(9,\\)"):
        RBM(3, epochs=1).fit(bars(10)).transform(np.zeros((2, 4)))
    rbm = RBM(3, epochs=1).fit(bars(10)).set_params(hidden=7)  # which the next fit will use
    assert rbm.inverse_transform(np.zeros((2, 3))).shape == (2, 9)


def test_params_are_only_stored():
    rbm = RBM(3, lr=0.5)
    assert rbm.get_params()["lr"] == 0.5
    assert rbm.set_params(k=2).k == 2
    with pytest.raises(ValueError, match="no parameter 'depth'"):
        rbm.set_params(depth=2)
    assert repr(RBM(3)) == "RBM(hidden=3)"
