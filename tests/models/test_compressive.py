"""Autoencoders trained for rate and distortion."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.autodiff import Tensor, no_grad
from miniae.models import PCA, CompressiveAutoencoder, load
from miniae.models.compressive import lapped_transform
from miniae.models.files import resized


def images(n=40, channels=1, side=16, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    slopes = rng.normal(size=(n, channels, 2, 1, 1))
    return (0.5 + 0.2 * np.sin(slopes[:, :, 0] * x / 2 + slopes[:, :, 1] * y / 2)).astype(np.float32)


def trained(X, **settings):
    encoder, decoder = lapped_transform(X, 12, 4, backend=settings.get("backend"))
    return CompressiveAutoencoder(encoder=encoder, decoder=decoder, lr=1e-3, batch_size=8, **settings).fit(X)


def test_training_lessens_rate_and_distortion_and_files_keep_it(backend, tmp_path):
    X = images()
    model = trained(X, epochs=6)
    first, last = model.history_[0], model.history_[-1]
    assert last["distortion"] + last["rate"] < 0.97 * (first["distortion"] + first["rate"])
    assert np.isclose(last["loss"], last["distortion"] + last["rate"], rtol=1e-5)
    codes = model.transform(X)
    assert codes.shape == (40, 12, 4, 4)
    np.testing.assert_allclose(codes * 32, np.rint(codes * 32), atol=1e-4)  # whole steps of 1/32
    model.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors", backend)
    np.testing.assert_array_equal(again.transform(X), codes)
    np.testing.assert_array_equal(again.reconstruct(X), model.reconstruct(X))


def test_the_rate_is_that_of_the_codes_density():
    model = trained(images(), epochs=0, finest=1 / 32, coarsest=1 / 32)
    network, X = model.network_, images()
    with no_grad():
        rate = float(network.loss_terms(Tensor(X))["rate"].numpy())
        codes = network.encoder(Tensor(X)).numpy().astype(float) * 32
    mean, scale = network.mean.numpy() * 32, np.exp(network.log_scale.numpy()) * 32
    # Noise makes the density that of whole numbers smoothed, so that both are near, not the same.
    whole = np.rint(codes)
    p = 1 / (1 + np.exp(-(whole + 0.5 - mean) / scale)) - 1 / (1 + np.exp(-(whole - 0.5 - mean) / scale))
    assert abs(rate + np.log(p).sum() / len(X)) < 0.05 * rate


def test_the_lapped_transform_begins_as_the_principal_components_of_blocks():
    X = images(60, side=8)
    encoder, decoder = lapped_transform(X, 5, 4)
    with no_grad():
        y = decoder(encoder(Tensor(X))).numpy()
    blocks = X.reshape(60, 2, 4, 2, 4).transpose(0, 1, 3, 2, 4).reshape(-1, 16)
    expected = PCA(5).fit(blocks).reconstruct(blocks)
    back = expected.reshape(60, 2, 2, 4, 4).transpose(0, 1, 3, 2, 4).reshape(X.shape)
    # The decoder has one bias a channel where PCA has a mean for each pixel of a block.
    assert np.square(y - X).sum() < 1.1 * np.square(back - X).sum() + 0.05


def test_the_same_network_for_images_of_another_size():
    model = trained(images(), epochs=1)
    large = images(3, side=32)
    network = resized(model.network_, (1, 32, 32)).eval()
    with no_grad():
        codes = network.encoder(Tensor(large)).numpy()
        small = model.network_.eval().encoder(Tensor(large[:, :, :16, :16])).numpy()
    assert codes.shape == (3, 12, 8, 8)
    np.testing.assert_allclose(codes[:, :, :3, :3], small[:, :, :3, :3], atol=1e-5)


def test_steps_that_can_not_be():
    with pytest.raises(ValueError, match="from finest to coarsest"):
        CompressiveAutoencoder((4,), finest=1.0, coarsest=0.5).fit(images())


def test_convolutions_of_ones_own_take_their_training_too():
    model = CompressiveAutoencoder((6, 8), epochs=25, lr=3e-3, batch_size=8).fit(images())
    assert model.history_[-1]["loss"] < 0.5 * model.history_[0]["loss"]
