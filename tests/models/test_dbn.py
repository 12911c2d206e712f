"""Deep belief networks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import miniae
from miniae import RBM, DeepBeliefNetwork, pretrain
from miniae.training import Callback, NotFittedError


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def states(n):
    return np.array(list(itertools.product([0, 1], repeat=n)), np.float64)


@pytest.fixture
def two_modes():
    """400 samples of 8 binary features: the first half on or the second, a tenth of them flipped."""
    rng = np.random.default_rng(0)
    left = rng.random(400) < 0.5
    clean = np.where(left[:, None], [1] * 4 + [0] * 4, [0] * 4 + [1] * 4)
    return (clean ^ (rng.random((400, 8)) < 0.1)).astype(np.float32)


def visible_distribution(machine):
    """p(v) of a small machine of Bernoulli units, by all its states: as many numbers as rows in `states`."""
    w, a, b = (p.numpy().astype(np.float64) for p in (machine.weight, machine.visible_bias, machine.hidden_bias))
    v = states(len(a))
    log_p = v @ a + np.logaddexp(0, v @ w + b).sum(axis=1)
    return np.exp(log_p - np.logaddexp.reduce(log_p))


def test_one_rbm_is_an_rbm(two_modes, backend):
    """The same weights, the same samples, and those have the distribution that enumeration of all states gives."""
    x = two_modes[:, :5]
    network = DeepBeliefNetwork([3], epochs=5, batch_size=20, seed=2).fit(x)
    rbm = RBM(3, epochs=5, batch_size=20, seed=2).fit(x)
    np.testing.assert_array_equal(network.transform(x), rbm.transform(x))
    np.testing.assert_allclose(network.reconstruct(x), rbm.reconstruct(x), atol=1e-6)
    samples = network.sample(4000, steps=60, seed=7)
    np.testing.assert_array_equal(samples, rbm.sample(4000, steps=60, seed=7))
    np.testing.assert_array_equal(network.sample(1, steps=4, start=x[:9]), rbm.sample(1, steps=4, start=x[:9]))
    counts = np.bincount((samples @ [16, 8, 4, 2, 1]).astype(int), minlength=32)
    expected = 4000 * visible_distribution(rbm.machine_)
    likely = expected >= 5  # the chi-squared statistic needs some; the others are one cell
    observed, wanted = (np.append(n[likely], n[~likely].sum()) for n in (counts, expected))
    statistic = (np.square(observed - wanted) / np.maximum(wanted, 1)).sum()
    freedom = likely.sum()
    assert statistic < freedom + 4 * np.sqrt(2 * freedom)


def test_samples_of_two_layers_have_the_models_means(two_modes, backend):
    """The mean of the pass down over the top RBM's exact distribution, against that over samples."""
    x = two_modes[:, :6]
    network = DeepBeliefNetwork([4, 3], epochs=5, batch_size=20).fit(x)
    below, top = network.stack_.pairs
    down = sigmoid(states(4) @ below.down.weight.numpy() + below.down.bias.numpy())
    p = visible_distribution(top.rbm.machine_)
    exact, spread = p @ down, np.sqrt(p @ np.square(down) - np.square(p @ down))
    samples = network.sample(4000, steps=60, seed=1)
    assert samples.shape == (4000, 6)
    assert (np.abs(samples.mean(axis=0) - exact) < 4 * spread / np.sqrt(4000) + 1e-4).all()
    distances = np.abs(samples[:, None] - down[None]).max(axis=2)
    assert distances.min(axis=1).max() < 1e-5  # every sample is the pass down from a state of the layer between


def test_samples_look_like_the_data(two_modes):
    network = DeepBeliefNetwork([6, 4], epochs=60, lr=0.05, batch_size=50).fit(two_modes)
    samples = network.sample(1000, steps=200, seed=3)
    assert np.abs(samples.mean(axis=0) - two_modes.mean(axis=0)).max() < 0.1
    sides = samples[:, :4].mean(axis=1), samples[:, 4:].mean(axis=1)
    assert (np.abs(sides[0] - sides[1]) > 0.5).mean() > 0.8  # one half is on, the other off
    assert 0.4 < (sides[0] > sides[1]).mean() < 0.6  # and either
    again = network.sample(1, steps=0, start=two_modes)  # no step: up to the top RBM's visible units, and down
    np.testing.assert_allclose(again, miniae.Stack(network.stack_.pairs[:1]).reconstruct(two_modes), atol=1e-6)
    started = network.sample(1, steps=1, start=two_modes)
    left = [rows[:, :4].sum(axis=1) > rows[:, 4:].sum(axis=1) for rows in (started, two_modes)]
    assert (left[0] == left[1]).mean() > 0.8  # most chains are still on the side they began on


def test_it_is_the_pretrained_stack_layer_by_layer(two_modes, backend):
    network = DeepBeliefNetwork([6, 5, 4], epochs=[3, 2, 1], lr=[0.1, 0.05, 0.02], batch_size=50, seed=3).fit(two_modes)
    stack = pretrain(two_modes, [8, 6, 5, 4], epochs=[3, 2, 1], lr=[0.1, 0.05, 0.02], batch_size=50, seed=3,
                     code_unit="bernoulli")
    np.testing.assert_array_equal(network.transform(two_modes), stack.encode(two_modes))
    np.testing.assert_array_equal(network.reconstruct(two_modes), stack.reconstruct(two_modes))
    h = two_modes
    for pair in network.stack_.pairs:
        h = sigmoid(h @ pair.up.weight.numpy() + pair.up.bias.numpy())
    np.testing.assert_allclose(network.transform(two_modes), h, atol=1e-6)
    for pair in reversed(network.stack_.pairs):
        machine = pair.rbm.machine_
        np.testing.assert_array_equal(pair.up.weight.numpy(), machine.weight.numpy())
        h = sigmoid(h @ machine.weight.numpy().T + machine.visible_bias.numpy())
    np.testing.assert_allclose(network.reconstruct(two_modes), h, atol=1e-6)
    assert [len(history) for history in network.stack_.histories] == [3, 2, 1]


