"""Z by enumeration and by annealed importance sampling."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from miniae import RBM
from miniae.nn import Build
from miniae.rbm import Machine, PartitionEstimate, annealed_importance_sampling, exact_log_partition
from miniae.rbm.partition import SCHEDULE
from miniae.training import NotFittedError

BETAS = np.linspace(0, 1, 127)


def machine(visible: int = 10, hidden: int = 8, scale: float = 1.0, seed: int = 0, dtype: str = "float64",
            **units) -> Machine:
    rng = np.random.default_rng(seed)
    m = Machine(hidden, **units)
    m.build((visible,), Build("", 0, dtype))
    for p in m.parameters():
        p.assign(rng.standard_normal(p.shape) * scale)
    return m


def states(n: int) -> np.ndarray:
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


def brute_force(m: Machine) -> float:
    """log Z from the energy alone, over every pair of states."""
    w, a, b = (p.numpy().astype(np.float64) for p in (m.weight, m.visible_bias, m.hidden_bias))
    v, h = states(len(a)), states(len(b))
    return float(np.log(np.exp((v @ a)[:, None] + (h @ b)[None] + v @ w @ h.T).sum()))


# -------------------------------------------------------------------- enumeration

@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (1, 1), (1, 5), (10, 8)])
def test_enumeration_against_every_pair_of_states(shape, backend):
    m = machine(*shape)
    assert exact_log_partition(m) == pytest.approx(brute_force(m), rel=1e-12)


def test_more_states_than_a_chunk_holds(backend):
    """Without weights Z is a product over units; 12 units have four chunks."""
    m = machine(12, 13)
    m.weight.assign(np.zeros((12, 13)))
    biases = np.concatenate([m.visible_bias.numpy(), m.hidden_bias.numpy()])
    assert exact_log_partition(m) == pytest.approx(np.logaddexp(0, biases).sum(), rel=1e-12)


def test_energies_that_overflow_when_exponentiated():
    m = machine(5, 4, scale=1000.0)
    w, a, b = (p.numpy() for p in (m.weight, m.visible_bias, m.hidden_bias))
    v, h = states(5), states(4)
    deepest = ((v @ a)[:, None] + (h @ b)[None] + v @ w @ h.T).max()
    assert exact_log_partition(m) == pytest.approx(deepest, rel=1e-12)  # the next state is far above


def test_float32_machines_are_enumerated_in_float64(backend):
    m = machine(8, 6, dtype="float32")
    assert exact_log_partition(m) == pytest.approx(brute_force(m), rel=1e-12)


def test_enumeration_has_a_limit():
    with pytest.raises(ValueError, match=r"2\^21 states: .* at most 20, .*annealed_importance_sampling"):
        exact_log_partition(machine(21, 22))


# -------------------------------------------------------------------- annealed importance sampling

@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(2))
def test_random_machines_against_enumeration(seed, dtype, backend):
    m = machine(seed=seed, dtype=dtype)
    truth = exact_log_partition(m)
    estimate = annealed_importance_sampling(m, BETAS, chains=1000, seed=seed, base_bias=np.zeros(10))
    assert estimate.low < truth < estimate.high
    assert abs(estimate.log_z - truth) < 0.05
    assert estimate.log_weights.shape == (1000,) and estimate.log_weights.dtype == np.float64


def bars(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    lines = rng.integers(0, 2, (n, 3, 1)).repeat(3, axis=2)
    across = rng.random(n) < 0.5
    lines[across] = lines[across].transpose(0, 2, 1)
    return lines.reshape(n, 9).astype(np.float32)


def test_a_trained_machine(backend):
    data = bars(300)
    rbm = RBM(8, epochs=60, batch_size=50, weight_cost=0, backend="numpy").fit(data)
    m = Machine(8)
    m.build((9,), Build("", 0, "float32"))
    m.load_state_dict(rbm.machine_.state_dict())
    rbm.machine_ = m  # the same weights on every backend
    truth = exact_log_partition(m)
    estimate = rbm.log_partition(data, betas=np.linspace(0, 1, 500), chains=500)
    assert estimate.low < truth < estimate.high
    assert abs(estimate.log_z - truth) < 0.05
    # log p(v) of all states sums to one
    every = rbm.log_likelihood(states(9), truth)
    assert np.logaddexp.reduce(every.astype(np.float64)) == pytest.approx(0, abs=1e-5)
    assert rbm.log_likelihood(data, truth).mean() > -4.5 > 9 * math.log(0.5)


def test_zero_weights_are_exact(backend):
    """Every chain has the same weight: the one base rate turns into the other with no sampling error."""
    m = Machine(8, init_std=0.0)
    m.build((10,), Build("", 0, "float64"))
    assert exact_log_partition(m) == pytest.approx(18 * math.log(2), rel=1e-15)
    estimate = annealed_importance_sampling(m, [0, 0.5, 1])
    assert estimate.log_z == pytest.approx(18 * math.log(2), rel=1e-15)
    assert estimate.low == pytest.approx(estimate.high, rel=1e-12)
    m.hidden_bias.assign(np.linspace(-30, 30, 8))
    assert annealed_importance_sampling(m, BETAS).log_z == pytest.approx(exact_log_partition(m), rel=1e-12)


def test_the_mean_weight_is_z_whatever_the_schedule():
    """One step from beta 0 to 1 is plain importance sampling: noisy, unbiased, and written out here."""
    m = machine(4, 3, scale=0.7)
    base = np.array([0.5, -1.0, 0.0, 2.0])
    estimate = annealed_importance_sampling(m, [0, 1], chains=20000, base_bias=base)
    v = states(4)
    q = np.exp(v @ base) / np.exp(v @ base).sum()
    weights = np.exp(-m.free_energy(v)) / q
    assert {*np.round(estimate.log_weights, 9)} == {*np.round(np.log(weights), 9)}
    mean = (q * weights).sum()
    error = math.sqrt((q * (weights - mean) ** 2).sum() / 20000) / mean
    assert math.log(mean) == pytest.approx(exact_log_partition(m), rel=1e-12)
    assert estimate.standard_error == pytest.approx(error, rel=0.1)
    assert abs(estimate.log_z - math.log(mean)) < 5 * error
    other = annealed_importance_sampling(m, [0, 0.1, 0.7, 1], chains=20000, base_bias=base)
    assert abs(other.log_z - math.log(mean)) < 5 * other.standard_error < 5 * error


def test_intervals_hold_the_truth_as_often_as_they_should():
    """Three standard errors: all but 0.3 % of runs for normal estimates, so at most 2 of 40."""
    m = machine(6, 5)
    truth = exact_log_partition(m)
    runs = [annealed_importance_sampling(m, np.linspace(0, 1, 60), chains=200, seed=s) for s in range(40)]
    assert sum(not run.low < truth < run.high for run in runs) <= 2
    spread = np.std([run.log_z for run in runs], ddof=1)
    assert spread == pytest.approx(np.mean([run.standard_error for run in runs]), rel=0.4)


def test_intervals_against_the_formulas():
    weights = np.array([1.0, 2.0, 3.0, 2.0])
    estimate = PartitionEstimate.of(np.log(weights) + 1000.0)
    error = weights.std(ddof=1) / 2
    assert estimate.log_z == pytest.approx(1000 + math.log(2), rel=1e-12)
    assert estimate.standard_error == pytest.approx(error / 2, rel=1e-9)
    assert estimate.high == pytest.approx(1000 + math.log(2 + 3 * error), rel=1e-12)
    assert estimate.low == pytest.approx(1000 + math.log(2 - 3 * error), rel=1e-12)
    wide = PartitionEstimate.of(np.array([0.0, 0.0, 20.0]))
    assert wide.low == -math.inf and math.isfinite(wide.high)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 300.0])
def test_large_and_small_energies_in_float32(scale, backend):
    """Coarse steps and inputs in the hundreds: no overflow, and the weights of the same chains in float64."""
    m = machine(6, 5, scale=scale, dtype="float32")
    estimate = annealed_importance_sampling(m, [0, 0.3, 1], chains=50)
    assert np.isfinite(estimate.log_weights).all()
    if scale == 1e-6:
        assert estimate.log_z == pytest.approx(exact_log_partition(m), rel=1e-6)
    one_step = annealed_importance_sampling(m, [0, 1], chains=200)
    f = m.be.to_host(m.free_energy(m.be.asarray(states(6), "float32"))).astype(np.float64)
    a = m.visible_bias.numpy().astype(np.float64)
    possible = -f - states(6) @ a + np.logaddexp(0, a).sum()
    nearest = np.abs(one_step.log_weights[:, None] - possible).min(axis=1)
    assert nearest.max() < 1e-5 * max(scale, 1.0) * 10


def test_a_seed_decides_and_the_backends_agree(backend):
    m = machine(dtype="float64")
    first = annealed_importance_sampling(m, BETAS[::7], chains=20, seed=5)
    np.testing.assert_array_equal(annealed_importance_sampling(m, BETAS[::7], chains=20, seed=5).log_weights,
                                  first.log_weights)
    assert (annealed_importance_sampling(m, BETAS[::7], chains=20, seed=6).log_weights != first.log_weights).any()
    on_numpy = Machine(8)
    on_numpy.build((10,), Build("", 0, "float64", "numpy"))
    on_numpy.load_state_dict(m.state_dict())
    np.testing.assert_allclose(annealed_importance_sampling(on_numpy, BETAS[::7], chains=20, seed=5).log_weights,
                               first.log_weights, rtol=1e-10)


def test_the_schedule_and_the_progress():
    assert len(SCHEDULE) == 14500 and SCHEDULE[0] == 0 and SCHEDULE[-1] == 1 and (np.diff(SCHEDULE) > 0).all()
    assert [np.sum((SCHEDULE >= low) & (SCHEDULE < high)) for low, high in ((0, .5), (.5, .9), (.9, 2))] == \
        [500, 4000, 10000]
    seen = []
    annealed_importance_sampling(machine(3, 2), [0, 0.2, 1], chains=2, progress=lambda *at: seen.append(at))
    assert seen == [(1, 2), (2, 2)]


def test_a_steady_step_allocates_nothing(monkeypatch):
    from miniae.rbm import partition

    arenas = []

    class Watched(partition.Arena):
        def __init__(self, allocate):
            super().__init__(allocate)
            arenas.append(self)

    monkeypatch.setattr(partition, "Arena", Watched)
    counts = []
    annealed_importance_sampling(machine(), BETAS, progress=lambda *_: counts.append(arenas[0].allocations))
    assert len(set(counts[2:])) == 1


def test_the_estimator_starts_from_the_means_of_the_data():
    """The base rates are the log-odds; without data they are the machine's own visible biases."""
    data = bars(40)
    rbm = RBM(3, epochs=2).fit(data)
    m, base = rbm.machine_, rbm.machine_.visible_units.data_bias(data)
    for given, bias in ((data, base), (None, m.visible_bias.numpy())):
        np.testing.assert_array_equal(
            rbm.log_partition(given, betas=[0, 0.5, 1], chains=7, seed=2).log_weights,
            annealed_importance_sampling(m, [0, 0.5, 1], chains=7, seed=2, base_bias=bias).log_weights)
    assert rbm.log_likelihood(data, 3.0).shape == (40,)
    np.testing.assert_allclose(rbm.log_likelihood(data, 3.0), -rbm.free_energy(data) - 3.0, rtol=1e-6)


