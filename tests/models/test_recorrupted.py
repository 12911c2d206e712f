"""Learning from noisy data alone."""

from __future__ import annotations

import numpy as np
import pytest

import miniae
from miniae.autodiff import Tensor
from miniae.backend import get
from miniae.models import RecorruptedAutoencoder, RecorruptedNetwork
from miniae.nn import Build, Dense, Sequential

RNG = np.random.default_rng(0)


def linear(backend="numpy", dtype="float64", level=0.3, ratio=0.5):
    network = RecorruptedNetwork(Sequential([Dense(3)]), Sequential([Dense(4)]), level=level, ratio=ratio)
    network.build((4,), Build("", 0, dtype, get(backend)))
    network.train()
    return network


def test_the_loss_compares_with_an_independent_noise(backend):
    """By the formula, with the noise that the network drew."""
    network = linear(backend)
    y = RNG.normal(size=(5, 4))
    x = Tensor(y, backend=network.place.backend)
    network.eval()  # the same noise at every call
    z = network.noise.disturbed(x).numpy()
    d = z - y
    answer = network.decoder(network.encode(Tensor(z, backend=network.place.backend))).numpy()
    expected = np.square(answer - (y - d / 0.25)).sum(axis=1).mean()
    assert network.loss_terms(x)["reconstruction"].item() == pytest.approx(expected, rel=1e-12)


def test_the_best_linear_answer_is_that_of_clean_data():
    """Data on a line with noise of deviation s: where the clean data would teach c / (c + s^2 (1 + a^2)), so do these,
    while plain denoising of noisy data teaches to keep the noise, (c + s^2) / (c + s^2 + a^2 s^2)."""
    n, s, a = 20000, 0.5, 1.0
    y = (RNG.normal(size=(n, 1)) + s * RNG.normal(size=(n, 1))).astype(np.float32)
    settings = {"hidden": [], "code": 1, "level": a * s, "epochs": 8, "batch_size": 200, "lr": 3e-3}
    ours = RecorruptedAutoencoder(ratio=a, **settings).fit(y)
    slope = np.diff(ours.reconstruct([[0.0], [1.0]]).ravel())[0]
    assert slope == pytest.approx(1 / (1 + s ** 2 * (1 + a ** 2)), abs=0.03)
    plain = miniae.models.DenoisingAutoencoder(**settings).fit(y)
    slope = np.diff(plain.reconstruct([[0.0], [1.0]]).ravel())[0]
    assert slope == pytest.approx((1 + s ** 2) / (1 + s ** 2 + a ** 2 * s ** 2), abs=0.03)


def test_files_and_parameters(tmp_path, backend):
    X = RNG.normal(size=(60, 6)).astype(np.float32)
    model = RecorruptedAutoencoder([5], 3, level=0.2, ratio=0.7, epochs=2, backend=backend).fit(X)
    assert model.get_params()["ratio"] == 0.7
    model.save(tmp_path / "m.safetensors")
    back = miniae.load(tmp_path / "m.safetensors", backend=backend)
    assert isinstance(back, RecorruptedAutoencoder) and back.ratio == 0.7 and back.network_.ratio == 0.7
    np.testing.assert_array_equal(back.reconstruct(X), model.reconstruct(X))


def test_a_replayed_step_is_an_eager_one(eager_and_replayed):
    x = RNG.normal(size=(8, 4)).astype(np.float32)
    eager, recorded = eager_and_replayed(lambda be: linear(be.name, "float32"), x)
    for a, b in zip(eager.parameters(), recorded.parameters(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("settings, says", [
    ({"noise": "masking"}, "holds for gaussian noise"), ({"loss": "bce"}, "holds for gaussian noise"),
    ({"ratio": 0.0}, "ratio is 0"), ({"ratio": -1.0}, "at least 0"),
])
def test_what_it_does_not_hold_for(settings, says):
    with pytest.raises(ValueError, match=says):
        RecorruptedAutoencoder([3], 2, epochs=1, **settings).fit(np.full((10, 4), 0.5))