def test_seeds_repeat(two_modes, backend):
    network, again, other = (DeepBeliefNetwork([6, 4], epochs=2, seed=s).fit(two_modes) for s in (1, 1, 2))
    samples = network.sample(20, steps=5, seed=4)
    np.testing.assert_array_equal(samples, network.sample(20, steps=5, seed=4))
    np.testing.assert_array_equal(samples, again.sample(20, steps=5, seed=4))
    assert (samples != network.sample(20, steps=5, seed=5)).any()
    assert (network.transform(two_modes) != other.transform(two_modes)).any()
    assert samples.dtype == np.float32
    assert DeepBeliefNetwork([6, 4], epochs=1, dtype="float64").fit(two_modes).sample(2, steps=1).dtype == np.float64


def test_no_samples_and_one(two_modes, backend):
    for hidden in ([3], [4, 1], [1, 1, 2]):
        network = DeepBeliefNetwork(hidden, epochs=1).fit(two_modes[:1])
        assert network.sample(0, steps=2).shape == (0, 8) and network.sample(steps=2).shape == (1, 8)
        assert network.transform(two_modes[:1]).shape == (1, hidden[-1])


def test_its_classifier(two_modes, backend):
    network = DeepBeliefNetwork([8, 6], epochs=4, batch_size=50).fit(two_modes)
    before = network.transform(two_modes)
    y = np.where(two_modes[:, :4].sum(axis=1) > two_modes[:, 4:].sum(axis=1), "left", "right")
    model = network.classifier(epochs=20, lr=0.02, batch_size=50).fit(two_modes, y)
    assert model.score(two_modes, y) > 0.95
    np.testing.assert_array_equal(network.transform(two_modes), before)
    frozen = network.classifier(epochs=0).fit(two_modes, y)
    np.testing.assert_allclose(frozen.encoder_(two_modes).numpy(), before, atol=1e-6)


def test_interrupting_keeps_the_layers_so_far(two_modes):
    class Interrupt(Callback):
        def on_epoch_end(self, trainer, logs):
            raise KeyboardInterrupt

    network = DeepBeliefNetwork([6, 4], epochs=2)
    with pytest.raises(KeyboardInterrupt):
        network.fit(two_modes, callbacks=lambda title: [Interrupt()] if title.startswith("layer 1") else [])
    assert network.stack_.sizes == [8, 6] and network.sample(2, steps=1).shape == (2, 8)
    assert network.fit(two_modes).stack_.sizes == [8, 6, 4]  # afresh


@pytest.mark.parametrize("settings, message", [
    ({"hidden": 500}, "hidden is a list of layer sizes"), ({"hidden": []}, "at least two numbers"),
    ({"hidden": [4, 0]}, "every size in hidden must be"), ({"epochs": [1, 2, 3]}, "each of the 2 layers"),
    ({"lr": -1.0}, "lr must be"), ({"batch_size": 0}, "batch_size must be"), ({"dtype": "int8"}, "dtype must be"),
])
def test_bad_settings(settings, message, two_modes):
    network = DeepBeliefNetwork(**{"hidden": [4, 3], "epochs": 1, **settings})
    with pytest.raises(ValueError, match=message) as caught:
        network.fit(two_modes)
    assert "\n" not in str(caught.value) and not hasattr(network, "stack_")


def test_bad_data(two_modes):
    network = DeepBeliefNetwork([4, 3], epochs=1)
    for use in (lambda: network.transform(two_modes), lambda: network.sample(), lambda: network.classifier()):
        with pytest.raises(NotFittedError, match="call fit"):
            use()
    for x, message in ((3 * two_modes, "values in \\[0, 1\\]"), (two_modes[0], "samples, features"),
                       (np.where(two_modes > 0, np.nan, 0), "holds nan")):
        with pytest.raises(ValueError, match=message):
            network.fit(x)
    network.fit(two_modes)
    for use, message in ((lambda: network.transform(two_modes[:, 1:]), "made for \\(8,\\)"),
                         (lambda: network.reconstruct(-two_modes), "need values in \\[0, 1\\]"),
                         (lambda: network.sample(2, start=two_modes[:, 1:]), "start has samples of shape"),
                         (lambda: network.sample(-1), "n must be"), (lambda: network.sample(1, steps=0.5), "steps")):
        with pytest.raises(ValueError, match=message):
            use()


def test_parameters():
    network = DeepBeliefNetwork([5], epochs=3)
    assert network.get_params()["hidden"] == [5] and repr(network) == "DeepBeliefNetwork(hidden=[5], epochs=3)"
    with pytest.raises(ValueError, match="no parameter 'code'"):
        network.set_params(code=3)


def test_images_must_be_vectors():
    with pytest.raises(ValueError, match="takes vectors, X of shape .N, features.; got .10, 4, 4."):
        DeepBeliefNetwork([3]).fit(np.zeros((10, 4, 4)))
