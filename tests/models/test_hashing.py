"""Semantic hashing: noise at the code's inputs, saturation, bits; and the loss of shares of a whole."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.autodiff import Tensor
from miniae.data import load as dataset
from miniae.models import Autoencoder, Reconstruction, SemanticHashing, load, pretrain
from miniae.nn import Dense, Sequential

RNG = np.random.default_rng(0)
X = RNG.random((70, 12), dtype=np.float32)


@pytest.fixture(scope="module")
def digits():
    return dataset("digits").train[:1500]


def sigmoid(a):
    return 1 / (1 + np.exp(-a.astype(np.float64)))


def ends(model, X):
    """The share of codes that are near 0 or 1."""
    h = model.transform(X)
    return float(((h < 0.1) | (h > 0.9)).mean())


def test_the_code_is_disturbed_in_training_and_only_there(backend):
    model = SemanticHashing([8], 5, noise=2.0, epochs=1).fit(X)
    network = model.network_
    x = Tensor(X)
    network.eval()
    quiet = network.encode(x).numpy()
    np.testing.assert_allclose(quiet, sigmoid(network.encoder(x).numpy()), atol=1e-6)
    np.testing.assert_array_equal(quiet, network.encode(x).numpy())
    np.testing.assert_array_equal(quiet, model.transform(X))
    network.encoder.eval()
    network.noise.train()
    disturbed = network.encode(Tensor(np.repeat(X[:1], 5000, axis=0))).numpy().astype(np.float64)
    inputs = np.log(disturbed / (1 - disturbed)) - np.log(quiet[:1] / (1 - quiet[:1]))
    assert abs(inputs.std() - 2.0) < 0.05 and abs(inputs.mean()) < 0.05


def test_noise_drives_units_to_their_ends(digits):
    """From the same RBMs, more noise leaves fewer values in between, as the paper has it."""
    stack = pretrain(digits, [784, 64, 16], epochs=2, code_unit="bernoulli", batch_size=50)
    quiet, noisy = (SemanticHashing.from_stack(stack, noise=noise, epochs=8, batch_size=50).fit(digits)
                    for noise in (0.0, 4.0))
    assert ends(noisy, digits) > ends(quiet, digits) + 0.15
    assert ends(noisy, digits) > 2 / 3
    bits = noisy.binary_codes(digits)
    # What is left when codes are rounded: the decoder makes nearly as much of bits as of numbers.
    rounded = [model.inverse_transform(model.transform(digits) > 0.5) for model in (quiet, noisy)]
    lost = [np.square(back - model.reconstruct(digits)).sum(axis=1).mean()
            for back, model in zip(rounded, (quiet, noisy), strict=True)]
    assert lost[1] < lost[0] / 2
    assert bits.shape == (1500, 16) and bits.dtype == bool


def test_units_are_kept_apart_without_rbms(digits):
    """Each is on for some and off for others; a plain sigmoid code ends up on for all."""
    model = SemanticHashing([64], 16, loss="bce", epochs=5, batch_size=50).fit(digits)
    on = (model.transform(digits) > 0.5).mean(axis=0)
    assert (on > 0.1).all() and (on < 0.9).all()


def test_thresholds(digits):
    median = SemanticHashing([32], 8, epochs=1).fit(digits)
    np.testing.assert_allclose(median.binary_codes(digits).mean(axis=0), 0.5, atol=1e-3)
    for share in (0.1, 0.5):
        model = SemanticHashing([32], 8, epochs=1, threshold=share).fit(digits)
        np.testing.assert_array_equal(model.binary_codes(digits), model.transform(digits).astype(np.float64) > share)


def test_a_median_decides_also_where_sigmoids_are_rounded_to_1():
    """Inputs far from 0: h is 1 for all samples, and the bits still split them in halves."""
    encoder = Sequential([Dense(3)], dtype="float32", backend="numpy")
    model = SemanticHashing(encoder=encoder, decoder=Sequential([Dense(12)]), epochs=0).fit(X)
    model.encoder_[0].bias.assign(np.full(3, 40.0))
    model._train(X, 0, None, [])
    assert (model.transform(X) == 1).all()
    np.testing.assert_array_equal(model.binary_codes(X).sum(axis=0), 35)


@pytest.mark.parametrize("threshold", ["median", 0.3])
def test_files_hold_the_thresholds(threshold, backend, tmp_path):
    stack = pretrain(X, [12, 6, 9], epochs=1)
    for i, model in enumerate((SemanticHashing([6], 9, threshold=threshold, epochs=2).fit(X),
                               SemanticHashing.from_stack(stack, threshold=threshold, epochs=2).fit(X))):
        model.save(tmp_path / f"{i}.safetensors")
        loaded = load(tmp_path / f"{i}.safetensors")
        np.testing.assert_array_equal(loaded.thresholds_, model.thresholds_)
        np.testing.assert_array_equal(loaded.binary_codes(X), model.binary_codes(X))
        loaded.partial_fit(X)
        assert loaded.binary_codes(X).shape == (70, 9)


@pytest.mark.parametrize("code_unit", ["gaussian", "bernoulli"])
def test_from_a_stack_it_begins_as_that(code_unit):
    """With the stack's order of the samples, unit by unit, and so its bits by the median; and as much noise as that."""
    stack = pretrain(X, [12, 6, 9], epochs=2, code_unit=code_unit)
    model = SemanticHashing.from_stack(stack, epochs=0, noise=3.0).fit(X)
    top, code = stack.encode(X).astype(np.float64), model.transform(X).astype(np.float64)
    inputs, own = (np.log(h / (1 - h)) for h in (top if code_unit == "bernoulli" else sigmoid(top), code))
    np.testing.assert_allclose(own - own.mean(axis=0), 3 * (inputs - inputs.mean(axis=0)), atol=3e-3)
    np.testing.assert_array_equal(model.binary_codes(X), inputs > np.median(inputs, axis=0))
    assert model.network_.noise.std == 3.0 and model.loss == "bce"
    with pytest.raises(ValueError, match="leave tied out"):
        SemanticHashing.from_stack(stack, tied=True)


