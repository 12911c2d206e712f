"""The conditional variational autoencoder: what the label says, the code need not."""

from __future__ import annotations

import numpy as np
import pytest

from miniae.models import ConditionalVariationalAutoencoder, load
from miniae.nn import Conv2D, ConvTranspose2D, Dense, Reshape, Sequential

pytestmark = pytest.mark.filterwarnings("ignore::miniae.models.PosteriorCollapse")


def labelled(n=240):
    """Two features that the label decides, and one that it says nothing of."""
    rng = np.random.default_rng(0)
    y = np.array(["left", "right", "up"])[rng.integers(0, 3, n)]
    place = {"left": (0, 0), "right": (1, 0), "up": (0, 1)}
    x = np.array([(*place[label], 0.0) for label in y]) + [0, 0, 0.5] + rng.standard_normal((n, 3)) * [0.05, 0.05, 0.3]
    return x, y


def test_samples_are_of_their_label_and_the_code_has_the_rest():
    x, y = labelled()
    model = ConditionalVariationalAutoencoder([24], 1, loss="gaussian", epochs=150, lr=1e-2, batch_size=60).fit(x, y)
    for label, place in (("left", (0, 0)), ("right", (1, 0)), ("up", (0, 1))):
        samples = model.sample(100, labels=label)
        np.testing.assert_allclose(samples[:, :2].mean(axis=0), place, atol=0.1)
        assert samples[:, 2].std() > 0.15
    assert abs(np.corrcoef(model.transform(x, y)[:, 0], x[:, 2])[0, 1]) > 0.95
    wrong = np.where(y == "left", "up", "left")
    assert model.elbo(x, y).mean() > model.elbo(x, wrong).mean() + 1
    assert model.log_likelihood(x[:50], y[:50], samples=100).mean() > model.elbo(x[:50], y[:50], samples=9).mean()
    assert model.score(x, y) > model.score(x, wrong)


def test_files_and_use(tmp_path, backend):
    x, y = labelled(60)
    model = ConditionalVariationalAutoencoder([6], 2, loss="gaussian", epochs=2, warmup=1).fit(x, y, validation=(x, y))
    assert model.history_[-1].keys() >= {"kl", "val_kl"}
    model.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert isinstance(again, ConditionalVariationalAutoencoder) and again.classes_.tolist() == ["left", "right", "up"]
    for use in (model.transform, model.reconstruct, model.elbo, model.unit_kl, model.score_samples):
        np.testing.assert_array_equal(getattr(again, use.__name__)(x, y), use(x, y))
    np.testing.assert_array_equal(again.sample(3, labels=["up", "left", "up"]),
                                  model.sample(3, labels=["up", "left", "up"]))
    assert model.interpolate(x[:2], x[2:4], 5, labels=["up", "left"]).shape == (2, 5, 3)
    assert model.traverse(x[:2], 0, steps=4, labels=["up", "left"]).shape == (2, 1, 4, 3)
    assert again.fit(x, y).history_[0]["loss"] > 0
    again.partial_fit(x, y)
    ConditionalVariationalAutoencoder([6], 2, loss="gaussian").partial_fit(x, y)


def test_images(backend, tmp_path):
    """Labels are planes to a convolutional encoder; a dense one takes images of any shape."""
    x, y = np.random.default_rng(0).random((20, 1, 8, 8), dtype=np.float32), np.arange(20) % 3
    encoder = Sequential([Conv2D(3, 3, stride=2, padding="same", activation="relu")])
    decoder = Sequential([Dense(16), Reshape((1, 4, 4)), ConvTranspose2D(1, 3, 2, padding="same")])
    model = ConditionalVariationalAutoencoder(code=2, encoder=encoder, decoder=decoder, epochs=1).fit(x, y)
    assert model.encoder_[0].weight.shape[1] == 4 and model.sample(3, labels=2).shape == (3, 1, 8, 8)
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "m.safetensors").reconstruct(x, y), model.reconstruct(x, y))
    for images in (x, x[:, 0]):
        dense = ConditionalVariationalAutoencoder([5], 2, epochs=1).fit(images, y)
        assert dense.reconstruct(images, y).shape == images.shape
        first = next(p for p in dense.encoder_.parameters() if p.ndim == 2)
        assert first.shape == (64 + 3, 5)
        dense.save(tmp_path / "d.safetensors")
        np.testing.assert_array_equal(load(tmp_path / "d.safetensors").reconstruct(images, y),
                                      dense.reconstruct(images, y))


def test_bad_input():
    x, y = labelled(30)
    model = ConditionalVariationalAutoencoder([4], 2, loss="gaussian", epochs=1).fit(x, y)
    for use in (model.transform, model.reconstruct, model.elbo, model.score_samples, model.unit_kl):
        with pytest.raises(ValueError, match="needs labels"):
            use(x)
    with pytest.raises(ValueError, match="needs labels"):
        model.sample(2)
    with pytest.raises(ValueError, match="the label 'down', which this model was not trained on"):
        model.sample(2, labels="down")
    with pytest.raises(ValueError, match="labels of shape"):
        model.sample(2, labels=["up"])
    with pytest.raises(ValueError, match="labels of shape"):
        model.fit(x, y[:-1])
    with pytest.raises(ValueError, match=r"validation is a pair \(X, y\)"):
        model.fit(x, y, validation=x)
    assert model.transform(x, y).shape == (30, 2)  # as it was