def test_estimating_leaves_the_machine_as_it_was():
    m = machine(persistent=3)
    before, drawn = m.state_dict(), m.rng.step
    annealed_importance_sampling(m, [0, 0.5, 1])
    exact_log_partition(m)
    assert m.rng.step == drawn
    for name, value in m.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


# -------------------------------------------------------------------- what is refused

@pytest.mark.parametrize("units", [{"visible_units": "gaussian"}, {"hidden_units": "gaussian"}])
@pytest.mark.parametrize("log_partition", [exact_log_partition, annealed_importance_sampling])
def test_other_units(log_partition, units):
    with pytest.raises(ValueError, match=r"bernoulli units on both sides, .*gaussian") as error:
        log_partition(machine(4, 3, **units))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("settings, message", [
    ({"betas": [0.1, 1]}, "rise from 0 to 1"), ({"betas": [0, 0.5]}, "rise from"), ({"betas": [0]}, "rise from"),
    ({"betas": [0, 0.5, 0.5, 1]}, "rise from"), ({"betas": [0, np.nan, 1]}, "rise from"),
    ({"betas": [[0, 1]]}, "rise from"), ({"chains": 1}, "at least 2"), ({"chains": 2.5}, "chains must be"),
    ({"base_bias": [0.0, 0.0]}, r"4 finite numbers, .* got shape \(2,\)"),
    ({"base_bias": [0, 0, 0, np.inf]}, "not finite"), ({"seed": -1}, "seed must be"),
])
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        annealed_importance_sampling(machine(4, 3), **settings)


def test_the_estimator_refuses():
    with pytest.raises(NotFittedError):
        RBM(3).log_partition()
    with pytest.raises(ValueError, match="X has samples of shape"):
        RBM(3, epochs=0).fit(bars(5)).log_partition(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="bernoulli units on both sides"):
        RBM(3, epochs=0, visible_units="gaussian").fit(bars(5)).log_partition(bars(5))
