"""Denoising autoencoders: what they are shown, what they are compared with, and that noise goes."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import functions as F
from miniae import nn
from miniae.autodiff import Tensor
from miniae.models import Autoencoder, DenoisingAutoencoder, load
from miniae.nn import Build, Dense, Sequential
from miniae.report import psnr
from miniae.training import NotFittedError

X = np.random.default_rng(0).random((60, 8), dtype=np.float32)
LAYERS = {"gaussian": nn.GaussianNoise, "masking": nn.Masking, "salt_and_pepper": nn.SaltAndPepper}


def error(a, b):
    return float(np.square(a - b).sum(axis=1).mean())


@pytest.mark.parametrize("noise", LAYERS)
def test_it_is_the_autoencoder_of_that_corruption(noise, backend):
    """The named noise is the layer of that name, drawn from a stream of its own."""
    model = DenoisingAutoencoder([6], 3, noise=noise, level=0.3, epochs=0, backend=backend).fit(X)
    plain = Autoencoder([6], 3, corruption=[LAYERS[noise](0.3)], epochs=0, backend=backend).fit(X)
    x, losses = Tensor(X, backend=backend), []
    for network, name in ((model.network_, "noise"), (plain.network_, "corruption.0")):
        network.train()
        for generator in network.generators().values():
            generator.step = 0
        assert [key.rpartition(".")[0] for key in network.generators()] == [name]
        losses.append([network.loss_terms(x)["reconstruction"].item() for _ in range(40)])
    assert len(set(losses[0])) == 40  # fresh noise every time
    assert np.mean(losses[0]) == pytest.approx(np.mean(losses[1]), rel=0.03)
    held_out = [model.network_.eval().loss_terms(x)["reconstruction"].item() for _ in range(2)]
    assert held_out == [losses[0][0]] * 2  # the first of these noises, every time


@pytest.mark.parametrize("noise, loss", [("masking", "mse"), ("salt_and_pepper", "mse"), ("masking", "bce"),
                                         ("salt_and_pepper", "bce")])
def test_emphasis_weighs_what_was_chosen_and_what_was_not(noise, loss, backend):
    """The loss against the formula in NumPy, with the places the layer says it chose."""
    model = DenoisingAutoencoder([6], 3, noise=noise, level=0.4, emphasis=(1.0, 0.25), loss=loss, epochs=0,
                                 dtype="float64", backend=backend).fit(X)
    network, x = model.network_.train(), Tensor(X.astype(np.float64), backend=backend)
    value = network.loss_terms(x)["reconstruction"].item()
    for generator in network.generators().values():
        generator.step = 0
    disturbed, kept = (t.numpy() for t in network.noise.disturb(x))
    assert 0.3 < np.mean(kept == 0) < 0.5
    np.testing.assert_array_equal(disturbed[kept == 1], x.numpy()[kept == 1])
    assert set(np.unique(disturbed[kept == 0])) <= {0.0, 1.0}
    y = network(Tensor(disturbed, backend=backend)).numpy()
    each = np.square(y - X) if loss == "mse" else -(X * np.log(y) + (1 - X) * np.log(1 - y))
    assert value == pytest.approx((np.where(kept == 1, 0.25, 1.0) * each).sum() / len(X), rel=1e-7)


def test_equal_emphasis_is_none(backend):
    settings = {"noise": "masking", "level": 0.3, "epochs": 2, "backend": backend}
    plain, weighted = (DenoisingAutoencoder([6], 3, emphasis=e, **settings).fit(X) for e in (None, (1, 1)))
    np.testing.assert_allclose(weighted.reconstruct(X), plain.reconstruct(X), atol=1e-5)
    assert weighted.history_[-1]["loss"] == pytest.approx(plain.history_[-1]["loss"], rel=1e-5)


def test_emphasis_on_corrupted_elements_alone_moves_the_error_there(blobs):
    """Trained on what was masked only, it guesses the masked better than one trained on the intact only, and those
    worse."""
    shown = np.where(np.random.default_rng(1).random(blobs.shape) < 0.3, 0, blobs).astype(np.float32)
    masked, errors = shown != blobs, {}
    for emphasis in ((1, 0), (0, 1)):
        model = DenoisingAutoencoder([32], 12, noise="masking", level=0.3, emphasis=emphasis, lr=5e-3, batch_size=30,
                                     epochs=80).fit(blobs)
        wrong = np.square(model.denoise(shown) - blobs)
        errors[emphasis] = wrong[masked].mean(), wrong[~masked].mean()
    assert errors[1, 0][0] < 0.7 * errors[0, 1][0]
    assert errors[0, 1][1] < 0.7 * errors[1, 0][1]


@pytest.mark.parametrize("noise, level", [("gaussian", 0.2), ("masking", 0.3), ("salt_and_pepper", 0.2)])
def test_noise_goes(noise, level, blobs, backend):
    """Of new data, by more than 2 decibels; the autoencoder that never saw noise does worse."""
    settings = {"lr": 5e-3, "batch_size": 50, "epochs": 50, "backend": backend}
    model = DenoisingAutoencoder([32], 6, noise=noise, level=level, **settings).fit(blobs[:100])
    clean = blobs[100:]
    noisy = model.corrupt(clean, seed=5)
    assert psnr(clean, model.denoise(noisy)) > psnr(clean, noisy) + 2
    plain = Autoencoder([32], 6, **settings).fit(blobs[:100])
    assert psnr(clean, model.denoise(noisy)) > psnr(clean, plain.reconstruct(noisy))


def test_corrupt_has_the_level_and_the_units_of_the_data():
    X = np.random.default_rng(2).uniform(-100, 155, (400, 10)).astype(np.float32)
    X[0], X[1] = -100, 155
    models = {noise: DenoisingAutoencoder([4], 2, noise=noise, level=0.2, scaling="minmax", epochs=0).fit(X)
              for noise in LAYERS}
    changed = {noise: model.corrupt(X, seed=3) - X for noise, model in models.items()}
    assert changed["gaussian"].std() == pytest.approx(0.2 * 255, rel=0.05)
    for noise, values in (("masking", [-100]), ("salt_and_pepper", [-100, 155])):
        moved = np.abs(changed[noise]) > 1e-3
        assert moved.mean() == pytest.approx(0.2, abs=0.02)
        assert set(np.round(models[noise].corrupt(X, seed=3)[moved])) == set(values)
    first = models["gaussian"]
    np.testing.assert_array_equal(first.corrupt(X, seed=3), first.corrupt(X, seed=3))
    assert (first.corrupt(X, seed=3) != first.corrupt(X, seed=4)).any()


def test_corrupt_is_of_the_noise_it_was_trained_on():
    model = DenoisingAutoencoder([6], 3, noise="masking", level=0.2, epochs=0).fit(X)
    before = model.corrupt(X)
    np.testing.assert_array_equal(model.set_params(noise="gaussian", level=0.9).corrupt(X), before)
    assert (model.fit(X).corrupt(X) != before).any()
    with pytest.raises(NotFittedError):
        DenoisingAutoencoder([6], 3).corrupt(X)


def test_denoise_is_reconstruct_and_takes_values_beyond_the_unit_interval():
    model = DenoisingAutoencoder([6], 3, loss="bce", epochs=1).fit(X)
    np.testing.assert_array_equal(model.denoise(X), model.reconstruct(X))
    noisy = model.corrupt(X)
    assert noisy.min() < 0 and noisy.max() > 1
    assert 0 <= model.denoise(noisy).min() and model.denoise(noisy).max() <= 1
    with pytest.raises(ValueError, match="nan at index"):
        model.denoise(np.full_like(X, np.nan))
    with pytest.raises(ValueError, match=r"samples of shape \(5,\), this model was made for \(8,\)"):
        model.denoise(X[:, :5])


@pytest.mark.parametrize("noise", LAYERS)
def test_images_of_odd_sizes_with_convolutions(noise, tmp_path, backend):
    images = np.random.default_rng(3).random((12, 1, 7, 6), dtype=np.float32)
    emphasis = None if noise == "gaussian" else (1.0, 0.5)
    layers = {"encoder": Sequential([nn.Conv2D(3, 3, padding="same", activation="relu")]),
              "decoder": Sequential([nn.Conv2D(1, 3, padding="same")])}
    model = DenoisingAutoencoder(noise=noise, emphasis=emphasis, epochs=2, backend=backend, **layers).fit(images)
    assert model.denoise(model.corrupt(images[:1])).shape == (1, 1, 7, 6)
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "m.safetensors").denoise(images), model.denoise(images))


@pytest.mark.parametrize("settings", [{}, {"noise": "masking", "level": 0.4, "emphasis": (1.0, 0.5), "loss": "bce"},
                                      {"noise": "salt_and_pepper", "l2": 1e-3, "dropout": 0.1, "batch_norm": True}])
def test_files(settings, tmp_path, backend):
    model = DenoisingAutoencoder([6], 3, epochs=2, **settings).fit(X)
    model.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert isinstance(again, DenoisingAutoencoder)
    assert (again.noise, again.level) == (model.noise, model.level)
    np.testing.assert_array_equal(again.denoise(X), model.denoise(X))
    assert again.fit(X).history_[0]["loss"] == model.history_[0]["loss"]
    model.partial_fit(X)
    assert len(model.history_) == 3


def test_penalties_are_still_added():
    model = DenoisingAutoencoder([6], 3, l1=1e-3, l2=1e-3, epochs=1).fit(X, validation=X)
    assert {"reconstruction", "l1", "l2"} <= model.history_[0].keys()
    assert model.history_[0]["val_loss"] == model.history_[0]["val_reconstruction"]


@pytest.mark.parametrize("noise, emphasis", [("gaussian", None), ("masking", None), ("salt_and_pepper", (1.0, 0.0))])
def test_held_out_data_are_disturbed_too(noise, emphasis, backend):
    """Their loss is that of the noise layer's own x~, with the emphasis, and no noise is taken from training's."""
    settings = {"noise": noise, "level": 0.4, "emphasis": emphasis, "dtype": "float64", "epochs": 3}
    model = DenoisingAutoencoder([6], 3, **settings).fit(X, validation=X[:20])
    network, x = model.network_, Tensor(X[:20].astype(np.float64))
    shown = network.noise.disturbed(x).numpy()
    wrong = np.square(model.denoise(shown) - X[:20])
    chosen = np.where(shown == x.numpy(), 0, 1) if emphasis else 1
    assert model.history_[-1]["val_loss"] == pytest.approx((wrong * chosen).sum() / 20, rel=1e-6)
    assert model.history_[-1]["val_loss"] != pytest.approx(error(model.reconstruct(X[:20]), X[:20]), rel=1e-2)
    without = DenoisingAutoencoder([6], 3, **settings).fit(X)
    np.testing.assert_array_equal(without.transform(X), model.transform(X))

@pytest.mark.parametrize("settings, says", [
    ({"noise": "pink"}, "unknown noise 'pink': expected one of gaussian, masking, salt_and_pepper"),
    ({"level": -1}, "level must be a finite number of at least 0"),
    ({"noise": "masking", "level": 1.5}, r"masking rate must lie in \[0, 1\], got 1.5"),
    ({"emphasis": (1, 0.5)}, "gaussian noise reaches every element"),
    ({"noise": "masking", "emphasis": 2}, r"emphasis is a pair of weights, \(1.0, 0.5\) for instance; got 2"),
    ({"noise": "masking", "emphasis": (1, -1)}, "every weight of emphasis must be a finite number of at least 0"),
    ({"noise": "masking", "emphasis": (0, 0)}, r"emphasis is \(0, 0\)"),
    ({"noise": "masking", "emphasis": (1, 0.5), "loss": "mae"}, "a weighted loss is mse, or bce with a sigmoid"),
    ({"corruption": [nn.Masking(0.1)]}, "noise= and level=: leave corruption out"),
])
def test_bad_settings(settings, says):
    with pytest.raises(ValueError, match=says):
        DenoisingAutoencoder([6], 3, **settings).fit(X)


class DenoisingStep:
    """A training step with emphasis, on the same batch each time."""

    def __init__(self, be):
        from miniae.models.denoising import DenoisingNetwork
        from miniae.optim import Momentum

        self.network = DenoisingNetwork(Sequential([Dense(3, "tanh")]), Sequential([Dense(8)]), noise="salt_and_pepper",
                                        level=0.3, emphasis=(1.0, 0.5))
        self.network.build((8,), Build("", 0, "float32", be))
        self.network.train()
        self.optimizer, self.x = Momentum(self.network.parameters(), lr=0.01), Tensor(X[:6], backend=be)

    def __call__(self):
        self.optimizer.zero_grad()
        self.network.loss_terms(self.x)["reconstruction"].backward()
        self.optimizer.step()


def test_a_recorded_step_draws_fresh_noise(backend):
    eager, recorded = DenoisingStep(backend), DenoisingStep(backend)
    for _ in range(6):
        eager()
    replay = backend.capture(recorded, warmup=2)
    for _ in range(4):
        replay()
    for mine, theirs in zip(recorded.network.parameters(), eager.network.parameters(), strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-6)


def test_weighted_losses_of_weights_one_and_zero(backend):
    rng = np.random.default_rng(0)
    y, t = Tensor(rng.standard_normal((4, 3))), rng.random((4, 3))
    pairs = ((F.weighted_squared_error, F.squared_error),
             (F.weighted_binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits))
    for weighted, plain in pairs:
        assert weighted(y, t, np.ones((4, 3))).item() == pytest.approx(plain(y, t).item(), rel=1e-12)
        assert weighted(y, t, np.zeros((4, 3))).item() == 0
        assert weighted(Tensor(np.zeros((0, 3))), np.zeros((0, 3)), np.zeros((0, 3))).item() == 0
        with pytest.raises(ValueError, match="they must be the same"):
            weighted(y, t, np.ones((4, 2)))


def test_disturb_is_what_forward_does(backend):
    x = Tensor(X)
    for layer in (nn.Masking(0.3), nn.SaltAndPepper(0.3)):
        layer(x)
        layer.train()
        layer._random.step = 0
        y = layer(x).numpy()
        layer._random.step = 0
        np.testing.assert_array_equal(layer.disturb(x)[0].numpy(), y)
