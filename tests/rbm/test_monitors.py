"""Monitors: what they add to the history, against its definition and the estimator's own figures."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import RBM, Autoencoder
from miniae.nn import Build
from miniae.optim import Adam
from miniae.rbm import Activity, FreeEnergyGap, Machine, PseudoLikelihood
from miniae.rbm.monitors import MONITORED
from miniae.training import EarlyStopping, Trainer


def stripes(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (n, 3, 1)).repeat(3, axis=2).reshape(n, 9).astype(np.float32)


TRAIN, NEW = stripes(120), stripes(40, seed=1)


def test_the_last_row_is_that_of_the_trained_machine(backend):
    monitors = [FreeEnergyGap(TRAIN[:50], NEW), PseudoLikelihood(NEW, seed=3), Activity(NEW)]
    rbm = RBM(6, epochs=3, batch_size=50).fit(TRAIN, callbacks=monitors)
    assert len(rbm.history_) == 3
    assert all(set(MONITORED) < set(row) for row in rbm.history_)
    row = rbm.history_[-1]
    assert row["free_energy_gap"] == pytest.approx(rbm.free_energy(NEW).mean() - rbm.free_energy(TRAIN[:50]).mean(),
                                                   abs=1e-5)
    assert row["pseudo_likelihood"] == pytest.approx(rbm.pseudo_likelihood(NEW, seed=3).mean(), rel=1e-6)
    assert row["hidden_activity"] == pytest.approx(rbm.transform(NEW).mean(), rel=1e-6)
    assert all(type(row[name]) is float for name in MONITORED)


def test_watching_changes_nothing(backend):
    plain = RBM(6, epochs=3, batch_size=50, persistent=True).fit(TRAIN)
    watched = RBM(6, epochs=3, batch_size=50, persistent=True).fit(
        TRAIN, callbacks=[FreeEnergyGap(TRAIN, NEW), PseudoLikelihood(NEW), Activity(NEW)])
    np.testing.assert_array_equal(watched.machine_.weight.numpy(), plain.machine_.weight.numpy())
    assert [row["loss"] for row in watched.history_] == [row["loss"] for row in plain.history_]


def test_the_gap_grows_where_the_machine_learns_by_heart():
    """Thirty samples of noise can only be remembered: others like them become less likely, epoch by epoch."""
    rng = np.random.default_rng(0)
    few, new = (rng.integers(0, 2, (n, 20)).astype(np.float32) for n in (30, 300))
    history = RBM(40, epochs=60, batch_size=10, weight_cost=0).fit(few, callbacks=[FreeEnergyGap(few, new)]).history_
    gap = [row["free_energy_gap"] for row in history]
    assert gap[-1] > gap[20] > gap[0] + 1
    assert gap[-1] > 5
    many, new = stripes(2000), stripes(2000, seed=1)
    history = RBM(6, epochs=5).fit(many, callbacks=[FreeEnergyGap(many, new)]).history_
    assert max(abs(row["free_energy_gap"]) for row in history) < 0.2


def test_the_pseudo_likelihood_rises():
    history = RBM(20, epochs=40, batch_size=50).fit(TRAIN, callbacks=[PseudoLikelihood(TRAIN)]).history_
    assert history[-1]["pseudo_likelihood"] > history[0]["pseudo_likelihood"] + 2


def machine(hidden_bias: list[float], **units) -> Machine:
    m = Machine(len(hidden_bias), init_std=0.0, **units)
    m.build((9,), Build("", 0, "float64"))
    m.hidden_bias.assign(np.array(hidden_bias))
    return m


def test_units_that_carry_nothing_are_counted(backend):
    m = machine([-20.0, -5.0, -4.0, 0.0, 4.0, 5.0, 20.0, 30.0])
    found = Activity(TRAIN).measure(m, X=TRAIN)
    assert found["hidden_off"] == 2 / 8  # sigmoid(-5) = 0.0067 and sigmoid(-4) = 0.018, the margin being 0.01
    assert found["hidden_on"] == 3 / 8
    assert found["hidden_activity"] == pytest.approx((1 / (1 + np.exp(-m.hidden_bias.numpy()))).mean(), rel=1e-12)
    found = Activity(TRAIN, margin=0.02).measure(m, X=TRAIN)
    assert (found["hidden_off"], found["hidden_on"]) == (3 / 8, 4 / 8)


def test_other_callbacks_can_watch_them():
    stop = EarlyStopping(patience=2, monitor="free_energy_gap")
    rbm = RBM(6, epochs=50, batch_size=50).fit(TRAIN, callbacks=[FreeEnergyGap(TRAIN, NEW), stop])
    assert len(rbm.history_) < 50
    assert stop.best == min(row["free_energy_gap"] for row in rbm.history_)


def test_a_trainer_without_an_estimator():
    m = machine([0.0] * 4)
    history = Trainer(m, Adam(m.parameters()), callbacks=[Activity(NEW)]).fit(TRAIN, 2)
    assert "hidden_activity" in history[1]


def test_one_sample():
    row = RBM(2, epochs=1).fit(TRAIN, callbacks=[FreeEnergyGap(TRAIN[:1], TRAIN[:1]), PseudoLikelihood(NEW[:1]),
                                                 Activity(NEW[:1])]).history_[0]
    assert row["free_energy_gap"] == 0


@pytest.mark.parametrize("monitor, settings, error, message", [
    (FreeEnergyGap(TRAIN, NEW[:, :5]), {}, ValueError, "held_out has samples of shape"),
    (FreeEnergyGap(TRAIN * 3, NEW), {}, ValueError, "train_subset ranges from 0 to 3"),
    (PseudoLikelihood(np.concatenate([NEW, NEW * 0.3])), {}, ValueError, "X > 0.5"),
    (PseudoLikelihood(NEW), {"visible_units": "gaussian"}, ValueError, "not for gaussian visible"),
    (Activity(NEW), {"hidden_units": "gaussian"}, ValueError, "gaussian hidden units never are"),
    (Activity([]), {}, ValueError, "X has shape"),
])
def test_refused_before_the_first_epoch(monitor, settings, error, message):
    rbm = RBM(3, epochs=1, **settings)
    with pytest.raises(error, match=message) as why:
        rbm.fit(TRAIN, callbacks=[monitor])
    assert "\n" not in str(why.value)
    assert not hasattr(rbm, "machine_")
    trained = RBM(3, epochs=1, **settings).fit(TRAIN)
    before = trained.transform(TRAIN)
    with pytest.raises(error, match=message):
        trained.fit(TRAIN, callbacks=[monitor])
    np.testing.assert_array_equal(trained.transform(TRAIN), before)


def test_other_models_and_margins():
    with pytest.raises(TypeError, match="Activity watches the Machine of an RBM, this trainer trains a "):
        Autoencoder([4], 2, epochs=1).fit(TRAIN, callbacks=[Activity(NEW)])
    for margin in (-0.1, 0.5, float("nan")):
        with pytest.raises(ValueError, match="margin is"):
            Activity(NEW, margin=margin)