def test_a_stack_that_learned_little_is_no_obstacle():
    """Rows of small numbers move the top units' inputs by hundredths, in which noise must not drown what they say."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 4, 300)
    rows = (rng.random((300, 40)) < np.where(np.arange(40) % 4 == kind[:, None], 0.5, 0.05)).astype(np.float32)
    rows *= 0.1
    stack = pretrain(rows, [40, 20, 8], epochs=3, batch_size=50, code_unit="bernoulli")
    model = SemanticHashing.from_stack(stack, loss="multinomial", epochs=40, batch_size=50, lr=0.01).fit(rows)
    bits = model.binary_codes(rows)
    differ = (bits[:, None] != bits).sum(axis=2)
    alike = kind[:, None] == kind
    assert differ[alike].mean() < 0.5 * differ[~alike].mean()


@pytest.mark.parametrize("n", [1, 17])
def test_a_last_batch_of_one_is_no_obstacle(n):
    model = SemanticHashing([6], 4, epochs=2, batch_size=16).fit(X[:n])
    assert np.isfinite(model.transform(X)).all()


@pytest.mark.parametrize("settings, says", [
    ({"noise": -1.0}, "noise must be a finite number"), ({"threshold": 1.5}, "between 0 and 1"),
    ({"threshold": "mean"}, "threshold must be a finite number"), ({"code_activation": "relu"}, "leave it out"),
])
def test_what_can_not_be_is_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        SemanticHashing([6], 4, **settings).fit(X)


# -------------------------------------------------------------------- the loss of shares

def test_the_multinomial_loss_is_that_of_the_formula(backend):
    z, x = RNG.standard_normal((5, 7)), RNG.random((5, 7))
    loss = Reconstruction("multinomial")
    y = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    got = loss.loss(Tensor(z, dtype="float64"), Tensor(x, dtype="float64"))
    np.testing.assert_allclose(float(got.numpy()), -(x * np.log(y)).sum() / 5, rtol=1e-12)
    np.testing.assert_allclose(loss(Tensor(z, dtype="float64")).numpy(), y, rtol=1e-12)


def test_a_multinomial_autoencoder_learns_shares(backend, tmp_path):
    shares = X / X.sum(axis=1, keepdims=True)
    model = Autoencoder([], 4, loss="multinomial", epochs=30, batch_size=10, lr=0.01).fit(shares)
    back = model.reconstruct(shares)
    np.testing.assert_allclose(back.sum(axis=1), 1, rtol=1e-5)
    assert np.square(back - shares).sum() < 0.6 * np.square(shares - shares.mean(axis=0)).sum()
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "m.safetensors").reconstruct(shares), back)
    deep = pretrain(shares, [12, 6, 3], epochs=1).unroll("multinomial", epochs=1).fit(shares)
    np.testing.assert_allclose(deep.reconstruct(shares).sum(axis=1), 1, rtol=1e-5)


def test_shares_are_in_the_unit_interval_and_come_from_a_softmax():
    with pytest.raises(ValueError, match="values in \\[0, 1\\]"):
        Autoencoder([], 2, loss="multinomial").fit(X - 1)
    for loss, output in (("multinomial", "sigmoid"), ("mse", "softmax")):
        with pytest.raises(ValueError, match="leave output_activation out"):
            Autoencoder([], 2, loss=loss, output_activation=output).fit(X)
